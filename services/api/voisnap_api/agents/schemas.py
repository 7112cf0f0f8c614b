"""Agents on the wire. One class a part serves requests and answers; ranges are the domain's `agent_rules.violations`."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
from voisnap_domain.agent_rules import violations
from voisnap_domain.agents import (
    Agent,
    AgentConfig,
    AgentStatus,
    Alphabet,
    BackgroundSound,
    CustomFieldType,
    EndpointingProvider,
    FirstMessageMode,
    LlmProvider,
    ParameterType,
    RecordingFormat,
    Sensitivity,
    ToolType,
    TranscriptionProvider,
    VoicemailAction,
    VoiceProvider,
)
from voisnap_domain.calls import TransferAcceptance, TransferMode
from voisnap_domain.errors import FieldError, Invalid
from voisnap_kit.validation import faults

from voisnap_api.conversations.records import Stats
from voisnap_api.wire import Body, View, instant, merged

from .changes import Change
from .records import AgentVersion

_OPAQUE = frozenset({"variables"})
_NO_CHANNELS = {"phone": 0, "webrtc": 0, "webchat": 0}
_NO_OUTCOMES = {"resolved": 0, "escalated": 0, "abandoned": 0}
_SMALLEST: dict[str, Any] = {
    "name": "x",
    "persona": {"name": "x"},
    "voice": {"provider": "local", "voiceId": "x"},
    "llm": {"provider": "local", "model": "x"},
    "transcription": {"provider": "local"},
    "systemPromptTemplate": "x",
}
"""What stands for required fields that are missing or of another type, so that the rules can judge the rest."""


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
    """What to do when a machine answers a call of the agent's."""

    enabled: bool = True
    action: VoicemailAction = VoicemailAction.LEAVE_MESSAGE
    message: str | None = None


class FillersBody(Body, frozen=True, kw_only=True):
    """What it says while a reply takes longer than `delayMs`. Without phrases, a few English ones of our own where English is spoken."""

    enabled: bool = True
    delay_ms: int = 2000
    phrases: tuple[str, ...] = ()


class RecordingBody(Body, frozen=True, kw_only=True):
    """Whether and how calls are recorded, and for how long recordings are kept. `afterTransfer`: the carrier records what is said after a
    telephone call was handed over to somebody, which does not pass through Voisnap any more; whoever takes the call must know that."""

    enabled: bool = True
    format: RecordingFormat = RecordingFormat.MP3
    storage_retention_days: int = 90
    stereo: bool = False
    after_transfer: bool = False


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


class ToolParameterBody(Body, frozen=True, kw_only=True):
    """One argument of a tool. With a `source` (`caller_phone_number`) the platform fills it in, else the model does."""

    name: str
    type: ParameterType = ParameterType.STRING
    description: str | None = None
    required: bool = False
    source: str | None = None


class ToolBody(Body, frozen=True, kw_only=True):
    """Something the agent may call. `config` of a `rest_api`: `url`, `method`, `headers`, `queryParams`, with `{{parameter}}` in the values.
    `responseMapping`: which parts of the answer the model sees, by JSONPath."""

    name: str
    description: str
    type: ToolType
    config: dict[str, Any] = msgspec.field(default_factory=dict)
    parameters: tuple[ToolParameterBody, ...] = ()
    response_mapping: dict[str, str] = msgspec.field(default_factory=dict)


class ChannelSettingsBody(Body, frozen=True, kw_only=True):
    """What is different on one channel; null leaves it as it is elsewhere. A channel that is not enabled refuses sessions. `idleMinutes`, on
    sms, whatsapp and telegram, is how long a conversation waits for the next message: 60 minutes, on whatsapp 24 hours, where it is null."""

    enabled: bool = True
    first_message: str | None = None
    system_prompt_append: str | None = None
    max_duration_seconds: int | None = None
    idle_minutes: int | None = None


class ChannelsBody(Body, frozen=True, kw_only=True):
    """What is different where."""

    phone: ChannelSettingsBody = msgspec.field(default_factory=ChannelSettingsBody)
    webrtc: ChannelSettingsBody = msgspec.field(default_factory=ChannelSettingsBody)
    webchat: ChannelSettingsBody = msgspec.field(default_factory=ChannelSettingsBody)
    sms: ChannelSettingsBody = msgspec.field(default_factory=ChannelSettingsBody)
    whatsapp: ChannelSettingsBody = msgspec.field(default_factory=ChannelSettingsBody)
    telegram: ChannelSettingsBody = msgspec.field(default_factory=ChannelSettingsBody)


class FallbacksBody(Body, frozen=True, kw_only=True):
    """Who takes over when a provider fails, in this order."""

    llm: tuple[LlmBody, ...] = ()
    voice: tuple[VoiceBody, ...] = ()
    transcription: tuple[TranscriptionBody, ...] = ()


class TransferTargetBody(Body, frozen=True, kw_only=True):
    """Somebody a call can be passed on to: either a `phoneNumber` (E.164) or a `sipUri`. Without a `mode` that of `transfer` counts."""

    name: str
    description: str | None = None
    phone_number: str | None = None
    sip_uri: str | None = None
    mode: TransferMode | None = None


