"""ChatHub over a real socket: messages, chunks, typing, cancelling, ending, coming back; stored like a call."""

import asyncio

import msgspec
import pytest
from voisnap_domain.ids import SessionId
from voisnap_domain.sessions import SessionState
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_providers.errors import ProviderError

pytestmark = pytest.mark.hub


def messages(client) -> list[tuple[str, str, bool, bool]]:
    return [
        (value["messageId"], value["content"], value["isChunk"], value["isFinal"])
        for name, value in client.seen
        if name == "MessageReceived"
    ]


async def whole(client, text: str | None = None) -> dict:
    """The next whole message, or the one with this text."""
    return await client.until(
        "MessageReceived", where=lambda m: m["isFinal"] and text in (None, m["content"]), keep=True
    )


@pytest.fixture
def greeting(planner):
    """The agent greets with a disclosure and a first message."""
    make = planner._plan

    def plan(**changes):
        made = make(**changes)
        config = msgspec.structs.replace(made.agent.config, first_message="Hello!", ai_disclosure_message="I am an AI.")
        return msgspec.structs.replace(made, agent=msgspec.structs.replace(made.agent, config=config))

    planner._plan = plan


async def test_a_chat_from_its_greeting_to_its_record(house, chat, pen, greeting):
    async with chat() as client:
        started = await client.until("SessionStarted", keep=True)
        assert (started["sessionId"], started["channel"], started["audio"]) == ("chat_1", "webchat", None)
        live = house.sessions.get(SessionId("chat_1"))
        await client.ask("SendMessageAsync", {"content": "When do you open?", "metadata": {"page": "/"}})
        pen.write("We open ", "at nine.")
        pen.finish()
        last = await whole(client, "We open at nine.")
        assert last["timestamp"].endswith("Z")
        await client.invoke("EndSessionAsync")
        over = await client.until("ConversationEnded", keep=True)
        ended = await client.until("SessionEnded", keep=True)
        with pytest.raises(AssertionError, match="closed"):
            await client.until("Error")
    await live.over()
    await house.relay.drained(timeout=2)

    assert messages(client) == [
        ("msg_01", "I am an AI.", False, True),
        ("msg_02", "Hello!", False, True),
        ("msg_04", "We open", True, False),
        ("msg_04", " at nine.", True, False),
        ("msg_04", "We open at nine.", False, True),
    ]
    assert [value["isTyping"] for name, value in client.seen if name == "TypingIndicator"] == [True, False]
    assert over == {"conversationId": "conv_1", "reason": "user_ended"}
    assert ended["reason"] == "user_ended"
    kinds = [type(event) for event in house.events]
    assert kinds == [SessionStarted, TurnFinished, TurnFinished, TurnFinished, TurnFinished, SessionEnded]
    assert [(event.turn.speaker.value, event.turn.text) for event in house.events[1:-1]] == [
        ("agent", "I am an AI."),
        ("agent", "Hello!"),
        ("user", "When do you open?"),
        ("agent", "We open at nine."),
    ]
    assert (house.events[-1].turns, house.events[-1].usage.tts, house.events[-1].recording) == (4, None, None)
    assert (await house.store.get(SessionId("chat_1"))).state is SessionState.ENDED
    assert house.pacer.pairs == {}


async def test_a_message_may_be_just_its_text_and_comes_in_order_with_others(chat, pen):
    async with chat() as client:
        await client.invoke("SendMessageAsync", "one")
        await client.ask("SendMessageAsync", "two")
        pen.write("Both.")
        pen.finish()
        await whole(client)
        assert pen.asked in (["two"], ["one"])
        if pen.asked == ["one"]:
            pen.write("And two.")
            pen.finish()
            await whole(client, "And two.")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"content": ""}, "must not be empty"),
        ("  ", "must not be empty"),
        ({"content": "x" * 4001}, "at most 4000 characters"),
        ({"content": 5}, "takes {content: string"),
        ({"text": "hello"}, "takes {content: string"),
        ({"content": "x", "metadata": []}, "takes {content: string"),
        ({"content": "x", "metadata": {"note": "x" * 16_384}}, "16384 bytes"),
        (None, "takes {content: string"),
        (7, "takes {content: string"),
    ],
)
async def test_messages_that_are_none_are_refused_and_the_chat_goes_on(chat, pen, error_of, argument, message):
    async with chat() as client:
        await client.until("SessionStarted")
        assert message in await error_of(client, "SendMessageAsync", argument)
        await client.ask("SendMessageAsync", "Hello")
        pen.write("Hi.")
        pen.finish()
        assert (await whole(client))["content"] == "Hi."


