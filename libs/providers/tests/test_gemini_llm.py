"""Gemini behind the ports, over Google's wire; the emulator of it judged by Google's own client."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
import msgspec
import pytest
from google.genai import Client, errors, types
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
from voisnap_providers.vendors.gemini.llm import GeminiLlm, make
from voisnap_providers.vendors.sdk_http import tls
from voisnap_testkit.gemini_emulator import GeminiEmulator, proto
from voisnap_testkit.llm_emulator import Call, Cut, Failure, Filtered, Held, Raw, Refusal, Reply, Seen, Trouble

pytestmark = pytest.mark.conformance

FLASH, NEWEST = "gemini-2.5-flash", "gemini-3.8-flash"
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


def settings(model: str = FLASH, **changes: Any) -> Llm:
    return Llm(provider=LlmProvider.GOOGLE, model=model, **changes)


@pytest.fixture
async def emulator() -> AsyncIterator[GeminiEmulator]:
    async with GeminiEmulator() as running:
        yield running


@pytest.fixture
async def model(emulator: GeminiEmulator) -> AsyncIterator[GeminiLlm]:
    made = make(account(emulator))
    yield made
    await made.aclose()


def account(emulator: GeminiEmulator, key: str | None = None) -> Account:
    secrets = {"api_key": key or emulator.key or ""}
    return Account(id="platform", provider="google", secrets=secrets, options={"gemini_base_url": emulator.url})


async def deltas(model: GeminiLlm, **changes: Any) -> list[Any]:
    request = msgspec.structs.replace(LlmRequest(messages=ASKED, settings=settings()), **changes)
    return [delta async for delta in model.answer(request)]


def text_of(heard: list[Any]) -> str:
    return "".join(delta.text for delta in heard if isinstance(delta, TextDelta))


def config_of(emulator: GeminiEmulator) -> dict[str, Any]:
    return proto(emulator.requests[-1].body)["generationConfig"]


# -- the emulator, judged by the official client


@asynccontextmanager
async def official(emulator: GeminiEmulator, key: str | None) -> AsyncGenerator[Any]:
    """Google's client; it leaves the connections of an HTTP client that it was given open."""
    arguments: Any = {"client_args": {"verify": tls()}, "async_client_args": {"ssl": tls()}}
    async with httpx2.AsyncClient(verify=tls()) as http:
        options = types.HttpOptions(base_url=emulator.url, httpx_async_client=http, **arguments)
        yield Client(vertexai=False, api_key=key, http_options=options).aio.models


@pytest.mark.parametrize("version", ["v1", "v1beta"])
async def test_the_official_client_reads_words_calls_and_counts_from_the_emulator(emulator, version):
    reply = Reply(
        text="One moment.", calls=(Call("f", {"a": "ü"}),), input_tokens=50, cached_tokens=20, reasoning_tokens=3
    )
    emulator.script("Hello!", reply, reply)
    config = types.GenerateContentConfig(http_options=types.HttpOptions(api_version=version))
    async with official(emulator, emulator.key) as models:
        whole = await models.generate_content(model=FLASH, contents="Hi", config=config)
        assert (whole.text, whole.candidates[0].finish_reason) == ("Hello!", types.FinishReason.STOP)
        stream = await models.generate_content_stream(model=FLASH, contents="Hi", config=config)
        chunks = [chunk async for chunk in stream]
        called = await models.generate_content(model=FLASH, contents="Hi", config=config)
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    assert "".join(part.text or "" for part in parts) == "One moment."
    assert [part.function_call.args for part in parts if part.function_call] == [{"a": "ü"}]
    assert called.function_calls[0].args == {"a": "ü"}
    for usage in (chunks[-1].usage_metadata, called.usage_metadata):
        assert (usage.prompt_token_count, usage.cached_content_token_count, usage.thoughts_token_count) == (50, 20, 3)
    assert emulator.requests[0].path.startswith(f"/{version}/models/")


async def test_the_official_client_sees_the_emulators_errors(emulator):
    emulator.script(Failure(429, retry_after=3), Trouble("Hel"), Filtered("I"))
    async with official(emulator, emulator.key) as models:
        with pytest.raises(errors.ClientError, match="RESOURCE_EXHAUSTED"):
            await models.generate_content(model=FLASH, contents="Hi")
        with pytest.raises(errors.ServerError, match="UNAVAILABLE"):
            async for _ in await models.generate_content_stream(model=FLASH, contents="Hi"):
                pass
        refused = await models.generate_content(model=FLASH, contents="Hi")
        assert refused.candidates[0].finish_reason is types.FinishReason.SAFETY
    async with official(emulator, "AIza-wrong") as stranger:
        with pytest.raises(errors.ClientError, match="API key not valid"):
            await stranger.generate_content(model=FLASH, contents="Hi")


