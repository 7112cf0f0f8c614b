"""Written conversations message by message: opened by the first, found by the next wherever it comes, answered once each."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from voisnap_domain.agents import FirstMessageMode
from voisnap_domain.conversations import Speaker
from voisnap_domain.errors import LimitReached
from voisnap_domain.ids import EventId, SessionId, TenantId
from voisnap_domain.sessions import Caller, Channel, EndReason, SessionState
from voisnap_proto.events import SessionEnded, SessionStarted, TurnFinished
from voisnap_proto.requests import ExchangeText, TextExchanged
from voisnap_providers.ports.llm import EndCall, LlmCapabilities, LlmUsed, TextDelta
from voisnap_runtime.pipeline.chat import Chat
from voisnap_runtime.sessions.desk import Desk, DeskSettings
from voisnap_runtime.sessions.reaper import Reaper
from voisnap_runtime.texting.answers import Given
from voisnap_runtime.texting.exchange import Texting

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

SESSION = SessionId("call_1")
IDLE = 3600.0


class Typist:
    """A language model that writes a word every 100 ms, and waits for `free` before each reply."""

    provider = "typist"
    capabilities = LlmCapabilities()

    def __init__(self) -> None:
        self.asked: list[list[tuple[str, str]]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.ends = False

    async def warm(self) -> None: ...

    async def answer(self, request):
        self.asked.append([(message.role.value, message.content) for message in request.messages[1:]])
        asked = request.messages[-1].content
        for index, word in enumerate(f"You wrote: {asked}".split(" ")):
            await asyncio.sleep(0.1)
            yield TextDelta(text=word if index == 0 else f" {word}")
            if index == 1:
                await self.free.wait()
        if self.ends:
            yield EndCall()
        yield LlmUsed(input_tokens=7, output_tokens=3)


class MemoryAnswers:
    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Given] = {}

    async def given(self, session_id, message_id):
        return self.kept.get((session_id, message_id))

    async def knows(self, session_id):
        return any(key[0] == session_id for key in self.kept)

    async def give(self, session_id, message_id, *, after):
        return self.kept.setdefault((session_id, message_id), Given(after=after))

    async def answered(self, session_id, message_id, given):
        self.kept[session_id, message_id] = given


class Post:
    """One process that answers messages."""

    def __init__(self, house, answers: MemoryAnswers, llm: Typist) -> None:
        self.house = house
        self.answers = answers

        def make_call(plan, recorder, notify, resumption):
            return Chat(plan, llm=llm, notify=notify, resume=resumption)

        parts = msgspec.structs.replace(house.sessions._parts, make_call=make_call)
        house.sessions._parts = house.sessions._claims._parts = parts
        self.desk = Desk(
            DeskSettings(node_id=house.node_id, max_sessions=2),
            house.store,
            house.bus,
            house.sessions,
            check_providers=lambda plan: None,
            now=house.clock,
            random_bytes=lambda count: b"r" * count,
        )

        async def cast(plan):
            return plan

        self.texting = Texting(
            node_id=house.node_id,
            store=house.store,
            answers=answers,
            sessions=house.sessions,
            desk=self.desk,
            bus=house.bus,
            now=house.clock,
            cast=cast,
        )

    async def ask(self, plan, text: str, message_id: str = "msg_1") -> TextExchanged:
        request = ExchangeText(plan=plan, message_id=message_id, text=text, idle_seconds=IDLE)
        return await self.texting.exchange(request)


@pytest.fixture
def llm():
    return Typist()


@pytest.fixture
def answers():
    return MemoryAnswers()


@pytest.fixture
async def post(house, answers, llm):
    house.clock.follow(asyncio.get_running_loop())
    made = Post(house, answers, llm)
    await made.texting.listen()
    return made


@pytest.fixture
async def other(post, build_house, answers, llm):
    made = Post(await build_house("node_b"), answers, llm)
    await made.texting.listen()
    return made


@pytest.fixture
def plan(make_plan):
    made = make_plan(session_id=SESSION, channel=Channel.SMS, caller=Caller(phone_number="+491701234567", country="DE"))
    config = msgspec.structs.replace(
        made.agent.config,
        first_message="Hello, this is Aria.",
        first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST,
        max_duration_seconds=7 * 86_400,
    )
    return msgspec.structs.replace(made, agent=msgspec.structs.replace(made.agent, config=config))


async def events_of(post) -> list:
    await post.house.relay.drained(timeout=30)
    return post.house.events


def reaper_of(post) -> Reaper:
    house = post.house
    return Reaper(
        house.store,
        house.node_id,
        house.recordings,
        publish=house.relay.wake,
        now=house.clock,
        new_event_id=lambda: EventId("evt_reaped"),
        neighbours=house.neighbours,
    )


async def test_the_first_message_is_greeted_and_answered_and_the_next_goes_on(post, plan, llm):
    first = await post.ask(plan, "When do you open?")
    second = await post.ask(plan, "And on Sunday?", "msg_2")

    assert first == TextExchanged(replies=("Hello, this is Aria.", "You wrote: When do you open?"))
    assert second == TextExchanged(replies=("You wrote: And on Sunday?",))
    assert llm.asked[-1] == [
        ("assistant", "Hello, this is Aria."),
        ("user", "When do you open?"),
        ("assistant", "You wrote: When do you open?"),
        ("user", "And on Sunday?"),
    ]
    events = await events_of(post)
    assert [type(event) for event in events] == [SessionStarted, *[TurnFinished] * 5]
    assert [event.turn.sequence for event in events[1:]] == [1, 2, 3, 4, 5]


async def test_an_empty_text_lets_the_agent_begin(post, plan):
    assert await post.ask(plan, "") == TextExchanged(replies=("Hello, this is Aria.",))


async def test_nothing_lives_and_nobody_is_counted_between_two_messages(post, plan):
    await post.ask(plan, "Hi")
    kept = await post.house.store.get(SESSION)
    assert len(post.house.sessions) == 0
    assert (kept.owner, kept.state) == (None, SessionState.RECONNECTING)
    assert post.house.store.tenants[TenantId("ten_1")] == {}
    assert post.house.store.leases[SESSION] - post.house.clock() == timedelta(seconds=IDLE)


async def test_the_same_message_again_gets_the_same_answer_and_is_said_once(post, other, plan, llm):
    first = await post.ask(plan, "When do you open?")
    assert await other.ask(plan, "When do you open?") == first
    assert await post.ask(plan, "When do you open?") == first
    assert len(llm.asked) == 1


async def test_a_message_asked_twice_at_once_is_answered_once(post, other, plan, llm):
    llm.free.clear()
    first = asyncio.create_task(post.ask(plan, "Hi"))
    await asyncio.sleep(1)
    again = asyncio.create_task(other.ask(plan, "Hi"))
    await asyncio.sleep(1)
    llm.free.set()
    assert await again == await first
    assert len(llm.asked) == 1


async def test_any_process_answers_the_next_message(post, other, plan, llm):
    await post.ask(plan, "Hi")
    answer = await other.ask(plan, "And on Sunday?", "msg_2")
    assert answer.replies == ("You wrote: And on Sunday?",)
    assert ("user", "Hi") in llm.asked[-1]


async def test_a_process_that_dies_over_a_message_leaves_it_to_whoever_is_asked_again(post, other, plan, llm):
    await post.ask(plan, "Hi")
    llm.free.clear()
    dying = asyncio.create_task(post.ask(plan, "Do you deliver?", "msg_2"))
    await asyncio.sleep(5)
    await post.house.sessions.keep()
    await post.texting.close()
    await post.house.kill()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    llm.free.set()

    answer = await other.ask(plan, "Do you deliver?", "msg_2")

    assert answer == TextExchanged(replies=("You wrote: Do you deliver?",))
    written = [
        event.turn for event in await events_of(other) if isinstance(event, TurnFinished) and not event.turn.interrupted
    ]
    assert [turn.text for turn in written if turn.speaker is Speaker.USER] == ["Hi", "Do you deliver?"]


async def test_a_process_that_dies_before_a_message_is_said_loses_it_not(post, other, plan, answers, llm):
    await post.ask(plan, "Hi")
    await answers.give(SESSION, "msg_2", after=3)  # noted, and then it died
    answer = await other.ask(plan, "Do you deliver?", "msg_2")
    assert answer.replies == ("You wrote: Do you deliver?",)


async def test_the_agent_ends_the_conversation_and_its_last_words_are_answered(post, plan, llm):
    llm.ends = True
    answer = await post.ask(plan, "Bye")
    assert answer == TextExchanged(replies=("Hello, this is Aria.", "You wrote: Bye"), ended=EndReason.AGENT_ENDED)
    assert await post.ask(plan, "Bye") == answer
    assert await post.ask(plan, "Still there?", "msg_2") == TextExchanged(known=False)
    ended = (await events_of(post))[-1]
    assert isinstance(ended, SessionEnded)
    assert (ended.turns, ended.reason, ended.plan.caller.country) == (3, EndReason.AGENT_ENDED, "DE")


async def test_silence_ends_it_when_the_last_thing_was_written(post, plan, house):
    await post.ask(plan, "Hi")
    await asyncio.sleep(IDLE + 1)
    await reaper_of(post).reap()
    assert await post.ask(plan, "Hello again", "msg_2") == TextExchanged(known=False)
    ended = (await events_of(post))[-1]
    assert ended.reason is EndReason.IDLE_TIMEOUT
    assert ended.duration_seconds < 10
    assert ended.turns == 3


async def test_a_message_after_the_silence_finds_no_conversation_even_before_it_is_cleared_up(post, plan):
    await post.ask(plan, "Hi")
    await asyncio.sleep(IDLE + 1)
    assert await post.ask(plan, "Hello again", "msg_2") == TextExchanged(known=False)


async def test_an_answer_that_takes_too_long_is_asked_for_again(post, plan, llm):
    post.texting._seconds = 5.0
    llm.free.clear()
    with pytest.raises(LimitReached) as refused:
        await post.ask(plan, "Hi")
    assert refused.value.code == "node-full"
    llm.free.set()
    answer = await post.ask(plan, "Hi")
    assert answer.replies == ("Hello, this is Aria.", "You wrote: Hi")


async def test_a_conversation_that_is_forgotten_is_not_begun_anew_under_its_name(post, plan, house):
    await post.ask(plan, "Hi")
    del house.store.sessions[SESSION]
    assert await post.ask(plan, "Hello?", "msg_2") == TextExchanged(known=False)
