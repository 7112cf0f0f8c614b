"""Every documented limit of an agent's configuration: one below, at, and one above."""

from typing import Any

import msgspec
import pytest
from voisnap_domain.agent_rules import MAX_TOOLS, phone_number_fault, violations
from voisnap_domain.agents import (
    AgentConfig,
    AnalysisConfig,
    Channels,
    ChannelSettings,
    CostTracking,
    CustomField,
    CustomFieldType,
    Endpointing,
    Fallbacks,
    Llm,
    LlmProvider,
    Persona,
    Pronunciation,
    Recording,
    SilenceDetection,
    Tool,
    ToolParameter,
    ToolType,
    Transcription,
    TranscriptionProvider,
    Transfer,
    TransferTarget,
    Voice,
    VoicemailDetection,
    VoiceProvider,
    Widget,
)

pytestmark = pytest.mark.unit

VOICE = Voice(provider=VoiceProvider.LOCAL, voice_id="heart")
LLM = Llm(provider=LlmProvider.LOCAL, model="brain")
TRANSCRIPTION = Transcription(provider=TranscriptionProvider.LOCAL)
TOOL = Tool(name="look_up", description="d", type=ToolType.REST_API, config={"url": "https://api.example.com"})


def config(**changes: Any) -> AgentConfig:
    whole = AgentConfig(
        name="Desk",
        persona=Persona(name="Ada"),
        voice=VOICE,
        llm=LLM,
        transcription=TRANSCRIPTION,
        system_prompt_template="We open at nine.",
    )
    return msgspec.structs.replace(whole, **changes)


def pointers(**changes: Any) -> list[str]:
    return [error.pointer for error in violations(config(**changes))]


def replaced(struct: Any, **changes: Any) -> Any:
    return msgspec.structs.replace(struct, **changes)


def nested(name: str, struct: Any, member: str):
    """How a value gets into a member of a part."""
    return lambda value: {name: replaced(struct, **{member: value})}


RANGES = [
    ("/maxDurationSeconds", lambda v: {"max_duration_seconds": v}, 30, 3600, 1),
    ("/maxIdleTimeSeconds", lambda v: {"max_idle_time_seconds": v}, 5, 60, 1),
    ("/voice/stability", nested("voice", VOICE, "stability"), 0, 1, 0.01),
    ("/voice/similarityBoost", nested("voice", VOICE, "similarity_boost"), 0, 1, 0.01),
    ("/voice/style", nested("voice", VOICE, "style"), 0, 1, 0.01),
    ("/voice/speed", nested("voice", VOICE, "speed"), 0.5, 2, 0.01),
    (
        "/voice/speed",
        nested("voice", replaced(VOICE, provider=VoiceProvider.ELEVENLABS), "speed"),
        0.7,
        1.2,
        0.01,
    ),
    ("/llm/temperature", nested("llm", LLM, "temperature"), 0, 2, 0.01),
    ("/llm/topP", nested("llm", LLM, "top_p"), 0, 1, 0.01),
    ("/llm/frequencyPenalty", nested("llm", LLM, "frequency_penalty"), -2, 2, 0.01),
    ("/llm/presencePenalty", nested("llm", LLM, "presence_penalty"), -2, 2, 0.01),
    ("/llm/maxTokens", nested("llm", LLM, "max_tokens"), 1, 4096, 1),
    ("/silenceDetection/timeoutSeconds", nested("silence_detection", SilenceDetection(), "timeout_seconds"), 1, 60, 1),
    ("/endpointing/silenceDurationMs", nested("endpointing", Endpointing(), "silence_duration_ms"), 100, 5000, 1),
    ("/endpointing/utteranceEndMs", nested("endpointing", Endpointing(), "utterance_end_ms"), 300, 10000, 1),
    ("/recording/storageRetentionDays", nested("recording", Recording(), "storage_retention_days"), 1, 3650, 1),
    (
        "/channels/sms/maxDurationSeconds",
        lambda v: {"channels": Channels(sms=ChannelSettings(max_duration_seconds=v))},
        30,
        3600,
        1,
    ),
]


