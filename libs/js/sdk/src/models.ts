// Generated from the OpenAPI document by generate.py (`make proto`); do not edit.

import type { MergePatch } from "./calls.js";

/** With whose access a tenant uses a provider. */
export type Access = "own" | "platform" | "local";

export interface Actor {
  id: string | null;
  type: ActorType;
}

/** What kind of credential acted. */
export type ActorType = "user" | "api_key" | "system";

export interface Agent {
  aiDisclosureMessage: string | null;
  analysisConfig: AnalysisConfig;
  backgroundSound: BackgroundSound;
  channels: Channels;
  costTracking: CostTracking;
  createdAt: string;
  description: string | null;
  dtmfEnabled: boolean;
  endCallPhrases: string[];
  endpointing: Endpointing;
  fallbacks: Fallbacks;
  fillers: Fillers;
  firstMessage: string | null;
  firstMessageMode: FirstMessageMode;
  hipaaCompliant: boolean;
  id: string;
  interruption: Interruption;
  knowledgeBaseIds: string[];
  llm: Llm;
  maxDurationSeconds: number;
  maxIdleTimeSeconds: number;
  name: string;
  persona: Persona;
  pronunciations: Pronunciation[];
  publishedVersion: number | null;
  recording: RecordingSettings;
  silenceDetection: SilenceDetection;
  status: AgentStatus;
  systemPromptTemplate: string;
  tags: string[];
  tools: Tool[];
  transcription: Transcription;
  transfer: TransferSettings;
  updatedAt: string;
  variables: Record<string, unknown>;
  version: number;
  voice: VoiceSettings;
  voicemailDetection: VoicemailDetection;
  warnings?: AgentWarning[];
  widget: Widget;
}

/** What `agents.duplicate` takes. */
export interface AgentDuplicateRequest {
  name?: string | null | undefined;
}

/** Parameters of the query. */
export interface AgentListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  /** Only agents in this status */
  status?: AgentStatus | undefined;
  /** Only agents whose name contains this */
  search?: string | undefined;
  /** Only agents with all these tags, comma-separated */
  tags?: string | readonly string[] | undefined;
  /** name, createdAt or updatedAt */
  sortBy?: string | undefined;
  /** asc or desc */
  sortOrder?: string | undefined;
}

/** What `agents.publish` takes. */
export interface AgentPublishRequest {
  notes?: string | null | undefined;
}

export interface AgentSettings {
  aiDisclosureMessage?: string | null;
  analysisConfig?: AnalysisConfig;
  backgroundSound?: BackgroundSound;
  channels?: Channels;
  costTracking?: CostTracking;
  description?: string | null;
  dtmfEnabled?: boolean;
  endCallPhrases?: string[];
  endpointing?: Endpointing;
  fallbacks?: Fallbacks;
  fillers?: Fillers;
  firstMessage?: string | null;
  firstMessageMode?: FirstMessageMode;
  hipaaCompliant?: boolean;
  interruption?: Interruption;
  knowledgeBaseIds?: string[];
  llm: Llm;
  maxDurationSeconds?: number;
  maxIdleTimeSeconds?: number;
  name: string;
  persona: Persona;
  pronunciations?: Pronunciation[];
  recording?: RecordingSettings;
  silenceDetection?: SilenceDetection;
  systemPromptTemplate: string;
  tags?: string[];
  tools?: Tool[];
  transcription: Transcription;
  transfer?: TransferSettings;
  variables?: Record<string, unknown>;
  voice: VoiceSettings;
  voicemailDetection?: VoicemailDetection;
  widget?: WidgetSettings;
}

export interface AgentStats {
  agentId: string;
  avgCostUsdPerConversation: number;
  avgDurationSeconds: number;
  avgSentimentScore: number | null;
  channelBreakdown: Record<string, number>;
  outcomeBreakdown: Record<string, number>;
  period: StatsPeriod;
  totalConversations: number;
  totalCostUsd: number;
  totalDurationSeconds: number;
}

/** Parameters of the query. */
export interface AgentStatsQuery {
  /** The first day or moment, in ISO 8601; inclusive */
  dateFrom?: string | Date | undefined;
  /** The last day or moment, in ISO 8601; inclusive */
  dateTo?: string | Date | undefined;
}

export type AgentStatus = "draft" | "active" | "inactive";

/** What `agents.test` takes. */
export interface AgentTestRequest {
  channel: Channel;
  metadata?: Record<string, unknown> | undefined;
  phoneNumber?: string | null | undefined;
  script?: string[] | undefined;
  version?: number | string | null | undefined;
}

/** Parameters of the query. */
export interface AgentTestsQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
}

export interface AgentWarning {
  code: string;
  detail: string;
  pointer: string;
}

/** How a pronunciation is written: as other words, or in the International Phonetic Alphabet. */
export type Alphabet = "respelling" | "ipa";

export interface Analysis {
  agentPerformanceNotes: string;
  callQualityScore: number;
  completedAt: string;
  conversationId: string;
  cost: AnalysisCost | null;
  customFields: Record<string, unknown>;
  entities: Entity[];
  intent: string | null;
  method: AnalysisMethod;
  sentiment: Sentiment | null;
  sentimentBreakdown: SentimentBreakdown | null;
  sentimentScore: number | null;
  summary: string | null;
  topics: string[];
  warnings: string[];
}

export interface AnalysisConfig {
  customFields?: CustomField[];
  enabled?: boolean;
  intentDetection?: boolean;
  sentimentAnalysis?: boolean;
  summaryEnabled?: boolean;
}

export interface AnalysisCost {
  inputTokens: number;
  model: string;
  outputTokens: number;
  provider: string;
  usd: number;
}

/** Parameters of the query. */
export interface AnalysisFailuresQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
}

/** Who read the conversation: a language model, or the rules and small models of this platform. */
export type AnalysisMethod = "llm" | "local";

export interface AnalysisState {
  conversationId: string;
  requestedAt: string;
  status: AnalysisStatus;
}

export type AnalysisStatus = "processing" | "completed" | "skipped" | "failed";

export interface AnalysisSummary {
  customFields: Record<string, unknown>;
  intent: string | null;
  sentiment: string | null;
  sentimentScore: number | null;
  summary: string | null;
}

/** Who answered, as the carrier judges it. */
export type AnsweredBy = "human" | "machine" | "machine_beep" | "fax" | "unknown";

export interface ApiKey {
  createdAt: string;
  createdBy: string | null;
  environment: Environment;
  expiresAt: string | null;
  id: string;
  lastUsedAt: string | null;
  name: string;
  prefix: string;
  replacedBy: string | null;
  revokedAt: string | null;
  scopes: string[];
  status: KeyStatus;
}

/** Parameters of the query. */
export interface ApiKeyListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  status?: KeyStatus | undefined;
  /** Only with it */
  scope?: string | undefined;
  /** Part of the name or of the key's beginning */
  search?: string | undefined;
  /** What lists sort by, as the query names it. */
  sortBy?: KeyOrder | undefined;
  sortOrder?: string | undefined;
}

