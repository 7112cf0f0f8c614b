"""Agents on the wire. One class a part serves requests and answers; ranges are the domain's `violations`."""

from datetime import datetime
from typing import Any

import msgspec
from voisnap_domain import agents as domain
from voisnap_domain.agents import (
    Agent,
    AgentConfig,
    AgentStatus,
    CustomFieldType,
    EndpointingProvider,
    FirstMessageMode,
    LlmProvider,
    RecordingFormat,
    Sensitivity,
    TranscriptionProvider,
    VoicemailAction,
    VoiceProvider,
)
from voisnap_domain.errors import Invalid

from voisnap_api.wire import Body, View, decode, instant, merged

from .records import AgentVersion

_OPAQUE = frozenset({"variables"})


class PersonaBody(Body, frozen=True, kw_only=True):
    """Who the agent is when it speaks."""

    name: str
    personality: str | None = None
    role: str | None = None


class VoiceBody(Body, frozen=True, kw_only=True):
    """The voice it speaks with."""

    provider: VoiceProvider
    voice_id: str
    stability: float = 0.5
    similarity_boost: float = 0.75
    style: float = 0.0
    use_speaker_boost: bool = True
    speed: float = 1.0


class LlmBody(Body, frozen=True, kw_only=True):
    """The model it thinks with. `baseUrl` belongs to `openai_compatible`."""

    provider: LlmProvider
    model: str
    temperature: float = 0.7
    max_tokens: int = 300
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    base_url: str | None = None


class TranscriptionBody(Body, frozen=True, kw_only=True):
    """The recogniser it hears with."""

    provider: TranscriptionProvider
    model: str | None = None
    language: str = "en-US"
    smart_format: bool = True
    punctuate: bool = True
    profanity_filter: bool = False


class SilenceDetectionBody(Body, frozen=True, kw_only=True):
    """What it says when nobody speaks."""

    enabled: bool = True
    timeout_seconds: int = 8
    message: str = "Are you still there?"


class EndpointingBody(Body, frozen=True, kw_only=True):
    """When a caller's turn counts as over."""

    provider: EndpointingProvider = EndpointingProvider.VAD
    silence_duration_ms: int = 700
    utterance_end_ms: int = 1000


class InterruptionBody(Body, frozen=True, kw_only=True):
    """Whether and how easily a caller may cut in."""

    enabled: bool = True
    sensitivity: Sensitivity = Sensitivity.MEDIUM


class VoicemailDetectionBody(Body, frozen=True, kw_only=True):
    """What to do when a machine answers."""

    enabled: bool = False
    action: VoicemailAction = VoicemailAction.LEAVE_MESSAGE
    message: str | None = None


class FillersBody(Body, frozen=True, kw_only=True):
    """What it says while a reply takes longer than `delayMs`. Without phrases, a few English ones of our own where English is spoken."""

    enabled: bool = True
    delay_ms: int = 2000
    phrases: tuple[str, ...] = ()


class RecordingBody(Body, frozen=True, kw_only=True):
    """Whether and how calls are recorded, and for how long recordings are kept."""

    enabled: bool = True
    format: RecordingFormat = RecordingFormat.MP3
    storage_retention_days: int = 90
    stereo: bool = False


class CostTrackingBody(Body, frozen=True, kw_only=True):
    """Whether conversations are priced."""

    enabled: bool = True
    currency: str = "USD"


class CustomFieldBody(Body, frozen=True, kw_only=True):
    """A field the analysis fills in."""

    name: str
    type: CustomFieldType
    options: tuple[str, ...] = ()


class AnalysisConfigBody(Body, frozen=True, kw_only=True):
    """What is worked out after a conversation."""

    enabled: bool = True
    sentiment_analysis: bool = True
    intent_detection: bool = True
    summary_enabled: bool = True
    custom_fields: tuple[CustomFieldBody, ...] = ()


class AgentBody(Body, frozen=True, kw_only=True):
    """An agent's configuration, as its owner writes it."""

    name: str
    persona: PersonaBody
    voice: VoiceBody
    llm: LlmBody
    transcription: TranscriptionBody
    system_prompt_template: str
    description: str | None = None
    first_message: str | None = None
    first_message_mode: FirstMessageMode = FirstMessageMode.ASSISTANT_SPEAKS_FIRST
    end_call_phrases: tuple[str, ...] = ()
    max_duration_seconds: int = 600
    max_idle_time_seconds: int = 15
    dtmf_enabled: bool = True
    hipaa_compliant: bool = False
    ai_disclosure_message: str | None = None
    silence_detection: SilenceDetectionBody = msgspec.field(default_factory=SilenceDetectionBody)
    endpointing: EndpointingBody = msgspec.field(default_factory=EndpointingBody)
    interruption: InterruptionBody = msgspec.field(default_factory=InterruptionBody)
    voicemail_detection: VoicemailDetectionBody = msgspec.field(default_factory=VoicemailDetectionBody)
    fillers: FillersBody = msgspec.field(default_factory=FillersBody)
    recording: RecordingBody = msgspec.field(default_factory=RecordingBody)
    cost_tracking: CostTrackingBody = msgspec.field(default_factory=CostTrackingBody)
    analysis_config: AnalysisConfigBody = msgspec.field(default_factory=AnalysisConfigBody)
    knowledge_base_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    variables: dict[str, Any] = msgspec.field(default_factory=dict)


