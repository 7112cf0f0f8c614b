"""What an agent is: persona, voice, model, transcription and behaviour.

Field names are the seed's in snake_case; defaults are those of the seed's agent object where it gives no other (decisions, "Agents").
Ranges are checked by `agent_rules.violations`, so that every wrong field is reported at once.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from .calls import TransferAcceptance, TransferMode
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


class ToolType(StrEnum):
    REST_API = "rest_api"
    SALESFORCE = "salesforce"
    HUBSPOT = "hubspot"
    SHOPIFY = "shopify"
    GOOGLE_CALENDAR = "google_calendar"


class ParameterType(StrEnum):
    """Types of JSON Schema that a tool's parameter may have."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    ARRAY = "array"
    OBJECT = "object"


class Alphabet(StrEnum):
    """How a pronunciation is written: as other words, or in the International Phonetic Alphabet."""

    RESPELLING = "respelling"
    IPA = "ipa"


class BackgroundSound(StrEnum):
    NONE = "none"
    OFFICE = "office"
    CAFE = "cafe"
    CALL_CENTER = "call_center"


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
    enabled: bool = True
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
    after_transfer: bool = False
    """The carrier records what is said after a call was handed over, for it passes through us no more."""


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


class ToolParameter(msgspec.Struct, frozen=True, kw_only=True):
    """One argument of a tool. With a `source` (`caller_phone_number`) the platform fills it in, else the model does."""

    name: str
    type: ParameterType = ParameterType.STRING
    description: str | None = None
    required: bool = False
    source: str | None = None


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """Something the agent may call. `config` depends on the type: of `rest_api` it has `url`, `method`, `headers`, `queryParams`.
    `response_mapping` names the parts of the answer that the model sees, by JSONPath."""

    name: str
    description: str
    type: ToolType
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    parameters: tuple[ToolParameter, ...] = ()
    response_mapping: dict[str, str] = msgspec.field(default_factory=dict)


class ChannelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is different on one channel; None leaves it as it is elsewhere. `idle_minutes`, on messaging networks alone, is how long a
    conversation waits for the next message (`messaging.IDLE_MINUTES` where it is None)."""

    enabled: bool = True
    first_message: str | None = None
    system_prompt_append: str | None = None
    max_duration_seconds: int | None = None
    idle_minutes: int | None = None


class Channels(msgspec.Struct, frozen=True, kw_only=True):
    """Named as `sessions.Channel` values are."""

    phone: ChannelSettings = msgspec.field(default_factory=ChannelSettings)
    webrtc: ChannelSettings = msgspec.field(default_factory=ChannelSettings)
    webchat: ChannelSettings = msgspec.field(default_factory=ChannelSettings)
    sms: ChannelSettings = msgspec.field(default_factory=ChannelSettings)
    whatsapp: ChannelSettings = msgspec.field(default_factory=ChannelSettings)
    telegram: ChannelSettings = msgspec.field(default_factory=ChannelSettings)


class Fallbacks(msgspec.Struct, frozen=True, kw_only=True):
    """Who takes over when a provider fails, in this order."""

    llm: tuple[Llm, ...] = ()
    voice: tuple[Voice, ...] = ()
    transcription: tuple[Transcription, ...] = ()


class TransferTarget(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody a call can be passed on to: a number (E.164) or a SIP address."""

    name: str
    description: str | None = None
    phone_number: str | None = None
    sip_uri: str | None = None
    mode: TransferMode | None = None

    @property
    def address(self) -> str:
        """What a carrier dials."""
        return self.phone_number or self.sip_uri or ""


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """How calls are passed on, to whom. `mode` is that of targets without one; `acceptance` is how somebody takes a warm one."""

    targets: tuple[TransferTarget, ...] = ()
    mode: TransferMode = TransferMode.COLD
    acceptance: TransferAcceptance = TransferAcceptance.CONFIRM
    ring_seconds: int = 30


class Widget(msgspec.Struct, frozen=True, kw_only=True):
    """The agent on web pages: from which origins it may be called, and how it looks."""

    allowed_origins: tuple[str, ...] = ()
    theme: dict[str, Any] = msgspec.field(default_factory=dict)
    ui_config: dict[str, Any] = msgspec.field(default_factory=dict)


class Pronunciation(msgspec.Struct, frozen=True, kw_only=True):
    """How a word or phrase is spoken."""

    text: str
    pronunciation: str
    alphabet: Alphabet = Alphabet.RESPELLING


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
    tools: tuple[Tool, ...] = ()
    channels: Channels = msgspec.field(default_factory=Channels)
    fallbacks: Fallbacks = msgspec.field(default_factory=Fallbacks)
    transfer: Transfer = msgspec.field(default_factory=Transfer)
    widget: Widget = msgspec.field(default_factory=Widget)
    pronunciations: tuple[Pronunciation, ...] = ()
    background_sound: BackgroundSound = BackgroundSound.NONE

    def on(self, channel: str) -> "AgentConfig":
        """The configuration as it counts on one channel: with that channel's first message, addition to the prompt and duration."""
        wanted: ChannelSettings = getattr(self.channels, channel)
        prompt = self.system_prompt_template
        return msgspec.structs.replace(
            self,
            first_message=self.first_message if wanted.first_message is None else wanted.first_message,
            system_prompt_template=f"{prompt}\n\n{wanted.system_prompt_append}"
            if wanted.system_prompt_append
            else prompt,
            max_duration_seconds=wanted.max_duration_seconds or self.max_duration_seconds,
        )

    def serves(self, channel: str) -> bool:
        """Whether the agent is to be reached on a channel."""
        settings: ChannelSettings = getattr(self.channels, channel)
        return settings.enabled


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as its owner sees it. `version` rises by one with every PATCH. `widget_key` is what web pages name it by; it is no secret."""

    id: AgentId
    tenant_id: TenantId
    environment: Environment
    status: AgentStatus
    version: int
    published_version: int | None
    config: AgentConfig
    widget_key: str
    created_at: datetime
    updated_at: datetime

    def configured(self, config: AgentConfig, *, at: datetime) -> "Agent":
        """The agent with another configuration, or the same one again: the next version."""
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