/** What `apiKeys.rename` takes. */
export interface ApiKeyRenameRequest {
  name: string;
}

/** What `apiKeys.rotate` takes. */
export interface ApiKeyRotateRequest {
  overlapSeconds?: number | undefined;
}

export interface AssertionOptions {
  publicKey: Record<string, unknown>;
}

export interface AuditEntry {
  action: string;
  actor: Actor;
  at: string;
  detail: Record<string, unknown>;
  id: string;
  requestId: string | null;
  target: Target;
}

/** Parameters of the query. */
export interface AuditLogListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  /** Only this user's or key's */
  actorId?: string | undefined;
  /** Only this, such as conversation.deleted */
  action?: string | undefined;
  /** Only to such things */
  targetType?: string | undefined;
  /** Only to this thing */
  targetId?: string | undefined;
  /** On or after; ISO 8601 */
  dateFrom?: string | Date | undefined;
  /** On or before; ISO 8601 */
  dateTo?: string | Date | undefined;
}

/** What `auth.acceptInvitation` takes. */
export interface AuthAcceptInvitationRequest {
  firstName?: string | null | undefined;
  lastName?: string | null | undefined;
  password: string;
  token: string;
}

/** What `auth.askToUnlock` takes. */
export interface AuthAskToUnlockRequest {
  email: string;
}

/** What `auth.changeEnvironment` takes. */
export interface AuthChangeEnvironmentRequest {
  environment: Environment;
  refreshToken?: string | null | undefined;
}

/** What `auth.changePassword` takes. */
export interface AuthChangePasswordRequest {
  currentPassword: string;
  newPassword: string;
}

/** What `auth.confirmRegistration` takes. */
export interface AuthConfirmRegistrationRequest {
  token: string;
}

/** What `auth.forgot` takes. */
export interface AuthForgotRequest {
  email: string;
}

/** What `auth.hubToken` takes. */
export interface AuthHubTokenRequest {
  agentId?: string | null | undefined;
  sessionId?: string | null | undefined;
  ttlSeconds?: number | undefined;
}

/** What `auth.login` takes. */
export interface AuthLoginRequest {
  email: string;
  environment?: Environment | undefined;
  password: string;
}

/** What `auth.logout` takes. */
export interface AuthLogoutRequest {
  refreshToken: string;
}

/** What `auth.lookAtInvitation` takes. */
export interface AuthLookAtInvitationRequest {
  token: string;
}

/** What `auth.mfa.addPasskey` takes. */
export interface AuthMfaAddPasskeyRequest {
  credential: Record<string, unknown>;
  enrolmentToken: string;
  name?: string | undefined;
}

/** What `auth.mfa.askPasskey` takes. */
export interface AuthMfaAskPasskeyRequest {
  mfaToken: string;
}

/** What `auth.mfa.beginPasskey` takes. */
export interface AuthMfaBeginPasskeyRequest {
  password: string;
}

/** What `auth.mfa.beginTotp` takes. */
export interface AuthMfaBeginTotpRequest {
  password: string;
}

/** What `auth.mfa.confirmTotp` takes. */
export interface AuthMfaConfirmTotpRequest {
  code: string;
}

/** What `auth.mfa.removePasskey` takes. */
export interface AuthMfaRemovePasskeyRequest {
  password: string;
}

/** What `auth.mfa.removeTotp` takes. */
export interface AuthMfaRemoveTotpRequest {
  password: string;
}

/** What `auth.mfa.renewRecoveryCodes` takes. */
export interface AuthMfaRenewRecoveryCodesRequest {
  password: string;
}

/** What `auth.mfa.verify` takes. */
export interface AuthMfaVerifyRequest {
  code?: string | undefined;
  credential?: Record<string, unknown> | undefined;
  method?: Method | undefined;
  mfaToken: string;
}

/** What `auth.refresh` takes. */
export interface AuthRefreshRequest {
  refreshToken: string;
}

/** What `auth.register` takes. */
export interface AuthRegisterRequest {
  companyName: string;
  email: string;
  firstName: string;
  lastName?: string | undefined;
  password: string;
}

/** What `auth.rename` takes. */
export interface AuthRenameRequest {
  firstName?: string | undefined;
  lastName?: string | undefined;
}

/** What `auth.reset` takes. */
export interface AuthResetRequest {
  password: string;
  token: string;
}

/** What `auth.unlock` takes. */
export interface AuthUnlockRequest {
  token: string;
}

export interface AvailableNumber {
  capabilities: NumberFeature[];
  country: string;
  locality: string | null;
  monthlyCostUsd: number | null;
  phoneNumber: string;
  provider: string;
  region: string | null;
  tollFree: boolean;
}

export interface AvailableNumbers {
  numbers: AvailableNumber[];
  warnings: SearchWarning[];
}

export type BackgroundSound = "none" | "office" | "cafe" | "call_center";

export interface BatchCall {
  metadata?: Record<string, unknown>;
  scheduledFor?: string | null;
  /** In E.164 form */
  toNumber: string;
}

export interface BatchRefusal {
  code: string;
  detail: string;
}

export interface BatchResult {
  error: BatchRefusal | null;
  id: string | null;
  index: number;
  status: OutboundStatus | null;
  toNumber: string;
}

export interface CallSettings {
  allowedCountries: string[];
  callingHours: CallingHours | null;
  defaultRingSeconds: number;
  machineDetection: MachineDetection;
  maxConcurrent: number;
  statutoryHours: boolean;
}

export interface Caller {
  country: string | null;
  phoneNumber: string | null;
}

export interface CallingDay {
  day: Weekday;
  from: string;
  to: string;
}

export interface CallingDayResult {
  day: Weekday;
  from: string;
  to: string;
}

export interface CallingHours {
  days: CallingDayResult[];
  timezone: string;
}

export interface CallingHoursSettings {
  days: CallingDay[];
  timezone: string;
}

/** What a model can do. `structured`: answers by a JSON schema; `endpoints`: says itself when a caller is done. */
export type Capability = "streaming" | "tools" | "structured" | "prompt_caching" | "interim_results" | "word_timings" | "endpoints";

export type CarrierName = "twilio" | "vonage" | "telnyx";

export interface Change {
  new: unknown;
  old: unknown;
  path: string;
}

export type Channel = "phone" | "webrtc" | "webchat" | "sms" | "whatsapp" | "telegram";

export interface ChannelConnectionSettings {
  reopenTemplate?: ReopenTemplate | null;
}

/** Parameters of the query. */
export interface ChannelListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  channel?: ConnectableChannel | undefined;
  agentId?: string | undefined;
}

export interface ChannelResult {
  address: string;
  agentId: string;
  channel: ConnectableChannel;
  createdAt: string;
  credentialId: string | null;
  environment: Environment;
  handle: string;
  id: string;
  name: string;
  settings: ChannelConnectionSettings;
  status: ConnectionStatus;
  statusDetail: string | null;
  updatedAt: string;
  verifiedAt: string | null;
  webhook: ChannelWebhook | null;
}

