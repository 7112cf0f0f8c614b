"""Claude behind the ports, over Anthropic's wire; the emulator of it judged by Anthropic's own client."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import anthropic
import msgspec
import pytest
from voisnap_domain.agents import AnalysisConfig, CustomField, CustomFieldType, Llm, LlmProvider
from voisnap_domain.analysis import Dialogue, Said, schema_of
from voisnap_domain.conversations import ConversationStatus, Speaker
from voisnap_domain.sessions import Channel, Direction, EndReason
from voisnap_providers.accounts import Account
from voisnap_providers.errors import ProviderAuthError, ProviderError, ProviderUnconfigured
from voisnap_providers.llm_analyst import LlmAnalyst
from voisnap_providers.ports.llm import (
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
from voisnap_providers.vendors.anthropic.llm import AnthropicLlm, make
from voisnap_testkit.anthropic_emulator import NEW, OLD, AnthropicEmulator
from voisnap_testkit.llm_emulator import Call, Cut, Failure, Filtered, Held, Raw, Refusal, Reply, Trouble

pytestmark = pytest.mark.conformance

SONNET, HAIKU, OPUS, OLDER = "claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5-5", "claude-sonnet-4-6"
ASKED = (Message(role=Role.SYSTEM, content="You are Ava."), Message(role=Role.USER, content="Where is my parcel?"))
TOOLS = (
    ToolSpec(
        name="find_parcel",
        description="Where a parcel is.",
        parameters={"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    ),
    ToolSpec(name="opening_hours", description="When the shop is open.", parameters={"type": "object"}),
)
CALLS = (Call("find_parcel", {"id": "Ü-17"}), Call("opening_hours"))


def settings(model: str = SONNET, **changes: Any) -> Llm:
    return Llm(provider=LlmProvider.ANTHROPIC, model=model, **changes)


@pytest.fixture
async def emulator() -> AsyncIterator[AnthropicEmulator]:
    async with AnthropicEmulator() as running:
        yield running


@pytest.fixture
async def model(emulator: AnthropicEmulator) -> AsyncIterator[AnthropicLlm]:
    made = make(account(emulator))
    yield made
    await made.aclose()


def account(emulator: AnthropicEmulator, key: str | None = None) -> Account:
    secrets = {"api_key": key or emulator.key or ""}
    return Account(id="platform", provider="anthropic", secrets=secrets, options={"base_url": emulator.url})


async def deltas(model: AnthropicLlm, **changes: Any) -> list[Any]:
    request = msgspec.structs.replace(LlmRequest(messages=ASKED, settings=settings()), **changes)
    return [delta async for delta in model.answer(request)]


def text_of(heard: list[Any]) -> str:
    return "".join(delta.text for delta in heard if isinstance(delta, TextDelta))


# -- the emulator, judged by the official client


async def test_the_official_client_reads_words_calls_and_counts_from_the_emulator(emulator):
    async with anthropic.AsyncAnthropic(api_key=emulator.key, base_url=emulator.url, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "Hi"}]
        tools: Any = [{"name": "f", "description": "F.", "input_schema": {"type": "object"}}]
        reply = Reply(text="One moment.", calls=(Call("f", {"a": "ü"}),), input_tokens=50, cached_tokens=20)
        emulator.script("Hello!", reply, reply)
        whole = await client.messages.create(model=SONNET, max_tokens=9, messages=messages)
        assert (whole.content[0].text, whole.stop_reason) == ("Hello!", "end_turn")
        async with client.messages.stream(model=SONNET, max_tokens=9, messages=messages, tools=tools) as stream:
            streamed = await stream.get_final_message()
        called = await client.messages.create(model=SONNET, max_tokens=9, messages=messages, tools=tools)
        assert streamed.content[0].text == called.content[0].text == "One moment."
        assert streamed.content[1].input == called.content[1].input == {"a": "ü"}
        assert streamed.stop_reason == called.stop_reason == "tool_use"
        assert (called.usage.input_tokens, called.usage.cache_read_input_tokens) == (28, 20)
        assert streamed.usage.output_tokens == called.usage.output_tokens > 1
    assert emulator.requests[0].headers["anthropic-version"] == NEW


async def test_the_official_client_sees_the_emulators_errors(emulator):
    async with anthropic.AsyncAnthropic(api_key=emulator.key, base_url=emulator.url, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "Hi"}]
        emulator.script(Failure(429, retry_after=3), Trouble("Hel"), Failure(529), Filtered("I"))
        with pytest.raises(anthropic.RateLimitError) as limited:
            await client.messages.create(model=SONNET, max_tokens=9, messages=messages)
        assert limited.value.response.headers["retry-after"] == "3"
        with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
            async with client.messages.stream(model=SONNET, max_tokens=9, messages=messages) as stream:
                await stream.get_final_message()
        with pytest.raises(anthropic.OverloadedError):
            await client.messages.create(model=SONNET, max_tokens=9, messages=messages)
        refused = await client.messages.create(model=SONNET, max_tokens=9, messages=messages)
        assert refused.stop_reason == "refusal"
    async with anthropic.AsyncAnthropic(api_key="sk-ant-wrong", base_url=emulator.url, max_retries=0) as stranger:
        with pytest.raises(anthropic.AuthenticationError):
            await stranger.messages.create(model=SONNET, max_tokens=9, messages=messages)


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks) or "Hi"}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "1"}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "forged"}
OPEN_SCHEMA = {"format": {"type": "json_schema", "schema": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"extra_body": {"temperature": 1.0}}, "temperature: Extra inputs"),
        (
            {"extra_body": {"temperature": 1.0}, "extra_headers": {"anthropic-version": OLD}},
            "deprecated for this model",
        ),
        ({"extra_body": {"foo": 1}}, "foo: Extra inputs"),
        ({"extra_headers": {"anthropic-version": "2020-01-01"}}, "anthropic-version"),
        ({"thinking": {"type": "disabled"}}, "thinking.type.disabled"),
        ({"model": OLDER, "thinking": {"type": "between_tools"}}, "thinking.type.between_tools"),
        ({"model": "claude-haiku-4-5", "output_config": {"effort": "low"}}, "effort"),
        ({"output_config": OPEN_SCHEMA}, "additionalProperties"),
        ({"system": " "}, "non-whitespace"),
        ({"tools": [{"name": "a b", "input_schema": {"type": "object"}}]}, "tools.0.name"),
        ({"messages": [assistant({"type": "text", "text": "Hi"})]}, "roles must alternate"),
        ({"messages": [user(), assistant({"type": "text", "text": "Hi"})]}, "prefill"),
        ({"messages": [user(), assistant(USE), user({"type": "text", "text": "Hm"})]}, "tool_result"),
        ({"messages": [user(RESULT)]}, "tool_result"),
        ({"messages": [user(), assistant(THOUGHT, USE), user(RESULT)]}, "signature"),
        ({"messages": [user({"type": "text", "text": " "})]}, "non-whitespace"),
    ],
)
async def test_the_emulator_refuses_what_the_vendor_refuses(emulator, wrong, says):
    async with anthropic.AsyncAnthropic(api_key=emulator.key, base_url=emulator.url, max_retries=0) as client:
        request: Any = {"model": SONNET, "max_tokens": 9, "messages": [user()]} | wrong
        with pytest.raises(anthropic.BadRequestError, match=says):
            await client.messages.create(**request)
    assert len(emulator.forgive()) == 1


# -- what is sent


async def test_a_reply_is_asked_for_with_a_cached_prompt_apart_from_the_turns(emulator, model):
    emulator.script(Reply(text="At nine.", input_tokens=400, cached_tokens=300, output_tokens=7))
    heard = await deltas(model, passages=("We open at nine.",), tools=TOOLS, settings=settings(max_tokens=120))
    assert text_of(heard) == "At nine."
    assert heard[-1] == LlmUsed(input_tokens=400, output_tokens=7, cached_tokens=300), "the input includes the cache"
    body = emulator.requests[0].body
    prompt, knowledge = body["system"]
    assert (prompt["text"], prompt["cache_control"]) == ("You are Ava.", {"type": "ephemeral"})
    assert "We open at nine." in knowledge["text"]
    assert "cache_control" not in knowledge
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Where is my parcel?"}]}]
    assert (body["max_tokens"], body["thinking"], body["stream"]) == (120, {"type": "between_tools"}, True)
    assert [tool["name"] for tool in body["tools"]] == ["find_parcel", "opening_hours"]


async def test_tools_are_cached_where_there_is_no_prompt(emulator, model):
    await deltas(model, messages=ASKED[1:], tools=TOOLS)
    assert [tool.get("cache_control") for tool in emulator.requests[0].body["tools"]] == [None, {"type": "ephemeral"}]


@pytest.mark.parametrize(
    ("name", "thinking", "effort", "room"),
    [
        (SONNET, {"type": "between_tools"}, None, 0),
        (HAIKU, {"type": "disabled"}, None, 0),
        ("claude-opus-5", {"type": "disabled"}, None, 0),
        ("claude-sonnet-5", {"type": "disabled"}, None, 0),
        (OPUS, None, "low", 2048),
        ("claude-fable-5-2", None, "low", 2048),
        ("claude-opus-4-8", None, None, 0),
        (OLDER, None, None, 0),
        ("claude-haiku-4-5-20251001", None, None, 0),
        ("claude-3-9-haiku-20250101", None, None, 0),
    ],
)
async def test_every_model_is_told_to_think_as_little_as_it_can(emulator, model, name, thinking, effort, room):
    await deltas(model, settings=settings(name, max_tokens=100))
    body = emulator.requests[0].body
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert body["max_tokens"] == 100 + room, "thoughts count against the limit of the answer"


@pytest.mark.parametrize(
    ("changes", "sent"),
    [
        ({"temperature": 0.2}, {"temperature": 0.2}),
        ({"temperature": 1.7}, {"temperature": 1.0}),
        ({"top_p": 0.4}, {"top_p": 0.4}),
        ({"top_p": 0.4, "temperature": 0.1}, {"temperature": 0.1}),
    ],
)
async def test_older_models_get_their_temperature_by_the_older_version(emulator, model, changes, sent):
    await deltas(model, settings=settings(OLDER, **changes))
    seen = emulator.requests[0]
    assert {name: seen.body[name] for name in ("temperature", "top_p") if name in seen.body} == sent
    assert (seen.headers["anthropic-version"], seen.headers["x-api-key"]) == (OLD, emulator.key)
    assert "authorization" not in seen.headers


async def test_newer_models_get_no_temperature(emulator, model):
    await deltas(model, settings=settings(SONNET, temperature=0.2, top_p=0.4))
    seen = emulator.requests[0]
    assert (seen.headers["anthropic-version"], seen.headers["authorization"]) == (NEW, f"Bearer {emulator.key}")
    assert not {"temperature", "top_p"} & seen.body.keys()


async def test_a_call_that_the_agent_opens_becomes_turns_that_alternate(emulator, model):
    said = [(Role.ASSISTANT, "Hello, Ava here. "), (Role.USER, "Hi."), (Role.USER, "My parcel?"), (Role.ASSISTANT, "")]
    dialogue = (ASKED[0], *(Message(role=role, content=content) for role, content in said))
    await deltas(model, messages=(*dialogue, Message(role=Role.ASSISTANT, content="One moment.")))
    turns = emulator.asked[0].turns
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "assistant", "user"]
    assert turns[2].text == "Hi.\nMy parcel?"
    assert turns[3].text == "One moment."


# -- tools


async def test_parallel_calls_are_kept_apart_though_their_pieces_come_in_turns(emulator, model):
    emulator.chunk_bytes = 7
    emulator.script(Reply(text="One moment…", calls=CALLS, interleaved=True))
    heard = await deltas(model, tools=TOOLS)
    assert text_of(heard) == "One moment…"
    calls = [delta for delta in heard if isinstance(delta, ToolCall)]
    assert {call.name: json.loads(call.arguments) for call in calls} == {
        "find_parcel": {"id": "Ü-17"},
        "opening_hours": {},
    }
    begun = [delta.call_id for delta in heard if isinstance(delta, ToolCallBegun)]
    assert sorted(begun) == sorted(call.call_id for call in calls)
    assert isinstance(heard[-1], LlmUsed)


async def after_calls(emulator: AnthropicEmulator, model: AnthropicLlm, name: str, **reply: Any) -> tuple[Message, ...]:
    """The dialogue once the model called its tools and one of them, the second, gave a result."""
    emulator.script(Reply(calls=CALLS, **reply))
    heard = await deltas(model, tools=TOOLS, settings=settings(name))
    calls = tuple(delta for delta in heard if isinstance(delta, ToolCall))
    asked = Message(role=Role.ASSISTANT, content=text_of(heard), tool_calls=calls)
    return (*ASKED, asked, Message(role=Role.TOOL, content="At nine.", tool_call_id=calls[1].call_id))


async def test_results_go_back_with_the_thoughts_that_asked_for_them(emulator, model):
    dialogue = await after_calls(emulator, model, OPUS, text="Let me see.", thoughts="The user wants both.")
    await deltas(model, messages=dialogue, tools=TOOLS, settings=settings(OPUS))
    _, asked, answered = emulator.requests[1].body["messages"]
    assert [block["type"] for block in asked["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert asked["content"][0]["thinking"] == "The user wants both."
    assert [turn.calls for turn in emulator.asked[1].turns][1][0].arguments == {"id": "Ü-17"}
    results = [block["content"] for block in answered["content"]]
    assert results == ["(No result: the call was broken off.)", "At nine."], "every call is answered, in order"


async def test_thoughts_are_not_shown_to_another_model_nor_after_the_user_went_on(emulator, model):
    dialogue = await after_calls(emulator, model, OPUS, thoughts="Hm.")
    await deltas(model, messages=dialogue, tools=TOOLS, settings=settings(SONNET))
    later = (*dialogue, Message(role=Role.ASSISTANT, content="At nine."), Message(role=Role.USER, content="Thanks."))
    await deltas(model, messages=later, tools=TOOLS, settings=settings(OPUS))
    for seen in emulator.requests[1:]:
        assert [block["type"] for block in seen.body["messages"][1]["content"]] == ["tool_use", "tool_use"]


async def test_calls_of_another_vendor_are_understood(emulator, model):
    foreign = ToolCall(call_id="call:1/ü", name="find_parcel", arguments="{broken", signature="gemini:AAAA")
    dialogue = (
        *ASKED,
        Message(role=Role.ASSISTANT, content="", tool_calls=(foreign,)),
        Message(role=Role.USER, content="Still there?"),
        Message(role=Role.TOOL, content="In Rome.", tool_call_id=foreign.call_id),
        Message(role=Role.TOOL, content="Of nobody's call.", tool_call_id="lost"),
    )
    await deltas(model, messages=dialogue, tools=TOOLS)
    turns = emulator.asked[0].turns
    assert turns[1].calls[0].arguments == {}
    assert turns[2].results == ((turns[1].calls[0].id, "In Rome."),)
    assert turns[2].text == "Still there?"


# -- what goes wrong


@pytest.mark.parametrize(
    ("step", "retryable", "wait"),
    [
        (Failure(400), False, None),
        (Failure(402), False, None),
        (Failure(403), False, None),
        (Failure(404), False, None),
        (Failure(429, retry_after=7), True, 7.0),
        (Failure(500), True, None),
        (Failure(529, retry_after=2), True, 2.0),
        (Refusal(), False, None),
        (Filtered("I"), False, None),
        (Reply(text=" \n"), True, None),
        (Cut("Hel"), True, None),
        (Cut("Hel", torn=True), True, None),
        (Trouble("Hel"), True, None),
        (Raw("event: message_start\ndata: {nonsense\n\n"), True, None),
        (Raw('event: content_block_start\ndata: {"type": "content_block_start"}\n\n'), True, None),
        (Raw("event: message_start\ndata: " + "x" * 1_100_000), False, None),
    ],
)
async def test_failures_say_whether_trying_again_helps(emulator, model, step, retryable, wait):
    emulator.script(step)
    with pytest.raises(ProviderError) as caught:
        await deltas(model)
    error = caught.value
    assert (error.retryable, error.retry_after, type(error)) == (retryable, wait, ProviderError)
    told = f"{error!r} {error.__cause__!r}"
    assert emulator.key not in told
    assert "parcel" not in told
    emulator.script("Next.")
    assert text_of(await deltas(model)) == "Next.", "the connection is free again"


async def test_a_wrong_key_is_an_account_that_does_not_work(emulator):
    stranger = make(account(emulator, "sk-ant-wrong"))
    for model in (SONNET, OLDER):
        with pytest.raises(ProviderAuthError):
            await deltas(stranger, settings=settings(model))
    await stranger.aclose()
    with pytest.raises(ProviderUnconfigured, match="ANTHROPIC_API_KEY"):
        make(Account(id="platform", provider="anthropic"))


async def test_a_reply_cut_by_its_limit_is_a_reply(emulator, model):
    emulator.script(Reply(text="At ni", stop="length"))
    assert text_of(await deltas(model)) == "At ni"


async def test_closing_the_reply_stops_the_model(emulator, model):
    emulator.script(Held("Hello there."))
    async with aclosing(model.answer(LlmRequest(messages=ASKED, settings=settings()))) as reply:
        async for _ in reply:
            break
    await emulator.until_hung_up()


async def test_cancelling_the_reply_stops_the_model(emulator, model):
    emulator.script(Held(""))
    task = asyncio.create_task(deltas(model))
    async with asyncio.timeout(5):
        while not emulator.requests:  # noqa: ASYNC110 - the emulator is another server
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await emulator.until_hung_up()


async def test_warming_opens_a_connection_and_never_fails(emulator, model):
    await model.warm()
    assert emulator.warmed == 1
    away = AnthropicLlm("k", "http://127.0.0.1:9")
    await away.warm()
    await away.aclose()


# -- answers by a schema

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": ["string", "null"], "description": "Where."},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "kind": {"type": ["string", "null"], "enum": ["a", "b", None]},
        "rows": {"type": "array", "items": {"type": "object", "properties": {}, "additionalProperties": False}},
    },
    "required": ["city", "score", "kind", "rows"],
    "additionalProperties": False,
}


def structured(model: str = SONNET, schema: dict[str, Any] = SCHEMA) -> StructuredRequest:
    return StructuredRequest(messages=ASKED, settings=settings(model), name="place", schema=schema)


async def test_an_answer_is_held_to_the_schema_in_the_parts_the_vendor_knows(emulator, model):
    emulator.script({"city": "Rome"})
    reply = await model.complete(structured(OPUS))
    assert json.loads(reply.text) == {"city": "Rome"}
    assert reply.used.input_tokens > 0
    body = emulator.requests[0].body
    assert body["output_config"]["effort"] == "low"
    members = body["output_config"]["format"]["schema"]["properties"]
    assert members["city"] == {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "Where."}
    assert members["score"] == {"type": "number", "description": "(minimum 0, maximum 1)"}
    assert members["kind"] == {"enum": ["a", "b", None]}
    assert "cache_control" not in body["system"][0], "it is asked once"


@pytest.mark.parametrize("model_name", ["claude-3-9-haiku-20250101", SONNET])
async def test_a_schema_that_is_refused_is_asked_for_in_words(emulator, model, model_name):
    many = {f"f{at}": {"type": ["string", "null"]} for at in range(20)}
    emulator.script({"city": "Rome"})
    reply = await model.complete(
        structured(model_name, {"type": "object", "properties": many, "additionalProperties": False})
    )
    assert json.loads(reply.text) == {"city": "Rome"}
    assert emulator.asked[-1].schema is None
    assert '"f19"' in emulator.asked[-1].system


async def test_a_refused_analysis_is_told(emulator, model):
    emulator.script(Refusal())
    with pytest.raises(ProviderError, match="refused"):
        await model.complete(structured())


async def test_a_conversation_is_read_by_the_model(emulator, model):
    fields = (
        CustomField(name="reason", type=CustomFieldType.ENUM, options=("a", "b")),
        CustomField(name="day", type=CustomFieldType.DATE),
    )
    config = AnalysisConfig(custom_fields=fields)
    dialogue = Dialogue(
        said=(Said(speaker=Speaker.USER, text="Where is my parcel?"),),
        config=config,
        channel=Channel.WEBCHAT,
        direction=Direction.INBOUND,
        language="en-US",
        status=ConversationStatus.COMPLETED,
        end_reason=EndReason.USER_ENDED,
        started_at=datetime(2026, 11, 20, tzinfo=UTC),
    )
    found = {"summary": "A parcel is lost.", "sentiment": "neutral", "sentimentScore": 0.5}
    emulator.script(found, found)
    analysed = await LlmAnalyst(model, settings()).analyse(dialogue)
    assert analysed.findings.summary == "A parcel is lost."
    assert analysed.usage.provider == "anthropic"
    assert set(emulator.asked[0].schema["properties"]) == set(schema_of(config)["properties"])


async def test_an_account_is_used_alone_whatever_the_environment_says(emulator, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, "sk-ant-of-the-platform")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    tenants = make(account(emulator))
    for name in (SONNET, OLDER):
        assert text_of(await deltas(tenants, settings=settings(name))) == "ok"
    assert "platform" not in str(emulator.requests)
    await tenants.aclose()


async def test_what_a_request_of_one_customer_is_refused_for_is_sent_for_the_others(emulator, model):
    quoted = Failure(400, None, "tools.0.custom.name: thinking.type is no name of a tool.")
    emulator.script(quoted, quoted, "Hello.")
    with pytest.raises(ProviderError):
        await deltas(model, settings=settings(HAIKU))
    assert text_of(await deltas(model, settings=settings(HAIKU))) == "Hello."
    assert ["thinking" in seen.body for seen in emulator.requests] == [True, False, True]


async def test_what_a_model_turns_out_not_to_take_is_left_out_from_then_on(emulator, model):
    refused = Failure(400, None, '"thinking.type.disabled" is not supported for this model.')
    emulator.script(refused, "Hello.", "Again.", refused)
    assert text_of(await deltas(model, settings=settings(HAIKU, max_tokens=100))) == "Hello."
    assert text_of(await deltas(model, settings=settings(HAIKU, max_tokens=100))) == "Again."
    assert [("thinking" in seen.body, seen.body["max_tokens"]) for seen in emulator.requests] == [
        (True, 100),
        (False, 2148),
        (False, 2148),
    ]
    with pytest.raises(ProviderError, match="does not take thinking"):
        await deltas(model, settings=settings(HAIKU))
    emulator.script(Failure(400, None, "`temperature` is deprecated for this model."), {"city": "Rome"})
    assert json.loads((await model.complete(structured(OLDER))).text) == {"city": "Rome"}
    assert emulator.requests[-1].headers["anthropic-version"] == NEW
