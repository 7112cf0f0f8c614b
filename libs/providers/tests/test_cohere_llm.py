"""Cohere's chat: the official client on the emulator, and what Cohere alone wants."""

import json
from collections.abc import AsyncIterator
from typing import Any

import cohere
import httpx
import msgspec
import pytest
from cohere.core import ApiError
from voisnap_domain.agents import Llm, LlmProvider
from voisnap_providers.accounts import PLATFORM, Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderUnconfigured
from voisnap_providers.ports.llm import LlmRequest, Message, Role, StructuredRequest, ToolCall, ToolSpec
from voisnap_providers.registry import ProviderSettings, Registry
from voisnap_providers.vendors.cohere.llm import CohereLlm, make
from voisnap_testkit.cohere_emulator import CohereEmulator
from voisnap_testkit.llm_emulator import Call, Failure, Raw, Reply

pytestmark = pytest.mark.conformance

MODEL = "command-a-03-2025"
SETTINGS = Llm(provider=LlmProvider.COHERE, model=MODEL)
ASKED = (Message(role=Role.USER, content="Is Friday free?"),)
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
TOOL = ToolSpec(name="find_slots", description="Free appointments.", parameters=SCHEMA)
REQUEST = LlmRequest(messages=ASKED, settings=SETTINGS, tools=(TOOL,))
VISIT = StructuredRequest(messages=ASKED, settings=SETTINGS, name="visit", schema=SCHEMA)


def account(url: str, key: str = "co-test") -> Account:
    return Account(id=PLATFORM, provider="cohere", secrets={"api_key": key}, options={"base_url": url})


@pytest.fixture
async def emulator() -> AsyncIterator[CohereEmulator]:
    async with CohereEmulator() as running:
        yield running


@pytest.fixture
async def model(emulator: CohereEmulator) -> AsyncIterator[CohereLlm]:
    made = make(account(emulator.url))
    yield made
    await made.aclose()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """The official client closes no connections of its own."""
    async with httpx.AsyncClient() as client:
        yield client


async def test_the_official_client_reads_the_emulator(emulator, http):
    emulator.script(
        "Friday is free.",
        Reply(text="Friday is free.", thoughts="Let me see.", input_tokens=50, output_tokens=9, cached_tokens=20),
        Reply(thoughts="I look it up.", calls=(Call("find_slots", {"day": "Fri"}, "c1"), Call("find_slots", {}, "c2"))),
        Reply(calls=(Call("find_slots", {"day": "Fri"}, "c1"),)),
        Failure(429),
    )
    client = cohere.AsyncClientV2("co-test", base_url=emulator.url, httpx_client=http)
    options: Any = {"max_retries": 0}
    asked: Any = {"model": MODEL, "messages": [{"role": "user", "content": "Is Friday free?"}]}
    tool: Any = {"type": "function", "function": {"name": "find_slots", "description": "", "parameters": SCHEMA}}
    whole = await client.chat(**asked)
    assert (whole.message.content[0].text, whole.finish_reason) == ("Friday is free.", "COMPLETE")
    events = [event async for event in client.chat_stream(**asked)]
    kinds = [event.type for event in events]
    assert (kinds[0], kinds[1], kinds[-2], kinds[-1]) == (
        "message-start",
        "content-start",
        "content-end",
        "message-end",
    )
    contents = [event.delta.message.content for event in events if event.type == "content-delta"]
    assert "".join(content.text or "" for content in contents) == "Friday is free."
    assert "".join(content.thinking or "" for content in contents) == "Let me see."
    usage = events[-1].delta.usage
    assert (usage.billed_units.input_tokens, usage.billed_units.output_tokens, usage.cached_tokens) == (50, 9, 20)
    events = [event async for event in client.chat_stream(**asked, tools=[tool])]
    plan = "".join(event.delta.message.tool_plan for event in events if event.type == "tool-plan-delta")
    begun = [(e.index, e.delta.message.tool_calls.id) for e in events if e.type == "tool-call-start"]
    written = [e.delta.message.tool_calls.function.arguments for e in events if e.type == "tool-call-delta"]
    assert (plan, begun) == ("I look it up.", [(0, "c1"), (1, "c2")])
    assert "".join(written) == '{"day": "Fri"}{}'
    assert events[-1].delta.finish_reason == "TOOL_CALL"
    called = await client.chat(**asked, tools=[tool])
    assert called.message.tool_calls[0].function.arguments == '{"day": "Fri"}'
    with pytest.raises(cohere.TooManyRequestsError):
        await client.chat(**asked, request_options=options)
    with pytest.raises(cohere.BadRequestError, match="p must be"):
        await client.chat(**asked, p=1, request_options=options)
    with pytest.raises(cohere.BadRequestError, match="last message"):
        await client.chat(model=MODEL, messages=[{"role": "assistant", "content": "Hi"}], request_options=options)
    assert len(emulator.forgive()) == 2, "what it refused would fail any other test"
    with pytest.raises(ApiError) as caught:
        await cohere.AsyncClientV2("wrong", base_url=emulator.url, httpx_client=http).chat(
            **asked, request_options=options
        )
    assert caught.value.status_code == 401