export interface ChannelSettings {
  enabled?: boolean;
  firstMessage?: string | null;
  idleMinutes?: number | null;
  maxDurationSeconds?: number | null;
  systemPromptAppend?: string | null;
}

export interface ChannelWebhook {
  lastError: string | null;
  pending: number;
  url: string;
}

export interface Channels {
  phone?: ChannelSettings;
  sms?: ChannelSettings;
  telegram?: ChannelSettings;
  webchat?: ChannelSettings;
  webrtc?: ChannelSettings;
  whatsapp?: ChannelSettings;
}

export interface Comparison {
  agentId: string;
  changes: Change[];
  changesSummary: string;
  fromVersion: number;
  toVersion: number;
}

/** Channels whose accounts are connected; SMS goes with telephone numbers. */
export type ConnectableChannel = "whatsapp" | "telegram";

/** `unverified`: the network did not confirm that its messages come here. */
export type ConnectionStatus = "active" | "unverified";

export interface Contact {
  country: string | null;
  createdAt: string;
  environment: Environment;
  id: string;
  identities: ContactIdentity[];
  language: string | null;
  lastSeenAt: string;
  name: string;
  notes: string;
  optedOut: ContactOptOut[];
  phoneNumber: string | null;
  updatedAt: string;
}

export interface ContactIdentity {
  handle: string | null;
  kind: IdentityKind;
  value: string;
}

/** Parameters of the query. */
export interface ContactListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  /** A part of the name, or the beginning of a number or id */
  search?: string | undefined;
  /** In E.164 form */
  phoneNumber?: string | undefined;
}

export interface ContactOptOut {
  at: string;
  channel: string;
  source: OptOutSource;
}

export interface Conversation {
  agentId: string;
  agentName: string;
  agentVersion: number;
  analysis: AnalysisSummary | null;
  archivedAt: string | null;
  caller: Caller;
  channel: Channel;
  cost: Cost;
  direction: Direction;
  durationSeconds: number | null;
  endReason: EndReason | null;
  endedAt: string | null;
  id: string;
  metadata: Record<string, unknown>;
  outcome: string | null;
  outcomeNotes: string | null;
  recording: RecordingState;
  sessionId: string;
  startedAt: string;
  status: ConversationStatus;
  tags: string[];
  warnings: string[];
}

/** What `conversations.addTags` takes. */
export interface ConversationAddTagsRequest {
  tags: string[];
}

/** Parameters of the query. */
export interface ConversationListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  /** Only this agent's */
  agentId?: string | undefined;
  /** Only on this channel */
  channel?: Channel | undefined;
  /** Only in this status */
  status?: ConversationStatus | undefined;
  /** inbound or outbound */
  direction?: Direction | undefined;
  /** Started on or after; ISO 8601 */
  dateFrom?: string | Date | undefined;
  /** Started on or before; ISO 8601 */
  dateTo?: string | Date | undefined;
  /** Only with this outcome */
  outcome?: string | undefined;
  /** Only with all these tags, comma-separated */
  tags?: string | readonly string[] | undefined;
  /** At least so many seconds long */
  minDuration?: number | undefined;
  /** At most so many seconds long */
  maxDuration?: number | undefined;
  /** Only those that were not archived, only those that were, or all */
  archived?: unknown | undefined;
  /** By time or by duration */
  sortBy?: unknown | undefined;
  /** Ascending or descending */
  sortOrder?: "asc" | "desc" | undefined;
}

/** What `conversations.setOutcome` takes. */
export interface ConversationSetOutcomeRequest {
  notes?: string | null | undefined;
  outcome: string;
}

export type ConversationStatus = "in_progress" | "completed" | "failed" | "abandoned";

export interface ConversationTranscript {
  conversationId: string;
  durationSeconds: number | null;
  language: string;
  turns: Turn[];
}

/** What `conversations.transfer` takes. */
export interface ConversationTransferRequest {
  mode?: TransferMode | null | undefined;
  phoneNumber?: string | null | undefined;
  ringSeconds?: number | null | undefined;
  sipUri?: string | null | undefined;
  summary?: string | null | undefined;
  target?: string | null | undefined;
}

export interface Cors {
  allowedOrigins: string[];
}

export interface Cost {
  llmUsd: number;
  sttUsd: number;
  telephonyUsd: number;
  totalUsd: number;
  ttsUsd: number;
}

export interface CostBreakdown {
  llm: LlmCost;
  stt: SttCost;
  telephony: TelephonyCost;
  tts: TtsCost;
}

export interface CostLeg {
  audioSeconds: number;
  cachedTokens: number;
  characters: number;
  cost: number;
  estimated: boolean;
  inputTokens: number;
  kind: LegKind;
  messages: number;
  minutes: number;
  model: string | null;
  outputTokens: number;
  ownCredential: boolean;
  priced: boolean;
  provider: string;
  requests: number;
  sessionSeconds: number;
  voice: string | null;
}

export interface CostTracking {
  currency?: string;
  enabled?: boolean;
}

export interface Costs {
  breakdown: CostBreakdown;
  conversationId: string;
  currency: string;
  estimated: boolean;
  legs: CostLeg[];
  total: number;
}

/** What `agents.create` takes. */
export interface CreateAgentRequest {
  aiDisclosureMessage?: string | null | undefined;
  analysisConfig?: AnalysisConfig | undefined;
  backgroundSound?: BackgroundSound | undefined;
  channels?: Channels | undefined;
  costTracking?: CostTracking | undefined;
  description?: string | null | undefined;
  dtmfEnabled?: boolean | undefined;
  endCallPhrases?: string[] | undefined;
  endpointing?: Endpointing | undefined;
  fallbacks?: Fallbacks | undefined;
  fillers?: Fillers | undefined;
  firstMessage?: string | null | undefined;
  firstMessageMode?: FirstMessageMode | undefined;
  hipaaCompliant?: boolean | undefined;
  interruption?: Interruption | undefined;
  knowledgeBaseIds?: string[] | undefined;
  llm: Llm;
  maxDurationSeconds?: number | undefined;
  maxIdleTimeSeconds?: number | undefined;
  name: string;
  persona: Persona;
  pronunciations?: Pronunciation[] | undefined;
  recording?: RecordingSettings | undefined;
  silenceDetection?: SilenceDetection | undefined;
  systemPromptTemplate: string;
  tags?: string[] | undefined;
  tools?: Tool[] | undefined;
  transcription: Transcription;
  transfer?: TransferSettings | undefined;
  variables?: Record<string, unknown> | undefined;
  voice: VoiceSettings;
  voicemailDetection?: VoicemailDetection | undefined;
  widget?: WidgetSettings | undefined;
}

/** What `apiKeys.create` takes. */
export interface CreateApiKeyRequest {
  expiresAt?: string | null | undefined;
  name: string;
  scopes: string[];
}

/** What `channels.create` takes. */
export interface CreateChannelRequest {
  agentId: string;
  channel: ConnectableChannel;
  credentialId?: string | null | undefined;
  settings?: ChannelConnectionSettings | undefined;
}

