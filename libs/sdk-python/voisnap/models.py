"""What the API answers, as typed results. Generated from the OpenAPI document; do not edit."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ._wire import Result

__all__ = [
    "Actor",
    "Agent",
    "AgentSettings",
    "AgentStats",
    "AgentWarning",
    "Analysis",
    "AnalysisConfig",
    "AnalysisCost",
    "AnalysisState",
    "AnalysisSummary",
    "ApiKey",
    "AssertionOptions",
    "AuditEntry",
    "AvailableNumber",
    "AvailableNumbers",
    "BatchRefusal",
    "BatchResult",
    "CallSettings",
    "Caller",
    "CallingDay",
    "CallingHours",
    "Change",
    "Channel",
    "ChannelConnectionSettings",
    "ChannelSettings",
    "ChannelWebhook",
    "Channels",
    "Comparison",
    "Contact",
    "ContactIdentity",
    "ContactOptOut",
    "Conversation",
    "ConversationTranscript",
    "Cors",
    "Cost",
    "CostBreakdown",
    "CostLeg",
    "CostTracking",
    "Costs",
    "CredentialTest",
    "CustomField",
    "Difference",
    "DoNotCall",
    "DoNotCallImported",
    "Endpointing",
    "Entity",
    "Environment",
    "Factors",
    "Failure",
    "Fallbacks",
    "Fillers",
    "HubToken",
    "IceServer",
    "Interruption",
    "Invitation",
    "LineUsage",
    "Llm",
    "LlmCost",
    "Login",
    "Mail",
    "Message",
    "MessageMedia",
    "MessagePrice",
    "MessageTemplate",
    "Messages",
    "MfaRequired",
    "Model",
    "NewApiKey",
    "NewPasskey",
    "NumberVerification",
    "Origination",
    "OutboundBatch",
    "OutboundCall",
    "Passkey",
    "PasskeyOptions",
    "Permissions",
    "Persona",
    "Price",
    "Probe",
    "Pronunciation",
    "ProviderCredential",
    "RecordingLink",
    "RecordingPart",
    "RecordingSettings",
    "RecordingState",
    "RecoveryCodes",
    "ReopenTemplate",
    "SearchWarning",
    "Sent",
    "SentMessage",
    "SentimentBreakdown",
    "SilenceDetection",
    "SipTrunk",
    "StatsPeriod",
    "SttCost",
    "Target",
    "TelephonyCost",
    "TelephonyNumber",
    "TelephonyUsage",
    "Test",
    "TestStarted",
    "Tool",
    "ToolParameter",
    "Totp",
    "Transcription",
    "Transfer",
    "TransferSettings",
    "TransferStarted",
    "TransferTarget",
    "Transfers",
    "TrunkCredentials",
    "TrunkPart",
    "TrunkTest",
    "TtsCost",
    "Turn",
    "User",
    "Version",
    "VersionDetail",
    "VersionList",
    "Voice",
    "VoiceSettings",
    "VoicemailDetection",
    "WebRtcSession",
    "Widget",
    "WidgetSettings",
    "Word",
]


@dataclass(frozen=True, kw_only=True)
class Actor(Result):
    """`Actor` of the API."""

    id: str | None
    type: str


@dataclass(frozen=True, kw_only=True)
class Agent(Result):
    """`Agent` of the API."""

    ai_disclosure_message: str | None
    analysis_config: "AnalysisConfig"
    background_sound: str
    channels: "Channels"
    cost_tracking: "CostTracking"
    created_at: datetime
    description: str | None
    dtmf_enabled: bool
    end_call_phrases: tuple[str, ...]
    endpointing: "Endpointing"
    fallbacks: "Fallbacks"
    fillers: "Fillers"
    first_message: str | None
    first_message_mode: str
    hipaa_compliant: bool
    id: str
    interruption: "Interruption"
    knowledge_base_ids: tuple[str, ...]
    llm: "Llm"
    max_duration_seconds: int
    max_idle_time_seconds: int
    name: str
    persona: "Persona"
    pronunciations: "tuple[Pronunciation, ...]"
    published_version: int | None
    recording: "RecordingSettings"
    silence_detection: "SilenceDetection"
    status: str
    system_prompt_template: str
    tags: tuple[str, ...]
    tools: "tuple[Tool, ...]"
    transcription: "Transcription"
    transfer: "TransferSettings"
    updated_at: datetime
    variables: dict[str, Any]
    version: int
    voice: "VoiceSettings"
    voicemail_detection: "VoicemailDetection"
    warnings: "tuple[AgentWarning, ...]"
    widget: "Widget"


@dataclass(frozen=True, kw_only=True)
class AgentSettings(Result):
    """`AgentSettings` of the API."""

    ai_disclosure_message: str | None
    analysis_config: "AnalysisConfig"
    background_sound: str
    channels: "Channels"
    cost_tracking: "CostTracking"
    description: str | None
    dtmf_enabled: bool
    end_call_phrases: tuple[str, ...]
    endpointing: "Endpointing"
    fallbacks: "Fallbacks"
    fillers: "Fillers"
    first_message: str | None
    first_message_mode: str
    hipaa_compliant: bool
    interruption: "Interruption"
    knowledge_base_ids: tuple[str, ...]
    llm: "Llm"
    max_duration_seconds: int
    max_idle_time_seconds: int
    name: str
    persona: "Persona"
    pronunciations: "tuple[Pronunciation, ...]"
    recording: "RecordingSettings"
    silence_detection: "SilenceDetection"
    system_prompt_template: str
    tags: tuple[str, ...]
    tools: "tuple[Tool, ...]"
    transcription: "Transcription"
    transfer: "TransferSettings"
    variables: dict[str, Any]
    voice: "VoiceSettings"
    voicemail_detection: "VoicemailDetection"
    widget: "WidgetSettings"


@dataclass(frozen=True, kw_only=True)
class AgentStats(Result):
    """`AgentStats` of the API."""

    agent_id: str
    avg_cost_usd_per_conversation: float
    avg_duration_seconds: int
    avg_sentiment_score: float | None
    channel_breakdown: dict[str, int]
    outcome_breakdown: dict[str, int]
    period: "StatsPeriod"
    total_conversations: int
    total_cost_usd: float
    total_duration_seconds: int


@dataclass(frozen=True, kw_only=True)
class AgentWarning(Result):
    """`AgentWarning` of the API."""

    code: str
    detail: str
    pointer: str


@dataclass(frozen=True, kw_only=True)
class Analysis(Result):
    """`Analysis` of the API."""

    agent_performance_notes: str
    call_quality_score: float
    completed_at: datetime
    conversation_id: str
    cost: "AnalysisCost | None"
    custom_fields: dict[str, Any]
    entities: "tuple[Entity, ...]"
    intent: str | None
    method: str
    sentiment: str | None
    sentiment_breakdown: "SentimentBreakdown | None"
    sentiment_score: float | None
    summary: str | None
    topics: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AnalysisConfig(Result):
    """`AnalysisConfig` of the API."""

    custom_fields: "tuple[CustomField, ...]"
    enabled: bool
    intent_detection: bool
    sentiment_analysis: bool
    summary_enabled: bool


@dataclass(frozen=True, kw_only=True)
class AnalysisCost(Result):
    """`AnalysisCost` of the API."""

    input_tokens: int
    model: str
    output_tokens: int
    provider: str
    usd: float


@dataclass(frozen=True, kw_only=True)
class AnalysisState(Result):
    """`AnalysisState` of the API."""

    conversation_id: str
    requested_at: datetime
    status: str


@dataclass(frozen=True, kw_only=True)
class AnalysisSummary(Result):
    """`AnalysisSummary` of the API."""

    custom_fields: dict[str, Any]
    intent: str | None
    sentiment: str | None
    sentiment_score: float | None
    summary: str | None
    outcome: str | None = None
    """The conversation's outcome, here as well."""