@pytest.mark.parametrize(
    ("pointer", "change", "low", "high", "step"), RANGES, ids=lambda part: part if isinstance(part, str) else None
)
def test_ranges_hold_at_their_ends_and_not_beyond(pointer, change, low, high, step) -> None:
    for value in (low, low + step, high - step, high):
        assert pointers(**change(value)) == [], value
    for value in (low - step, high + step, float("inf"), -1e30):
        assert pointers(**change(value)) == [pointer], value


LENGTHS = [
    ("/name", lambda v: {"name": v}, 1, 100),
    ("/description", lambda v: {"description": v}, 0, 2000),
    ("/persona/name", nested("persona", Persona(name="x"), "name"), 1, 100),
    ("/persona/personality", nested("persona", Persona(name="x"), "personality"), 0, 1000),
    ("/persona/role", nested("persona", Persona(name="x"), "role"), 0, 200),
    ("/voice/voiceId", nested("voice", VOICE, "voice_id"), 1, 200),
    ("/llm/model", nested("llm", LLM, "model"), 1, 200),
    ("/transcription/model", nested("transcription", TRANSCRIPTION, "model"), 1, 200),
    ("/systemPromptTemplate", lambda v: {"system_prompt_template": v}, 1, 100_000),
    ("/firstMessage", lambda v: {"first_message": v}, 0, 2000),
    ("/aiDisclosureMessage", lambda v: {"ai_disclosure_message": v}, 0, 2000),
    ("/voicemailDetection/message", nested("voicemail_detection", VoicemailDetection(), "message"), 0, 2000),
    ("/silenceDetection/message", nested("silence_detection", SilenceDetection(), "message"), 0, 500),
    ("/endCallPhrases/0", lambda v: {"end_call_phrases": (v,)}, 1, 200),
    ("/tags/0", lambda v: {"tags": (v,)}, 1, 100),
    ("/tools/0/description", lambda v: {"tools": (replaced(TOOL, description=v),)}, 1, 2000),
    (
        "/channels/webchat/systemPromptAppend",
        lambda v: {"channels": Channels(webchat=ChannelSettings(system_prompt_append=v))},
        0,
        20_000,
    ),
]


@pytest.mark.parametrize(("pointer", "change", "shortest", "longest"), LENGTHS, ids=[entry[0] for entry in LENGTHS])
def test_lengths_hold_at_their_ends_and_not_beyond(pointer, change, shortest, longest) -> None:
    for count in (shortest, longest - 1, longest):
        assert pointers(**change("x" * count)) == [], count
    assert pointers(**change("x" * (longest + 1))) == [pointer]
    if shortest:
        assert pointers(**change("")) == [pointer]
        assert pointers(**change(" \n")) == [pointer]


COUNTS = [
    ("/tags", lambda n: {"tags": tuple(f"t{i}" for i in range(n))}, 50),
    ("/endCallPhrases", lambda n: {"end_call_phrases": ("bye",) * n}, 50),
    ("/knowledgeBaseIds", lambda n: {"knowledge_base_ids": tuple(f"kb_{i}" for i in range(n))}, 100),
    ("/tools", lambda n: {"tools": tuple(replaced(TOOL, name=f"t{i}") for i in range(n))}, MAX_TOOLS),
    ("/fallbacks/llm", lambda n: {"fallbacks": Fallbacks(llm=(LLM,) * n)}, 5),
    ("/widget/allowedOrigins", lambda n: {"widget": Widget(allowed_origins=("https://a.example",) * n)}, 50),
    ("/variables", lambda n: {"variables": {f"v{i}": i for i in range(n)}}, 100),
]


