"""Every language model behind the port, against a server that speaks its vendor's wire and takes nothing else.

A vendor joins with one line in CASES. What its emulator understood of a request is compared, never how it is spelled: leaving an emulator
that was asked something its vendor would not take fails the test.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest
from voisnap_domain.agents import Llm, LlmProvider
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.errors import ProviderAuthError, ProviderError
from voisnap_providers.ports.llm import (
    LlmDelta,
    LlmRequest,
    LlmUsed,
    Message,
    Role,
    StructuredRequest,
    TextDelta,
    ToolCall,
    ToolCallBegun,
    ToolSpec,
)
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_testkit.anthropic_emulator import AnthropicEmulator
from voisnap_testkit.cohere_emulator import CohereEmulator
from voisnap_testkit.gemini_emulator import GeminiEmulator
from voisnap_testkit.llm_emulator import (
    Call,
    Cut,
    Failure,
    Filtered,
    Held,
    LlmEmulator,
    Raw,
    Refusal,
    Reply,
    Slow,
    Step,
    Trouble,
)
from voisnap_testkit.openai_emulator import OpenAiEmulator

pytestmark = pytest.mark.conformance

KEY = "sk-very-secret-key"
PROMPT = "You are Aria of Sunrise Dental. The code word is Kolibri."
QUESTION = "What does a cleaning cost?"
ASKED = (Message(role=Role.SYSTEM, content=PROMPT), Message(role=Role.USER, content=QUESTION))
PLAIN: dict[str, Any] = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
TOOLS = (
    ToolSpec(name="find_slots", description="Free appointments of a day.", parameters=PLAIN),
    ToolSpec(name="weather", description="The weather.", parameters={"type": "object", "properties": {}}),
)
SENT = {"temperature": 0.4, "top_p": 0.8, "max_tokens": 123, "frequency_penalty": 0.3, "presence_penalty": 0.2}


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A vendor: its module and emulator, a model, and what of the settings it has no word for."""

    name: str
    module: str
    emulator: Callable[..., LlmEmulator]
    provider: LlmProvider
    model: str
    address: str = "base_url"
    unsent: frozenset[str] = frozenset()

    def made(self, url: str, key: str = KEY) -> Any:
        """The model as the registry makes it."""
        account = Account(
            id=PLATFORM, provider=self.provider.value, secrets={"api_key": key}, options={self.address: url}
        )
        return import_module(f"voisnap_providers.vendors.{self.module}.llm").make(account)

    def settings(self, **changes: Any) -> Llm:
        """What an agent says of it."""
        return Llm(provider=self.provider, model=self.model, **changes)


CASES = (
    Case(name="openai", module="openai", emulator=OpenAiEmulator, provider=LlmProvider.OPENAI, model="gpt-4o"),
    Case(
        name="compatible",
        module="openai",
        emulator=OpenAiEmulator,
        provider=LlmProvider.OPENAI_COMPATIBLE,
        model="qwen3-32b",
    ),
    Case(
        name="cohere", module="cohere", emulator=CohereEmulator, provider=LlmProvider.COHERE, model="command-a-03-2025"
    ),
    Case(
        name="claude",
        module="anthropic",
        emulator=AnthropicEmulator,
        provider=LlmProvider.ANTHROPIC,
        model="claude-sonnet-5-5",
        unsent=frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"}),
    ),
    Case(
        name="older claude",
        module="anthropic",
        emulator=AnthropicEmulator,
        provider=LlmProvider.ANTHROPIC,
        model="claude-haiku-4-5",
        unsent=frozenset({"top_p", "frequency_penalty", "presence_penalty"}),
    ),
    Case(
        name="gemini",
        module="gemini",
        emulator=GeminiEmulator,
        provider=LlmProvider.GOOGLE,
        model="gemini-2.5-flash",
        address="gemini_base_url",
    ),
)


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture
async def emulator(case: Case) -> AsyncIterator[LlmEmulator]:
    async with case.emulator(key=KEY) as running:
        yield running


@pytest.fixture
async def model(case: Case, emulator: LlmEmulator) -> AsyncIterator[Any]:
    made = case.made(emulator.url)
    yield made
    await made.aclose()