def turn(role: str, *parts: Any) -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


HI = turn("user", {"text": "Hi"})
USE = {"functionCall": {"name": "f", "args": {}, "id": "1"}}
RESULT = {"functionResponse": {"name": "f", "id": "1", "response": {}}}


@pytest.mark.parametrize(
    ("model_name", "body", "says"),
    [
        (FLASH, {"contents": []}, "not specified"),
        (FLASH, {"contents": [turn("user", {"text": ""})]}, "required oneof"),
        (FLASH, {"contents": [turn("assistant", {"text": "Hi"})]}, "valid role"),
        (FLASH, {"contents": [HI, turn("model", {"text": "Hi"})]}, "end with a user role"),
        (FLASH, {"contents": [HI, turn("model", USE, USE), turn("user", RESULT)]}, "number of function response"),
        (FLASH, {"contents": [HI, turn("model", USE), HI]}, "number of function response"),
        (FLASH, {"contents": [turn("model", USE), turn("user", RESULT)]}, "immediately after a user turn"),
        (NEWEST, {"contents": [HI, turn("model", USE), turn("user", RESULT)]}, "thought_signature"),
        (
            FLASH,
            {"contents": [HI, turn("model", {**USE, "thoughtSignature": "AAAA"}), turn("user", RESULT)]},
            "Corrupted",
        ),
        (FLASH, {"contents": [HI], "foo": 1}, "Unknown name"),
        (FLASH, {"contents": [HI], "generationConfig": {"maxTokens": 1}}, "Unknown name"),
        (FLASH, {"contents": [HI], "generationConfig": {"temperature": 2.5}}, "range"),
        (FLASH, {"contents": [HI], "generationConfig": {"thinkingConfig": {"thinkingLevel": "LOW"}}}, "Thinking level"),
        (
            NEWEST,
            {"contents": [HI], "generationConfig": {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}},
            "Thinking level",
        ),
        ("gemini-2.5-pro", {"contents": [HI], "generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}, "budget"),
        (FLASH, {"contents": [HI], "generationConfig": {"responseJsonSchema": {}}}, "mime type"),
        ("claude-9", {"contents": [HI]}, "not found"),
    ],
)
def test_the_emulator_refuses_what_the_vendor_refuses(model_name, body, says):
    seen = Seen(path=f"/v1/models/{model_name}:generateContent", headers={}, body=body)
    refused = GeminiEmulator().judge(seen)
    assert refused is not None
    assert says in refused.message


# -- what is sent


async def test_a_reply_is_asked_for_with_all_that_the_agent_sets(emulator, model):
    emulator.script(Reply(text="At nine.", input_tokens=40, cached_tokens=30, output_tokens=7))
    wanted = settings(temperature=1.4, top_p=0.6, max_tokens=120, frequency_penalty=0.5, presence_penalty=-0.5)
    heard = await deltas(model, passages=("We open at nine.",), tools=TOOLS, settings=wanted)
    assert text_of(heard) == "At nine."
    assert heard[-1] == LlmUsed(input_tokens=40, output_tokens=7, cached_tokens=30)
    seen = emulator.requests[0]
    assert seen.path == "/v1/models/gemini-2.5-flash:streamGenerateContent"
    assert seen.headers["x-goog-api-key"] == emulator.key
    assert config_of(emulator) == {
        "temperature": 1.4,
        "topP": 0.6,
        "maxOutputTokens": 120,
        "frequencyPenalty": 0.5,
        "presencePenalty": -0.5,
        "thinkingConfig": {"thinkingBudget": 0},
    }
    prompt, knowledge = seen.body["systemInstruction"]["parts"]
    assert prompt["text"] == "You are Ava."
    assert "We open at nine." in knowledge["text"]
    assert seen.body["contents"] == [{"role": "user", "parts": [{"text": "Where is my parcel?"}]}]
    assert emulator.asked[0].tools["find_parcel"] == TOOLS[0].parameters


async def test_penalties_are_sent_where_an_agent_has_some_only(emulator, model):
    await deltas(model)
    assert not {"frequencyPenalty", "presencePenalty"} & config_of(emulator).keys()


@pytest.mark.parametrize(
    ("name", "thinking", "room"),
    [
        (FLASH, {"thinkingBudget": 0}, 0),
        ("gemini-2.5-flash-lite", {"thinkingBudget": 0}, 0),
        ("gemini-2.5-pro", {"thinkingBudget": 128}, 1024),
        ("gemini-3-flash-preview", {"thinkingLevel": "MINIMAL"}, 1024),
        ("gemini-3.5-flash-lite", {"thinkingLevel": "MINIMAL"}, 1024),
        ("gemini-3.6-flash", {"thinkingLevel": "MINIMAL"}, 1024),
        (NEWEST, {"thinkingLevel": "LOW"}, 1024),
        ("gemini-3.1-pro-preview", {"thinkingLevel": "LOW"}, 1024),
        ("gemini-4-argon", {"thinkingLevel": "LOW"}, 1024),
        ("gemini-2.0-flash", None, 0),
    ],
)
async def test_every_model_is_told_to_think_as_little_as_it_can(emulator, model, name, thinking, room):
    await deltas(model, settings=settings(name, max_tokens=100))
    config = config_of(emulator)
    assert config.get("thinkingConfig") == thinking
    assert config["maxOutputTokens"] == 100 + room, "thoughts count against the limit of the answer"


async def test_a_call_that_the_agent_opens_becomes_turns_that_alternate(emulator, model):
    said = [(Role.ASSISTANT, "Hello, Ava here. "), (Role.USER, "Hi."), (Role.USER, "My parcel?"), (Role.ASSISTANT, "")]
    dialogue = (ASKED[0], *(Message(role=role, content=content) for role, content in said))
    await deltas(model, messages=(*dialogue, Message(role=Role.ASSISTANT, content="One moment.")))
    turns = emulator.asked[0].turns
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "assistant", "user"]
    assert turns[2].text == "Hi.\nMy parcel?"


# -- what is heard


async def test_thoughts_are_counted_and_not_spoken(emulator, model):
    emulator.chunk_bytes = 5
    emulator.script(Reply(text="Grüße\u2028dich …", thoughts="The user greets.", reasoning_tokens=40, output_tokens=50))
    heard = await deltas(model)
    assert text_of(heard) == "Grüße\u2028dich …"
    assert heard[-1].output_tokens == 50


async def test_a_reply_cut_by_its_limit_is_a_reply(emulator, model):
    emulator.script(Reply(text="At ni", stop="length"))
    assert text_of(await deltas(model)) == "At ni"


# -- tools


@pytest.mark.parametrize("name", [FLASH, NEWEST])
@pytest.mark.parametrize("in_one_chunk", [True, False])
async def test_results_go_back_with_the_calls_as_they_were(emulator, model, name, in_one_chunk):
    emulator.script(Reply(text="Let me see.", calls=CALLS, interleaved=in_one_chunk))
    heard = await deltas(model, tools=TOOLS, settings=settings(name))
    calls = tuple(delta for delta in heard if isinstance(delta, ToolCall))
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        ("find_parcel", {"id": "Ü-17"}),
        ("opening_hours", {}),
    ]
    assert [delta.call_id for delta in heard if isinstance(delta, ToolCallBegun)] == [call.call_id for call in calls]
    assert len({call.call_id for call in calls}) == 2
    dialogue = (
        *ASKED,
        Message(role=Role.ASSISTANT, content=text_of(heard), tool_calls=calls),
        Message(role=Role.TOOL, content='{"open": 9}', tool_call_id=calls[1].call_id),
        Message(role=Role.USER, content="Still there?"),
    )
    await deltas(model, messages=dialogue[:-1], tools=TOOLS, settings=settings(name))
    await deltas(model, messages=dialogue, tools=TOOLS, settings=settings(name))
    for seen in emulator.requests[1:]:
        _, asked, answered = seen.body["contents"]
        assert asked["parts"][0] == {"text": "Let me see."}
        assert ["thoughtSignature" in part for part in asked["parts"][1:]] == [name == NEWEST, False]
        responses = [part["functionResponse"]["response"] for part in answered["parts"] if "functionResponse" in part]
        assert responses == [{"result": "(No result: the call was broken off.)"}, {"open": 9}]


