"""What language models may do in calls beside talking, in virtual time."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
import pytest
from voisnap_domain.agents import AgentConfig
from voisnap_domain.conversations import Speaker
from voisnap_domain.errors import Conflict
from voisnap_domain.sessions import EndReason
from voisnap_providers.errors import ProviderError
from voisnap_providers.ports.llm import (
    LlmCapabilities,
    LlmDelta,
    LlmRequest,
    Message,
    Role,
    TextDelta,
    ToolCall,
    ToolSpec,
)
from voisnap_runtime.hubs.wire import call_event
from voisnap_runtime.pipeline.events import ToolFinished, ToolStarted
from voisnap_runtime.pipeline.tools import MAX_ROUNDS, EndCallTool, SideEffect, ToolContext, ToolResult
from voisnap_testkit.fakes_speech import ScriptedLlm

pytestmark = [pytest.mark.unit, pytest.mark.virtual_time]

AGENT, USER, TOOL = Speaker.AGENT, Speaker.USER, Speaker.TOOL
SCRIPT = """
when: book -> Let me see. [tool: book {"day": "Monday"}]
when: twice -> [tool: book {"day": "Monday"}] [tool: book {"day": "Monday"}]
when: nonsense -> [tool: book {"day": "Noday"}]
when: hang up -> [tool: end_call]
otherwise -> I see what you mean.
"""


class Book:
    """A tool that takes its time."""

    effect = SideEffect.ONCE
    spec = ToolSpec(
        name="book",
        description="Book a day.",
        parameters={
            "type": "object",
            "properties": {"day": {"type": "string", "enum": ["Monday", "Friday"]}, "people": {"type": "integer"}},
            "required": ["day"],
            "additionalProperties": False,
        },
    )

    def __init__(
        self, result: ToolResult | Exception | None = None, *, takes: float = 0.1, seconds: float = 5.0
    ) -> None:
        self.result = result or ToolResult(content="Booked for Monday.")
        self.takes, self.seconds = takes, seconds
        self.runs: list[tuple[dict[str, Any], ToolContext]] = []

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        self.runs.append((arguments, context))
        await asyncio.sleep(self.takes)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


class Planned:
    """A model that answers as it is told, request by request."""

    provider = "planned"
    capabilities = LlmCapabilities(tools=True)

    def __init__(self, *answers: tuple[LlmDelta, ...]) -> None:
        self._answers = list(answers)
        self.requests: list[LlmRequest] = []

    async def answer(self, request: LlmRequest) -> AsyncGenerator[LlmDelta]:
        self.requests.append(request)
        for delta in self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]:
            yield delta

    async def warm(self) -> None: ...
    async def aclose(self) -> None: ...


def call(name: str, id: str = "c1", **arguments: Any) -> ToolCall:
    return ToolCall(call_id=id, name=name, arguments=msgspec.json.encode(arguments).decode())


@pytest.fixture
def scripted(agent: Callable[..., AgentConfig]) -> AgentConfig:
    return agent(system_prompt_template=SCRIPT)


async def test_what_a_tool_answers_is_said_on_record_and_told(lines, scripted: AgentConfig) -> None:
    book = Book(takes=1.0)
    line = await lines(scripted, tools=(book,))
    line.says("please book it")
    await line.until_state("speaking")
    assert line.of(ToolFinished) == []
    await line.until_turns(3)
    assert line.spoken_turns == [
        (USER, "please book it"),
        (AGENT, "Let me see. Booked for Monday."),
        (TOOL, "Booked for Monday."),
    ]
    assert [turn.sequence for turn in line.turns] == [1, 2, 3]
    ((arguments, context),) = book.runs
    assert arguments == {"day": "Monday"}
    assert len(context.key) == 32
    (started,), (finished,) = line.of(ToolStarted), line.of(ToolFinished)
    assert call_event(started)[0] == "ToolCallStarted"
    name, (told,) = call_event(finished)
    assert name == "ToolCallCompleted"
    assert (told.tool_call_id, told.name, told.success, told.duration_ms) == (started.call_id, "book", True, 1000.0)


async def test_the_model_reads_the_result_and_the_history_keeps_it_for_later_turns(lines, agent) -> None:
    model = Planned(
        (TextDelta(text="One moment."), call("book", day="Monday", people=2)),
        (TextDelta(text="It is done."),),
        (TextDelta(text="You are welcome."),),
    )
    line = await lines(agent(), llm=model, tools=(Book(),))
    line.says("please book it")
    await line.until_turns(3)
    line.says("thank you very much")
    await line.until_turns(5)
    assert [request.tools for request in model.requests] == [(Book.spec,)] * 3
    asked, result = model.requests[1].messages[-2:]
    assert (asked.role, asked.content, [one.name for one in asked.tool_calls]) == (
        Role.ASSISTANT,
        "One moment.",
        ["book"],
    )
    assert result == Message(role=Role.TOOL, content="Booked for Monday.", tool_call_id="c1")
    later = [(one.role, one.content) for one in model.requests[2].messages[1:]]
    assert (Role.TOOL, "Booked for Monday.") in later
    calls = [one for one in model.requests[2].messages if one.tool_calls]
    assert [one.tool_calls[0].call_id for one in calls] == ["c1"]
    place = model.requests[2].messages.index(calls[0])
    assert model.requests[2].messages[place + 1].tool_call_id == "c1"


async def test_a_result_is_in_the_history_though_the_reply_was_cut(lines, agent) -> None:
    model = Planned(
        (TextDelta(text="One moment please, I will see what I can do for you."), call("book", day="Monday")),
        (TextDelta(text="All right."),),
    )
    line = await lines(agent(), llm=model, tools=(Book(takes=4.0),))
    line.says("please book it")
    await line.until_state("speaking")
    await line.wait(0.5)
    line.says("actually wait a second I want something else")
    await line.until(lambda: len(line.of(ToolFinished)) == 1)
    await line.until(lambda: any(turn.text == "All right." for turn in line.turns))
    line.says("and now")
    await line.until(lambda: sum(turn.text == "All right." for turn in line.turns) == 2)
    assert "Booked for Monday." in [turn.text for turn in line.turns if turn.speaker is TOOL]
    assert (Role.TOOL, "Booked for Monday.") in [(one.role, one.content) for one in model.requests[-1].messages]


async def test_the_same_call_is_carried_out_once_in_a_turn_and_again_in_another(lines, scripted: AgentConfig) -> None:
    book = Book()
    line = await lines(scripted, tools=(book,))
    line.says("do it twice")
    await line.until_turns(3)
    assert len(book.runs) == 1
    line.says("please book it")
    await line.until_turns(6)
    assert len(book.runs) == 2
    assert book.runs[0][1].key != book.runs[1][1].key


async def test_a_model_that_calls_in_circles_has_to_speak(lines, agent) -> None:
    circles = [(call("book", f"c{number}", day="Monday", people=number),) for number in range(20)]
    model = Planned(*circles)
    line = await lines(agent(), llm=model, tools=(Book(),))
    line.says("please book it")
    await line.until(lambda: any(turn.speaker is AGENT for turn in line.turns))
    assert len(model.requests) == MAX_ROUNDS + 1
    assert model.requests[-1].tools == ()


@pytest.mark.parametrize(
    ("tool_call", "result", "says"),
    [
        (call("fly"), None, "no tool fly"),
        (call("book", day="Noday"), None, "day must be one of: Monday, Friday"),
        (call("book"), None, "day is missing"),
        (call("book", day="Monday", people="two"), None, "people must be of the type integer"),
        (call("book", day="Monday", people=1.5), None, "people must be a whole number"),
        (call("book", day="Monday", cats=1), None, "cats is no argument"),
        (ToolCall(call_id="c1", name="book", arguments="{nonsense"), None, "no JSON object"),
        (call("book", day="Monday"), Conflict("Monday is taken."), "Monday is taken."),
        (
            call("book", day="Monday"),
            ProviderError("secret detail", provider="x", kind="tool", retryable=False),
            "book failed.",
        ),
        (call("book", day="Monday"), RuntimeError("bug"), "book failed."),
    ],
)
async def test_the_model_is_told_what_went_wrong(lines, agent, tool_call, result, says) -> None:
    model = Planned((tool_call,), (TextDelta(text="I am sorry."),))
    line = await lines(agent(), llm=model, tools=(Book(result),))
    line.says("please book it")
    await line.until(lambda: any(turn.speaker is AGENT for turn in line.turns))
    assert says in model.requests[1].messages[-1].content
    assert [one.success for one in line.of(ToolFinished)] == [False]


async def test_a_tool_that_takes_too_long_is_given_up(lines, agent) -> None:
    model = Planned((call("book", day="Monday"),), (TextDelta(text="I am sorry."),))
    line = await lines(agent(), llm=model, tools=(Book(takes=60.0, seconds=3.0),))
    line.says("please book it")
    await line.until(lambda: any(turn.text.endswith("I am sorry.") for turn in line.turns))
    assert "within 3 seconds" in model.requests[1].messages[-1].content


async def test_words_of_a_tool_stand_in_for_the_models(lines, agent) -> None:
    heard: list[bool] = []
    said = ToolResult(content="Done.", says="I have booked it.", after=lambda: heard.append(True))
    model = Planned((call("book", day="Monday"),), (TextDelta(text="never said"),))
    line = await lines(agent(), llm=model, tools=(Book(said),))
    line.says("please book it")
    await line.until_turns(3)
    assert [turn.text for turn in line.turns if turn.speaker is AGENT] == ["I have booked it."]
    assert len(model.requests) == 1
    assert heard == [True]


async def test_the_model_may_end_the_call_once_it_has_taken_leave(lines, scripted: AgentConfig) -> None:
    line = await lines(scripted, tools=(EndCallTool(),))
    line.says("please hang up")
    assert await line.ended() is EndReason.AGENT_ENDED
    model = Planned(
        (TextDelta(text="Goodbye!"), call("end_call")),
    )
    line = await lines(scripted, llm=model, tools=(EndCallTool(),))
    line.says("bye now")
    assert await line.ended() is EndReason.AGENT_ENDED
    assert [turn.text for turn in line.turns if turn.speaker is AGENT] == ["Goodbye!"]


async def test_nothing_is_offered_to_a_model_that_can_call_nothing(lines, agent) -> None:
    class Plain(ScriptedLlm):
        capabilities = LlmCapabilities(tools=False, generative=False)

    model = Plain({"prompt": "otherwise -> All right."})
    line = await lines(agent(), llm=model, tools=(Book(),))
    line.says("please book it")
    await line.until_turns(2)
    assert [request.tools for request in model.requests] == [()]


# --- what the agent says without being asked


async def test_a_notice_is_said_and_told_when_it_was_heard(lines, agent) -> None:
    line = await lines(agent())
    over: list[float] = []
    line.call.tell("The line is open.", lambda: over.append(line.now))
    await line.until_turns(1)
    assert line.spoken_turns == [(AGENT, "The line is open.")]
    assert over == [pytest.approx(line.now, abs=0.1)]


async def test_a_notice_that_is_never_said_is_told_with_the_end(lines, agent) -> None:
    line = await lines(agent())
    over: list[bool] = []
    line.says("a caller who talks and talks and talks and does not stop")
    await line.wait(0.3)
    line.call.tell("Never said.", lambda: over.append(True))
    await line.hang_up()
    assert over == [True]
    line.call.tell("Too late.", lambda: over.append(False))
    assert over == [True, False]


async def test_whoever_waits_is_kept_company_and_is_answered_when_he_asks(lines, agent) -> None:
    comforts = iter(f"Still trying, number {number}." for number in range(9))
    line = await lines(agent())
    line.call.keep_company(lambda: next(comforts))
    await line.wait(25.0)
    assert [text for _, text in line.spoken_turns] == ["Still trying, number 0.", "Still trying, number 1."]
    line.says("what is your address")
    await line.until(lambda: any("twelve Main Street" in turn.text for turn in line.turns))
    line.call.wait_over()
    before = len(line.turns)
    await line.wait(10.0)
    assert [text for _, text in line.spoken_turns[before:]] == ["Are you still there?"]
