"""Written conversations in virtual time: greeting, answering, waiting, cancelling, ending, going on elsewhere."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from voisnap_domain.agents import (
    AgentConfig,
    AgentSnapshot,
    FirstMessageMode,
    Llm,
    LlmProvider,
    Persona,
    Transcription,
    TranscriptionProvider,
    Voice,
    VoiceProvider,
)
from voisnap_domain.conversations import Speaker, Turn
from voisnap_domain.errors import Invalid, LimitReached
from voisnap_domain.ids import AgentId, ConversationId, SessionId, TenantId
from voisnap_domain.resumption import CallSnapshot, Resumption
from voisnap_domain.sessions import Channel, Direction, EndReason, SessionPlan
from voisnap_domain.tenants import Environment
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.llm import EndCall, LlmCapabilities, LlmUsed, TextDelta
from voisnap_runtime.pipeline.chat import IDLE_FACTOR, Chat
from voisnap_runtime.pipeline.events import AgentStateChanged, Fault, TranscriptionUpdated, TurnFinished

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

AGENT, USER = Speaker.AGENT, Speaker.USER


class Typist:
    """A language model that writes a word every 100 ms. `replies` are taken in turn, the last one again and again."""

    provider = "typist"
    capabilities = LlmCapabilities()

    async def warm(self) -> None: ...

    def __init__(self, *replies: str | Exception | None) -> None:
        self.replies = list(replies) or ["I see what you mean."]
        self.requests = []
        self.ends = False

    async def answer(self, request):
        self.requests.append([(message.role.value, message.content) for message in request.messages[1:]])
        self.context = request.context
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply is None:
            await asyncio.sleep(3600)
        for word in str(reply).split(" ") if isinstance(reply, str) else ():
            await asyncio.sleep(0.1)
            yield TextDelta(text=word if word == str(reply).split(" ")[0] else f" {word}")
        if isinstance(reply, Exception):
            raise reply
        if self.ends:
            yield EndCall()
        yield LlmUsed(input_tokens=7, output_tokens=3)


class Chatter:
    """A chat and what it told."""

    def __init__(self, chat: Chat, events: list) -> None:
        self.chat = chat
        self.events = events
        self.llm: Typist
        self.task = asyncio.create_task(chat.run())

    @property
    def turns(self) -> list[tuple[Speaker, str]]:
        return [(turn.speaker, turn.text) for turn in self.records]

    @property
    def records(self) -> list[Turn]:
        return [event.turn for event in self.events if isinstance(event, TurnFinished)]

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]


def config_of(**changes) -> AgentConfig:
    config = AgentConfig(
        name="Aria",
        persona=Persona(name="Aria"),
        voice=Voice(provider=VoiceProvider.LOCAL, voice_id="tone"),
        llm=Llm(provider=LlmProvider.SCRIPTED, model="prompt"),
        transcription=Transcription(provider=TranscriptionProvider.LOCAL),
        system_prompt_template="You are Aria.",
        first_message="Hello, how can I help?",
        first_message_mode=FirstMessageMode.WAIT_FOR_USER,
    )
    return msgspec.structs.replace(config, **changes)


@pytest.fixture
async def chats():
    """`await chats(llm, resume=…, first_message=…)`: a running chat; torn down afterwards."""
    made = []

    async def start(
        llm: Typist | None = None, *, resume: Resumption | None = None, metadata=None, **changes
    ) -> Chatter:
        plan = SessionPlan(
            session_id=SessionId("chat_1"),
            conversation_id=ConversationId("conv_1"),
            tenant_id=TenantId("ten_1"),
            environment=Environment.LIVE,
            channel=Channel.WEBCHAT,
            direction=Direction.INBOUND,
            agent=AgentSnapshot(agent_id=AgentId("agt_1"), version=1, config=config_of(**changes)),
            metadata=metadata or {},
            created_at=datetime(2026, 11, 21, 5, 0, tzinfo=UTC),
        )
        events: list = []
        llm = llm or Typist()
        chatter = Chatter(Chat(plan, llm=llm, notify=events.append, resume=resume), events)
        chatter.llm = llm
        made.append(chatter)
        await asyncio.sleep(0.001)
        return chatter

    yield start
    for chatter in made:
        chatter.task.cancel()
        await asyncio.gather(chatter.task, return_exceptions=True)


async def test_the_disclosure_and_the_first_message_come_before_anything_else(chats):
    talk = await chats(
        first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST,
        ai_disclosure_message="I am an AI.",
        first_message="Hello {{name}}!",
        metadata={"name": "Ada"},
    )
    assert talk.turns == [(AGENT, "I am an AI."), (AGENT, "Hello Ada!")]
    assert [turn.sequence for turn in talk.records] == [1, 2]


async def test_an_agent_that_waits_discloses_before_its_first_answer(chats):
    talk = await chats(ai_disclosure_message="I am an AI.")
    assert talk.turns == []
    talk.chat.say("Hi")
    await asyncio.sleep(2)
    assert talk.turns == [(USER, "Hi"), (AGENT, "I am an AI."), (AGENT, "I see what you mean.")]
    talk.chat.say("Again")
    await asyncio.sleep(2)
    assert talk.turns[3:] == [(USER, "Again"), (AGENT, "I see what you mean.")]


async def test_a_reply_comes_as_it_is_written_and_is_on_record_once(chats):
    talk = await chats(Typist("We open at nine."))
    talk.chat.say("When?", {"page": "/hours"})
    await asyncio.sleep(2)
    told = [(event.text, event.is_final) for event in talk.of(TranscriptionUpdated) if event.speaker is AGENT]
    assert told == [
        ("We", False),
        ("We open", False),
        ("We open at", False),
        ("We open at nine.", False),
        ("We open at nine.", True),
    ]
    assert {event.sequence for event in talk.of(TranscriptionUpdated) if event.speaker is AGENT} == {2}
    assert [event.state.value for event in talk.of(AgentStateChanged)] == ["thinking", "speaking", "listening"]
    reply = talk.records[1]
    assert (reply.sequence, reply.interrupted, reply.words) == (2, False, ())
    assert (reply.latency.total_ms, reply.latency.llm_ms) == (100.0, 100.0)
    assert reply.start_time == pytest.approx(0.101, abs=0.01)
    assert talk.llm.context["messageMetadata"] == {"page": "/hours"}


async def test_history_goes_to_the_model_with_the_new_message_last(chats):
    talk = await chats(Typist("Hello Ada.", "Ada."))
    talk.chat.say("I am Ada.")
    await asyncio.sleep(2)
    talk.chat.say("What is my name?")
    await asyncio.sleep(2)
    assert talk.llm.requests[1] == [
        ("user", "I am Ada."),
        ("assistant", "Hello Ada."),
        ("user", "What is my name?"),
    ]


async def test_messages_that_come_while_a_reply_is_written_wait_and_are_answered_together(chats):
    talk = await chats(Typist("One two three four five.", "Both."))
    talk.chat.say("a")
    await asyncio.sleep(0.25)
    talk.chat.say("b")
    talk.chat.say("c")
    snapshot = talk.chat.snapshot()
    assert (snapshot.agent.text, snapshot.agent.sequence) == ("One two", 2)
    assert (snapshot.user.text, snapshot.user.sequence) == ("b\nc", 3)
    await asyncio.sleep(2)
    assert talk.turns == [
        (USER, "a"),
        (AGENT, "One two three four five."),
        (USER, "b"),
        (USER, "c"),
        (AGENT, "Both."),
    ]
    assert talk.llm.requests[1][-2:] == [("user", "b"), ("user", "c")]
    assert [turn.sequence for turn in talk.records] == [1, 2, 3, 4, 5]


async def test_what_was_sent_of_a_cancelled_reply_stays_and_the_chat_goes_on(chats):
    talk = await chats(Typist("One two three four five.", "Sure."))
    talk.chat.say("Count")
    await asyncio.sleep(0.25)
    assert talk.chat.cancel()
    await asyncio.sleep(2)
    assert talk.turns == [(USER, "Count"), (AGENT, "One two")]
    assert talk.records[1].interrupted
    assert talk.of(TranscriptionUpdated)[-1].is_final
    assert talk.chat.quality().interruptions == 1
    assert not talk.chat.cancel()
    talk.chat.say("Go on")
    await asyncio.sleep(2)
    assert talk.turns[2:] == [(USER, "Go on"), (AGENT, "Sure.")]


async def test_a_reply_cancelled_before_its_first_word_leaves_nothing(chats):
    talk = await chats(Typist("One."))
    talk.chat.say("Count")
    await asyncio.sleep(0.05)
    talk.chat.cancel()
    await asyncio.sleep(1)
    assert talk.turns == [(USER, "Count")]
    assert talk.of(AgentStateChanged)[-1].state.value == "listening"


@pytest.mark.parametrize(
    ("first", "kept"),
    [
        (ProviderError("broken", provider="typist", kind="llm", retryable=True), []),
        (None, []),
        ("", []),
    ],
)
async def test_a_model_that_fails_hangs_or_says_nothing_is_apologised_for_and_the_chat_goes_on(chats, first, kept):
    talk = await chats(Typist(first, "Here I am."))
    talk.chat.say("Hi")
    await asyncio.sleep(30)
    assert talk.turns[0] == (USER, "Hi")
    assert len(talk.turns) == 2
    assert talk.turns[1][1].startswith("I'm sorry, I'm having trouble")
    faults = [(fault.code.value, fault.recoverable) for fault in talk.of(Fault)]
    assert faults == ([] if first == "" else [("LLM_PROVIDER_ERROR", True)])
    talk.chat.say("Still there?")
    await asyncio.sleep(2)
    assert talk.turns[-1] == (AGENT, "Here I am.")


async def test_the_agent_apologises_in_the_language_of_the_chat(chats):
    spanish = Transcription(provider=TranscriptionProvider.LOCAL, language="es-MX")
    talk = await chats(Typist(""), transcription=spanish)
    talk.chat.say("Hola")
    await asyncio.sleep(1)
    assert talk.turns[-1][1].startswith("Lo siento")


async def test_two_failures_in_a_row_do_not_end_the_chat(chats):
    error = ProviderError("broken", provider="typist", kind="llm", retryable=False)
    talk = await chats(Typist(error, error, "Back."))
    for text in ("a", "b", "c"):
        talk.chat.say(text)
        await asyncio.sleep(1)
    assert talk.turns[-1] == (AGENT, "Back.")
    assert not talk.task.done()


@pytest.mark.parametrize(
    ("says", "answers", "reason"),
    [
        ("Okay, GOODBYE!!", "Bye.", EndReason.USER_ENDED),
        ("Thanks", "You are welcome. Goodbye.", EndReason.AGENT_ENDED),
    ],
)
async def test_end_call_phrases_of_either_side_end_the_chat_after_the_reply(chats, says, answers, reason):
    talk = await chats(Typist(answers), end_call_phrases=("goodbye",))
    talk.chat.say(says)
    assert await asyncio.wait_for(talk.task, 5) is reason
    assert talk.turns == [(USER, says), (AGENT, answers)]


async def test_the_model_can_end_the_chat(chats):
    llm = Typist("That is all.")
    llm.ends = True
    talk = await chats(llm)
    talk.chat.say("Done?")
    assert await asyncio.wait_for(talk.task, 5) is EndReason.AGENT_ENDED


async def test_after_its_maximum_duration_the_agent_takes_leave(chats):
    talk = await chats(Typist(" ".join(["word"] * 1000)), max_duration_seconds=30)
    talk.chat.say("Tell me all")
    started = asyncio.get_running_loop().time()
    assert await talk.task is EndReason.MAX_DURATION
    assert asyncio.get_running_loop().time() - started == pytest.approx(30, abs=0.1)
    assert talk.records[1].interrupted
    assert "time limit" in talk.turns[-1][1]
    assert talk.turns[-1][0] is AGENT


@pytest.mark.parametrize(("reply", "warned_at"), [("Fine.", 540.0), (" ".join(["word"] * 500), 570.0)])
async def test_the_agent_says_before_that_time_is_running_out_when_it_is_not_writing(chats, reply, warned_at):
    talk = await chats(Typist(reply), max_duration_seconds=600, max_idle_time_seconds=60)
    await asyncio.sleep(520)
    talk.chat.say("Go")
    assert await talk.task is EndReason.MAX_DURATION
    (warning,) = [turn for turn in talk.records if turn.text.startswith("We have")]
    assert warning.start_time == pytest.approx(warned_at, abs=0.2)
    assert ("about a minute" in warning.text) == (warned_at == 540)
    assert [turn.speaker for turn in talk.records] == [USER, AGENT, AGENT, AGENT]


async def test_a_chat_in_which_nobody_writes_ends(chats):
    talk = await chats(max_idle_time_seconds=5, max_duration_seconds=3600)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await asyncio.sleep(60)
    talk.chat.typing()
    assert await talk.task is EndReason.IDLE_TIMEOUT
    assert loop.time() - started == pytest.approx(60 + 5 * IDLE_FACTOR, abs=0.1)
    assert "haven't read anything" in talk.turns[-1][1]


async def test_while_nobody_reads_the_agent_waits_and_only_the_maximum_duration_counts(chats):
    talk = await chats(Typist("One two three four five."), max_idle_time_seconds=5, max_duration_seconds=300)
    talk.chat.say("Count")
    await asyncio.sleep(0.25)
    talk.chat.hold()
    await asyncio.sleep(200)
    assert not talk.task.done()
    assert talk.turns == [(USER, "Count")]
    talk.chat.release()
    await asyncio.sleep(1)
    assert talk.turns[1] == (AGENT, "One two three four five.")
    assert await talk.task is EndReason.MAX_DURATION


@pytest.mark.parametrize("text", ["", "   ", "x" * 4001])
async def test_messages_have_some_text_and_not_too_much(chats, text):
    talk = await chats()
    with pytest.raises(Invalid, match="must"):
        talk.chat.say(text)
    talk.chat.say("y" * 4000)
    await asyncio.sleep(2)
    assert len(talk.turns) == 2


async def test_so_many_messages_wait_and_no_more(chats):
    talk = await chats(Typist("One two three."))
    talk.chat.say("first")
    await asyncio.sleep(0.01)
    for number in range(16):
        talk.chat.say(str(number))
    with pytest.raises(LimitReached, match="Too many"):
        talk.chat.say("17")
    await asyncio.sleep(5)
    assert len(talk.turns) == 1 + 1 + 16 + 1


async def test_hanging_up_keeps_what_was_written_and_what_was_not_answered(chats):
    talk = await chats(Typist("One two three four five."))
    talk.chat.say("Count")
    await asyncio.sleep(0.25)
    talk.chat.say("And?")
    talk.chat.end(EndReason.USER_ENDED)
    assert await talk.task is EndReason.USER_ENDED
    assert talk.turns == [(USER, "Count"), (AGENT, "One two"), (USER, "And?")]
    assert talk.records[1].interrupted


async def test_a_model_gets_ready_while_the_person_reads(chats):
    class Readying(Typist):
        prompts: tuple[str, ...] = ()

        async def prepare(self, prompt):
            self.prompts += (prompt,)
            raise ProviderError("not now", provider="typist", kind="llm", retryable=True)

    talk = await chats(Readying())
    assert talk.llm.prompts == ("You are Aria.",)
    talk.chat.say("Hi")
    await asyncio.sleep(2)
    assert talk.turns[-1] == (AGENT, "I see what you mean.")


async def test_only_the_language_model_is_used(chats):
    talk = await chats()
    talk.chat.say("Hi")
    await asyncio.sleep(2)
    usage = talk.chat.usage()
    assert (usage.llm.provider, usage.llm.input_tokens, usage.llm.output_tokens) == ("typist", 7, 3)
    assert (usage.tts, usage.stt, usage.telephony) == (None, None, None)
    assert talk.chat.quality().latency_p50_ms == 100.0


def turn(sequence: int, speaker: Speaker, text: str, **changes) -> Turn:
    at = float(sequence)
    return Turn(sequence=sequence, speaker=speaker, text=text, start_time=at, end_time=at, confidence=1.0, **changes)


async def test_a_chat_whose_process_died_in_a_reply_keeps_what_was_sent_and_answers_again(chats):
    resumed = Resumption(
        turns=(turn(1, AGENT, "Hello."), turn(2, USER, "Count")),
        snapshot=CallSnapshot(
            elapsed=5,
            next_sequence=3,
            agent=turn(3, AGENT, "One two", interrupted=True),
            user=turn(4, USER, "And spell"),
            disclosed=True,
        ),
        elapsed=8,
    )
    talk = await chats(
        Typist("One two three."),
        resume=resumed,
        ai_disclosure_message="I am an AI.",
        first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST,
    )
    await asyncio.sleep(2)
    assert talk.turns == [(AGENT, "One two"), (USER, "And spell"), (AGENT, "One two three.")]
    assert [turn.sequence for turn in talk.records] == [3, 4, 5]
    assert talk.records[0].interrupted
    assert talk.llm.requests[0] == [
        ("assistant", "Hello."),
        ("user", "Count"),
        ("assistant", "One two"),
        ("user", "And spell"),
    ]
    assert talk.records[2].start_time > 8


async def test_a_message_that_nobody_answered_is_answered_by_the_next_process(chats):
    resumed = Resumption(turns=(turn(1, USER, "Hi"),), snapshot=CallSnapshot(elapsed=1, next_sequence=2), elapsed=2)
    talk = await chats(resume=resumed)
    await asyncio.sleep(2)
    assert talk.turns == [(AGENT, "I see what you mean.")]


async def test_a_chat_handed_over_in_silence_goes_on_as_if_nothing_had_been(chats):
    resumed = Resumption(
        turns=(turn(1, USER, "Hi"), turn(2, AGENT, "Hello.")),
        snapshot=CallSnapshot(elapsed=1, next_sequence=3),
        elapsed=2,
        seamless=True,
    )
    talk = await chats(resume=resumed, max_duration_seconds=30)
    await asyncio.sleep(2)
    assert talk.turns == []
    assert talk.chat.is_quiet
    talk.chat.say("More")
    assert not talk.chat.is_quiet
    assert await talk.task is EndReason.MAX_DURATION
    assert asyncio.get_running_loop().time() == pytest.approx(28, abs=0.1)


@pytest.mark.parametrize(("disclosure", "ahead"), [("", 1), ("I am an AI.", 2)])
async def test_a_message_knows_its_place_after_a_greeting_that_is_still_to_come(chats, disclosure: str, ahead: int):
    talk = await chats(
        Typist("Sure."),
        first_message_mode=FirstMessageMode.ASSISTANT_SPEAKS_FIRST,
        ai_disclosure_message=disclosure,
    )
    early = Chat(talk.chat._plan, llm=Typist("Sure."), notify=talk.events.append)

    assert early.say("Early bird") == ahead + 1
    assert talk.chat.say("Hi") == ahead + 1
    await asyncio.sleep(0.05)
    assert talk.chat.say("While you write") == ahead + 3
    await asyncio.sleep(3)

    numbered = {turn.text: turn.sequence for turn in talk.records if turn.speaker is USER}
    assert numbered == {"Hi": ahead + 1, "While you write": ahead + 3}