async def test_calls_of_another_vendor_are_understood(emulator, model):
    foreign = ToolCall(call_id="toolu_1", name="find_parcel", arguments="[1]", signature='{"by": "anthropic"}')
    dialogue = (
        *ASKED,
        Message(role=Role.ASSISTANT, content="", tool_calls=(foreign,)),
        Message(role=Role.TOOL, content="In Rome.", tool_call_id="toolu_1"),
    )
    await deltas(model, messages=dialogue, tools=TOOLS, settings=settings(NEWEST))
    turns = emulator.asked[0].turns
    assert turns[1].calls[0].arguments == {}
    assert turns[2].results == (("toolu_1", "In Rome."),)


# -- what goes wrong


def chunk(**members: Any) -> Raw:
    return Raw(f"data: {json.dumps(members)}\r\n\r\n")


@pytest.mark.parametrize(
    ("step", "retryable", "wait"),
    [
        (Failure(400), False, None),
        (Failure(404), False, None),
        (Failure(429, retry_after=7.5), True, 7.5),
        (Failure(500), True, None),
        (Failure(503, retry_after=2), True, 2.0),
        (Refusal(), False, None),
        (Filtered("I"), False, None),
        (chunk(promptFeedback={"blockReason": "SAFETY"}), False, None),
        (chunk(candidates=[{"finishReason": "MALFORMED_FUNCTION_CALL"}]), True, None),
        (chunk(candidates=[{"finishReason": "PROHIBITED_CONTENT"}]), False, None),
        (chunk(candidates=[{"content": 5}]), True, None),
        (Reply(text=" \n"), True, None),
        (Cut("Hel"), True, None),
        (Cut("Hel", torn=True), True, None),
        (Trouble("Hel"), True, None),
        (Raw("data: {nonsense\r\n\r\n"), True, None),
        (Raw("data: [1]\r\n\r\n"), True, None),
        (Raw("<html>Bad gateway</html>", 502, "text/html"), True, None),
        (Raw("data: " + "x" * 1_100_000), False, None),
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


@pytest.mark.parametrize("step", [Failure(401), Failure(403), Failure(400, "API_KEY_INVALID")])
async def test_a_refused_key_is_an_account_that_does_not_work(emulator, model, step):
    emulator.script(step)
    with pytest.raises(ProviderAuthError):
        await deltas(model)


async def test_a_wrong_key_is_an_account_that_does_not_work(emulator):
    stranger = make(account(emulator, "AIza-wrong"))
    with pytest.raises(ProviderAuthError):
        await deltas(stranger)
    await stranger.aclose()
    with pytest.raises(ProviderUnconfigured, match="GOOGLE_API_KEY"):
        make(Account(id="platform", provider="google"))


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


# -- answers by a schema


async def test_an_answer_is_held_to_the_schema(emulator, model):
    schema = {"type": "object", "properties": {"city": {"type": ["string", "null"]}}, "additionalProperties": False}
    request = StructuredRequest(messages=ASKED, settings=settings(), name="place", schema=schema)
    emulator.script({"city": "Rome"}, "no JSON at all", Refusal())
    reply = await model.complete(request)
    assert json.loads(reply.text) == {"city": "Rome"}
    assert reply.used.input_tokens > 0
    assert emulator.asked[0].schema == schema
    assert config_of(emulator)["responseMimeType"] == "application/json"
    assert (await model.complete(request)).text == "no JSON at all", "nothing is validated here"
    with pytest.raises(ProviderError, match="refused"):
        await model.complete(request)


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
    assert analysed.usage.provider == "google"
    assert set(emulator.asked[0].schema["properties"]) == set(schema_of(config)["properties"])


async def test_an_account_is_used_alone_whatever_the_environment_says(emulator, monkeypatch):
    for name, value in (
        ("GOOGLE_API_KEY", "AIza-of-the-platform"),
        ("GEMINI_API_KEY", "AIza-of-the-platform"),
        ("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9"),
        ("GOOGLE_GENAI_USE_VERTEXAI", "true"),
        ("GOOGLE_GENAI_USE_ENTERPRISE", "true"),
        ("GOOGLE_CLOUD_PROJECT", "platform"),
    ):
        monkeypatch.setenv(name, value)
    tenants = make(account(emulator))
    assert text_of(await deltas(tenants)) == "ok"
    assert "platform" not in str(emulator.requests[0])
    await tenants.aclose()


async def test_what_a_request_of_one_customer_is_refused_for_is_sent_for_the_others(emulator, model):
    quoted = Failure(400, None, "The function thinking_of_you has no valid schema.")
    emulator.script(quoted, quoted, "Hello.")
    with pytest.raises(ProviderError):
        await deltas(model, settings=settings(NEWEST))
    assert text_of(await deltas(model, settings=settings(NEWEST))) == "Hello."
    assert "thinkingConfig" in config_of(emulator)


async def test_what_a_model_turns_out_not_to_take_is_left_out_from_then_on(emulator, model):
    level = Failure(400, None, "Thinking level is not supported for this model.")
    penalty = Failure(400, None, "Penalty is not enabled for models/gemini-3.8-flash")
    asked = settings(NEWEST, frequency_penalty=0.5, max_tokens=100)
    emulator.script(level, penalty, "Hello.", "Again.", level)
    assert text_of(await deltas(model, settings=asked)) == "Hello."
    assert config_of(emulator) == {"temperature": 0.7, "topP": 1.0, "maxOutputTokens": 1124}
    assert text_of(await deltas(model, settings=asked)) == "Again."
    assert len(emulator.requests) == 4
    with pytest.raises(ProviderError, match="does not take thinking"):
        await deltas(model, settings=asked)
    await deltas(model)
    assert "thinkingConfig" in config_of(emulator), "another model is another matter"