async def test_cancelling_ends_the_message_with_what_was_sent_of_it(chat, pen, house):
    async with chat() as client:
        await client.ask("SendMessageAsync", "Count")
        pen.write("One", " two")
        await client.until("MessageReceived", where=lambda m: m["content"] == " two", keep=True)
        await client.ask("CancelAsync")
        assert (await whole(client))["content"] == "One two"
        await client.until("TypingIndicator", where=lambda t: not t["isTyping"])
        await client.ask("CancelAsync")
        await client.ask("TypingAsync")
        await client.ask("SendMessageAsync", "Again")
        pen.write("Three.")
        pen.finish()
        assert (await whole(client, "Three."))["messageId"] == "msg_04"
    assert house.sessions.get(SessionId("chat_1")).record.turns[1].interrupted


async def test_a_message_that_was_accepted_is_kept_whatever_becomes_of_the_process(house, chat, pen):
    async def kept() -> list[str]:
        session_id = SessionId("chat_1")
        snapshot = await house.store.snapshot(session_id)
        finished = [turn.text for turn in await house.store.turns(session_id)]
        open_turns = [turn.text for turn in (snapshot.agent, snapshot.user) if turn is not None]
        return [*finished, *(text for text in open_turns if text not in finished)]

    async with chat() as client:
        await client.ask("SendMessageAsync", "first")
        assert await kept() == ["first"]
        pen.write("One")
        await client.until("MessageReceived")
        await client.ask("SendMessageAsync", "second")
        assert await kept() == ["first", "One", "second"]
        house.store.away = True
        await client.ask("SendMessageAsync", "third")
        house.store.away = False


async def test_a_model_that_fails_is_an_error_and_an_apology_and_the_chat_goes_on(chat, pen):
    async with chat() as client:
        await client.ask("SendMessageAsync", "Hi")
        pen.write(ProviderError("broken", provider="pen", kind="llm", retryable=True))
        error = await client.until("Error")
        assert (error["code"], error["recoverable"]) == ("LLM_PROVIDER_ERROR", True)
        assert "sorry" in (await whole(client))["content"]
        await client.ask("SendMessageAsync", "Still there?")
        pen.write("Yes.")
        pen.finish()
        await whole(client, "Yes.")


async def test_after_a_loss_the_chat_is_there_with_all_it_said_and_a_reply_goes_on(house, chat, pen, left_alone):
    async with chat() as client:
        await client.ask("SendMessageAsync", "Count")
        pen.write("One")
        await client.until("MessageReceived")
    live = house.sessions.get(SessionId("chat_1"))
    await left_alone(live)
    pen.write(" two", " three.")
    pen.finish()
    await asyncio.sleep(0)

    async with chat(sessionId="chat_1") as again:
        assert (await again.until("SessionStarted"))["resumed"] is True
        assert (await whole(again))["content"] == "One two three."
        await again.ask("SendMessageAsync", "Go on")
        pen.write("Four.")
        pen.finish()
        await whole(again, "Four.")
    assert [turn.text for turn in live.record.turns] == ["Count", "One two three.", "Go on", "Four."]


async def test_a_chat_cannot_be_resumed_as_a_call(chat, voice, refused):
    async with chat() as client:
        await client.until("SessionStarted")
        async with voice(sessionId="chat_1") as other:
            assert (await refused(other))["code"] == "RECONNECT_FAILED"


async def test_the_name_of_a_visitor_is_known_to_the_prompt(chat, planner):
    async with chat(userName="Ada", metadata='{"plan":"pro"}') as client:
        await client.until("SessionStarted")
    assert planner.asked[0].metadata == {"plan": "pro", "userName": "Ada"}
    assert planner.asked[0].channel.value == "webchat"