@dataclass(frozen=True, kw_only=True)
class ApiKey(Result):
    """`ApiKey` of the API."""

    created_at: datetime
    created_by: str | None
    environment: str
    expires_at: datetime | None
    id: str
    last_used_at: datetime | None
    name: str
    prefix: str
    replaced_by: str | None
    revoked_at: datetime | None
    scopes: tuple[str, ...]
    status: str


@dataclass(frozen=True, kw_only=True)
class AssertionOptions(Result):
    """`AssertionOptions` of the API."""

    public_key: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class AuditEntry(Result):
    """`AuditEntry` of the API."""

    action: str
    actor: "Actor"
    at: datetime
    detail: dict[str, Any]
    id: str
    request_id: str | None
    target: "Target"


@dataclass(frozen=True, kw_only=True)
class AvailableNumber(Result):
    """`AvailableNumber` of the API."""

    capabilities: tuple[str, ...]
    country: str
    locality: str | None
    monthly_cost_usd: float | None
    phone_number: str
    provider: str
    region: str | None
    toll_free: bool


@dataclass(frozen=True, kw_only=True)
class AvailableNumbers(Result):
    """`AvailableNumbers` of the API."""

    numbers: "tuple[AvailableNumber, ...]"
    warnings: "tuple[SearchWarning, ...]"