@pytest.mark.parametrize(("pointer", "change", "most"), COUNTS, ids=[entry[0] for entry in COUNTS])
def test_lists_have_at_most_so_many_entries(pointer, change, most) -> None:
    assert pointers(**change(most)) == []
    assert pointers(**change(most + 1)) == [pointer]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"knowledge_base_ids": ("kb_01HXK9ABCDEF",)}, []),
        ({"knowledge_base_ids": ("agt_01HXK9ABCDEF", "kb_", "kb_1", "kb_1")}, [0, 1, 3]),
        ({"tags": ("tier-1", "a,b")}, [1]),
    ],
)
def test_lists_of_names(change, found) -> None:
    (name,) = change
    at = {"knowledge_base_ids": "/knowledgeBaseIds", "tags": "/tags"}[name]
    assert pointers(**change) == [f"{at}/{index}" for index in found]


@pytest.mark.parametrize("language", ["en", "en-US", "es-419", "zh-Hant-TW", "multi"])
def test_languages_of_the_recogniser(language) -> None:
    assert pointers(transcription=replaced(TRANSCRIPTION, language=language)) == []


@pytest.mark.parametrize("language", ["", "x", "Klingon", "en-US-x-private", "12"])
def test_what_is_no_language(language) -> None:
    assert pointers(transcription=replaced(TRANSCRIPTION, language=language)) == ["/transcription/language"]


@pytest.mark.parametrize(
    ("provider", "url", "fine"),
    [
        (LlmProvider.OPENAI_COMPATIBLE, "https://llm.example.com/v1", True),
        (LlmProvider.OPENAI_COMPATIBLE, "http://127.0.0.1:8000/v1", True),
        (LlmProvider.OPENAI_COMPATIBLE, None, False),
        (LlmProvider.OPENAI_COMPATIBLE, "http://llm.example.com/v1", False),
        (LlmProvider.OPENAI_COMPATIBLE, "https://169.254.169.254/latest", False),
        (LlmProvider.OPENAI, "https://llm.example.com/v1", False),
        (LlmProvider.OPENAI, None, True),
    ],
)
def test_only_compatible_models_have_an_address_and_need_it(provider, url, fine) -> None:
    llm = replaced(LLM, provider=provider, base_url=url)
    assert pointers(llm=llm) == ([] if fine else ["/llm/baseUrl"])
    assert pointers(fallbacks=Fallbacks(llm=(LLM, llm))) == ([] if fine else ["/fallbacks/llm/1/baseUrl"])


def fields(*custom: CustomField) -> dict[str, Any]:
    return {"analysis_config": AnalysisConfig(custom_fields=custom)}


def test_custom_fields() -> None:
    status = CustomField(name="status", type=CustomFieldType.ENUM, options=("a", "b"))
    assert pointers(**fields(status, CustomField(name="note", type=CustomFieldType.STRING))) == []
    at = "/analysisConfig/customFields"
    assert pointers(**fields(replaced(status, options=()))) == [f"{at}/0/options"]
    assert pointers(**fields(replaced(status, options=("a", "a")))) == [f"{at}/0/options/1"]
    assert pointers(**fields(replaced(status, type=CustomFieldType.DATE))) == [f"{at}/0/options"]
    assert pointers(**fields(status, replaced(status, name=""))) == [f"{at}/1/name"]
    assert pointers(**fields(status, status)) == [f"{at}/1/name"]


def test_tools() -> None:
    def found(**changes: Any) -> list[str]:
        return [pointer.removeprefix("/tools/0") for pointer in pointers(tools=(replaced(TOOL, **changes),))]

    whole = {
        "url": "https://crm.example.com/v1/{{customer}}?q={{q}}",
        "method": "POST",
        "headers": {"X-Key": "k"},
        "queryParams": {"phone": "{{phone}}"},
        "timeoutSeconds": 5,
    }
    assert found(config=whole, response_mapping={"id": "$.id"}) == []
    assert found(type=ToolType.HUBSPOT, config={"anything": 1}) == []
    assert found(name="1st") == ["/name"]
    assert found(name="x" * 64) == []
    assert found(name="x" * 65) == ["/name"]
    assert found(config={}) == ["/config/url"]
    assert found(config={"url": 3}) == ["/config/url"]
    assert found(config={"url": "https://{{host}}/x"}) == ["/config/url"]
    assert found(config=whole | {"method": "TRACE", "headers": {"X": 1}}) == ["/config/method", "/config/headers"]
    assert found(config=whole | {"body": "x" * 20_000}) == ["/config"]
    assert found(response_mapping={"a/b": "id"}) == ["/responseMapping/a~1b"]
    twice = (ToolParameter(name="a"), ToolParameter(name="b c"), ToolParameter(name="a"))
    assert found(parameters=twice) == ["/parameters/1/name", "/parameters/2/name"]
    assert pointers(tools=(TOOL, TOOL)) == ["/tools/1/name"]