class TransferBody(Body, frozen=True, kw_only=True):
    """Who calls can be passed on to, and how: `cold` hands the caller over at once, with `warm` somebody answers, hears what it is about and
    takes the call, by a key or a spoken yes (`acceptance: confirm`) or by staying on the line (`stay`); else the caller is back with the
    agent. `ringSeconds`: how long it may ring."""

    targets: tuple[TransferTargetBody, ...] = ()
    mode: TransferMode = TransferMode.COLD
    acceptance: TransferAcceptance = TransferAcceptance.CONFIRM
    ring_seconds: int = 30


class WidgetBody(Body, frozen=True, kw_only=True):
    """The agent on web pages: from which origins it may be called, and how it looks."""

    allowed_origins: tuple[str, ...] = ()
    theme: dict[str, Any] = msgspec.field(default_factory=dict)
    ui_config: dict[str, Any] = msgspec.field(default_factory=dict)


class WidgetView(View, frozen=True, kw_only=True):
    """The agent on web pages. `agentKey` is what a page names it by; it is made by us and no secret."""

    agent_key: str
    allowed_origins: tuple[str, ...]
    theme: dict[str, Any]
    ui_config: dict[str, Any]


class PronunciationBody(Body, frozen=True, kw_only=True):
    """How a word or phrase is spoken."""

    text: str
    pronunciation: str
    alphabet: Alphabet = Alphabet.RESPELLING


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
    tools: tuple[ToolBody, ...] = ()
    channels: ChannelsBody = msgspec.field(default_factory=ChannelsBody)
    fallbacks: FallbacksBody = msgspec.field(default_factory=FallbacksBody)
    transfer: TransferBody = msgspec.field(default_factory=TransferBody)
    widget: WidgetBody = msgspec.field(default_factory=WidgetBody)
    pronunciations: tuple[PronunciationBody, ...] = ()
    background_sound: BackgroundSound = BackgroundSound.NONE


class AgentWarning(View, frozen=True, kw_only=True):
    """Something about a saved agent that will probably not work: a JSON pointer, a stable code, a sentence."""

    pointer: str
    code: str
    detail: str


class AgentView(View, frozen=True, kw_only=True):
    """An agent, whole. `warnings` name models and voices that are not in the catalogue, providers without access and targets of transfers that
    calls may not go to; lists leave them out."""

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
    tools: tuple[ToolBody, ...]
    channels: ChannelsBody
    fallbacks: FallbacksBody
    transfer: TransferBody
    widget: WidgetView
    pronunciations: tuple[PronunciationBody, ...]
    background_sound: BackgroundSound
    created_at: str
    updated_at: str
    warnings: tuple[AgentWarning, ...] | msgspec.UnsetType = msgspec.UNSET

    @classmethod
    def of(cls, agent: Agent, warnings: tuple[FieldError, ...] | None = None) -> "AgentView":
        """An agent as its owner reads it; as it was just saved, with what was noticed about it."""
        parts = msgspec.structs.asdict(_body(agent.config))
        widget = msgspec.structs.asdict(parts.pop("widget"))
        return cls(
            id=agent.id,
            status=agent.status,
            version=agent.version,
            published_version=agent.published_version,
            created_at=instant(agent.created_at),
            updated_at=instant(agent.updated_at),
            widget=WidgetView(agent_key=agent.widget_key, **widget),
            warnings=msgspec.UNSET if warnings is None else tuple(_warning(one) for one in warnings),
            **parts,
        )


def _warning(fault: FieldError) -> AgentWarning:
    return AgentWarning(pointer=fault.pointer, code=fault.code, detail=fault.detail)


class DuplicateBody(Body, frozen=True, kw_only=True):
    """The name of the copy; without one, the original's with " (Copy)"."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"\S")] | None = None


class PublishBody(Body, frozen=True, kw_only=True):
    """Why this version goes into production."""

    notes: Annotated[str, msgspec.Meta(max_length=2000)] | None = None


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


class StatsPeriod(View, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    """The period as it was asked for; without dates, from the agent's first day until today."""

    start: str
    end: str


class AgentStats(View, frozen=True, kw_only=True):
    """What came of an agent's conversations in a period. The breakdowns count conversations and add up to the total; those that have no
    outcome are `unknown`. Durations count conversations that have ended."""

    agent_id: str
    period: StatsPeriod
    total_conversations: int
    total_duration_seconds: int
    avg_duration_seconds: int
    total_cost_usd: float
    avg_cost_usd_per_conversation: float
    channel_breakdown: dict[str, int]
    outcome_breakdown: dict[str, int]
    avg_sentiment_score: float | None

    @classmethod
    def of(cls, agent: Agent, stats: Stats, *, start: str | None, end: str | None, today: date) -> "AgentStats":
        count, timed = stats.conversations, stats.timed
        outcomes = _NO_OUTCOMES | stats.by_outcome
        unknown = count - sum(outcomes.values())
        return cls(
            agent_id=agent.id,
            period=StatsPeriod(
                start=start or agent.created_at.astimezone(UTC).date().isoformat(), end=end or today.isoformat()
            ),
            total_conversations=count,
            total_duration_seconds=round(stats.duration_seconds),
            avg_duration_seconds=round(stats.duration_seconds / timed) if timed else 0,
            total_cost_usd=round(float(stats.cost_usd), 6),
            avg_cost_usd_per_conversation=round(float(stats.cost_usd) / count, 6) if count else 0.0,
            channel_breakdown=_NO_CHANNELS | stats.by_channel,
            outcome_breakdown=outcomes | ({"unknown": unknown} if unknown else {}),
            avg_sentiment_score=None if stats.sentiment_score is None else round(stats.sentiment_score, 2),
        )


