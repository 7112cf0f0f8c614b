"""What is remembered of messages, on a real server."""

import pytest
from voisnap_domain.ids import SessionId
from voisnap_kit.redis import Redis
from voisnap_proto.requests import TextExchanged
from voisnap_runtime.texting.answers import MOST_KEPT, Given, RedisAnswers

pytestmark = pytest.mark.conformance

SESSION = SessionId("call_1")


async def test_a_message_is_given_once_and_its_answer_found_again(redis_url):
    async with await Redis.open(redis_url) as redis:
        answers = RedisAnswers(redis)
        assert not await answers.knows(SESSION)
        assert await answers.given(SESSION, "msg_1") is None
        assert await answers.give(SESSION, "msg_1", after=3) == Given(after=3)
        assert await answers.give(SESSION, "msg_1", after=7) == Given(after=3), "whoever asks again goes on"
        whole = Given(after=3, answer=TextExchanged(replies=("We open at nine.",)))
        await answers.answered(SESSION, "msg_1", whole)
        assert await answers.given(SESSION, "msg_1") == whole
        assert await answers.knows(SESSION)
        assert 0 < await redis.client.ttl("vs:{call_1}:texts") <= 8 * 86_400


async def test_of_a_long_conversation_the_latest_messages_are_remembered(redis_url):
    async with await Redis.open(redis_url) as redis:
        answers = RedisAnswers(redis)
        for number in range(MOST_KEPT + 5):
            given = await answers.give(SESSION, f"msg_{number}", after=number)
            await answers.answered(SESSION, f"msg_{number}", Given(after=given.after, answer=TextExchanged()))
        assert await redis.client.hlen("vs:{call_1}:texts") <= MOST_KEPT
        assert await answers.given(SESSION, f"msg_{MOST_KEPT + 4}") is not None
        assert await answers.given(SESSION, "msg_0") is None