/** What `doNotCall.create` takes. */
export interface CreateDoNotCallRequest {
  /** In E.164 form */
  phoneNumber: string;
  reason?: string | null | undefined;
  /** Where it comes from, such as `manual` or `crm` */
  source?: string | undefined;
}

/** What `messages.create` takes. */
export interface CreateMessageRequest {
  agentId: string;
  channel: MessagingChannel;
  contactId?: string | null | undefined;
  template?: MessageTemplateSettings | null | undefined;
  text?: string | null | undefined;
  to?: string | null | undefined;
}

/** What `outboundCalls.create` takes. */
export interface CreateOutboundCallRequest {
  agentId: string;
  /** In E.164 form */
  fromNumber?: string | null | undefined;
  /** How often somebody who does not answer is called again */
  maxRetries?: number | undefined;
  metadata?: Record<string, unknown> | undefined;
  retryDelayMinutes?: number | undefined;
  scheduledFor?: string | null | undefined;
  /** In E.164 form */
  toNumber: string;
}

/** What `providerCredentials.create` takes. */
export interface CreateProviderCredentialRequest {
  isDefault?: boolean | undefined;
  name: string;
  /**
   * `region` (aws, azure: required), `project` and `location` (google), `organization` (openai), `model` (elevenlabs),
   * `baseUrl` (openai_compatible: required); of twilio `accountSid` (required) and `apiKeySid`; of vonage `apiKey` and
   * `applicationId` (required); of telnyx `publicKey`, `connectionId` (of the Call Control application; required) and
   * `messagingProfileId`; of whatsapp `phoneNumberId` (required) and `businessAccountId`.
   */
  options?: Record<string, string> | undefined;
  provider: ProviderName;
  /**
   * `apiKey`; of google `apiKey` (Gemini) and `serviceAccount` (speech and voices: the text of the key file); of aws
   * `accessKeyId`, `secretAccessKey` and, if there is one, `sessionToken`; of azure `key`; of twilio `authToken` and,
   * if you use an API key, its `apiKeySecret`; of vonage `apiSecret`, `privateKey` (the application's, in PEM) and
   * `signatureSecret`; of telnyx `apiKey`; of whatsapp `accessToken`, `appSecret`, `verifyToken`; of telegram
   * `botToken`, `secretToken` (one you think of).
   */
  secrets: Record<string, string>;
}

/** What `telephony.numbers.create` takes. */
export interface CreateTelephonyNumberRequest {
  agentId?: string | null | undefined;
  friendlyName?: string | undefined;
  /** In E.164 form, such as +14155550100 */
  phoneNumber: string;
  provider: CarrierName;
  smsAgentId?: string | null | undefined;
  source?: LineSource | undefined;
}

/** What `telephony.trunks.create` takes. */
export interface CreateTelephonyTrunkRequest {
  /** IPv4 addresses and networks whose calls out are let in, such as 198.51.100.0/28 */
  allowedIps?: string[] | undefined;
  credentials?: TrunkCredentialsSettings | null | undefined;
  name: string;
  /** Ids of your numbers whose calls go over the trunk; no agent answers them */
  numbers?: string[] | undefined;
  origination?: OriginationSettings[] | undefined;
  provider: CarrierName;
}

/** What `webrtc.sessions.create` takes. */
export interface CreateWebrtcSessionRequest {
  agentId: string;
  metadata?: Record<string, unknown> | undefined;
}

export interface CredentialTest {
  at: string;
  outcome: ProbeOutcome;
  probes: Probe[];
}

export interface CustomField {
  name: string;
  options?: string[];
  type: CustomFieldType;
}

export type CustomFieldType = "string" | "number" | "boolean" | "enum" | "date";

export interface Difference {
  expected: string;
  found: string;
  setting: string;
}

export type Direction = "inbound" | "outbound";

export interface DoNotCall {
  createdAt: string;
  createdBy: string | null;
  phoneNumber: string;
  reason: string | null;
  source: string;
}

/** What `doNotCall.importNumbers` takes. */
export interface DoNotCallImportNumbersRequest {
  phoneNumbers: string[];
  reason?: string | null | undefined;
  /** Where it comes from, such as `manual` or `crm` */
  source?: string | undefined;
}

export interface DoNotCallImported {
  added: number;
  alreadyListed: number;
}

/** Parameters of the query. */
export interface DoNotCallListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  /** Only numbers that contain this */
  search?: string | undefined;
  /** Only from this source */
  source?: string | undefined;
}

/** Why a session ended (decisions, "SessionEnded"), and beyond it: the tenant's monthly spend limit was used up. */
export type EndReason = "user_ended" | "agent_ended" | "timeout" | "idle_timeout" | "max_duration" | "transfer_complete" | "voicemail" | "disconnected" | "error" | "node_lost" | "spend_limit";

export interface Endpointing {
  provider?: EndpointingProvider;
  silenceDurationMs?: number;
  utteranceEndMs?: number;
}

export type EndpointingProvider = "vad" | "stt" | "semantic";

export interface Entity {
  type: string;
  value: string;
}

/** Fully separate data of one tenant; selected by the credential. */
export type Environment = "live" | "sandbox";

export interface EnvironmentResult {
  accessToken: string;
  environment: Environment;
  expiresIn: number;
  refreshToken: string | null;
  tokenType: string;
  user: User;
}

export interface Factors {
  enabled: boolean;
  passkeys: Passkey[];
  recoveryCodesLeft: number;
  totpEnabled: boolean;
  totpSince: string | null;
}

export interface Failure {
  attempts: number;
  conversationId: string;
  error: string | null;
  failedAt: string;
}

export interface Fallbacks {
  llm?: Llm[];
  transcription?: Transcription[];
  voice?: VoiceSettings[];
}

export interface Fillers {
  delayMs?: number;
  enabled?: boolean;
  phrases?: string[];
}

export type FirstMessageMode = "assistant_speaks_first" | "wait_for_user";

export interface HubToken {
  accessToken: string;
  expiresIn: number;
  tokenType: string;
}

export interface IceServer {
  credential?: string | null;
  urls: string[];
  username?: string | null;
}

/** What somebody is known by: a telephone number (E.164), or a user's id at one network. */
export type IdentityKind = "phone" | "whatsapp" | "telegram";

export interface Interruption {
  enabled?: boolean;
  sensitivity?: Sensitivity;
}

export interface Invitation {
  email: string;
  firstName: string;
  lastName: string;
  tenantName: string;
}

/** What lists sort by, as the query names it. */
export type KeyOrder = "createdAt" | "name" | "lastUsedAt" | "expiresAt";

/** What a key is good for now. */
export type KeyStatus = "active" | "expired" | "revoked";

/**
 * How soon a model's first word, transcript or sound comes: `fast` within about 0.4 s, `standard` 1 s, `slow` beyond.
 */
export type LatencyClass = "fast" | "standard" | "slow";

/** The parts of a conversation that somebody is paid for. */
export type LegKind = "llm" | "tts" | "stt" | "telephony";

/** How a number came here: bought for the tenant, or rented by the account before. */
export type LineSource = "purchase" | "existing";