async def test_a_plan_goes_back_with_the_calls_it_led_to_and_is_never_said(emulator, model):
    emulator.script(
        Reply(thoughts="I look it up.", calls=(Call("find_slots", {"day": "Fri"}, "c1"), Call("find_slots")))
    )
    deltas = [delta async for delta in model.answer(REQUEST)]
    calls = tuple(delta for delta in deltas if isinstance(delta, ToolCall))
    results = (Message(role=Role.TOOL, content="none", tool_call_id=call.call_id) for call in calls)
    told = (*ASKED, Message(role=Role.ASSISTANT, content="", tool_calls=calls), *results)
    assert [d async for d in model.answer(msgspec.structs.replace(REQUEST, messages=told))]
    said = emulator.requests[1].body["messages"]
    assert [message["role"] for message in said] == ["user", "assistant", "tool", "tool"]
    assert said[1]["tool_plan"] == "I look it up."
    assert json.loads(said[2]["content"]) == {"result": "none"}


async def test_numbers_beyond_its_ranges_go_to_their_ends(emulator, model):
    settings = msgspec.structs.replace(SETTINGS, top_p=1.0, frequency_penalty=-2.0, presence_penalty=2.0)
    assert [d async for d in model.answer(LlmRequest(messages=ASKED, settings=settings))]
    body = emulator.requests[0].body
    assert (body["p"], body["frequency_penalty"], body["presence_penalty"]) == (0.99, 0.0, 1.0)


async def test_models_that_reason_are_told_not_to(emulator, model):
    for name in (MODEL, "command-a-reasoning-08-2025"):
        settings = msgspec.structs.replace(SETTINGS, model=name)
        assert [d async for d in model.answer(LlmRequest(messages=ASKED, settings=settings))]
    assert [request.body.get("thinking") for request in emulator.requests] == [None, {"type": "disabled"}]


async def test_a_schema_it_can_not_hold_goes_into_the_prompt(emulator, model):
    loose = SCHEMA | {"properties": {"day": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}
    emulator.script({"day": None})
    reply = await model.complete(msgspec.structs.replace(VISIT, schema=loose))
    assert json.loads(reply.text) == {"day": None}
    assert [request.body["response_format"]["type"] for request in emulator.requests] == ["json_object"] * 2
    assert emulator.asked[0].schema is None
    assert "anyOf" in emulator.asked[0].system


@pytest.mark.parametrize(
    ("end", "retryable"),
    [
        ({"finish_reason": "ERROR"}, True),
        ({"finish_reason": "TIMEOUT"}, True),
        ({"finish_reason": "COMPLETE", "error": "overloaded"}, True),
        ({"finish_reason": "ERROR_TOXIC"}, False),
    ],
)
async def test_ends_that_are_none(emulator, model, end, retryable):
    word = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Fri"}}}}
    events = (word, {"type": "something-new", "delta": {}}, {"type": "message-end", "delta": end})
    emulator.script(Raw("".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)))
    with pytest.raises(ProviderError) as caught:
        assert [d async for d in model.answer(REQUEST)]
    assert caught.value.retryable is retryable


async def test_an_expired_token_is_a_refused_key(emulator, model):
    emulator.script(Failure(498))
    with pytest.raises(ProviderAuthError):
        await model.complete(VISIT)


async def test_the_registry_makes_one_model_an_account(tmp_path):
    registry = Registry(ProviderSettings(models_dir=tmp_path, threads=1, accounts={"cohere": account("http://x")}))
    own = msgspec.structs.replace(account("http://x"), id="pcr_1.1")
    assert registry.llm("cohere") is registry.llm("cohere")
    assert registry.llm("cohere", {"cohere": own}) is not registry.llm("cohere")
    assert registry.llm("cohere").capabilities.tools
    await registry.aclose()


def test_without_a_key_there_is_no_model():
    with pytest.raises(ProviderUnconfigured, match="COHERE_API_KEY"):
        make(Account(id=PLATFORM, provider="cohere"))