def asking(case: Case, **changes: Any) -> LlmRequest:
    return msgspec.structs.replace(LlmRequest(messages=ASKED, settings=case.settings()), **changes)


async def deltas_of(model: Any, request: LlmRequest) -> list[LlmDelta]:
    return [delta async for delta in model.answer(request)]


def words(deltas: list[LlmDelta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


async def failure_of(model: Any, request: LlmRequest) -> tuple[str, ProviderError]:
    """What was said before a reply failed, and how it failed."""
    said = ""
    with pytest.raises(ProviderError) as caught:
        async for delta in model.answer(request):
            said += delta.text if isinstance(delta, TextDelta) else ""
    return said, caught.value


# -- what goes out


async def test_the_prompt_and_what_was_found_stand_apart_from_the_dialogue(case, emulator, model):
    history = (
        Message(role=Role.SYSTEM, content=PROMPT),
        Message(role=Role.ASSISTANT, content="Hello, this is Aria."),
        Message(role=Role.USER, content="Hi."),
        Message(role=Role.ASSISTANT, content="How can I help?"),
        Message(role=Role.USER, content=QUESTION),
    )
    await deltas_of(model, asking(case, messages=history, passages=("A cleaning costs $120.",)))
    asked = emulator.asked[0]
    assert asked.system.startswith(PROMPT)
    assert "A cleaning costs $120." in asked.system
    said = [(turn.role, turn.text) for turn in asked.turns]
    assert said[-4:] == [
        ("assistant", "Hello, this is Aria."),
        ("user", "Hi."),
        ("assistant", "How can I help?"),
        ("user", QUESTION),
    ]
    assert asked.stream


async def test_settings_reach_the_wire(case, emulator, model):
    await deltas_of(model, asking(case, settings=case.settings(**SENT)))
    asked = emulator.asked[0]
    assert asked.model == case.model
    got = {name: getattr(asked, name) for name in SENT}
    assert got == {name: None if name in case.unsent else value for name, value in SENT.items()}


@pytest.mark.parametrize("extreme", [0.0, 1.0])
async def test_settings_at_their_ends_are_taken(case, emulator, model, extreme):
    least = case.settings(
        temperature=2 * extreme, top_p=extreme, frequency_penalty=4 * extreme - 2, presence_penalty=4 * extreme - 2
    )
    assert words(await deltas_of(model, asking(case, settings=least))) == "ok"


async def test_callers_who_speak_twice_and_agents_who_speak_first_are_taken(case, emulator, model):
    said = [
        (Role.ASSISTANT, "Hello, this is Aria."),
        (Role.USER, "Hi."),
        (Role.USER, "Are you there?"),
        (Role.ASSISTANT, "Yes."),
        (Role.SYSTEM, "The caller is silent."),
    ]
    messages = (ASKED[0], *(Message(role=role, content=text) for role, text in said))
    assert words(await deltas_of(model, asking(case, messages=messages))) == "ok"
    told = " ".join(turn.text for turn in emulator.asked[0].turns) + emulator.asked[0].system
    assert all(text in told for _, text in said)


# -- what comes back


async def test_a_reply_is_streamed_in_order_and_counted_last(case, emulator, model):
    emulator.script(Reply(text="A cleaning costs $120.", input_tokens=100, output_tokens=20, cached_tokens=40))
    deltas = await deltas_of(model, asking(case))
    assert words(deltas) == "A cleaning costs $120."
    assert len(deltas) > 3
    assert deltas[-1] == LlmUsed(input_tokens=100, output_tokens=20, cached_tokens=40)
    assert sum(isinstance(delta, LlmUsed) for delta in deltas) == 1


async def test_words_are_heard_while_the_model_still_speaks(case, emulator, model):
    emulator.script(Held("One moment."))
    async with aclosing(model.answer(asking(case))) as deltas:
        async with asyncio.timeout(5):
            first = await anext(deltas)
    assert isinstance(first, TextDelta)
    assert "One moment.".startswith(first.text)


@pytest.mark.parametrize("size", [1, 7])
async def test_characters_may_be_cut_anywhere(case, emulator, model, size):
    text = 'Grüße aus 東京 😀, a line\u2028separator, a next\u0085line, \r\n, \t, \\ and "quotes": data: [DONE]'
    emulator.chunk_bytes = size
    emulator.script(Reply(text=text, calls=(Call("weather", {"ort": "München 🏔"}, "c1"),)))
    deltas = await deltas_of(model, asking(case, tools=TOOLS))
    assert words(deltas) == text
    assert [json.loads(delta.arguments) for delta in deltas if isinstance(delta, ToolCall)] == [{"ort": "München 🏔"}]


async def test_thoughts_are_not_said(case, emulator, model):
    emulator.script(Reply(text="It is free.", thoughts="The caller wants to know the price.", reasoning_tokens=30))
    assert words(await deltas_of(model, asking(case))) == "It is free."


async def test_a_reply_cut_at_its_longest_is_a_reply(case, emulator, model):
    emulator.script(Reply(text="A cleaning costs", stop="length"))
    assert words(await deltas_of(model, asking(case))) == "A cleaning costs"


# -- tools


@pytest.mark.parametrize("interleaved", [False, True])
async def test_tools_are_called_several_at_once(case, emulator, model, interleaved):
    emulator.script(
        Reply(
            text="Let me look.",
            calls=(
                Call("find_slots", {"day": "Friday"}, "call_a"),
                Call("weather", {}, "call_b"),
                Call("find_slots", {"day": "Monday"}, "call_c"),
            ),
            interleaved=interleaved,
        )
    )
    deltas = await deltas_of(model, asking(case, tools=TOOLS))
    assert {name: spec["type"] for name, spec in emulator.asked[0].tools.items()} == {
        "find_slots": "object",
        "weather": "object",
    }
    assert emulator.asked[0].tools["find_slots"]["properties"] == PLAIN["properties"]
    calls = [delta for delta in deltas if isinstance(delta, ToolCall)]
    begun = [delta.call_id for delta in deltas if isinstance(delta, ToolCallBegun)]
    calls.sort(key=lambda call: begun.index(call.call_id))
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("find_slots", {"day": "Friday"}),
        ("weather", {}),
        ("find_slots", {"day": "Monday"}),
    ]
    assert len({call.call_id for call in calls}) == 3
    for call in calls:
        assert deltas.index(ToolCallBegun(call_id=call.call_id, name=call.name)) < deltas.index(call)
    assert isinstance(deltas[-1], LlmUsed)


async def test_results_go_back_to_the_calls_that_wanted_them(case, emulator, model):
    emulator.script(
        Reply(
            text="Let me look.",
            thoughts="I need two tools.",
            calls=(Call("find_slots", {"day": "Friday"}, "call_a"), Call("weather", {}, "call_b")),
        ),
        "We have nine o'clock.",
    )
    deltas = await deltas_of(model, asking(case, tools=TOOLS))
    calls = tuple(delta for delta in deltas if isinstance(delta, ToolCall))
    told = (
        *ASKED,
        Message(role=Role.ASSISTANT, content="Let me look.", tool_calls=calls),
        Message(role=Role.TOOL, content='{"sky": "blue"}', tool_call_id=calls[1].call_id),
        Message(role=Role.TOOL, content="nine o'clock", tool_call_id=calls[0].call_id),
    )
    assert words(await deltas_of(model, asking(case, messages=told, tools=TOOLS))) == "We have nine o'clock."
    turns = emulator.asked[1].turns
    made = [(call.name, json.loads(call.text), call.id) for turn in turns for call in turn.calls]
    assert [(name, arguments) for name, arguments, _ in made] == [("find_slots", {"day": "Friday"}), ("weather", {})]
    results = [result for turn in turns for result in turn.results]
    assert [call_id for call_id, _ in results] == [call_id for _, _, call_id in made]
    assert "nine o'clock" in results[0][1]
    assert "blue" in results[1][1]


async def test_results_that_came_late_or_never_are_no_broken_dialogue(case, emulator, model):
    foreign = (
        ToolCall(call_id="toolu_01", name="find_slots", arguments='{"day":"Friday"}', signature="b3BhcXVl"),
        ToolCall(call_id="toolu_02", name="weather", arguments=""),
    )
    told = (
        *ASKED,
        Message(role=Role.ASSISTANT, content="", tool_calls=foreign),
        Message(role=Role.USER, content="Are you still there?"),
        Message(role=Role.TOOL, content="nine o'clock", tool_call_id="toolu_01"),
        Message(role=Role.TOOL, content="nobody asked", tool_call_id="toolu_99"),
    )
    assert words(await deltas_of(model, asking(case, messages=told, tools=TOOLS))) == "ok"
    assert any("nine o'clock" in text for turn in emulator.asked[0].turns for _, text in turn.results)


# -- leaving


async def test_closing_a_reply_stops_the_model(case, emulator, model):
    emulator.script(Held("Hello"), "Next.")
    async with aclosing(model.answer(asking(case))) as deltas:
        await anext(deltas)
    await emulator.until_hung_up()
    assert words(await deltas_of(model, asking(case))) == "Next."


async def test_cancelling_a_reply_before_its_first_word_stops_the_model(case, emulator, model):
    emulator.script(Slow(60))
    task = asyncio.create_task(deltas_of(model, asking(case)))
    async with asyncio.timeout(5):
        while not emulator.asked:  # noqa: ASYNC110 - the emulator is another server
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await emulator.until_hung_up()


async def test_many_broken_off_replies_leave_no_connection_behind(case, emulator, model):
    emulator.always(Held("Hello"))

    async def broken_off() -> None:
        async with aclosing(model.answer(asking(case))) as deltas:
            await anext(deltas)

    for _ in range(3):
        await asyncio.gather(*(broken_off() for _ in range(8)))
    await emulator.until_hung_up(24)
    emulator.always(None)
    assert words(await deltas_of(model, asking(case))) == "ok"


async def test_a_warm_connection_is_used_and_kept(case, emulator, model):
    await model.warm()
    assert emulator.connections == 1
    for _ in range(3):
        assert words(await deltas_of(model, asking(case))) == "ok"
    assert emulator.connections == 1
    await model.warm()


async def test_warming_what_is_not_there_is_no_fault(case):
    away = case.made("http://127.0.0.1:9")
    await away.warm()
    await away.aclose()


# -- faults


@pytest.mark.parametrize("step", [Refusal(), Filtered("A cleaning"), Filtered()], ids=["refusal", "filter", "nothing"])
async def test_a_refusal_is_final(case, emulator, model, step):
    emulator.script(step)
    _, error = await failure_of(model, asking(case))
    assert not error.retryable


@pytest.mark.parametrize(
    "step", [Cut("A cleaning"), Cut("A cleaning", torn=True), Trouble("A cleaning")], ids=["cut", "torn", "trouble"]
)
async def test_a_reply_that_breaks_off_is_worth_another_try(case, emulator, model, step):
    emulator.script(step)
    said, error = await failure_of(model, asking(case))
    assert "A cleaning".startswith(said)
    assert error.retryable
    assert (error.provider, error.kind) == (case.provider.value, "llm")


async def test_a_reply_with_nothing_in_it_is_worth_another_try(case, emulator, model):
    emulator.script(Reply())
    _, error = await failure_of(model, asking(case))
    assert error.retryable


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(400, False), (404, False), (422, False), (429, True), (500, True), (502, True), (503, True)],
)
async def test_failures_say_whether_trying_again_helps(case, emulator, model, status, retryable):
    emulator.script(Failure(status))
    _, error = await failure_of(model, asking(case))
    assert error.retryable is retryable
    assert error.retry_after is None