/**
 * What has become of a number. `PROVISIONING` is being bought, `RELEASING` being given back: a reconciler ends both
 * whatever happens. The last two are ends: the number is not the tenant's.
 */
export type LineStatus = "provisioning" | "active" | "releasing" | "failed" | "released";

export interface LineUsage {
  channel: Channel;
  conversations: number;
  costUsd: number;
  direction: Direction;
  messages: number;
  minutes: number;
  phoneNumber: string | null;
  provider: string;
  seconds: number;
}

export interface Llm {
  baseUrl?: string | null;
  frequencyPenalty?: number;
  maxTokens?: number;
  model: string;
  presencePenalty?: number;
  provider: LlmProvider;
  temperature?: number;
  topP?: number;
}

export interface LlmCost {
  cost: number;
  inputTokens: number;
  model: string | null;
  outputTokens: number;
  provider: string | null;
}

export type LlmProvider = "openai" | "anthropic" | "google" | "cohere" | "openai_compatible" | "local" | "scripted";

export interface Login {
  accessToken: string;
  expiresIn: number;
  refreshToken: string;
  tokenType: string;
  user: User;
}

export type MachineDetection = "off" | "answer" | "greeting";

export interface Mail {
  attempts: number;
  createdAt: string;
  failure: string | null;
  id: string;
  kind: MailKind;
  sentAt: string | null;
  status: MailStatus;
  subject: string;
  tenantId: string;
  text: string | null;
  to: string;
  toName: string;
}

/** What a mail is about. */
export type MailKind = "invitation" | "password_reset" | "password_changed" | "account_locked" | "registration" | "already_registered" | "mfa_changed";

/** Parameters of the query. */
export interface MailListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  kind?: MailKind | undefined;
  /** Part of address or subject */
  search?: string | undefined;
  /** Of every tenant, for operators of the platform */
  allTenants?: boolean | undefined;
}

/** `kept`: no mail server is set up, and the mail can be read here. */
export type MailStatus = "kept" | "waiting" | "sent" | "failed";

/** What came with a message, or instead of a text. */
export type MediaKind = "voice" | "audio" | "image" | "video" | "document" | "sticker" | "location" | "contact" | "reaction" | "other";

/** Whether what came with a message can be had here. */
export type MediaStatus = "waiting" | "kept" | "refused" | "not_kept";

export interface Message {
  content: string;
  durationMs: number;
  id: string;
  role: Speaker;
  timestamp: string;
}

/** Parameters of the query. */
export interface MessageListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  conversationId?: string | undefined;
  threadId?: string | undefined;
  contactId?: string | undefined;
  agentId?: string | undefined;
  channel?: MessagingChannel | undefined;
  direction?: Direction | undefined;
  status?: State | undefined;
}

export interface MessageMedia {
  contentType: string | null;
  failure: string | null;
  kind: MediaKind;
  seconds: number | null;
  sizeBytes: number | null;
  status: MediaStatus;
  url: string | null;
  urlExpiresAt: string | null;
}

export interface MessagePrice {
  amount: string;
  currency: string;
}

export interface MessageTemplate {
  language: string;
  name: string;
  values: string[];
}

export interface MessageTemplateSettings {
  language: string;
  name: string;
  values?: string[];
}

export interface Messages {
  conversationId: string;
  messages: Message[];
}

/** Channels that go over messaging networks. */
export type MessagingChannel = "sms" | "whatsapp" | "telegram";

/** How somebody proves a second time who they are. */
export type Method = "totp" | "webauthn" | "recovery_code";

export interface MfaRequired {
  methods: Method[];
  mfaRequired: boolean;
  mfaToken: string;
}

export interface Model {
  access: Access | null;
  available: boolean;
  capabilities: Capability[];
  id: string;
  isDefault: boolean;
  kind: ModelKind;
  languages: string[];
  latencyClass: LatencyClass;
  name: string;
  prices: Price[];
  provider: string;
  source: string;
  unavailableReason: string | null;
}

/** What a model does: answer, recognise or speak. */
export type ModelKind = "llm" | "stt" | "tts";

/** Parameters of the query. */
export interface ModelListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  kind?: ModelKind | undefined;
  /** Only of this provider, such as openai */
  provider?: string | undefined;
  /** Only for this language: a BCP 47 tag such as es-MX, or es */
  language?: string | undefined;
  /** Part of the id or the name */
  search?: string | undefined;
  /** Only what you can use now, or only what you can't */
  available?: boolean | undefined;
}

export interface NewApiKey {
  createdAt: string;
  createdBy: string | null;
  environment: Environment;
  expiresAt: string | null;
  id: string;
  key: string;
  lastUsedAt: string | null;
  name: string;
  prefix: string;
  replacedBy: string | null;
  revokedAt: string | null;
  scopes: string[];
  status: KeyStatus;
}

export interface NewPasskey {
  passkey: Passkey;
  recoveryCodes: string[];
}

/** What a number can do. */
export type NumberFeature = "voice" | "sms" | "mms";

export interface NumberVerification {
  checkedAt: string;
  differences: Difference[];
  verified: boolean;
}

/** Who said so: the person by a keyword, the network, or the tenant. */
export type OptOutSource = "keyword" | "network" | "tenant";

export interface OptedOutPatch {
  sms?: boolean;
  telegram?: boolean;
  whatsapp?: boolean;
}

export interface Origination {
  priority: number;
  sipUri: string;
  weight: number;
}

export interface OriginationSettings {
  priority?: number;
  /** Such as sip:pbx.example.com:5060;transport=tls */
  sipUri: string;
  weight?: number;
}

export interface OutboundBatch {
  batchId: string;
  created: number;
  refused: number;
  results: BatchResult[];
}

export interface OutboundCall {
  agentId: string;
  answeredBy: AnsweredBy | null;
  batchId: string | null;
  connectedAt: string | null;
  conversationId: string | null;
  createdAt: string;
  direction: Direction;
  durationSeconds: number | null;
  endReason: string | null;
  endedAt: string | null;
  fromNumber: string;
  id: string;
  initiatedAt: string | null;
  maxRetries: number;
  metadata: Record<string, unknown>;
  nextAttemptAt: string | null;
  retryCount: number;
  retryDelayMinutes: number;
  scheduledFor: string | null;
  status: OutboundStatus;
  toNumber: string;
  waitsFor: WaitsFor | null;
}

/** What `outboundCalls.batch` takes. */
export interface OutboundCallBatchRequest {
  agentId: string;
  calls: BatchCall[];
  /** In E.164 form */
  fromNumber?: string | null | undefined;
  /** How often somebody who does not answer is called again */
  maxRetries?: number | undefined;
  metadata?: Record<string, unknown> | undefined;
  retryDelayMinutes?: number | undefined;
  scheduledFor?: string | null | undefined;
}

