from datetime import UTC, datetime

import msgspec
import pytest
from voisnap_domain.agent_rules import violations
from voisnap_domain.agents import (
    Agent,
    AgentConfig,
    AgentStatus,
    AnalysisConfig,
    CustomField,
    CustomFieldType,
    Fillers,
    Llm,
    LlmProvider,
    Persona,
    Transcription,
    TranscriptionProvider,
    Voice,
    VoiceProvider,
)
from voisnap_domain.ids import AgentId, TenantId
from voisnap_domain.tenants import Environment

pytestmark = pytest.mark.unit

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)


def config(**changes) -> AgentConfig:
    whole = AgentConfig(
        name="Desk",
        persona=Persona(name="Ada"),
        voice=Voice(provider=VoiceProvider.LOCAL, voice_id="heart"),
        llm=Llm(provider=LlmProvider.LOCAL, model="brain"),
        transcription=Transcription(provider=TranscriptionProvider.LOCAL),
        system_prompt_template="We open at nine.",
    )
    return msgspec.structs.replace(whole, **changes)


def agent() -> Agent:
    return Agent(
        id=AgentId("agt_1"),
        tenant_id=TenantId("ten_1"),
        environment=Environment.LIVE,
        status=AgentStatus.DRAFT,
        version=3,
        published_version=2,
        config=config(),
        widget_key="wgt_1",
        created_at=AT,
        updated_at=AT,
    )


def test_changed_configuration_is_the_next_version() -> None:
    changed = agent().configured(config(name="Front desk"), at=LATER)

    assert (changed.version, changed.config.name, changed.updated_at) == (4, "Front desk", LATER)


def test_same_configuration_once_more_is_the_next_version_too() -> None:
    same = agent().configured(config(), at=LATER)

    assert (same.version, same.config, same.updated_at) == (4, config(), LATER)


def test_default_configuration_is_in_range() -> None:
    assert violations(config()) == ()


def test_all_wrong_fields_are_reported_at_once_with_wire_names() -> None:
    wrong = config(
        name="",
        max_duration_seconds=29,
        llm=Llm(provider=LlmProvider.LOCAL, model="brain", temperature=2.1, max_tokens=0),
        analysis_config=AnalysisConfig(custom_fields=(CustomField(name="status", type=CustomFieldType.ENUM),)),
    )

    assert {
        "/name",
        "/maxDurationSeconds",
        "/llm/temperature",
        "/llm/maxTokens",
        "/analysisConfig/customFields/0/options",
    } == {error.pointer for error in violations(wrong)}


@pytest.mark.parametrize(("seconds", "pointers"), [(30, []), (3600, []), (3601, ["/maxDurationSeconds"])])
def test_ranges_include_their_ends(seconds: int, pointers: list[str]) -> None:
    assert pointers == [error.pointer for error in violations(config(max_duration_seconds=seconds))]


def test_elevenlabs_speed_has_its_own_range() -> None:
    fast = Voice(provider=VoiceProvider.ELEVENLABS, voice_id="x", speed=1.5)

    assert [error.pointer for error in violations(config(voice=fast))] == ["/voice/speed"]


def test_fillers_are_short_phrases_after_a_while() -> None:
    wrong = config(fillers=Fillers(delay_ms=100, phrases=("One moment.", " ", "x" * 201)))
    assert {"/fillers/delayMs", "/fillers/phrases/1", "/fillers/phrases/2"} == {
        error.pointer for error in violations(wrong)
    }
    assert [error.pointer for error in violations(config(fillers=Fillers(phrases=("Hm.",) * 21)))] == [
        "/fillers/phrases"
    ]


def test_configuration_survives_storage_unchanged() -> None:
    whole = config(variables={"city": "Leeds"})

    assert whole == msgspec.json.decode(msgspec.json.encode(whole), type=AgentConfig)
