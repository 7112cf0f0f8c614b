"""What an agent is: persona, voice, model, transcription and behaviour.

Field names are the seed's in snake_case; defaults are those of the seed's agent object where it gives no other (decisions, "Agents").
Ranges are checked by `violations`, so that every wrong field is reported at once.
"""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from .errors import FieldError
from .ids import AgentId, TenantId
from .tenants import Environment


class AgentStatus(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    INACTIVE = "inactive"


class FirstMessageMode(StrEnum):
    ASSISTANT_SPEAKS_FIRST = "assistant_speaks_first"
    WAIT_FOR_USER = "wait_for_user"


class EndpointingProvider(StrEnum):
    VAD = "vad"
    STT = "stt"
    SEMANTIC = "semantic"


class Sensitivity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class VoicemailAction(StrEnum):
    HANG_UP = "hang_up"
    LEAVE_MESSAGE = "leave_message"
    CONTINUE = "continue"


class RecordingFormat(StrEnum):
    MP3 = "mp3"
    WAV = "wav"
    OGG = "ogg"


class VoiceProvider(StrEnum):
    ELEVENLABS = "elevenlabs"
    GOOGLE = "google"
    AWS = "aws"
    AZURE = "azure"
    LOCAL = "local"
    SCRIPTED = "scripted"


class LlmProvider(StrEnum):
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GOOGLE = "google"
    COHERE = "cohere"
    OPENAI_COMPATIBLE = "openai_compatible"
    LOCAL = "local"
    SCRIPTED = "scripted"


class TranscriptionProvider(StrEnum):
    DEEPGRAM = "deepgram"
    ASSEMBLYAI = "assemblyai"
    GOOGLE = "google"
    AWS = "aws"
    AZURE = "azure"
    LOCAL = "local"
    SCRIPTED = "scripted"


class CustomFieldType(StrEnum):
    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    ENUM = "enum"
    DATE = "date"


class Persona(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    personality: str | None = None
    role: str | None = None


class Voice(msgspec.Struct, frozen=True, kw_only=True):
    provider: VoiceProvider
    voice_id: str
    stability: float = 0.5
    similarity_boost: float = 0.75
    style: float = 0.0
    use_speaker_boost: bool = True
    speed: float = 1.0


class Llm(msgspec.Struct, frozen=True, kw_only=True):
    provider: LlmProvider
    model: str
    temperature: float = 0.7
    max_tokens: int = 300
    top_p: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    base_url: str | None = None


class Transcription(msgspec.Struct, frozen=True, kw_only=True):
    provider: TranscriptionProvider
    model: str | None = None
    language: str = "en-US"
    smart_format: bool = True
    punctuate: bool = True
    profanity_filter: bool = False


class SilenceDetection(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = True
    timeout_seconds: int = 8
    message: str = "Are you still there?"


class Endpointing(msgspec.Struct, frozen=True, kw_only=True):
    provider: EndpointingProvider = EndpointingProvider.VAD
    silence_duration_ms: int = 700
    utterance_end_ms: int = 1000


class Interruption(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = True
    sensitivity: Sensitivity = Sensitivity.MEDIUM


class VoicemailDetection(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = False
    action: VoicemailAction = VoicemailAction.LEAVE_MESSAGE
    message: str | None = None


class Fillers(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent says while a reply takes longer than `delay_ms`. Without phrases, a few of our own where the language is English."""

    enabled: bool = True
    delay_ms: int = 2000
    phrases: tuple[str, ...] = ()


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = True
    format: RecordingFormat = RecordingFormat.MP3
    storage_retention_days: int = 90
    stereo: bool = False


class CostTracking(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = True
    currency: str = "USD"


class CustomField(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    type: CustomFieldType
    options: tuple[str, ...] = ()


class AnalysisConfig(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool = True
    sentiment_analysis: bool = True
    intent_detection: bool = True
    summary_enabled: bool = True
    custom_fields: tuple[CustomField, ...] = ()


class AgentConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about an agent that a version keeps: what the owner writes, without identity, status and counters."""

    name: str
    persona: Persona
    voice: Voice
    llm: Llm
    transcription: Transcription
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
    silence_detection: SilenceDetection = msgspec.field(default_factory=SilenceDetection)
    endpointing: Endpointing = msgspec.field(default_factory=Endpointing)
    interruption: Interruption = msgspec.field(default_factory=Interruption)
    voicemail_detection: VoicemailDetection = msgspec.field(default_factory=VoicemailDetection)
    fillers: Fillers = msgspec.field(default_factory=Fillers)
    recording: Recording = msgspec.field(default_factory=Recording)
    cost_tracking: CostTracking = msgspec.field(default_factory=CostTracking)
    analysis_config: AnalysisConfig = msgspec.field(default_factory=AnalysisConfig)
    knowledge_base_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    variables: dict[str, Any] = msgspec.field(default_factory=dict)


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as its owner sees it. `version` rises by one with every change of its configuration."""

    id: AgentId
    tenant_id: TenantId
    environment: Environment
    status: AgentStatus
    version: int
    published_version: int | None
    config: AgentConfig
    created_at: datetime
    updated_at: datetime

    def configured(self, config: AgentConfig, *, at: datetime) -> "Agent":
        """The agent with another configuration: the next version, or itself when nothing changed."""
        if config == self.config:
            return self
        return msgspec.structs.replace(self, config=config, version=self.version + 1, updated_at=at)

    def activated(self, *, at: datetime) -> "Agent":
        """The agent, taking calls."""
        return msgspec.structs.replace(self, status=AgentStatus.ACTIVE, updated_at=at)

    def deactivated(self, *, at: datetime) -> "Agent":
        """The agent, refusing new calls; calls in progress go on."""
        return msgspec.structs.replace(self, status=AgentStatus.INACTIVE, updated_at=at)


class AgentSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The version of an agent that talks in one session, whole, so that the runtime needs no database."""

    agent_id: AgentId
    version: int
    config: AgentConfig


MAX_FILLERS = 20
MAX_FILLER_CHARS = 200

_RANGES: tuple[tuple[str, float, float], ...] = (
    ("voice.stability", 0, 1),
    ("voice.similarity_boost", 0, 1),
    ("voice.style", 0, 1),
    ("voice.speed", 0.5, 2),
    ("llm.temperature", 0, 2),
    ("llm.top_p", 0, 1),
    ("llm.frequency_penalty", -2, 2),
    ("llm.presence_penalty", -2, 2),
    ("llm.max_tokens", 1, 4096),
    ("max_duration_seconds", 30, 3600),
    ("max_idle_time_seconds", 5, 60),
    ("silence_detection.timeout_seconds", 1, 60),
    ("endpointing.silence_duration_ms", 100, 5000),
    ("endpointing.utterance_end_ms", 300, 10000),
    ("fillers.delay_ms", 500, 10000),
    ("recording.storage_retention_days", 1, 3650),
)

_LENGTHS: tuple[tuple[str, int, int], ...] = (
    ("name", 1, 100),
    ("description", 0, 2000),
    ("persona.name", 1, 100),
    ("persona.personality", 0, 1000),
    ("persona.role", 0, 200),
    ("voice.voice_id", 1, 200),
    ("llm.model", 1, 200),
    ("system_prompt_template", 1, 100_000),
    ("first_message", 0, 2000),
    ("ai_disclosure_message", 0, 2000),
    ("voicemail_detection.message", 0, 2000),
    ("silence_detection.message", 0, 500),
)


def violations(config: AgentConfig) -> tuple[FieldError, ...]:
    """Every field of `config` that is out of its documented range, as camelCase JSON pointers."""
    return (*_range_errors(config), *_length_errors(config), *_filler_errors(config), *_custom_field_errors(config))


def _range_errors(config: AgentConfig) -> Iterator[FieldError]:
    ranges = {path: (low, high) for path, low, high in _RANGES}
    if config.voice.provider is VoiceProvider.ELEVENLABS:
        ranges["voice.speed"] = (0.7, 1.2)
    for path, (low, high) in ranges.items():
        value = _at(config, path)
        if value is not None and not low <= value <= high:
            yield FieldError(
                pointer=_pointer(path), code="out-of-range", detail=f"must be between {low:g} and {high:g}"
            )


def _length_errors(config: AgentConfig) -> Iterator[FieldError]:
    for path, shortest, longest in _LENGTHS:
        value = _at(config, path)
        if value is not None and not shortest <= len(value.strip() if shortest else value) <= longest:
            detail = (
                f"must have {shortest} to {longest} characters"
                if shortest
                else f"must have at most {longest} characters"
            )
            yield FieldError(pointer=_pointer(path), code="bad-length", detail=detail)


def _filler_errors(config: AgentConfig) -> Iterator[FieldError]:
    if len(config.fillers.phrases) > MAX_FILLERS:
        yield FieldError(
            pointer="/fillers/phrases", code="bad-length", detail=f"must have at most {MAX_FILLERS} phrases"
        )
    for index, phrase in enumerate(config.fillers.phrases):
        if not 1 <= len(phrase.strip()) <= MAX_FILLER_CHARS:
            yield FieldError(
                pointer=f"/fillers/phrases/{index}",
                code="bad-length",
                detail=f"must have 1 to {MAX_FILLER_CHARS} characters",
            )


def _custom_field_errors(config: AgentConfig) -> Iterator[FieldError]:
    for index, field in enumerate(config.analysis_config.custom_fields):
        if field.type is CustomFieldType.ENUM and not field.options:
            yield FieldError(
                pointer=f"/analysisConfig/customFields/{index}/options",
                code="required",
                detail="an enum needs its options",
            )


def _at(config: AgentConfig, path: str) -> Any:
    value: Any = config
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _pointer(path: str) -> str:
    return "/" + "/".join(camel(name) for name in path.split("."))


def camel(name: str) -> str:
    """`silence_duration_ms` → `silenceDurationMs`, the spelling of the wire."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