/** Parameters of the query. */
export interface OutboundCallListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  /** Only in this status */
  status?: OutboundStatus | undefined;
  /** Only this agent's */
  agentId?: string | undefined;
  /** Only to this number */
  toNumber?: string | undefined;
  /** Only with this `campaignId` in their metadata */
  campaignId?: string | undefined;
  /** Only of this batch */
  batchId?: string | undefined;
  /** Made on or after; ISO 8601 */
  dateFrom?: string | Date | undefined;
  /** Made on or before; ISO 8601 */
  dateTo?: string | Date | undefined;
  /** By time */
  sortBy?: string | undefined;
  /** Ascending or descending */
  sortOrder?: "asc" | "desc" | undefined;
}

/** What `outboundCalls.setSettings` takes. */
export interface OutboundCallSetSettingsRequest {
  allowedCountries?: string[] | undefined;
  callingHours?: CallingHoursSettings | null | undefined;
  defaultRingSeconds?: number | undefined;
  machineDetection?: MachineDetection | undefined;
  maxConcurrent?: number | undefined;
  statutoryHours?: boolean | undefined;
}

/** Where a call stands. Between two attempts it is `scheduled`: the last six are ends, and stay. */
export type OutboundStatus = "scheduled" | "queued" | "initiating" | "ringing" | "in_progress" | "completed" | "failed" | "no_answer" | "busy" | "cancelled" | "voicemail";

/** Types of JSON Schema that a tool's parameter may have. */
export type ParameterType = "string" | "number" | "integer" | "boolean" | "array" | "object";

export interface Passkey {
  createdAt: string;
  hostName: string;
  id: string;
  lastUsedAt: string | null;
  name: string;
}

export interface PasskeyOptions {
  enrolmentToken: string;
  publicKey: Record<string, unknown>;
}

export interface Permissions {
  canDeleteConversations: boolean;
  canManageApiKeys: boolean;
  canViewBilling: boolean;
}

export interface PermissionsSettings {
  canDeleteConversations?: boolean;
  canManageApiKeys?: boolean;
  canViewBilling?: boolean;
}

export interface Persona {
  name: string;
  personality?: string | null;
  role?: string | null;
}

export interface Price {
  isExact: boolean;
  kind: PriceKind;
  since: string | null;
  source: string;
  unit: PriceUnit;
  usd: number;
}

/** What is paid for. Cached input of a language model has a price of its own, or that of other input. */
export type PriceKind = "llm_input" | "llm_output" | "llm_cached" | "tts" | "stt" | "telephony";

/**
 * What a price is for. A session minute is one of an open connection, an audio minute one of sound that was sent, a
 * message one segment of a text.
 */
export type PriceUnit = "million_tokens" | "thousand_characters" | "audio_minute" | "session_minute" | "started_minute" | "message";

export interface Probe {
  detail: string;
  kind: string;
  outcome: ProbeOutcome;
}

/**
 * What came of asking a vendor. `REFUSED`: the key is wrong, or may not do this; `FAILED`: the vendor did not answer as
 * it should.
 */
export type ProbeOutcome = "works" | "refused" | "failed" | "not_tested";

export interface Pronunciation {
  alphabet?: Alphabet;
  pronunciation: string;
  text: string;
}

export interface ProviderCredential {
  createdAt: string;
  createdBy: string | null;
  environment: Environment;
  id: string;
  isDefault: boolean;
  lastTest: CredentialTest | null;
  name: string;
  options: Record<string, string>;
  provider: string;
  revision: number;
  secrets: Record<string, string>;
  updatedAt: string;
}

/** Parameters of the query. */
export interface ProviderCredentialDeleteQuery {
  /** Also when active agents lose their only access to the provider */
  force?: boolean | undefined;
}

/** Parameters of the query. */
export interface ProviderCredentialListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  provider?: ProviderName | undefined;
}

export type ProviderName = "openai" | "openai_compatible" | "anthropic" | "google" | "cohere" | "deepgram" | "assemblyai" | "elevenlabs" | "aws" | "azure" | "twilio" | "vonage" | "telnyx" | "whatsapp" | "telegram";

export type RecordingFormat = "mp3" | "wav" | "ogg";

/** Of what a recording is: the conversation with the agent, or what was said after the call was handed over. */
export type RecordingKind = "conversation" | "after_transfer";

export interface RecordingLink {
  durationSeconds: number;
  expiresAt: string;
  format: string;
  parts?: RecordingPart[];
  url: string;
}

export interface RecordingPart {
  durationSeconds: number | null;
  expiresAt: string;
  format: string;
  kind: RecordingKind;
  url: string;
}

export interface RecordingSettings {
  afterTransfer?: boolean;
  enabled?: boolean;
  format?: RecordingFormat;
  stereo?: boolean;
  storageRetentionDays?: number;
}

export interface RecordingState {
  available: boolean;
  durationSeconds: number | null;
  expiresAt: string | null;
  format: string | null;
  reason?: WhyNoRecording;
}

export interface RecoveryCodes {
  recoveryCodes: string[];
}

export interface ReopenTemplate {
  language: string;
  name: string;
  values?: string[];
}

/** What `settings.cors.replace` takes. */
export interface ReplaceSettingsCorsRequest {
  allowedOrigins: string[];
}

/** The seven roles of a tenant and its agency, and the platform's own. */
export type Role = "Admin" | "AgencyManager" | "AgencyTechnicalManager" | "AgencyAccountManager" | "TenantOwner" | "TenantUser" | "ReadOnly" | "PlatformAdmin";

export interface SearchWarning {
  detail: string;
  provider: string;
}

export type Sensitivity = "low" | "medium" | "high";

export interface Sent {
  messages: SentMessage[];
}

export interface SentMessage {
  agentId: string;
  channel: Channel;
  contactId: string;
  conversationId: string | null;
  createdAt: string;
  deliveredAt: string | null;
  direction: Direction;
  failure: string | null;
  failureCode: string | null;
  failureDetail: string | null;
  id: string;
  isEdit: boolean;
  media: MessageMedia[];
  ourAddress: string;
  price: MessagePrice | null;
  provider: string;
  readAt: string | null;
  segments: number | null;
  sentAt: string | null;
  source: Source;
  status: State;
  template: MessageTemplate | null;
  text: string;
  theirAddress: string;
  threadId: string;
  transcript: string | null;
}

export type Sentiment = "positive" | "neutral" | "negative";

export interface SentimentBreakdown {
  agent: number | null;
  user: number | null;
}

export interface SilenceDetection {
  enabled?: boolean;
  message?: string;
  timeoutSeconds?: number;
}

export interface SipTrunk {
  account: string;
  allowedIps: string[];
  createdAt: string;
  createdBy: string | null;
  credentials: TrunkCredentials | null;
  environment: Environment;
  id: string;
  lastTest: TrunkTest | null;
  name: string;
  numbers: string[];
  origination: Origination[];
  provider: string;
  sipDomain: string;
  status: TrunkStatus;
  statusDetail: string | null;
  updatedAt: string;
}

/**
 * Why there is a message: somebody `wrote`, `began` a chat without a word, or corrected (`edit`) another one; the
 * agent's `reply` or its `tool`, a `notice` of ours (STOP, HELP, what can't be read), or the `api`.
 */