@pytest.mark.parametrize("status", [429, 503])
async def test_a_vendor_that_asks_for_time_gets_it(case, emulator, model, status):
    emulator.script(Failure(status, retry_after=2.5), Failure(status, retry_after=7))
    assert [(await failure_of(model, asking(case)))[1].retry_after for _ in range(2)] == [2.5, 7]


async def test_a_refused_key_is_told_apart(case, emulator):
    wrong = case.made(emulator.url, key="sk-another-secret")
    _, error = await failure_of(wrong, asking(case))
    assert isinstance(error, ProviderAuthError)
    assert not error.retryable
    await wrong.aclose()


async def test_nobody_there_is_worth_another_try(case):
    away = case.made("http://127.0.0.1:9")
    _, error = await failure_of(away, asking(case))
    assert error.retryable
    await away.aclose()


@pytest.mark.parametrize(
    "step",
    [
        Raw("data: {not json}\n\n"),
        Raw("data: [1, 2, 3]\n\n"),
        Raw("data: \udcff\udcfe\n\n"),
        Raw("<html>Welcome to the proxy</html>", content_type="text/html"),
        Raw("{}", content_type="application/json"),
        Raw("", 200),
        Raw("<html>Bad gateway</html>", 502, "text/html"),
    ],
    ids=["no json", "no object", "no text", "a page", "no stream", "nothing", "a page for a failure"],
)
async def test_garbage_is_a_fault_of_the_vendor(case, emulator, model, step):
    emulator.script(step, "Fine again.")
    _, error = await failure_of(model, asking(case))
    assert error.retryable
    assert words(await deltas_of(model, asking(case))) == "Fine again."