class AgentView(View, frozen=True, kw_only=True):
    """An agent, whole."""

    id: str
    name: str
    description: str | None
    status: AgentStatus
    version: int
    published_version: int | None
    persona: PersonaBody
    voice: VoiceBody
    llm: LlmBody
    transcription: TranscriptionBody
    system_prompt_template: str
    first_message: str | None
    first_message_mode: FirstMessageMode
    end_call_phrases: tuple[str, ...]
    max_duration_seconds: int
    max_idle_time_seconds: int
    dtmf_enabled: bool
    hipaa_compliant: bool
    ai_disclosure_message: str | None
    silence_detection: SilenceDetectionBody
    endpointing: EndpointingBody
    interruption: InterruptionBody
    voicemail_detection: VoicemailDetectionBody
    fillers: FillersBody
    recording: RecordingBody
    cost_tracking: CostTrackingBody
    analysis_config: AnalysisConfigBody
    knowledge_base_ids: tuple[str, ...]
    tags: tuple[str, ...]
    variables: dict[str, Any]
    created_at: str
    updated_at: str

    @classmethod
    def of(cls, agent: Agent) -> "AgentView":
        """An agent as its owner reads it."""
        return cls(
            id=agent.id,
            status=agent.status,
            version=agent.version,
            published_version=agent.published_version,
            created_at=instant(agent.created_at),
            updated_at=instant(agent.updated_at),
            **msgspec.structs.asdict(_body(agent.config)),
        )


class DuplicateBody(Body, frozen=True, kw_only=True):
    """The name of the copy; without one, the original's with " (Copy)"."""

    name: str | None = None


class PublishBody(Body, frozen=True, kw_only=True):
    """Why this version goes into production."""

    notes: str | None = None


class VersionView(View, frozen=True, kw_only=True, omit_defaults=True):
    """One version in the list of an agent's versions."""

    version: int
    created_at: str
    created_by: str | None
    changes_summary: str
    published_at: str | None = None
    notes: str | None = None

    @classmethod
    def of(cls, version: AgentVersion) -> "VersionView":
        return cls(
            version=version.version,
            created_at=instant(version.created_at),
            created_by=version.created_by,
            changes_summary=version.changes_summary,
            published_at=_instant_or_none(version.published_at),
            notes=version.notes,
        )


class VersionList(View, frozen=True, kw_only=True):
    """An agent's versions, newest first."""

    data: tuple[VersionView, ...]


class VersionDetail(View, frozen=True, kw_only=True):
    """One version with the configuration it keeps."""

    agent_id: str
    version: int
    created_at: str
    created_by: str | None
    changes_summary: str
    published_at: str | None
    notes: str | None
    config: AgentBody

    @classmethod
    def of(cls, version: AgentVersion) -> "VersionDetail":
        return cls(
            agent_id=version.agent_id,
            version=version.version,
            created_at=instant(version.created_at),
            created_by=version.created_by,
            changes_summary=version.changes_summary,
            published_at=_instant_or_none(version.published_at),
            notes=version.notes,
            config=_body(version.config),
        )


def config_of(document: Any) -> AgentConfig:
    """The configuration that a create body means; null counts as absent. Raises Invalid with every wrong field."""
    return _checked(merged({}, document, opaque=_OPAQUE) if isinstance(document, dict) else document)


def patched(config: AgentConfig, patch: Any) -> AgentConfig:
    """`config` after a JSON merge patch. Raises Invalid with every wrong field."""
    current = msgspec.to_builtins(_body(config))
    return _checked(merged(current, patch, opaque=_OPAQUE) if isinstance(patch, dict) else patch)


def _checked(document: Any) -> AgentConfig:
    config = msgspec.convert(decode(AgentBody, document), AgentConfig, from_attributes=True)
    violations = domain.violations(config)
    if violations:
        raise Invalid(violations)
    return config


def _body(config: AgentConfig) -> AgentBody:
    return msgspec.convert(config, AgentBody, from_attributes=True)


def _instant_or_none(moment: datetime | None) -> str | None:
    return instant(moment) if moment else None