@dataclass(frozen=True, kw_only=True)
class BatchRefusal(Result):
    """`BatchRefusal` of the API."""

    code: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class BatchResult(Result):
    """`BatchResult` of the API."""

    error: "BatchRefusal | None"
    id: str | None
    index: int
    status: str | None
    to_number: str


@dataclass(frozen=True, kw_only=True)
class CallSettings(Result):
    """`CallSettings` of the API."""

    allowed_countries: tuple[str, ...]
    calling_hours: "CallingHours | None"
    default_ring_seconds: int
    machine_detection: str
    max_concurrent: int
    statutory_hours: bool


@dataclass(frozen=True, kw_only=True)
class Caller(Result):
    """`Caller` of the API."""

    country: str | None
    phone_number: str | None


@dataclass(frozen=True, kw_only=True)
class CallingDay(Result):
    """`CallingDay` of the API."""

    day: str
    from_: str
    to: str


@dataclass(frozen=True, kw_only=True)
class CallingHours(Result):
    """`CallingHours` of the API."""

    days: "tuple[CallingDay, ...]"
    timezone: str


@dataclass(frozen=True, kw_only=True)
class Change(Result):
    """`Change` of the API."""

    new: Any
    old: Any
    path: str


@dataclass(frozen=True, kw_only=True)
class Channel(Result):
    """`Channel` of the API."""

    address: str
    agent_id: str
    channel: str
    created_at: datetime
    credential_id: str | None
    environment: str
    handle: str
    id: str
    name: str
    settings: "ChannelConnectionSettings"
    status: str
    status_detail: str | None
    updated_at: datetime
    verified_at: datetime | None
    webhook: "ChannelWebhook | None"


@dataclass(frozen=True, kw_only=True)
class ChannelConnectionSettings(Result):
    """`ChannelConnectionSettings` of the API."""

    reopen_template: "ReopenTemplate | None"


@dataclass(frozen=True, kw_only=True)
class ChannelSettings(Result):
    """`ChannelSettings` of the API."""

    enabled: bool
    first_message: str | None
    idle_minutes: int | None
    max_duration_seconds: int | None
    system_prompt_append: str | None


@dataclass(frozen=True, kw_only=True)
class ChannelWebhook(Result):
    """`ChannelWebhook` of the API."""

    last_error: str | None
    pending: int
    url: str


@dataclass(frozen=True, kw_only=True)
class Channels(Result):
    """`Channels` of the API."""

    phone: "ChannelSettings"
    sms: "ChannelSettings"
    telegram: "ChannelSettings"
    webchat: "ChannelSettings"
    webrtc: "ChannelSettings"
    whatsapp: "ChannelSettings"


@dataclass(frozen=True, kw_only=True)
class Comparison(Result):
    """`Comparison` of the API."""

    agent_id: str
    changes: "tuple[Change, ...]"
    changes_summary: str
    from_version: int
    to_version: int


@dataclass(frozen=True, kw_only=True)
class Contact(Result):
    """`Contact` of the API."""

    country: str | None
    created_at: datetime
    environment: str
    id: str
    identities: "tuple[ContactIdentity, ...]"
    language: str | None
    last_seen_at: datetime
    name: str
    notes: str
    opted_out: "tuple[ContactOptOut, ...]"
    phone_number: str | None
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class ContactIdentity(Result):
    """`ContactIdentity` of the API."""

    handle: str | None
    kind: str
    value: str


@dataclass(frozen=True, kw_only=True)
class ContactOptOut(Result):
    """`ContactOptOut` of the API."""

    at: datetime
    channel: str
    source: str


