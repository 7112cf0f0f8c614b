"""Whom callers of the local brain are put through to, and who are not."""

from collections.abc import AsyncGenerator

import msgspec
import pytest
from voisnap_domain.agents import Llm, LlmProvider
from voisnap_providers.ports.llm import LlmDelta, LlmRequest, Message, Role, TextDelta, ToolCall, ToolSpec
from voisnap_providers.registry import Registry
from voisnap_providers.vendors.local.handover import TOOL, WHOM, Target, asked_for, targets_of
from voisnap_providers.vendors.scripted.llm import ScriptedLlm

pytestmark = pytest.mark.media

SALES = Target("Sales", "new orders and quotes")
BILLING = Target("Billing", "invoices, refunds and payments")
DESK = Target("Front desk", "everything else")
TWO, THREE = (SALES, BILLING), (SALES, BILLING, DESK)
TOOL_SPEC = ToolSpec(
    name=TOOL,
    description="Put the caller through to somebody.",
    parameters={
        "type": "object",
        "properties": {
            "target": {
                "type": "string",
                "enum": [target.name for target in THREE],
                "description": "\n".join(["Who.", *(f"{target.name}: {target.purpose}" for target in THREE)]),
            },
            "reason": {"type": "string"},
        },
    },
)
PROMPT = "You are Aria of Corner Bakery. We are open from nine to five. Bread costs three dollars."


def test_whoever_can_be_asked_for_is_what_the_tool_offers() -> None:
    assert targets_of([TOOL_SPEC]) == THREE
    assert targets_of([]) == ()


@pytest.mark.parametrize(
    ("heard", "target"),
    [
        ("Can I talk to sales please?", SALES),
        ("Please transfer me to the billing department", BILLING),
        ("put me through to your front desk", DESK),
        ("Can I talk to Sails, please?", SALES),
        ("sails please", SALES),
        ("sales please", SALES),
        ("Billing.", BILLING),
        ("I want to speak to someone about my invoice", BILLING),
        ("I'd like to talk to somebody about a refund", BILLING),
        ("give me a human", DESK),
        ("I want to speak to a real person", DESK),
        ("can I speak with a manager", DESK),
        ("operator", DESK),
        ("I need to talk to a representative right now", DESK),
        ("could you connect me with an agent", DESK),
        ("I'd rather talk to somebody from your team", DESK),
    ],
)
def test_callers_get_whom_they_ask_for(heard: str, target: Target) -> None:
    assert asked_for(heard, THREE, last="How can I help you?") == target


@pytest.mark.parametrize(
    "heard",
    [
        "What are your opening hours?",
        "Can I talk to you about my dog?",
        "How much does bread cost?",
        "I don't want to be transferred",
        "Am I talking to a real person?",
        "are you a human",
        "I just spoke to your sales team",
        "Do you have sales on bread this week?",
        "I need an appointment for two people tomorrow",
        "no thanks",
    ],
)
def test_nobody_else_is_put_through(heard: str) -> None:
    assert asked_for(heard, THREE, last="How can I help you?") is None


def test_a_caller_who_leaves_it_open_is_asked_and_his_answer_understood() -> None:
    question = asked_for("let me talk to a person", TWO, last="")
    assert question == f"{WHOM}: Sales or Billing?"
    said = f"Of course. {question}"
    assert asked_for("the billing one", TWO, last=said) == BILLING
    assert asked_for("it's about a quote", TWO, last=said) == SALES
    assert asked_for("anyone, I don't mind", TWO, last=said) == SALES
    assert asked_for("what time is it?", TWO, last=said) is None
    assert asked_for("give me a person", (SALES,), last="") == SALES


async def deltas(made: AsyncGenerator[LlmDelta]) -> list[LlmDelta]:
    return [delta async for delta in made if isinstance(delta, TextDelta | ToolCall)]


def request(*said: tuple[Role, str], tools: tuple[ToolSpec, ...] = (TOOL_SPEC,), prompt: str = PROMPT) -> LlmRequest:
    messages = (Message(role=role, content=content) for role, content in ((Role.SYSTEM, prompt), *said))
    settings = Llm(provider=LlmProvider.LOCAL, model="local")
    return LlmRequest(messages=tuple(messages), settings=settings, tools=tools)


async def test_the_brain_calls_the_tool_only_where_it_is_offered(registry: Registry) -> None:
    brain = registry.llm("local")
    heard = (Role.USER, "Can I talk to somebody about my invoice?")
    (call,) = await deltas(brain.answer(request(heard)))
    assert isinstance(call, ToolCall)
    assert (call.name, msgspec.json.decode(call.arguments)) == (
        TOOL,
        {"target": "Billing", "reason": "Can I talk to somebody about my invoice?"},
    )
    without = await deltas(brain.answer(request(heard, tools=())))
    assert without
    assert all(isinstance(delta, TextDelta) for delta in without)
    after = await deltas(brain.answer(request(heard, (Role.TOOL, "Nobody is there."))))
    assert after == [TextDelta(text="Nobody is there.")]


async def test_a_caller_who_would_rather_stay_says_so_while_he_is_put_through(registry: Registry) -> None:
    brain = registry.llm("local")
    cancel = ToolSpec(name="cancel_transfer", description="Stop.", parameters={"type": "object", "properties": {}})
    put_through = Message(
        role=Role.ASSISTANT, content="", tool_calls=(ToolCall(call_id="c1", name=TOOL, arguments="{}"),)
    )
    result = Message(role=Role.TOOL, content="The caller is being put through to Sales.", tool_call_id="c1")
    asked = request((Role.USER, "sales please"), tools=(TOOL_SPEC, cancel))

    async def called(heard: str, *before: Message, tools: tuple[ToolSpec, ...] = (TOOL_SPEC, cancel)) -> list[str]:
        said = Message(role=Role.USER, content=heard)
        made = msgspec.structs.replace(asked, messages=(*asked.messages, *before, said), tools=tools)
        return [one.name for one in await deltas(brain.answer(made)) if isinstance(one, ToolCall)]

    for heard in ("Never mind.", "Actually, I'd rather stay with you", "I'll call back later", "stop"):
        assert await called(heard, put_through, result) == ["cancel_transfer"]
        assert await called(heard) == []
        assert await called(heard, put_through, result, tools=(TOOL_SPEC,)) == []
    assert await called("How much does bread cost?", put_through, result) == []


async def test_a_script_calls_tools_that_are_offered() -> None:
    prompt = 'when: person -> One moment. [tool: transfer_call {"target": "Sales"}]\notherwise -> Pardon?'
    heard = (Role.USER, "a person please")
    said = await deltas(ScriptedLlm().answer(request(heard, prompt=prompt)))
    words, (call,) = (
        [one for one in said if isinstance(one, TextDelta)],
        [one for one in said if isinstance(one, ToolCall)],
    )
    assert "".join(one.text for one in words) == "One moment."
    assert (call.name, call.arguments) == (TOOL, '{"target": "Sales"}')
    assert await deltas(ScriptedLlm().answer(request(heard, tools=(), prompt=prompt))) == words
    after = await deltas(ScriptedLlm().answer(request(heard, (Role.TOOL, "Busy."), prompt=prompt)))
    assert after == [TextDelta(text="Busy.")]