export type Source = "wrote" | "began" | "edit" | "reply" | "tool" | "notice" | "api";

export type Speaker = "agent" | "user" | "tool" | "system";

/**
 * Where a message is. Of what came: `received` waits for an answer, `ignored` gets none. Of what goes out: `held` waits
 * until the person writes again, `sending` is with the network, `unconfirmed` may have been sent and may not.
 */
export type State = "received" | "answered" | "ignored" | "queued" | "held" | "sending" | "unconfirmed" | "sent" | "delivered" | "read" | "failed" | "undeliverable";

export interface StatsPeriod {
  from: string;
  to: string;
}

export interface SttCost {
  audioSeconds: number;
  cost: number;
  provider: string | null;
}

export interface Target {
  id: string;
  type: string;
}

export interface TelephonyCost {
  cost: number;
  minutes: number;
  provider: string | null;
}

export interface TelephonyNumber {
  account: string;
  agentId: string | null;
  capabilities: NumberFeature[];
  configuredAt: string | null;
  country: string;
  createdAt: string;
  createdBy: string | null;
  environment: Environment;
  friendlyName: string;
  id: string;
  locality: string | null;
  monthlyCostUsd: number | null;
  phoneNumber: string;
  provider: string;
  region: string | null;
  smsAgentId: string | null;
  source: LineSource;
  status: LineStatus;
  statusDetail: string | null;
  tollFree: boolean;
  trunkId: string | null;
  updatedAt: string;
}

/** Parameters of the query. */
export interface TelephonyNumberDeleteQuery {
  /** Whether the account goes on renting it; else a number that was bought here is given back */
  keep?: boolean | undefined;
}

/** Parameters of the query. */
export interface TelephonyNumberListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  /** Only numbers of this carrier */
  provider?: CarrierName | undefined;
  /** Only numbers that this agent answers */
  agentId?: string | undefined;
  /** Only numbers that can do this */
  capability?: NumberFeature | undefined;
  /** Only numbers in this status; else those that are yours */
  status?: LineStatus | undefined;
  /** Only this number, in E.164 form */
  phoneNumber?: string | undefined;
}

/** Parameters of the query. */
export interface TelephonyNumberSearchQuery {
  /** ISO 3166-1 alpha-2, such as US */
  country?: string | undefined;
  /** The first digits of the national number, such as 415 */
  areaCode?: string | undefined;
  /** Digits, or the letters of a keypad, anywhere in the number */
  contains?: string | undefined;
  /** All of these, comma-separated: voice, sms, mms */
  capabilities?: string | readonly string[] | undefined;
  /** Only numbers of this carrier; else of all that are set up */
  provider?: CarrierName | undefined;
  /** Numbers that cost callers nothing */
  tollFree?: boolean | undefined;
  /** Numbers at most */
  limit?: number | undefined;
}

/** Parameters of the query. */
export interface TelephonyTrunkListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  /** Only trunks at this carrier */
  provider?: CarrierName | undefined;
}

export interface TelephonyUsage {
  calls: number;
  costUsd: number;
  currency: string;
  dateFrom: string | null;
  dateTo: string | null;
  inboundMinutes: number;
  lines: LineUsage[];
  messages: number;
  outboundMinutes: number;
}

/** Parameters of the query. */
export interface TelephonyUsageGetQuery {
  /** The first day or moment, in ISO 8601; inclusive */
  dateFrom?: string | Date | undefined;
  /** The last day or moment, in ISO 8601; inclusive */
  dateTo?: string | Date | undefined;
}

export interface Test {
  agentId: string;
  agentVersion: number;
  channel: Channel;
  conversationId: string;
  createdAt: string;
  createdBy: string | null;
  messageId: string | null;
  metadata: Record<string, unknown>;
  outboundCallId: string | null;
  phoneNumber: string | null;
  simulated: boolean;
  status: TestStatus;
  testSessionId: string;
}

export interface TestStarted {
  estimatedConnectSeconds: number;
  status: TestStatus;
  testSessionId: string;
}

/** Where a test stands; after its start that is where its conversation stands. */
export type TestStatus = "initiated" | "in_progress" | "completed" | "failed" | "abandoned";

export interface Tool {
  config?: Record<string, unknown>;
  description: string;
  name: string;
  parameters?: ToolParameter[];
  responseMapping?: Record<string, string>;
  type: ToolType;
}

export interface ToolParameter {
  description?: string | null;
  name: string;
  required?: boolean;
  source?: string | null;
  type?: ParameterType;
}

export type ToolType = "rest_api" | "salesforce" | "hubspot" | "shopify" | "google_calendar";

export interface Totp {
  otpauthUri: string;
  qrCodeSvg: string;
  secret: string;
}

export interface Transcription {
  language?: string;
  model?: string | null;
  profanityFilter?: boolean;
  provider: TranscriptionProvider;
  punctuate?: boolean;
  smartFormat?: boolean;
}

export type TranscriptionProvider = "deepgram" | "assemblyai" | "google" | "aws" | "azure" | "local" | "scripted";

export interface Transfer {
  answeredAt: string | null;
  cause: string | null;
  conversationId: string;
  destination: string;
  endedAt: string | null;
  id: string;
  mode: TransferMode;
  reason: string | null;
  requestedBy: string;
  startedAt: string;
  status: TransferStage;
  target: string;
}

/** How somebody takes a call that he is offered: by key or a spoken yes, or by staying on the line. */
export type TransferAcceptance = "confirm" | "stay";

/**
 * `COLD`: the call is handed over at once. `WARM`: somebody answers, is told what it is about, and only then gets the
 * caller.
 */
export type TransferMode = "cold" | "warm";

export interface TransferSettings {
  acceptance?: TransferAcceptance;
  mode?: TransferMode;
  ringSeconds?: number;
  targets?: TransferTarget[];
}

/**
 * What becomes of a transfer. The last three are ends: the caller was handed over, is with the agent again, or is gone.
 */
export type TransferStage = "initiated" | "ringing" | "answered" | "accepted" | "completed" | "returned" | "failed";

export interface TransferStarted {
  conversationId: string;
  status: TransferStage;
  transferId: string;
}

export interface TransferTarget {
  description?: string | null;
  mode?: TransferMode | null;
  name: string;
  phoneNumber?: string | null;
  sipUri?: string | null;
}

export interface Transfers {
  conversationId: string;
  transfers: Transfer[];
}

export interface TrunkCredentials {
  password: string | null;
  username: string;
}

export interface TrunkCredentialsSettings {
  password?: string | null;
  username: string;
}

export interface TrunkPart {
  detail: string;
  ok: boolean;
  part: string;
}

/**
 * `FAILED`: the carrier has not all of it yet; changing the trunk tries again, and deleting it takes away what there
 * is.
 */
export type TrunkStatus = "provisioning" | "active" | "failed" | "deleting";

export interface TrunkTest {
  at: string;
  ok: boolean;
  parts: TrunkPart[];
}

export interface TtsCost {
  characters: number;
  cost: number;
  provider: string | null;
}