async def test_an_event_without_end_is_given_up(case, emulator, model):
    emulator.script(Raw("data: " + "x" * 3_000_000))
    async with asyncio.timeout(5):
        await failure_of(model, asking(case))


async def test_no_fault_tells_the_key_or_the_prompt(case, emulator, model, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    echo = f"{KEY} may not say: {PROMPT} {QUESTION}"
    steps: list[Step] = [Failure(status, echo, echo, echo) for status in (400, 401, 403, 404, 422, 429, 500)]
    steps += [Trouble("Hello", echo), Refusal(echo), Raw(f"data: {echo}\n\n"), Raw(echo, 200, "text/plain")]
    emulator.script(*steps)
    told = []
    for _ in steps:
        _, error = await failure_of(model, asking(case))
        told.append(f"{error} {error!r} {error.detail} {error.args}")
    text = " ".join(told) + repr(model) + caplog.text
    assert KEY not in text
    assert "Kolibri" not in text
    assert QUESTION not in text


# -- answers by a schema


async def test_an_answer_is_held_to_a_schema(case, emulator, model):
    if not model.capabilities.structured:
        assert not hasattr(model, "complete")
        return
    schema = PLAIN | {"additionalProperties": False}
    request = StructuredRequest(messages=ASKED, settings=case.settings(), name="visit", schema=schema)
    emulator.script({"day": "Friday"}, Refusal(), Failure(401), Failure(429, retry_after=3), Raw("<html>"), Cut("{"))
    reply = await model.complete(request)
    assert json.loads(reply.text) == {"day": "Friday"}
    assert reply.used.input_tokens > 0
    assert not emulator.asked[0].stream
    assert (emulator.asked[0].schema or {}).get("properties") == PLAIN["properties"]
    faults = []
    for _ in range(5):
        with pytest.raises(ProviderError) as caught:
            await model.complete(request)
        faults.append((caught.value.retryable, caught.value.retry_after))
    assert faults == [(False, None), (False, None), (True, 3), (True, None), (True, None)]


# -- models without a vendor


@pytest.fixture(params=["local", "scripted"])
async def own_model(request: pytest.FixtureRequest, models_dir: Path) -> AsyncIterator[Any]:
    registry = Registry(ProviderSettings(models_dir=models_dir, threads=1))
    await registry.warm(("llm",), name=request.param)
    yield registry.llm(request.param)
    await registry.aclose()


async def test_models_of_the_house_keep_the_same_order(own_model):
    prompt = f"{PROMPT} A cleaning costs $120.\nwhen: cleaning -> A cleaning costs $120."
    messages = (Message(role=Role.SYSTEM, content=prompt), ASKED[1])
    await own_model.warm()
    settings = Llm(provider=LlmProvider(own_model.provider), model="x")
    deltas = await deltas_of(own_model, LlmRequest(messages=messages, settings=settings))
    assert "$120" in words(deltas)
    assert isinstance(deltas[-1], LlmUsed)
    assert sum(isinstance(delta, LlmUsed) for delta in deltas) == 1