class ChangeView(View, frozen=True, kw_only=True):
    """One member that differs: its JSON pointer in `config`, and its value in either version; null where it is not set."""

    path: str
    old: Any
    new: Any


class ComparisonView(View, frozen=True, kw_only=True):
    """What differs between two versions of an agent."""

    agent_id: str
    from_version: int
    to_version: int
    changes_summary: str
    changes: tuple[ChangeView, ...]

    @classmethod
    def of(cls, old: AgentVersion, new: AgentVersion, *, changes: tuple[Change, ...], summary: str) -> "ComparisonView":
        return cls(
            agent_id=new.agent_id,
            from_version=old.version,
            to_version=new.version,
            changes_summary=summary,
            changes=tuple(ChangeView(path=change.path, old=change.old, new=change.new) for change in changes),
        )


def config_of(document: Any) -> AgentConfig:
    """The configuration that a create body means; null counts as absent. Raises Invalid with every wrong field."""
    document = _without_warnings(document)
    return _checked(merged({}, document, opaque=_OPAQUE) if isinstance(document, dict) else document)


def patched(agent: Agent, patch: Any) -> AgentConfig:
    """The agent's configuration after a JSON merge patch. Raises Invalid with every wrong field.

    A patch may repeat the agent's own `widget.agentKey` and its `warnings`, as somebody does who sends back what he read.
    """
    patch = _without_warnings(patch)
    current = document_of(agent.config)
    widget = patch.get("widget") if isinstance(patch, dict) else None
    if isinstance(widget, dict) and widget.get("agentKey") == agent.widget_key:
        patch = {**patch, "widget": {name: value for name, value in widget.items() if name != "agentKey"}}
    return _checked(merged(current, patch, opaque=_OPAQUE) if isinstance(patch, dict) else patch)


def _without_warnings(document: Any) -> Any:
    """A body without the warnings that came with an answer."""
    if isinstance(document, dict) and isinstance(document.get("warnings"), list):
        return {name: value for name, value in document.items() if name != "warnings"}
    return document


def document_of(config: AgentConfig) -> dict[str, Any]:
    """A configuration as JSON, in the spelling of the wire."""
    return msgspec.to_builtins(_body(config))


def _checked(document: Any) -> AgentConfig:
    wrong = faults(AgentBody, document)
    if wrong:
        raise Invalid((*wrong, *_further_faults(document, wrong)))
    config = _config(document)
    broken = violations(config)
    if broken:
        raise Invalid(broken)
    return config


_MOST_FAULTS = 200
"""Faults of shape beyond which rules are not looked at: each fault taken out is another copy of the document."""


def _further_faults(document: Any, wrong: tuple[FieldError, ...]) -> tuple[FieldError, ...]:
    """Which rules are broken in what is of the right type; none of a document that has hardly anything right."""
    if not isinstance(document, dict) or len(wrong) > _MOST_FAULTS:
        return ()
    sound: Any = document
    for fault in wrong:
        sound = _without(sound, _SMALLEST, fault.pointer.split("/")[1:])
    if faults(AgentBody, sound):  # then it is better to say less than to say something wrong
        return ()
    told = tuple(fault.pointer for fault in wrong)
    return tuple(
        broken
        for broken in violations(_config(sound))
        if not any(broken.pointer == pointer or broken.pointer.startswith(f"{pointer}/") for pointer in told)
    )


def _without(value: Any, smallest: Any, path: list[str]) -> Any:
    """An object without what is at a path, or with the smallest thing that can be there; a list on the way goes as a whole."""
    name, *deeper = path
    name = name.replace("~1", "/").replace("~0", "~")
    least = smallest.get(name) if isinstance(smallest, dict) else None
    rest = {member: part for member, part in value.items() if member != name}
    if deeper and isinstance(value.get(name), dict):
        return {**rest, name: _without(value[name], least, deeper)}
    return rest if least is None else {**rest, name: least}


def _config(document: Any) -> AgentConfig:
    return msgspec.convert(msgspec.convert(document, AgentBody), AgentConfig, from_attributes=True)


def _body(config: AgentConfig) -> AgentBody:
    return msgspec.convert(config, AgentBody, from_attributes=True)


def _instant_or_none(moment: datetime | None) -> str | None:
    return instant(moment) if moment else None