export interface Turn {
  confidence: number;
  endTime: number;
  id: string;
  interrupted: boolean;
  speaker: Speaker;
  startTime: number;
  text: string;
  words: Word[];
}

/** A change of `CreateAgentRequest`: what is left out stays, `null` clears, lists are replaced. */
export type UpdateAgentRequest = MergePatch<CreateAgentRequest>;

/** What `channels.update` takes. */
export interface UpdateChannelRequest {
  agentId?: string | undefined;
  settings?: ChannelConnectionSettings | undefined;
}

/** What `contacts.update` takes. */
export interface UpdateContactRequest {
  language?: string | undefined;
  name?: string | undefined;
  notes?: string | undefined;
  optedOut?: OptedOutPatch | undefined;
}

/** What `providerCredentials.update` takes. */
export interface UpdateProviderCredentialRequest {
  isDefault?: boolean | undefined;
  name?: string | undefined;
  /**
   * `region` (aws, azure: required), `project` and `location` (google), `organization` (openai), `model` (elevenlabs),
   * `baseUrl` (openai_compatible: required); of twilio `accountSid` (required) and `apiKeySid`; of vonage `apiKey` and
   * `applicationId` (required); of telnyx `publicKey`, `connectionId` (of the Call Control application; required) and
   * `messagingProfileId`; of whatsapp `phoneNumberId` (required) and `businessAccountId`.
   */
  options?: Record<string, string> | undefined;
  /**
   * `apiKey`; of google `apiKey` (Gemini) and `serviceAccount` (speech and voices: the text of the key file); of aws
   * `accessKeyId`, `secretAccessKey` and, if there is one, `sessionToken`; of azure `key`; of twilio `authToken` and,
   * if you use an API key, its `apiKeySecret`; of vonage `apiSecret`, `privateKey` (the application's, in PEM) and
   * `signatureSecret`; of telnyx `apiKey`; of whatsapp `accessToken`, `appSecret`, `verifyToken`; of telegram
   * `botToken`, `secretToken` (one you think of).
   */
  secrets?: Record<string, string> | undefined;
}

/** What `telephony.numbers.update` takes. */
export interface UpdateTelephonyNumberRequest {
  agentId?: string | null | undefined;
  friendlyName?: string | undefined;
  smsAgentId?: string | null | undefined;
}

/** What `telephony.trunks.update` takes. */
export interface UpdateTelephonyTrunkRequest {
  /** IPv4 addresses and networks whose calls out are let in, such as 198.51.100.0/28 */
  allowedIps?: string[] | undefined;
  credentials?: TrunkCredentialsSettings | null | undefined;
  name?: string | undefined;
  /** Ids of your numbers whose calls go over the trunk; no agent answers them */
  numbers?: string[] | undefined;
  origination?: OriginationSettings[] | undefined;
}

/** What `users.update` takes. */
export interface UpdateUserRequest {
  firstName?: string | undefined;
  lastName?: string | undefined;
  permissions?: PermissionsSettings | undefined;
  role?: Role | undefined;
}

export interface User {
  createdAt: string;
  email: string;
  firstName: string;
  id: string;
  invitedBy: string | null;
  lastLoginAt: string | null;
  lastName: string;
  mfaEnabled: boolean;
  permissions: Permissions;
  platformAdmin: boolean;
  role: Role;
  status: UserStatus;
  tenantId: string;
}

/** What `users.invite` takes. */
export interface UserInviteRequest {
  email: string;
  firstName?: string | undefined;
  lastName?: string | undefined;
  permissions?: PermissionsSettings | undefined;
  role?: Role | undefined;
}

/** Parameters of the query. */
export interface UserListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  role?: Role | undefined;
  status?: UserStatus | undefined;
  /** Part of a name or an e-mail address */
  search?: string | undefined;
  /** What lists sort by, as the query names it. */
  sortBy?: UserOrder | undefined;
  sortOrder?: string | undefined;
}

/** What lists sort by, as the query names it. */
export type UserOrder = "createdAt" | "email" | "name" | "lastLoginAt";

/** Only an active person gets in. `unverified`: registered, and the address is not confirmed yet. */
export type UserStatus = "active" | "invited" | "unverified" | "disabled";

export interface Version {
  changesSummary: string;
  createdAt: string;
  createdBy: string | null;
  notes?: string | null;
  publishedAt?: string | null;
  version: number;
}

export interface VersionDetail {
  agentId: string;
  changesSummary: string;
  config: AgentSettings;
  createdAt: string;
  createdBy: string | null;
  notes: string | null;
  publishedAt: string | null;
  version: number;
}

export interface VersionList {
  data: Version[];
}

export interface Voice {
  access: Access | null;
  available: boolean;
  capabilities: Capability[];
  gender: string;
  id: string;
  languages: string[];
  latencyClass: LatencyClass;
  model: string;
  name: string;
  prices: Price[];
  provider: string;
  unavailableReason: string | null;
}

/** Parameters of the query. */
export interface VoiceListQuery {
  /** Page number, from 1 on */
  page?: number | undefined;
  /** Items a page */
  pageSize?: number | undefined;
  /** `nextCursor` of the page before; in its place `page` counts for nothing */
  cursor?: string | undefined;
  /** Only of this provider, such as openai */
  provider?: string | undefined;
  /** Only for this language: a BCP 47 tag such as es-MX, or es */
  language?: string | undefined;
  /** Part of the id or the name */
  search?: string | undefined;
  /** Only what you can use now, or only what you can't */
  available?: boolean | undefined;
}

export type VoiceProvider = "elevenlabs" | "google" | "aws" | "azure" | "local" | "scripted";

export interface VoiceSettings {
  provider: VoiceProvider;
  similarityBoost?: number;
  speed?: number;
  stability?: number;
  style?: number;
  useSpeakerBoost?: boolean;
  voiceId: string;
}

export type VoicemailAction = "hang_up" | "leave_message" | "continue";

export interface VoicemailDetection {
  action?: VoicemailAction;
  enabled?: boolean;
  message?: string | null;
}

/**
 * What a call waits for: its `scheduledFor`, the calling hours of whoever is called, its next attempt, or a free slot.
 */
export type WaitsFor = "time" | "calling_hours" | "retry" | "slot";

export interface WebRtcSession {
  conversationId: string;
  expiresAt: string;
  iceServers: IceServer[];
  sessionId: string;
  sessionToken: string;
}

export type Weekday = "monday" | "tuesday" | "wednesday" | "thursday" | "friday" | "saturday" | "sunday";

/** Why a conversation has no recording to hear. */
export type WhyNoRecording = "disabled" | "processing" | "expired" | "hipaa" | "not_recorded";

export interface Widget {
  agentKey: string;
  allowedOrigins: string[];
  theme: Record<string, unknown>;
  uiConfig: Record<string, unknown>;
}

export interface WidgetSettings {
  allowedOrigins?: string[];
  theme?: Record<string, unknown>;
  uiConfig?: Record<string, unknown>;
}

export interface Word {
  confidence: number;
  endTime: number;
  startTime: number;
  word: string;
}