def test_transfer_targets_are_a_number_or_a_sip_address() -> None:
    def found(**target: Any) -> list[str]:
        targets = (TransferTarget(name="desk", **target),)
        return [pointer.removeprefix("/transfer/targets/0") for pointer in pointers(transfer=Transfer(targets=targets))]

    assert found(phone_number="+14155550100") == []
    assert found(sip_uri="sip:desk@pbx.example.com;transport=tls") == []
    assert found() == [""]
    assert found(phone_number="+14155550100", sip_uri="sip:a@b") == [""]
    assert found(phone_number="555-0100") == ["/phoneNumber"]
    assert found(sip_uri="https://b") == ["/sipUri"]


def test_whoever_takes_over_is_rung_for_a_sane_time() -> None:
    assert [pointers(transfer=Transfer(ring_seconds=seconds)) for seconds in (4, 5, 120, 121)] == [
        ["/transfer/ringSeconds"],
        [],
        [],
        ["/transfer/ringSeconds"],
    ]


@pytest.mark.parametrize(
    ("number", "fine"),
    [
        ("+14155550100", True),
        ("+1234567", True),
        ("+" + "1" * 15, True),
        ("+" + "1" * 16, False),
        ("+123456", False),
        ("+0123456789", False),
        ("14155550100", False),
        ("+1 415 555 0100", False),
        ("+1415555010x", False),
        ("", False),
    ],
)
def test_telephone_numbers(number, fine) -> None:
    assert (phone_number_fault(number) is None) is fine


def test_widget_and_pronunciations_and_currency() -> None:
    origins = ("https://shop.example.com", "http://localhost:3000", "https://a.b/", "ftp://a.b", "*", "http://a.b")
    assert pointers(widget=Widget(allowed_origins=origins)) == [f"/widget/allowedOrigins/{i}" for i in (2, 3, 4, 5)]
    assert pointers(widget=Widget(theme={"css": "x" * 20_000})) == ["/widget/theme"]
    words = (Pronunciation(text="SQL", pronunciation="sequel"), Pronunciation(text="sql", pronunciation=""))
    assert pointers(pronunciations=words) == ["/pronunciations/1/pronunciation", "/pronunciations/1/text"]
    assert pointers(cost_tracking=CostTracking(currency="usd")) == ["/costTracking/currency"]


def test_variables_have_names_that_templates_can_use() -> None:
    assert pointers(variables={"shop.name": "X", "_x": 1}) == []
    assert pointers(variables={"a b": 1, "a/b": 2, "é": 3}) == ["/variables/a b", "/variables/a~1b", "/variables/é"]
    assert pointers(variables={"v": "x" * 17_000}) == ["/variables"]


def test_what_a_channel_says_counts_there_and_the_rest_stays() -> None:
    phone = ChannelSettings(first_message="You called.", system_prompt_append="Be brief.", max_duration_seconds=60)
    agent = config(first_message="Hello.", channels=Channels(phone=phone, sms=ChannelSettings(enabled=False)))
    called = agent.on("phone")
    assert (called.first_message, called.max_duration_seconds) == ("You called.", 60)
    assert called.system_prompt_template == "We open at nine.\n\nBe brief."
    assert agent.on("webrtc") == agent
    assert (agent.serves("phone"), agent.serves("sms")) == (True, False)