@dataclass(frozen=True, kw_only=True)
class Conversation(Result):
    """`Conversation` of the API."""

    agent_id: str
    agent_name: str
    agent_version: int
    analysis: "AnalysisSummary"
    archived_at: datetime | None
    caller: "Caller"
    channel: str
    cost: "Cost"
    direction: str
    duration_seconds: int | None
    end_reason: str | None
    ended_at: datetime | None
    id: str
    metadata: dict[str, Any]
    outcome: str | None
    outcome_notes: str | None
    recording: "RecordingState"
    session_id: str
    started_at: datetime
    status: str
    tags: tuple[str, ...]
    warnings: tuple[str, ...]

    @classmethod
    def _prepared(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Before there is an analysis its members are None; `outcome` is found in it as well."""
        return data | {"analysis": (data.get("analysis") or {}) | {"outcome": data.get("outcome")}}


@dataclass(frozen=True, kw_only=True)
class ConversationTranscript(Result):
    """`ConversationTranscript` of the API."""

    conversation_id: str
    duration_seconds: int | None
    language: str
    turns: "tuple[Turn, ...]"


@dataclass(frozen=True, kw_only=True)
class Cors(Result):
    """`Cors` of the API."""

    allowed_origins: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Cost(Result):
    """`Cost` of the API."""

    llm_usd: float
    stt_usd: float
    telephony_usd: float
    total_usd: float
    tts_usd: float


@dataclass(frozen=True, kw_only=True)
class CostBreakdown(Result):
    """`CostBreakdown` of the API."""

    llm: "LlmCost"
    stt: "SttCost"
    telephony: "TelephonyCost"
    tts: "TtsCost"


@dataclass(frozen=True, kw_only=True)
class CostLeg(Result):
    """`CostLeg` of the API."""

    audio_seconds: float
    cached_tokens: int
    characters: int
    cost: float
    estimated: bool
    input_tokens: int
    kind: str
    messages: int
    minutes: int
    model: str | None
    output_tokens: int
    own_credential: bool
    priced: bool
    provider: str
    requests: int
    session_seconds: float
    voice: str | None


@dataclass(frozen=True, kw_only=True)
class CostTracking(Result):
    """`CostTracking` of the API."""

    currency: str
    enabled: bool


@dataclass(frozen=True, kw_only=True)
class Costs(Result):
    """`Costs` of the API."""

    breakdown: "CostBreakdown"
    conversation_id: str
    currency: str
    estimated: bool
    legs: "tuple[CostLeg, ...]"
    total: float


@dataclass(frozen=True, kw_only=True)
class CredentialTest(Result):
    """`CredentialTest` of the API."""

    at: datetime
    outcome: str
    probes: "tuple[Probe, ...]"


@dataclass(frozen=True, kw_only=True)
class CustomField(Result):
    """`CustomField` of the API."""

    name: str
    options: tuple[str, ...]
    type: str


@dataclass(frozen=True, kw_only=True)
class Difference(Result):
    """`Difference` of the API."""

    expected: str
    found: str
    setting: str


@dataclass(frozen=True, kw_only=True)
class DoNotCall(Result):
    """`DoNotCall` of the API."""

    created_at: datetime
    created_by: str | None
    phone_number: str
    reason: str | None
    source: str


@dataclass(frozen=True, kw_only=True)
class DoNotCallImported(Result):
    """`DoNotCallImported` of the API."""

    added: int
    already_listed: int


@dataclass(frozen=True, kw_only=True)
class Endpointing(Result):
    """`Endpointing` of the API."""

    provider: str
    silence_duration_ms: int
    utterance_end_ms: int


@dataclass(frozen=True, kw_only=True)
class Entity(Result):
    """`Entity` of the API."""

    type: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Environment(Result):
    """`Environment` of the API."""

    access_token: str
    environment: str
    expires_in: int
    refresh_token: str | None
    token_type: str
    user: "User"


@dataclass(frozen=True, kw_only=True)
class Factors(Result):
    """`Factors` of the API."""

    enabled: bool
    passkeys: "tuple[Passkey, ...]"
    recovery_codes_left: int
    totp_enabled: bool
    totp_since: str | None


@dataclass(frozen=True, kw_only=True)
class Failure(Result):
    """`Failure` of the API."""

    attempts: int
    conversation_id: str
    error: str | None
    failed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Fallbacks(Result):
    """`Fallbacks` of the API."""

    llm: "tuple[Llm, ...]"
    transcription: "tuple[Transcription, ...]"
    voice: "tuple[VoiceSettings, ...]"


@dataclass(frozen=True, kw_only=True)
class Fillers(Result):
    """`Fillers` of the API."""

    delay_ms: int
    enabled: bool
    phrases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class HubToken(Result):
    """`HubToken` of the API."""

    access_token: str
    expires_in: int
    token_type: str


@dataclass(frozen=True, kw_only=True)
class IceServer(Result):
    """`IceServer` of the API."""

    credential: str | None
    urls: tuple[str, ...]
    username: str | None


@dataclass(frozen=True, kw_only=True)
class Interruption(Result):
    """`Interruption` of the API."""

    enabled: bool
    sensitivity: str


@dataclass(frozen=True, kw_only=True)
class Invitation(Result):
    """`Invitation` of the API."""

    email: str
    first_name: str
    last_name: str
    tenant_name: str


@dataclass(frozen=True, kw_only=True)
class LineUsage(Result):
    """`LineUsage` of the API."""

    channel: str
    conversations: int
    cost_usd: float
    direction: str
    messages: int
    minutes: int
    phone_number: str | None
    provider: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Llm(Result):
    """`Llm` of the API."""

    base_url: str | None
    frequency_penalty: float
    max_tokens: int
    model: str
    presence_penalty: float
    provider: str
    temperature: float
    top_p: float


@dataclass(frozen=True, kw_only=True)
class LlmCost(Result):
    """`LlmCost` of the API."""

    cost: float
    input_tokens: int
    model: str | None
    output_tokens: int
    provider: str | None


@dataclass(frozen=True, kw_only=True)
class Login(Result):
    """`Login` of the API."""

    access_token: str
    expires_in: int
    refresh_token: str
    token_type: str
    user: "User"


@dataclass(frozen=True, kw_only=True)
class Mail(Result):
    """`Mail` of the API."""

    attempts: int
    created_at: datetime
    failure: str | None
    id: str
    kind: str
    sent_at: datetime | None
    status: str
    subject: str
    tenant_id: str
    text: str | None
    to: str
    to_name: str


@dataclass(frozen=True, kw_only=True)
class Message(Result):
    """`Message` of the API."""

    content: str
    duration_ms: int
    id: str
    role: str
    timestamp: datetime


@dataclass(frozen=True, kw_only=True)
class MessageMedia(Result):
    """`MessageMedia` of the API."""

    content_type: str | None
    failure: str | None
    kind: str
    seconds: float | None
    size_bytes: int | None
    status: str
    url: str | None
    url_expires_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class MessagePrice(Result):
    """`MessagePrice` of the API."""

    amount: str
    currency: str


@dataclass(frozen=True, kw_only=True)
class MessageTemplate(Result):
    """`MessageTemplate` of the API."""

    language: str
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Messages(Result):
    """`Messages` of the API."""

    conversation_id: str
    messages: "tuple[Message, ...]"


@dataclass(frozen=True, kw_only=True)
class MfaRequired(Result):
    """`MfaRequired` of the API."""

    methods: tuple[str, ...]
    mfa_required: bool
    mfa_token: str


@dataclass(frozen=True, kw_only=True)
class Model(Result):
    """`Model` of the API."""

    access: str | None
    available: bool
    capabilities: tuple[str, ...]
    id: str
    is_default: bool
    kind: str
    languages: tuple[str, ...]
    latency_class: str
    name: str
    prices: "tuple[Price, ...]"
    provider: str
    source: str
    unavailable_reason: str | None


@dataclass(frozen=True, kw_only=True)
class NewApiKey(Result):
    """`NewApiKey` of the API."""

    created_at: datetime
    created_by: str | None
    environment: str
    expires_at: datetime | None
    id: str
    key: str
    last_used_at: datetime | None
    name: str
    prefix: str
    replaced_by: str | None
    revoked_at: datetime | None
    scopes: tuple[str, ...]
    status: str


@dataclass(frozen=True, kw_only=True)
class NewPasskey(Result):
    """`NewPasskey` of the API."""

    passkey: "Passkey"
    recovery_codes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NumberVerification(Result):
    """`NumberVerification` of the API."""

    checked_at: datetime
    differences: "tuple[Difference, ...]"
    verified: bool


@dataclass(frozen=True, kw_only=True)
class Origination(Result):
    """`Origination` of the API."""

    priority: int
    sip_uri: str
    weight: int


@dataclass(frozen=True, kw_only=True)
class OutboundBatch(Result):
    """`OutboundBatch` of the API."""

    batch_id: str
    created: int
    refused: int
    results: "tuple[BatchResult, ...]"


@dataclass(frozen=True, kw_only=True)
class OutboundCall(Result):
    """`OutboundCall` of the API."""

    agent_id: str
    answered_by: str | None
    batch_id: str | None
    connected_at: datetime | None
    conversation_id: str | None
    created_at: datetime
    direction: str
    duration_seconds: int | None
    end_reason: str | None
    ended_at: datetime | None
    from_number: str
    id: str
    initiated_at: datetime | None
    max_retries: int
    metadata: dict[str, Any]
    next_attempt_at: datetime | None
    retry_count: int
    retry_delay_minutes: int
    scheduled_for: str | None
    status: str
    to_number: str
    waits_for: str | None


@dataclass(frozen=True, kw_only=True)
class Passkey(Result):
    """`Passkey` of the API."""

    created_at: datetime
    host_name: str
    id: str
    last_used_at: datetime | None
    name: str


@dataclass(frozen=True, kw_only=True)
class PasskeyOptions(Result):
    """`PasskeyOptions` of the API."""

    enrolment_token: str
    public_key: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Permissions(Result):
    """`Permissions` of the API."""

    can_delete_conversations: bool
    can_manage_api_keys: bool
    can_view_billing: bool


@dataclass(frozen=True, kw_only=True)
class Persona(Result):
    """`Persona` of the API."""

    name: str
    personality: str | None
    role: str | None


@dataclass(frozen=True, kw_only=True)
class Price(Result):
    """`Price` of the API."""

    is_exact: bool
    kind: str
    since: str | None
    source: str
    unit: str
    usd: float


@dataclass(frozen=True, kw_only=True)
class Probe(Result):
    """`Probe` of the API."""

    detail: str
    kind: str
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Pronunciation(Result):
    """`Pronunciation` of the API."""

    alphabet: str
    pronunciation: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ProviderCredential(Result):
    """`ProviderCredential` of the API."""

    created_at: datetime
    created_by: str | None
    environment: str
    id: str
    is_default: bool
    last_test: "CredentialTest | None"
    name: str
    options: dict[str, str]
    provider: str
    revision: int
    secrets: dict[str, str]
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class RecordingLink(Result):
    """`RecordingLink` of the API."""

    duration_seconds: int
    expires_at: datetime
    format: str
    parts: "tuple[RecordingPart, ...]"
    url: str


@dataclass(frozen=True, kw_only=True)
class RecordingPart(Result):
    """`RecordingPart` of the API."""

    duration_seconds: int | None
    expires_at: datetime
    format: str
    kind: str
    url: str


@dataclass(frozen=True, kw_only=True)
class RecordingSettings(Result):
    """`RecordingSettings` of the API."""

    after_transfer: bool
    enabled: bool
    format: str
    stereo: bool
    storage_retention_days: int


@dataclass(frozen=True, kw_only=True)
class RecordingState(Result):
    """`RecordingState` of the API."""

    available: bool
    duration_seconds: int | None
    expires_at: datetime | None
    format: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class RecoveryCodes(Result):
    """`RecoveryCodes` of the API."""

    recovery_codes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ReopenTemplate(Result):
    """`ReopenTemplate` of the API."""

    language: str
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SearchWarning(Result):
    """`SearchWarning` of the API."""

    detail: str
    provider: str


@dataclass(frozen=True, kw_only=True)
class Sent(Result):
    """`Sent` of the API."""

    messages: "tuple[SentMessage, ...]"


@dataclass(frozen=True, kw_only=True)
class SentMessage(Result):
    """`SentMessage` of the API."""

    agent_id: str
    channel: str
    contact_id: str
    conversation_id: str | None
    created_at: datetime
    delivered_at: datetime | None
    direction: str
    failure: str | None
    failure_code: str | None
    failure_detail: str | None
    id: str
    is_edit: bool
    media: "tuple[MessageMedia, ...]"
    our_address: str
    price: "MessagePrice | None"
    provider: str
    read_at: datetime | None
    segments: int | None
    sent_at: datetime | None
    source: str
    status: str
    template: "MessageTemplate | None"
    text: str
    their_address: str
    thread_id: str
    transcript: str | None


@dataclass(frozen=True, kw_only=True)
class SentimentBreakdown(Result):
    """`SentimentBreakdown` of the API."""

    agent: float | None
    user: float | None


@dataclass(frozen=True, kw_only=True)
class SilenceDetection(Result):
    """`SilenceDetection` of the API."""

    enabled: bool
    message: str
    timeout_seconds: int


@dataclass(frozen=True, kw_only=True)
class SipTrunk(Result):
    """`SipTrunk` of the API."""

    account: str
    allowed_ips: tuple[str, ...]
    created_at: datetime
    created_by: str | None
    credentials: "TrunkCredentials | None"
    environment: str
    id: str
    last_test: "TrunkTest | None"
    name: str
    numbers: tuple[str, ...]
    origination: "tuple[Origination, ...]"
    provider: str
    sip_domain: str
    status: str
    status_detail: str | None
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class StatsPeriod(Result):
    """`StatsPeriod` of the API."""

    from_: str
    to: str


@dataclass(frozen=True, kw_only=True)
class SttCost(Result):
    """`SttCost` of the API."""

    audio_seconds: int
    cost: float
    provider: str | None


@dataclass(frozen=True, kw_only=True)
class Target(Result):
    """`Target` of the API."""

    id: str
    type: str


@dataclass(frozen=True, kw_only=True)
class TelephonyCost(Result):
    """`TelephonyCost` of the API."""

    cost: float
    minutes: int
    provider: str | None


@dataclass(frozen=True, kw_only=True)
class TelephonyNumber(Result):
    """`TelephonyNumber` of the API."""

    account: str
    agent_id: str | None
    capabilities: tuple[str, ...]
    configured_at: datetime | None
    country: str
    created_at: datetime
    created_by: str | None
    environment: str
    friendly_name: str
    id: str
    locality: str | None
    monthly_cost_usd: float | None
    phone_number: str
    provider: str
    region: str | None
    sms_agent_id: str | None
    source: str
    status: str
    status_detail: str | None
    toll_free: bool
    trunk_id: str | None
    updated_at: datetime


@dataclass(frozen=True, kw_only=True)
class TelephonyUsage(Result):
    """`TelephonyUsage` of the API."""

    calls: int
    cost_usd: float
    currency: str
    date_from: str | None
    date_to: str | None
    inbound_minutes: int
    lines: "tuple[LineUsage, ...]"
    messages: int
    outbound_minutes: int


@dataclass(frozen=True, kw_only=True)
class Test(Result):
    """`Test` of the API."""

    agent_id: str
    agent_version: int
    channel: str
    conversation_id: str
    created_at: datetime
    created_by: str | None
    message_id: str | None
    metadata: dict[str, Any]
    outbound_call_id: str | None
    phone_number: str | None
    simulated: bool
    status: str
    test_session_id: str


@dataclass(frozen=True, kw_only=True)
class TestStarted(Result):
    """`TestStarted` of the API."""

    estimated_connect_seconds: int
    status: str
    test_session_id: str


@dataclass(frozen=True, kw_only=True)
class Tool(Result):
    """`Tool` of the API."""

    config: dict[str, Any]
    description: str
    name: str
    parameters: "tuple[ToolParameter, ...]"
    response_mapping: dict[str, str]
    type: str


@dataclass(frozen=True, kw_only=True)
class ToolParameter(Result):
    """`ToolParameter` of the API."""

    description: str | None
    name: str
    required: bool
    source: str | None
    type: str


@dataclass(frozen=True, kw_only=True)
class Totp(Result):
    """`Totp` of the API."""

    otpauth_uri: str
    qr_code_svg: str
    secret: str


@dataclass(frozen=True, kw_only=True)
class Transcription(Result):
    """`Transcription` of the API."""

    language: str
    model: str | None
    profanity_filter: bool
    provider: str
    punctuate: bool
    smart_format: bool


@dataclass(frozen=True, kw_only=True)
class Transfer(Result):
    """`Transfer` of the API."""

    answered_at: datetime | None
    cause: str | None
    conversation_id: str
    destination: str
    ended_at: datetime | None
    id: str
    mode: str
    reason: str | None
    requested_by: str
    started_at: datetime
    status: str
    target: str


@dataclass(frozen=True, kw_only=True)
class TransferSettings(Result):
    """`TransferSettings` of the API."""

    acceptance: str
    mode: str
    ring_seconds: int
    targets: "tuple[TransferTarget, ...]"


@dataclass(frozen=True, kw_only=True)
class TransferStarted(Result):
    """`TransferStarted` of the API."""

    conversation_id: str
    status: str
    transfer_id: str


@dataclass(frozen=True, kw_only=True)
class TransferTarget(Result):
    """`TransferTarget` of the API."""

    description: str | None
    mode: str | None
    name: str
    phone_number: str | None
    sip_uri: str | None


@dataclass(frozen=True, kw_only=True)
class Transfers(Result):
    """`Transfers` of the API."""

    conversation_id: str
    transfers: "tuple[Transfer, ...]"


@dataclass(frozen=True, kw_only=True)
class TrunkCredentials(Result):
    """`TrunkCredentials` of the API."""

    password: str | None
    username: str


@dataclass(frozen=True, kw_only=True)
class TrunkPart(Result):
    """`TrunkPart` of the API."""

    detail: str
    ok: bool
    part: str


@dataclass(frozen=True, kw_only=True)
class TrunkTest(Result):
    """`TrunkTest` of the API."""

    at: datetime
    ok: bool
    parts: "tuple[TrunkPart, ...]"


@dataclass(frozen=True, kw_only=True)
class TtsCost(Result):
    """`TtsCost` of the API."""

    characters: int
    cost: float
    provider: str | None


@dataclass(frozen=True, kw_only=True)
class Turn(Result):
    """`Turn` of the API."""

    confidence: float
    end_time: float
    id: str
    interrupted: bool
    speaker: str
    start_time: float
    text: str
    words: "tuple[Word, ...]"


@dataclass(frozen=True, kw_only=True)
class User(Result):
    """`User` of the API."""

    created_at: datetime
    email: str
    first_name: str
    id: str
    invited_by: str | None
    last_login_at: datetime | None
    last_name: str
    mfa_enabled: bool
    permissions: "Permissions"
    platform_admin: bool
    role: str
    status: str
    tenant_id: str


@dataclass(frozen=True, kw_only=True)
class Version(Result):
    """`Version` of the API."""

    changes_summary: str
    created_at: datetime
    created_by: str | None
    notes: str | None
    published_at: datetime | None
    version: int


@dataclass(frozen=True, kw_only=True)
class VersionDetail(Result):
    """`VersionDetail` of the API."""

    agent_id: str
    changes_summary: str
    config: "AgentSettings"
    created_at: datetime
    created_by: str | None
    notes: str | None
    published_at: datetime | None
    version: int


@dataclass(frozen=True, kw_only=True)
class VersionList(Result):
    """`VersionList` of the API."""

    data: "tuple[Version, ...]"

    def __iter__(self) -> Iterator["Version"]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True, kw_only=True)
class Voice(Result):
    """`Voice` of the API."""

    access: str | None
    available: bool
    capabilities: tuple[str, ...]
    gender: str
    id: str
    languages: tuple[str, ...]
    latency_class: str
    model: str
    name: str
    prices: "tuple[Price, ...]"
    provider: str
    unavailable_reason: str | None


@dataclass(frozen=True, kw_only=True)
class VoiceSettings(Result):
    """`VoiceSettings` of the API."""

    provider: str
    similarity_boost: float
    speed: float
    stability: float
    style: float
    use_speaker_boost: bool
    voice_id: str


@dataclass(frozen=True, kw_only=True)
class VoicemailDetection(Result):
    """`VoicemailDetection` of the API."""

    action: str
    enabled: bool
    message: str | None


@dataclass(frozen=True, kw_only=True)
class WebRtcSession(Result):
    """`WebRtcSession` of the API."""

    conversation_id: str
    expires_at: datetime
    ice_servers: "tuple[IceServer, ...]"
    session_id: str
    session_token: str


@dataclass(frozen=True, kw_only=True)
class Widget(Result):
    """`Widget` of the API."""

    agent_key: str
    allowed_origins: tuple[str, ...]
    theme: dict[str, Any]
    ui_config: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class WidgetSettings(Result):
    """`WidgetSettings` of the API."""

    allowed_origins: tuple[str, ...]
    theme: dict[str, Any]
    ui_config: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Word(Result):
    """`Word` of the API."""

    confidence: float
    end_time: float
    start_time: float
    word: str
