// Generated from the OpenAPI document by generate.py (`make proto`); do not edit.

import { Resource, type Answer, type ConditionalOptions, type RequestOptions, type Send } from "./calls.js";
import type {
  Agent,
  AgentDuplicateRequest,
  AgentListQuery,
  AgentPublishRequest,
  AgentStats,
  AgentStatsQuery,
  AgentTestRequest,
  AgentTestsQuery,
  Analysis,
  AnalysisFailuresQuery,
  AnalysisState,
  ApiKey,
  ApiKeyListQuery,
  ApiKeyRenameRequest,
  ApiKeyRotateRequest,
  AssertionOptions,
  AuditEntry,
  AuditLogListQuery,
  AuthAcceptInvitationRequest,
  AuthAskToUnlockRequest,
  AuthChangeEnvironmentRequest,
  AuthChangePasswordRequest,
  AuthConfirmRegistrationRequest,
  AuthForgotRequest,
  AuthHubTokenRequest,
  AuthLoginRequest,
  AuthLogoutRequest,
  AuthLookAtInvitationRequest,
  AuthMfaAddPasskeyRequest,
  AuthMfaAskPasskeyRequest,
  AuthMfaBeginPasskeyRequest,
  AuthMfaBeginTotpRequest,
  AuthMfaConfirmTotpRequest,
  AuthMfaRemovePasskeyRequest,
  AuthMfaRemoveTotpRequest,
  AuthMfaRenewRecoveryCodesRequest,
  AuthMfaVerifyRequest,
  AuthRefreshRequest,
  AuthRegisterRequest,
  AuthRenameRequest,
  AuthResetRequest,
  AuthUnlockRequest,
  AvailableNumbers,
  CallSettings,
  ChannelListQuery,
  ChannelResult,
  Comparison,
  Contact,
  ContactListQuery,
  Conversation,
  ConversationAddTagsRequest,
  ConversationListQuery,
  ConversationSetOutcomeRequest,
  ConversationTranscript,
  ConversationTransferRequest,
  Cors,
  Costs,
  CreateAgentRequest,
  CreateApiKeyRequest,
  CreateChannelRequest,
  CreateDoNotCallRequest,
  CreateMessageRequest,
  CreateOutboundCallRequest,
  CreateProviderCredentialRequest,
  CreateTelephonyNumberRequest,
  CreateTelephonyTrunkRequest,
  CreateWebrtcSessionRequest,
  DoNotCall,
  DoNotCallImportNumbersRequest,
  DoNotCallImported,
  DoNotCallListQuery,
  EnvironmentResult,
  Factors,
  Failure,
  HubToken,
  Invitation,
  Login,
  Mail,
  MailListQuery,
  MessageListQuery,
  Messages,
  MfaRequired,
  Model,
  ModelListQuery,
  NewApiKey,
  NewPasskey,
  NumberVerification,
  OutboundBatch,
  OutboundCall,
  OutboundCallBatchRequest,
  OutboundCallListQuery,
  OutboundCallSetSettingsRequest,
  PasskeyOptions,
  ProviderCredential,
  ProviderCredentialDeleteQuery,
  ProviderCredentialListQuery,
  RecordingLink,
  RecoveryCodes,
  ReplaceSettingsCorsRequest,
  Sent,
  SentMessage,
  SipTrunk,
  TelephonyNumber,
  TelephonyNumberDeleteQuery,
  TelephonyNumberListQuery,
  TelephonyNumberSearchQuery,
  TelephonyTrunkListQuery,
  TelephonyUsage,
  TelephonyUsageGetQuery,
  Test,
  TestStarted,
  Totp,
  TransferStarted,
  Transfers,
  UpdateAgentRequest,
  UpdateChannelRequest,
  UpdateContactRequest,
  UpdateProviderCredentialRequest,
  UpdateTelephonyNumberRequest,
  UpdateTelephonyTrunkRequest,
  UpdateUserRequest,
  User,
  UserInviteRequest,
  UserListQuery,
  VersionDetail,
  VersionList,
  Voice,
  VoiceListQuery,
  WebRtcSession,
} from "./models.js";
import { PagedList } from "./paging.js";

/** Every operation of the API that this package covers: its method and its path. */
export const OPERATIONS = {
  "agents.activate": ["POST", "/api/v1/agents/{agentId}/activate"],
  "agents.compare": ["GET", "/api/v1/agents/{agentId}/versions/{first}/compare/{second}"],
  "agents.create": ["POST", "/api/v1/agents"],
  "agents.deactivate": ["POST", "/api/v1/agents/{agentId}/deactivate"],
  "agents.delete": ["DELETE", "/api/v1/agents/{agentId}"],
  "agents.duplicate": ["POST", "/api/v1/agents/{agentId}/duplicate"],
  "agents.get": ["GET", "/api/v1/agents/{agentId}"],
  "agents.get_test": ["GET", "/api/v1/agents/{agentId}/tests/{testSessionId}"],
  "agents.list": ["GET", "/api/v1/agents"],
  "agents.publish": ["POST", "/api/v1/agents/{agentId}/publish"],
  "agents.restore": ["POST", "/api/v1/agents/{agentId}/versions/{number}/restore"],
  "agents.stats": ["GET", "/api/v1/agents/{agentId}/stats"],
  "agents.test": ["POST", "/api/v1/agents/{agentId}/test"],
  "agents.tests": ["GET", "/api/v1/agents/{agentId}/tests"],
  "agents.update": ["PATCH", "/api/v1/agents/{agentId}"],
  "agents.version": ["GET", "/api/v1/agents/{agentId}/versions/{number}"],
  "agents.versions": ["GET", "/api/v1/agents/{agentId}/versions"],
  "analysis.failures": ["GET", "/api/v1/analysis/failures"],
  "api_keys.create": ["POST", "/api/v1/api-keys"],
  "api_keys.get": ["GET", "/api/v1/api-keys/{keyId}"],
  "api_keys.list": ["GET", "/api/v1/api-keys"],
  "api_keys.rename": ["PATCH", "/api/v1/api-keys/{keyId}"],
  "api_keys.revoke": ["DELETE", "/api/v1/api-keys/{keyId}"],
  "api_keys.rotate": ["POST", "/api/v1/api-keys/{keyId}/rotate"],
  "audit_log.list": ["GET", "/api/v1/audit-log"],
  "auth.accept_invitation": ["POST", "/api/v1/auth/invitations/accept"],
  "auth.ask_to_unlock": ["POST", "/api/v1/auth/unlock/request"],
  "auth.change_environment": ["POST", "/api/v1/auth/environment"],
  "auth.change_password": ["POST", "/api/v1/auth/password"],
  "auth.confirm_registration": ["POST", "/api/v1/auth/register/confirm"],
  "auth.forgot": ["POST", "/api/v1/auth/password/forgot"],
  "auth.hub_token": ["POST", "/api/v1/auth/hub-token"],
  "auth.login": ["POST", "/api/v1/auth/login"],
  "auth.logout": ["POST", "/api/v1/auth/logout"],
  "auth.logout_everywhere": ["POST", "/api/v1/auth/logout/all"],
  "auth.look_at_invitation": ["POST", "/api/v1/auth/invitations/look"],
  "auth.me": ["GET", "/api/v1/auth/me"],
  "auth.mfa.add_passkey": ["POST", "/api/v1/auth/mfa/passkeys"],
  "auth.mfa.ask_passkey": ["POST", "/api/v1/auth/mfa/passkeys/challenge"],
  "auth.mfa.begin_passkey": ["POST", "/api/v1/auth/mfa/passkeys/options"],
  "auth.mfa.begin_totp": ["POST", "/api/v1/auth/mfa/totp"],
  "auth.mfa.confirm_totp": ["POST", "/api/v1/auth/mfa/totp/confirm"],
  "auth.mfa.remove_passkey": ["POST", "/api/v1/auth/mfa/passkeys/{passkeyId}/remove"],
  "auth.mfa.remove_totp": ["POST", "/api/v1/auth/mfa/totp/remove"],
  "auth.mfa.renew_recovery_codes": ["POST", "/api/v1/auth/mfa/recovery-codes"],
  "auth.mfa.show": ["GET", "/api/v1/auth/mfa"],
  "auth.mfa.verify": ["POST", "/api/v1/auth/mfa/verify"],
  "auth.refresh": ["POST", "/api/v1/auth/refresh"],
  "auth.register": ["POST", "/api/v1/auth/register"],
  "auth.rename": ["PATCH", "/api/v1/auth/me"],
  "auth.reset": ["POST", "/api/v1/auth/password/reset"],
  "auth.unlock": ["POST", "/api/v1/auth/unlock"],
  "channels.create": ["POST", "/api/v1/channels"],
  "channels.delete": ["DELETE", "/api/v1/channels/{channelId}"],
  "channels.get": ["GET", "/api/v1/channels/{channelId}"],
  "channels.list": ["GET", "/api/v1/channels"],
  "channels.update": ["PATCH", "/api/v1/channels/{channelId}"],
  "channels.verify": ["POST", "/api/v1/channels/{channelId}/verify"],
  "contacts.delete": ["DELETE", "/api/v1/contacts/{contactId}"],
  "contacts.get": ["GET", "/api/v1/contacts/{contactId}"],
  "contacts.list": ["GET", "/api/v1/contacts"],
  "contacts.update": ["PATCH", "/api/v1/contacts/{contactId}"],
  "conversations.add_tags": ["POST", "/api/v1/conversations/{conversationId}/tags"],
  "conversations.analysis": ["GET", "/api/v1/conversations/{conversationId}/analysis"],
  "conversations.archive": ["POST", "/api/v1/conversations/{conversationId}/archive"],
  "conversations.costs": ["GET", "/api/v1/conversations/{conversationId}/costs"],
  "conversations.delete": ["DELETE", "/api/v1/conversations/{conversationId}"],
  "conversations.get": ["GET", "/api/v1/conversations/{conversationId}"],
  "conversations.list": ["GET", "/api/v1/conversations"],
  "conversations.messages": ["GET", "/api/v1/conversations/{conversationId}/messages"],
  "conversations.recording": ["GET", "/api/v1/conversations/{conversationId}/recording"],
  "conversations.remove_tag": ["DELETE", "/api/v1/conversations/{conversationId}/tags/{tag}"],
  "conversations.retry_analysis": ["POST", "/api/v1/conversations/{conversationId}/analysis/retry"],
  "conversations.set_outcome": ["PUT", "/api/v1/conversations/{conversationId}/outcome"],
  "conversations.transcript": ["GET", "/api/v1/conversations/{conversationId}/transcript"],
  "conversations.transfer": ["POST", "/api/v1/conversations/{conversationId}/transfer"],
  "conversations.transfers": ["GET", "/api/v1/conversations/{conversationId}/transfers"],
  "conversations.unarchive": ["POST", "/api/v1/conversations/{conversationId}/unarchive"],
  "do_not_call.create": ["POST", "/api/v1/do-not-call"],
  "do_not_call.delete": ["DELETE", "/api/v1/do-not-call/{phoneNumber}"],
  "do_not_call.get": ["GET", "/api/v1/do-not-call/{phoneNumber}"],
  "do_not_call.import_numbers": ["POST", "/api/v1/do-not-call/import"],
  "do_not_call.list": ["GET", "/api/v1/do-not-call"],
  "mail.list": ["GET", "/api/v1/mail"],
  "messages.create": ["POST", "/api/v1/messages"],
  "messages.get": ["GET", "/api/v1/messages/{messageId}"],
  "messages.list": ["GET", "/api/v1/messages"],
  "models.list": ["GET", "/api/v1/models"],
  "outbound_calls.batch": ["POST", "/api/v1/outbound-calls/batch"],
  "outbound_calls.cancel": ["POST", "/api/v1/outbound-calls/{callId}/cancel"],
  "outbound_calls.create": ["POST", "/api/v1/outbound-calls"],
  "outbound_calls.get": ["GET", "/api/v1/outbound-calls/{callId}"],
  "outbound_calls.list": ["GET", "/api/v1/outbound-calls"],
  "outbound_calls.set_settings": ["PUT", "/api/v1/outbound-calls/settings"],
  "outbound_calls.settings": ["GET", "/api/v1/outbound-calls/settings"],
  "provider_credentials.create": ["POST", "/api/v1/provider-credentials"],
  "provider_credentials.delete": ["DELETE", "/api/v1/provider-credentials/{credentialId}"],
  "provider_credentials.get": ["GET", "/api/v1/provider-credentials/{credentialId}"],
  "provider_credentials.list": ["GET", "/api/v1/provider-credentials"],
  "provider_credentials.test": ["POST", "/api/v1/provider-credentials/{credentialId}/test"],
  "provider_credentials.update": ["PATCH", "/api/v1/provider-credentials/{credentialId}"],
  "settings.cors.get": ["GET", "/api/v1/settings/cors"],
  "settings.cors.replace": ["PUT", "/api/v1/settings/cors"],
  "telephony.numbers.configure": ["POST", "/api/v1/telephony/numbers/{numberId}/configure"],
  "telephony.numbers.create": ["POST", "/api/v1/telephony/numbers"],
  "telephony.numbers.delete": ["DELETE", "/api/v1/telephony/numbers/{numberId}"],
  "telephony.numbers.get": ["GET", "/api/v1/telephony/numbers/{numberId}"],
  "telephony.numbers.list": ["GET", "/api/v1/telephony/numbers"],
  "telephony.numbers.search": ["GET", "/api/v1/telephony/numbers/search"],
  "telephony.numbers.update": ["PATCH", "/api/v1/telephony/numbers/{numberId}"],
  "telephony.numbers.verify": ["POST", "/api/v1/telephony/numbers/{numberId}/verify"],
  "telephony.trunks.create": ["POST", "/api/v1/telephony/trunks"],
  "telephony.trunks.delete": ["DELETE", "/api/v1/telephony/trunks/{trunkId}"],
  "telephony.trunks.get": ["GET", "/api/v1/telephony/trunks/{trunkId}"],
  "telephony.trunks.list": ["GET", "/api/v1/telephony/trunks"],
  "telephony.trunks.test": ["POST", "/api/v1/telephony/trunks/{trunkId}/test"],
  "telephony.trunks.update": ["PATCH", "/api/v1/telephony/trunks/{trunkId}"],
  "telephony.usage.get": ["GET", "/api/v1/telephony/usage"],
  "users.deactivate": ["POST", "/api/v1/users/{userId}/deactivate"],
  "users.delete": ["DELETE", "/api/v1/users/{userId}"],
  "users.get": ["GET", "/api/v1/users/{userId}"],
  "users.invite": ["POST", "/api/v1/users/invite"],
  "users.list": ["GET", "/api/v1/users"],
  "users.reactivate": ["POST", "/api/v1/users/{userId}/reactivate"],
  "users.resend_invitation": ["POST", "/api/v1/users/{userId}/invitation/resend"],
  "users.reset_mfa": ["POST", "/api/v1/users/{userId}/mfa/reset"],
  "users.revoke_invitation": ["DELETE", "/api/v1/users/{userId}/invitation"],
  "users.unlock": ["POST", "/api/v1/users/{userId}/unlock"],
  "users.update": ["PATCH", "/api/v1/users/{userId}"],
  "voices.list": ["GET", "/api/v1/voices"],
  "webrtc.sessions.create": ["POST", "/api/v1/webrtc/sessions"],
} as const;

/** `client.auth.mfa`. */
export class AuthMfaResource extends Resource {
  /**
   * Add the passkey that the authenticator made. Recovery codes come with the first factor, and are shown this once.
   */
  addPasskey(request: AuthMfaAddPasskeyRequest, options?: RequestOptions): Promise<Answer<NewPasskey>> {
    return this.send(OPERATIONS["auth.mfa.add_passkey"], { body: request, options });
  }

  /** During a log-in: what to hand to `navigator.credentials.get`. */
  askPasskey(request: AuthMfaAskPasskeyRequest, options?: RequestOptions): Promise<Answer<AssertionOptions>> {
    return this.send(OPERATIONS["auth.mfa.ask_passkey"], { body: request, options });
  }

  /** Begin with a passkey: what to hand to `navigator.credentials.create`. */
  beginPasskey(request: AuthMfaBeginPasskeyRequest, options?: RequestOptions): Promise<Answer<PasskeyOptions>> {
    return this.send(OPERATIONS["auth.mfa.begin_passkey"], { body: request, options });
  }

  /** Begin with an authenticator app: scan the code, then confirm with the first code the app shows. */
  beginTotp(request: AuthMfaBeginTotpRequest, options?: RequestOptions): Promise<Answer<Totp>> {
    return this.send(OPERATIONS["auth.mfa.begin_totp"], { body: request, options });
  }

  /** Switch the app on with its first code. Keep the recovery codes: they are shown this once. */
  confirmTotp(request: AuthMfaConfirmTotpRequest, options?: RequestOptions): Promise<Answer<RecoveryCodes>> {
    return this.send(OPERATIONS["auth.mfa.confirm_totp"], { body: request, options });
  }

  /** Take a passkey away. */
  removePasskey(passkeyId: string, request: AuthMfaRemovePasskeyRequest, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["auth.mfa.remove_passkey"], { path: { passkeyId }, body: request, options });
  }

  /** Take the authenticator app away. */
  removeTotp(request: AuthMfaRemoveTotpRequest, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["auth.mfa.remove_totp"], { body: request, options });
  }

  /** Get new recovery codes; the old ones are no good any more. */
  renewRecoveryCodes(
    request: AuthMfaRenewRecoveryCodesRequest,
    options?: RequestOptions,
  ): Promise<Answer<RecoveryCodes>> {
    return this.send(OPERATIONS["auth.mfa.renew_recovery_codes"], { body: request, options });
  }

  /** What you have set up. */
  show(options?: RequestOptions): Promise<Answer<Factors>> {
    return this.send(OPERATIONS["auth.mfa.show"], { options });
  }

  /**
   * Complete a log-in with the second factor. A wrong one counts like a wrong password; after five the log-in begins
   * again.
   */
  verify(request: AuthMfaVerifyRequest, options?: RequestOptions): Promise<Answer<Login>> {
    return this.send(OPERATIONS["auth.mfa.verify"], { body: request, options });
  }
}

/** `client.settings.cors`. */
export class SettingsCorsResource extends Resource {
  /**
   * Get the origins whose pages may read this API's answers with a credential of this tenant and environment. Needs the
   * scope `keys:read`.
   */
  get(options?: RequestOptions): Promise<Answer<Cors>> {
    return this.send(OPERATIONS["settings.cors.get"], { options });
  }

  /**
   * Replace the allowed origins; takes effect within ten seconds. Pages of the console are always allowed. Needs the
   * scope `keys:write`.
   */
  replace(request: ReplaceSettingsCorsRequest, options?: ConditionalOptions): Promise<Answer<Cors>> {
    return this.send(OPERATIONS["settings.cors.replace"], { body: request, options });
  }
}

/** `client.telephony.numbers`. */
export class TelephonyNumbersResource extends Resource {
  /**
   * Have the carrier tell us of a number's calls and texts, as when it was bought. Needs the scope `telephony:write`.
   */
  configure(numberId: string, options?: RequestOptions): Promise<Answer<TelephonyNumber>> {
    return this.send(OPERATIONS["telephony.numbers.configure"], { path: { numberId }, options });
  }

  /**
   * Buy a number and set it up, so that its calls and texts reach the agent; or take over one that your account rents
   * already (`"source": "existing"`). It rents the number from your own account with the carrier if you have added one,
   * else from the platform's. While the carrier works on it, `status` is `provisioning`; a number is never bought
   * twice, whatever is lost on the way. Needs the scope `telephony:write`.
   */
  create(request: CreateTelephonyNumberRequest, options?: RequestOptions): Promise<Answer<TelephonyNumber>> {
    return this.send(OPERATIONS["telephony.numbers.create"], { body: request, options });
  }

  /**
   * Give a number back. Where the carrier does not answer, it stays listed as `releasing` until it does. Needs the
   * scope `telephony:write`.
   */
  delete(numberId: string, query?: TelephonyNumberDeleteQuery, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["telephony.numbers.delete"], { path: { numberId }, query, options });
  }

  /** One number. Needs the scope `telephony:read`. */
  get(numberId: string, options?: RequestOptions): Promise<Answer<TelephonyNumber>> {
    return this.send(OPERATIONS["telephony.numbers.get"], { path: { numberId }, options });
  }

  /**
   * List your numbers, newest first. Those that failed or were given back are listed by `status` only. Needs the scope
   * `telephony:read`.
   */
  list(query?: TelephonyNumberListQuery, options?: RequestOptions): PagedList<TelephonyNumber> {
    return new PagedList(this.send, OPERATIONS["telephony.numbers.list"], { query, options });
  }

  /**
   * Find numbers that can be bought. Every carrier that is set up is asked at once; `warnings` names those that did not
   * answer. Needs the scope `telephony:read`.
   */
  search(query?: TelephonyNumberSearchQuery, options?: RequestOptions): Promise<Answer<AvailableNumbers>> {
    return this.send(OPERATIONS["telephony.numbers.search"], { query, options });
  }

  /**
   * Assign a number to another agent or to none, or name it. Calls that run go on with the agent that answered. Needs
   * the scope `telephony:write`.
   */
  update(
    numberId: string,
    request?: UpdateTelephonyNumberRequest,
    options?: RequestOptions,
  ): Promise<Answer<TelephonyNumber>> {
    return this.send(OPERATIONS["telephony.numbers.update"], { path: { numberId }, body: request ?? {}, options });
  }

  /**
   * Read at the carrier where it tells of a number's calls and texts, and say what differs from where it should. Needs
   * the scope `telephony:write`.
   */
  verify(numberId: string, options?: RequestOptions): Promise<Answer<NumberVerification>> {
    return this.send(OPERATIONS["telephony.numbers.verify"], { path: { numberId }, options });
  }
}

/** `client.telephony.trunks`. */
export class TelephonyTrunksResource extends Resource {
  /**
   * Make a SIP trunk at a carrier: calls to its numbers go to your servers, and your servers call out over it. The
   * password of its credentials is in this answer and kept nowhere. Where the carrier fails on the way, `status` is
   * `failed`, and an empty PATCH tries again. Needs the scope `telephony:write`.
   */
  create(request: CreateTelephonyTrunkRequest, options?: RequestOptions): Promise<Answer<SipTrunk>> {
    return this.send(OPERATIONS["telephony.trunks.create"], { body: request, options });
  }

  /**
   * Take a SIP trunk away. Its numbers stay yours, and their calls come to your agents again. Needs the scope
   * `telephony:write`.
   */
  delete(trunkId: string, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["telephony.trunks.delete"], { path: { trunkId }, options });
  }

  /** One SIP trunk. Needs the scope `telephony:read`. */
  get(trunkId: string, options?: RequestOptions): Promise<Answer<SipTrunk>> {
    return this.send(OPERATIONS["telephony.trunks.get"], { path: { trunkId }, options });
  }

  /** List SIP trunks, newest first. Needs the scope `telephony:read`. */
  list(query?: TelephonyTrunkListQuery, options?: RequestOptions): PagedList<SipTrunk> {
    return new PagedList(this.send, OPERATIONS["telephony.trunks.list"], { query, options });
  }

  /**
   * Read at the carrier what it has of each part of a trunk; `lastTest` of the answer says what is missing. No call is
   * placed. Needs the scope `telephony:write`.
   */
  test(trunkId: string, options?: RequestOptions): Promise<Answer<SipTrunk>> {
    return this.send(OPERATIONS["telephony.trunks.test"], { path: { trunkId }, options });
  }

  /**
   * Change a SIP trunk, or with an empty patch try again what the carrier failed at. New credentials are in this answer
   * alone. Needs the scope `telephony:write`.
   */
  update(trunkId: string, request?: UpdateTelephonyTrunkRequest, options?: RequestOptions): Promise<Answer<SipTrunk>> {
    return this.send(OPERATIONS["telephony.trunks.update"], { path: { trunkId }, body: request ?? {}, options });
  }
}

/** `client.telephony.usage`. */
export class TelephonyUsageResource extends Resource {
  /**
   * Calls, minutes, messages and their cost by number, carrier and direction, of conversations that have ended. Without
   * `dateFrom` of the last 30 days. Needs the scope `telephony:read`.
   */
  get(query?: TelephonyUsageGetQuery, options?: RequestOptions): Promise<Answer<TelephonyUsage>> {
    return this.send(OPERATIONS["telephony.usage.get"], { query, options });
  }
}

/** `client.webrtc.sessions`. */
export class WebrtcSessionsResource extends Resource {
  /**
   * Make a call ready. Connect to WebRtcHub with the session token before it expires, and use the ICE servers as they
   * are. Needs the scope `webrtc:write`.
   */
  create(request: CreateWebrtcSessionRequest, options?: RequestOptions): Promise<Answer<WebRtcSession>> {
    return this.send(OPERATIONS["webrtc.sessions.create"], { body: request, options });
  }
}

/** `client.agents`. */
export class AgentsResource extends Resource {
  /** Let an agent take calls. Needs the scope `agents:write`. */
  activate(agentId: string, options?: ConditionalOptions): Promise<Answer<Agent>> {
    return this.send(OPERATIONS["agents.activate"], { path: { agentId }, options });
  }

  /**
   * Compare two versions of an agent: which members differ, with the value in the first and in the second. Needs the
   * scope `agents:read`.
   */
  compare(
    agentId: string,
    first: string | number,
    second: string | number,
    options?: RequestOptions,
  ): Promise<Answer<Comparison>> {
    return this.send(OPERATIONS["agents.compare"], { path: { agentId, first, second }, options });
  }

  /**
   * Create an agent, as a draft. Fields that are left out get their documented defaults. `warnings` of the answer name
   * models and voices that are not in the catalogue, providers that you have no access to, and targets of transfers
   * that calls may not go to. Needs the scope `agents:write`.
   */
  create(request: CreateAgentRequest, options?: RequestOptions): Promise<Answer<Agent>> {
    return this.send(OPERATIONS["agents.create"], { body: request, options });
  }

  /** Refuse an agent new calls; those in progress go on. Needs the scope `agents:write`. */
  deactivate(agentId: string, options?: ConditionalOptions): Promise<Answer<Agent>> {
    return this.send(OPERATIONS["agents.deactivate"], { path: { agentId }, options });
  }

  /**
   * Delete an agent for good; its phone numbers are free again. Its conversations are kept. Needs the scope
   * `agents:write`.
   */
  delete(agentId: string, options?: ConditionalOptions): Promise<void> {
    return this.send(OPERATIONS["agents.delete"], { path: { agentId }, options });
  }

  /** Copy an agent with all its settings; the copy is inactive. Needs the scope `agents:write`. */
  duplicate(agentId: string, request?: AgentDuplicateRequest, options?: RequestOptions): Promise<Answer<Agent>> {
    return this.send(OPERATIONS["agents.duplicate"], { path: { agentId }, body: request ?? {}, options });
  }

  /** Get an agent. Its `ETag` goes into the `If-Match` of a later change. Needs the scope `agents:read`. */
  get(agentId: string, options?: RequestOptions): Promise<Answer<Agent>> {
    return this.send(OPERATIONS["agents.get"], { path: { agentId }, options });
  }

  /** Get a test: where it stands, and its conversation. Needs the scope `agents:read`. */
  getTest(agentId: string, testSessionId: string, options?: RequestOptions): Promise<Answer<Test>> {
    return this.send(OPERATIONS["agents.get_test"], { path: { agentId, testSessionId }, options });
  }

  /** List agents, newest first unless asked otherwise. Needs the scope `agents:read`. */
  list(query?: AgentListQuery, options?: RequestOptions): PagedList<Agent> {
    return new PagedList(this.send, OPERATIONS["agents.list"], { query, options });
  }

  /**
   * Make the current version the one that talks. It never changes again; publishing it once more changes nothing. Needs
   * the scope `agents:write`.
   */
  publish(agentId: string, request?: AgentPublishRequest, options?: ConditionalOptions): Promise<Answer<Agent>> {
    return this.send(OPERATIONS["agents.publish"], { path: { agentId }, body: request ?? {}, options });
  }

  /**
   * Go back to the configuration of an earlier version, as the agent's next version. What is published stays published.
   * Needs the scope `agents:write`.
   */
  restore(agentId: string, number: string | number, options?: ConditionalOptions): Promise<Answer<Agent>> {
    return this.send(OPERATIONS["agents.restore"], { path: { agentId, number }, options });
  }

  /**
   * Sum up an agent's conversations that started in a period: of its whole life when no dates are given. Needs the
   * scope `agents:read`.
   */
  stats(agentId: string, query?: AgentStatsQuery, options?: RequestOptions): Promise<Answer<AgentStats>> {
    return this.send(OPERATIONS["agents.stats"], { path: { agentId }, query, options });
  }

  /**
   * Try an agent out, also a draft or an inactive one. Where no carrier is involved, and on every channel in the
   * sandbox, a simulated caller talks with it; the conversation has a transcript, a recording and costs like any other,
   * and is marked in its metadata. By phone an agent that has a number in the sandbox calls over a simulated carrier.
   * With a live key a test by phone calls `phoneNumber` from the agent's number, at any hour, and one by sms, whatsapp
   * or telegram sends it the agent's first message; this needs the scope `calls:write` or `conversations:write`. 409
   * `carrier-not-configured` when the agent has no number or account there, and whatever `/outbound-calls` and
   * `/messages` refuse. Needs the scope `agents:write`.
   */
  test(agentId: string, request: AgentTestRequest, options?: RequestOptions): Promise<Answer<TestStarted>> {
    return this.send(OPERATIONS["agents.test"], { path: { agentId }, body: request, options });
  }

  /** List an agent's tests, newest first. Needs the scope `agents:read`. */
  tests(agentId: string, query?: AgentTestsQuery, options?: RequestOptions): PagedList<Test> {
    return new PagedList(this.send, OPERATIONS["agents.tests"], { path: { agentId }, query, options });
  }

  /**
   * Change an agent by a JSON merge patch: nested objects merge, null clears a field, arrays are replaced. Every patch
   * makes the next version, also one that changes nothing. Needs the scope `agents:write`.
   */
  update(agentId: string, request: UpdateAgentRequest, options?: ConditionalOptions): Promise<Answer<Agent>> {
    return this.send(OPERATIONS["agents.update"], { path: { agentId }, body: request, options });
  }

  /** Get one version of an agent, with its configuration. Needs the scope `agents:read`. */
  version(agentId: string, number: string | number, options?: RequestOptions): Promise<Answer<VersionDetail>> {
    return this.send(OPERATIONS["agents.version"], { path: { agentId, number }, options });
  }

  /** List an agent's versions, newest first. Needs the scope `agents:read`. */
  versions(agentId: string, options?: RequestOptions): Promise<Answer<VersionList>> {
    return this.send(OPERATIONS["agents.versions"], { path: { agentId }, options });
  }
}

/** `client.analysis`. */
export class AnalysisResource extends Resource {
  /** List the analyses that were given up, the latest first. Needs the scope `conversations:read`. */
  failures(query?: AnalysisFailuresQuery, options?: RequestOptions): PagedList<Failure> {
    return new PagedList(this.send, OPERATIONS["analysis.failures"], { query, options });
  }
}

/** `client.apiKeys`. */
export class ApiKeysResource extends Resource {
  /**
   * Create a key in the environment of your credential. Its text is in this answer and never again. Needs the scope
   * `keys:write`.
   */
  create(request: CreateApiKeyRequest, options?: RequestOptions): Promise<Answer<NewApiKey>> {
    return this.send(OPERATIONS["api_keys.create"], { body: request, options });
  }

  /** One key, without its text. Needs the scope `keys:read`. */
  get(keyId: string, options?: RequestOptions): Promise<Answer<ApiKey>> {
    return this.send(OPERATIONS["api_keys.get"], { path: { keyId }, options });
  }

  /** List keys, newest first, without their texts. Needs the scope `keys:read`. */
  list(query?: ApiKeyListQuery, options?: RequestOptions): PagedList<ApiKey> {
    return new PagedList(this.send, OPERATIONS["api_keys.list"], { query, options });
  }

  /** Give a key another name. What it may do never changes. Needs the scope `keys:write`. */
  rename(keyId: string, request: ApiKeyRenameRequest, options?: RequestOptions): Promise<Answer<ApiKey>> {
    return this.send(OPERATIONS["api_keys.rename"], { path: { keyId }, body: request, options });
  }

  /** Revoke a key, in force within five seconds. Needs the scope `keys:write`. */
  revoke(keyId: string, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["api_keys.revoke"], { path: { keyId }, options });
  }

  /**
   * Get a new key with the same name and scopes. The old one stays good for the overlap, a day unless you say
   * otherwise. Needs the scope `keys:write`.
   */
  rotate(keyId: string, request?: ApiKeyRotateRequest, options?: RequestOptions): Promise<Answer<NewApiKey>> {
    return this.send(OPERATIONS["api_keys.rotate"], { path: { keyId }, body: request ?? {}, options });
  }
}

/** `client.auditLog`. */
export class AuditLogResource extends Resource {
  /** List what was done in this environment and by whom, newest first. Needs the scope `audit:read`. */
  list(query?: AuditLogListQuery, options?: RequestOptions): PagedList<AuditEntry> {
    return new PagedList(this.send, OPERATIONS["audit_log.list"], { query, options });
  }
}

/** `client.auth`. */
export class AuthResource extends Resource {
  readonly mfa: AuthMfaResource;

  constructor(send: Send) {
    super(send);
    this.mfa = new AuthMfaResource(send);
  }

  /** Join a tenant with the link from the mail and a password of your own; you are logged in then. */
  acceptInvitation(request: AuthAcceptInvitationRequest, options?: RequestOptions): Promise<Answer<Login>> {
    return this.send(OPERATIONS["auth.accept_invitation"], { body: request, options });
  }

  /** Get a link by mail that ends the lock after wrong passwords. The answer is always the same. */
  askToUnlock(request: AuthAskToUnlockRequest, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["auth.ask_to_unlock"], { body: request, options });
  }

  /**
   * Go on in the other environment. With the refresh token the whole log-in moves there; without, you get an access
   * token.
   */
  changeEnvironment(
    request: AuthChangeEnvironmentRequest,
    options?: RequestOptions,
  ): Promise<Answer<EnvironmentResult>> {
    return this.send(OPERATIONS["auth.change_environment"], { body: request, options });
  }

  /** Change your password. All log-ins end, and you get a new one. */
  changePassword(request: AuthChangePasswordRequest, options?: RequestOptions): Promise<Answer<Login>> {
    return this.send(OPERATIONS["auth.change_password"], { body: request, options });
  }

  /** Confirm the address with the link from the mail: the tenant is made, and you are logged in. */
  confirmRegistration(request: AuthConfirmRegistrationRequest, options?: RequestOptions): Promise<Answer<Login>> {
    return this.send(OPERATIONS["auth.confirm_registration"], { body: request, options });
  }

  /** Get a link to a new password by mail. The answer is the same whether anybody has this address. */
  forgot(request: AuthForgotRequest, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["auth.forgot"], { body: request, options });
  }

  /** Get a token for the hubs, which take no API key; optionally bound to one agent or session. */
  hubToken(request?: AuthHubTokenRequest, options?: RequestOptions): Promise<Answer<HubToken>> {
    return this.send(OPERATIONS["auth.hub_token"], { body: request ?? {}, options });
  }

  /**
   * Log in with email and password: an access token for a quarter of an hour, and a refresh token to get the next; or a
   * token to complete the log-in with, when a second factor is set up.
   */
  login(request: AuthLoginRequest, options?: RequestOptions): Promise<Answer<Login | MfaRequired>> {
    return this.send(OPERATIONS["auth.login"], { body: request, options });
  }

  /** End a log-in: its refresh tokens are no good any more. Access tokens run out by themselves. */
  logout(request: AuthLogoutRequest, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["auth.logout"], { body: request, options });
  }

  /** End all your log-ins, this one too: refresh tokens at once, access tokens within seconds. */
  logoutEverywhere(options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["auth.logout_everywhere"], { options });
  }

  /** What an invitation is for. It stays good. */
  lookAtInvitation(request: AuthLookAtInvitationRequest, options?: RequestOptions): Promise<Answer<Invitation>> {
    return this.send(OPERATIONS["auth.look_at_invitation"], { body: request, options });
  }

  /** Who is logged in. */
  me(options?: RequestOptions): Promise<Answer<User>> {
    return this.send(OPERATIONS["auth.me"], { options });
  }

  /** Exchange a refresh token for a new pair. Each is good once; using one a second time ends the log-in. */
  refresh(request: AuthRefreshRequest, options?: RequestOptions): Promise<Answer<Login>> {
    return this.send(OPERATIONS["auth.refresh"], { body: request, options });
  }

  /**
   * Register. You get a mail with a link that opens the account; the answer is the same for an address that has one.
   */
  register(request: AuthRegisterRequest, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["auth.register"], { body: request, options });
  }

  /** Change your own names. */
  rename(request?: AuthRenameRequest, options?: RequestOptions): Promise<Answer<User>> {
    return this.send(OPERATIONS["auth.rename"], { body: request ?? {}, options });
  }

  /** Choose a new password with the link from the mail. All log-ins end; a second factor is asked for as before. */
  reset(request: AuthResetRequest, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["auth.reset"], { body: request, options });
  }

  /** End the lock after wrong passwords with the link from the mail. */
  unlock(request: AuthUnlockRequest, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["auth.unlock"], { body: request, options });
  }
}

/** `client.channels`. */
export class ChannelsResource extends Resource {
  /**
   * Connect an account with an agent. The network is asked who the account is, and told to post its messages here. 409
   * `channel-taken` when the address is connected already, `credential-refused` when the network does not know the key;
   * 403 `platform-channel` without a credential, unless the caller is the platform's operator. Needs the scope
   * `telephony:write`.
   */
  create(request: CreateChannelRequest, options?: RequestOptions): Promise<Answer<ChannelResult>> {
    return this.send(OPERATIONS["channels.create"], { body: request, options });
  }

  /**
   * Disconnect an account: nobody answers there any more, and the network is told to post nothing. What was written
   * stays. Needs the scope `telephony:write`.
   */
  delete(channelId: string, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["channels.delete"], { path: { channelId }, options });
  }

  /** One connection. Needs the scope `telephony:read`. */
  get(channelId: string, options?: RequestOptions): Promise<Answer<ChannelResult>> {
    return this.send(OPERATIONS["channels.get"], { path: { channelId }, options });
  }

  /** List connections, newest first. Needs the scope `telephony:read`. */
  list(query?: ChannelListQuery, options?: RequestOptions): PagedList<ChannelResult> {
    return new PagedList(this.send, OPERATIONS["channels.list"], { query, options });
  }

  /**
   * Let another agent answer, which ends running conversations with the next message, or change the settings. Needs the
   * scope `telephony:write`.
   */
  update(channelId: string, request?: UpdateChannelRequest, options?: RequestOptions): Promise<Answer<ChannelResult>> {
    return this.send(OPERATIONS["channels.update"], { path: { channelId }, body: request ?? {}, options });
  }

  /** Ask the network where it posts messages; if not here, it is told to. Needs the scope `telephony:write`. */
  verify(channelId: string, options?: RequestOptions): Promise<Answer<ChannelResult>> {
    return this.send(OPERATIONS["channels.verify"], { path: { channelId }, options });
  }
}

/** `client.contacts`. */
export class ContactsResource extends Resource {
  /**
   * Forget somebody: all they are known by, their threads and messages. Conversations are deleted one by one. Who
   * wanted no messages gets none afterwards either: of that only a digest of the address is kept. Needs the scope
   * `conversations:delete`.
   */
  delete(contactId: string, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["contacts.delete"], { path: { contactId }, options });
  }

  /** One contact, with all it is known by and where it wants no messages. Needs the scope `conversations:read`. */
  get(contactId: string, options?: RequestOptions): Promise<Answer<Contact>> {
    return this.send(OPERATIONS["contacts.get"], { path: { contactId }, options });
  }

  /** List contacts, those first who were there last. Needs the scope `conversations:read`. */
  list(query?: ContactListQuery, options?: RequestOptions): PagedList<Contact> {
    return new PagedList(this.send, OPERATIONS["contacts.list"], { query, options });
  }

  /**
   * Say who somebody is, or that they want no messages on a channel, or want them again. Needs the scope
   * `conversations:write`.
   */
  update(contactId: string, request?: UpdateContactRequest, options?: RequestOptions): Promise<Answer<Contact>> {
    return this.send(OPERATIONS["contacts.update"], { path: { contactId }, body: request ?? {}, options });
  }
}

/** `client.conversations`. */
export class ConversationsResource extends Resource {
  /** Add tags; those that are there stay. Needs the scope `conversations:write`. */
  addTags(
    conversationId: string,
    request: ConversationAddTagsRequest,
    options?: RequestOptions,
  ): Promise<Answer<Conversation>> {
    return this.send(OPERATIONS["conversations.add_tags"], { path: { conversationId }, body: request, options });
  }

  /**
   * Get the analysis, which is there a few seconds after the end. 404 `analysis-not-available` says why there is none.
   * Needs the scope `conversations:read`.
   */
  analysis(conversationId: string, options?: RequestOptions): Promise<Answer<Analysis>> {
    return this.send(OPERATIONS["conversations.analysis"], { path: { conversationId }, options });
  }

  /**
   * Take a conversation out of the lists; it stays as it is and can be read by its id. Needs the scope
   * `conversations:write`.
   */
  archive(conversationId: string, options?: RequestOptions): Promise<Answer<Conversation>> {
    return this.send(OPERATIONS["conversations.archive"], { path: { conversationId }, options });
  }

  /** Get what a conversation cost, part by part. Needs the scope `conversations:read`. */
  costs(conversationId: string, options?: RequestOptions): Promise<Answer<Costs>> {
    return this.send(OPERATIONS["conversations.costs"], { path: { conversationId }, options });
  }

  /**
   * Delete a conversation, its transcript and its recording for good. Needs the scopes `conversations:write` and
   * `conversations:delete`.
   */
  delete(conversationId: string, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["conversations.delete"], { path: { conversationId }, options });
  }

  /** Get a conversation. Needs the scope `conversations:read`. */
  get(conversationId: string, options?: RequestOptions): Promise<Answer<Conversation>> {
    return this.send(OPERATIONS["conversations.get"], { path: { conversationId }, options });
  }

  /** List conversations, newest first unless asked otherwise. Needs the scope `conversations:read`. */
  list(query?: ConversationListQuery, options?: RequestOptions): PagedList<Conversation> {
    return new PagedList(this.send, OPERATIONS["conversations.list"], { query, options });
  }

  /** Get what was said, turn by turn; also while the conversation goes on. Needs the scope `conversations:read`. */
  messages(conversationId: string, options?: RequestOptions): Promise<Answer<Messages>> {
    return this.send(OPERATIONS["conversations.messages"], { path: { conversationId }, options });
  }

  /**
   * Get a link to the recording, good for an hour. 404 `recording-not-available` says why there is none. `parts` also
   * has what the carrier recorded after the call was handed over, where the agent's `recording.afterTransfer` asks for
   * it. Needs the scope `conversations:read`.
   */
  recording(conversationId: string, options?: RequestOptions): Promise<Answer<RecordingLink>> {
    return this.send(OPERATIONS["conversations.recording"], { path: { conversationId }, options });
  }

  /** Remove a tag. Needs the scope `conversations:write`. */
  removeTag(conversationId: string, tag: string, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["conversations.remove_tag"], { path: { conversationId, tag }, options });
  }

  /**
   * Analyse the conversation once more, after a failure or to replace what was found. Needs the scope
   * `conversations:write`.
   */
  retryAnalysis(conversationId: string, options?: RequestOptions): Promise<Answer<AnalysisState>> {
    return this.send(OPERATIONS["conversations.retry_analysis"], { path: { conversationId }, options });
  }

  /** Say how a conversation turned out. Needs the scope `conversations:write`. */
  setOutcome(
    conversationId: string,
    request: ConversationSetOutcomeRequest,
    options?: RequestOptions,
  ): Promise<Answer<Conversation>> {
    return this.send(OPERATIONS["conversations.set_outcome"], { path: { conversationId }, body: request, options });
  }

  /** Get what was said with the time of every word. Needs the scope `conversations:read`. */
  transcript(conversationId: string, options?: RequestOptions): Promise<Answer<ConversationTranscript>> {
    return this.send(OPERATIONS["conversations.transcript"], { path: { conversationId }, options });
  }

  /**
   * Hand a telephone call that goes on over to somebody. 409 `not-transferable` for anything else,
   * `transfer-in-progress` while another transfer of the call is under way; 404 `transfer-target-not-found` for a
   * target that the agent has not; 422 `number-not-allowed` for premium-rate numbers and their like,
   * `country-not-allowed` for countries that are neither those of the tenant's numbers nor in `allowedCountries` of PUT
   * /api/v1/outbound-calls/settings; agents have no such targets either. Needs the scope `conversations:write`.
   */
  transfer(
    conversationId: string,
    request?: ConversationTransferRequest,
    options?: RequestOptions,
  ): Promise<Answer<TransferStarted>> {
    return this.send(OPERATIONS["conversations.transfer"], { path: { conversationId }, body: request ?? {}, options });
  }

  /** Get what became of a call's transfers. Needs the scope `conversations:read`. */
  transfers(conversationId: string, options?: RequestOptions): Promise<Answer<Transfers>> {
    return this.send(OPERATIONS["conversations.transfers"], { path: { conversationId }, options });
  }

  /** Put an archived conversation back into the lists. Needs the scope `conversations:write`. */
  unarchive(conversationId: string, options?: RequestOptions): Promise<Answer<Conversation>> {
    return this.send(OPERATIONS["conversations.unarchive"], { path: { conversationId }, options });
  }
}

/** `client.doNotCall`. */
export class DoNotCallResource extends Resource {
  /**
   * Put a number on the list: calls to it are refused, and those that wait are not placed. One that is there stays as
   * it is. Needs the scope `calls:write`.
   */
  create(request: CreateDoNotCallRequest, options?: RequestOptions): Promise<Answer<DoNotCall>> {
    return this.send(OPERATIONS["do_not_call.create"], { body: request, options });
  }

  /**
   * Take a number off the list. Make sure that whoever it belongs to wants to be called. Needs the scope `calls:write`.
   */
  delete(phoneNumber: string, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["do_not_call.delete"], { path: { phoneNumber }, options });
  }

  /** Whether a number is on the list: 404 when it is not. Needs the scope `calls:read`. */
  get(phoneNumber: string, options?: RequestOptions): Promise<Answer<DoNotCall>> {
    return this.send(OPERATIONS["do_not_call.get"], { path: { phoneNumber }, options });
  }

  /**
   * Put up to 10,000 numbers on the list at once: all of them or, where one is no number, none. Needs the scope
   * `calls:write`.
   */
  importNumbers(request: DoNotCallImportNumbersRequest, options?: RequestOptions): Promise<Answer<DoNotCallImported>> {
    return this.send(OPERATIONS["do_not_call.import_numbers"], { body: request, options });
  }

  /** List the numbers, newest first. Needs the scope `calls:read`. */
  list(query?: DoNotCallListQuery, options?: RequestOptions): PagedList<DoNotCall> {
    return new PagedList(this.send, OPERATIONS["do_not_call.list"], { query, options });
  }
}

/** `client.mail`. */
export class MailResource extends Resource {
  /**
   * List mails to the tenant's people, newest first. Texts are there only while no mail server is set up. Needs the
   * scope `users:write`.
   */
  list(query?: MailListQuery, options?: RequestOptions): PagedList<Mail> {
    return new PagedList(this.send, OPERATIONS["mail.list"], { query, options });
  }
}

/** `client.messages`. */
export class MessagesResource extends Resource {
  /**
   * Have an agent write to somebody, by SMS from its number, by WhatsApp or Telegram from its connected account. It
   * goes out within seconds; `GET /api/v1/messages/{id}` tells what became of it. On WhatsApp a text reaches only
   * people who wrote within 24 hours: later it is held, or goes out as the connection's template. 409 `opted-out` for
   * who wants no messages. Needs the scope `conversations:write`.
   */
  create(request: CreateMessageRequest, options?: RequestOptions): Promise<Answer<Sent>> {
    return this.send(OPERATIONS["messages.create"], { body: request, options });
  }

  /** One message, and what became of it. Needs the scope `conversations:read`. */
  get(messageId: string, options?: RequestOptions): Promise<Answer<SentMessage>> {
    return this.send(OPERATIONS["messages.get"], { path: { messageId }, options });
  }

  /**
   * List messages: those of one conversation or thread in their order, others newest first. Needs the scope
   * `conversations:read`.
   */
  list(query?: MessageListQuery, options?: RequestOptions): PagedList<SentMessage> {
    return new PagedList(this.send, OPERATIONS["messages.list"], { query, options });
  }
}

/** `client.models`. */
export class ModelsResource extends Resource {
  /**
   * List the models that agents may name: language models, recognisers and voices' models, with what they can do and
   * cost. Agents may name others too: the catalogue is as old as its `source`. Needs the scope `agents:read`.
   */
  list(query?: ModelListQuery, options?: RequestOptions): PagedList<Model> {
    return new PagedList(this.send, OPERATIONS["models.list"], { query, options });
  }
}

/** `client.outboundCalls`. */
export class OutboundCallsResource extends Resource {
  /**
   * Have an agent call up to 1,000 numbers, each with its own metadata. All rows or none: a wrong field refuses the
   * batch (422 names the rows). Numbers on the do-not-call list are left out, and say so in their result. Needs the
   * scope `calls:write`.
   */
  batch(request: OutboundCallBatchRequest, options?: RequestOptions): Promise<Answer<OutboundBatch>> {
    return this.send(OPERATIONS["outbound_calls.batch"], { body: request, options });
  }

  /**
   * Cancel a call that nobody has answered; one that rings stops ringing. 409 once somebody has, or when it is over.
   * Needs the scope `calls:write`.
   */
  cancel(callId: string, options?: RequestOptions): Promise<Answer<OutboundCall>> {
    return this.send(OPERATIONS["outbound_calls.cancel"], { path: { callId }, options });
  }

  /**
   * Have an agent call somebody, now or at a time: within the calling hours of where the number is, when a slot is
   * free. Who does not answer is called again `maxRetries` times, `retryDelayMinutes` after the call ended; the status
   * is `scheduled` in between. 409 `number-on-do-not-call-list` for numbers that must not be called; 422
   * `number-not-allowed` for premium-rate numbers and their like and for numbers that agents answer,
   * `country-not-allowed` for countries that are neither those of the tenant's numbers nor allowed. Needs the scope
   * `calls:write`.
   */
  create(request: CreateOutboundCallRequest, options?: RequestOptions): Promise<Answer<OutboundCall>> {
    return this.send(OPERATIONS["outbound_calls.create"], { body: request, options });
  }

  /** Get a call. Needs the scope `calls:read`. */
  get(callId: string, options?: RequestOptions): Promise<Answer<OutboundCall>> {
    return this.send(OPERATIONS["outbound_calls.get"], { path: { callId }, options });
  }

  /** List calls, newest first unless asked otherwise. Needs the scope `calls:read`. */
  list(query?: OutboundCallListQuery, options?: RequestOptions): PagedList<OutboundCall> {
    return new PagedList(this.send, OPERATIONS["outbound_calls.list"], { query, options });
  }

  /**
   * Replace when and how calls are placed; what is left out gets its default. Holds for calls that wait, too.
   * `machineDetection` is the carrier's, which it bills; our own listens in any case, as the agent's
   * `voicemailDetection` says. Agents that want to know of no machines (`enabled: false`) are told of none. Needs the
   * scope `calls:write`.
   */
  setSettings(request?: OutboundCallSetSettingsRequest, options?: RequestOptions): Promise<Answer<CallSettings>> {
    return this.send(OPERATIONS["outbound_calls.set_settings"], { body: request ?? {}, options });
  }

  /** Get when and how calls are placed in this environment. Needs the scope `calls:read`. */
  settings(options?: RequestOptions): Promise<Answer<CallSettings>> {
    return this.send(OPERATIONS["outbound_calls.settings"], { options });
  }
}

/** `client.providerCredentials`. */
export class ProviderCredentialsResource extends Resource {
  /**
   * Keep your own access to a provider, sealed. Sessions of this environment use the provider's default one from now
   * on. Secrets are never shown again, only the last four characters of each. Needs the scope
   * `provider-credentials:write`.
   */
  create(request: CreateProviderCredentialRequest, options?: RequestOptions): Promise<Answer<ProviderCredential>> {
    return this.send(OPERATIONS["provider_credentials.create"], { body: request, options });
  }

  /**
   * Delete a credential. The newest other one of its provider becomes the default one; without one, the platform's own
   * access is used. Needs the scope `provider-credentials:write`.
   */
  delete(credentialId: string, query?: ProviderCredentialDeleteQuery, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["provider_credentials.delete"], { path: { credentialId }, query, options });
  }

  /** One credential, without its secrets. Needs the scope `provider-credentials:read`. */
  get(credentialId: string, options?: RequestOptions): Promise<Answer<ProviderCredential>> {
    return this.send(OPERATIONS["provider_credentials.get"], { path: { credentialId }, options });
  }

  /** List credentials, newest first, without their secrets. Needs the scope `provider-credentials:read`. */
  list(query?: ProviderCredentialListQuery, options?: RequestOptions): PagedList<ProviderCredential> {
    return new PagedList(this.send, OPERATIONS["provider_credentials.list"], { query, options });
  }

  /**
   * Ask the provider something small with a credential: one word of a model, one word of a voice, a moment of silence
   * to a recogniser, of a carrier or a messaging network the account itself. `lastTest` of the answer says what came of
   * it. Costs a fraction of a cent. Needs the scope `provider-credentials:write`.
   */
  test(credentialId: string, options?: RequestOptions): Promise<Answer<ProviderCredential>> {
    return this.send(OPERATIONS["provider_credentials.test"], { path: { credentialId }, options });
  }

  /**
   * Rename a credential, replace its secrets or options, or make it the default one of its provider. New sessions use
   * what is new; those that run keep what they began with. Needs the scope `provider-credentials:write`.
   */
  update(
    credentialId: string,
    request?: UpdateProviderCredentialRequest,
    options?: RequestOptions,
  ): Promise<Answer<ProviderCredential>> {
    return this.send(OPERATIONS["provider_credentials.update"], { path: { credentialId }, body: request ?? {}, options });
  }
}

/** `client.settings`. */
export class SettingsResource extends Resource {
  readonly cors: SettingsCorsResource;

  constructor(send: Send) {
    super(send);
    this.cors = new SettingsCorsResource(send);
  }
}

/** `client.telephony`. */
export class TelephonyResource extends Resource {
  readonly numbers: TelephonyNumbersResource;
  readonly trunks: TelephonyTrunksResource;
  readonly usage: TelephonyUsageResource;

  constructor(send: Send) {
    super(send);
    this.numbers = new TelephonyNumbersResource(send);
    this.trunks = new TelephonyTrunksResource(send);
    this.usage = new TelephonyUsageResource(send);
  }
}

/** `client.users`. */
export class UsersResource extends Resource {
  /** Let a person in no more: log-ins end at once, access tokens within seconds. Needs the scope `users:write`. */
  deactivate(userId: string, options?: RequestOptions): Promise<Answer<User>> {
    return this.send(OPERATIONS["users.deactivate"], { path: { userId }, options });
  }

  /** Forget a person. What they made stays. Needs the scope `users:write`. */
  delete(userId: string, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["users.delete"], { path: { userId }, options });
  }

  /** One person. Needs the scope `users:read`. */
  get(userId: string, options?: RequestOptions): Promise<Answer<User>> {
    return this.send(OPERATIONS["users.get"], { path: { userId }, options });
  }

  /** Invite somebody by e-mail. The link in it is good once, for seven days. Needs the scope `users:write`. */
  invite(request: UserInviteRequest, options?: RequestOptions): Promise<Answer<User>> {
    return this.send(OPERATIONS["users.invite"], { body: request, options });
  }

  /** List the tenant's people, newest first. Needs the scope `users:read`. */
  list(query?: UserListQuery, options?: RequestOptions): PagedList<User> {
    return new PagedList(this.send, OPERATIONS["users.list"], { query, options });
  }

  /** Let a deactivated person in again, with the password of before. Needs the scope `users:write`. */
  reactivate(userId: string, options?: RequestOptions): Promise<Answer<User>> {
    return this.send(OPERATIONS["users.reactivate"], { path: { userId }, options });
  }

  /** Send the invitation again, with a new link; the earlier one is no good any more. Needs the scope `users:write`. */
  resendInvitation(userId: string, options?: RequestOptions): Promise<Answer<User>> {
    return this.send(OPERATIONS["users.resend_invitation"], { path: { userId }, options });
  }

  /** Take all second factors of a person away, for somebody who lost them. Needs the scope `users:write`. */
  resetMfa(userId: string, options?: RequestOptions): Promise<Answer<User>> {
    return this.send(OPERATIONS["users.reset_mfa"], { path: { userId }, options });
  }

  /** Take an invitation back. Needs the scope `users:write`. */
  revokeInvitation(userId: string, options?: RequestOptions): Promise<void> {
    return this.send(OPERATIONS["users.revoke_invitation"], { path: { userId }, options });
  }

  /** End the lock that follows wrong passwords. Needs the scope `users:write`. */
  unlock(userId: string, options?: RequestOptions): Promise<Answer<User>> {
    return this.send(OPERATIONS["users.unlock"], { path: { userId }, options });
  }

  /**
   * Change names, role or permissions. Tokens made before lose their force within seconds; a refresh brings the new
   * rights. Needs the scope `users:write`.
   */
  update(userId: string, request?: UpdateUserRequest, options?: ConditionalOptions): Promise<Answer<User>> {
    return this.send(OPERATIONS["users.update"], { path: { userId }, body: request ?? {}, options });
  }
}

/** `client.voices`. */
export class VoicesResource extends Resource {
  /**
   * List the voices that agents may speak with. Voices of your own account with a provider work too, though they are
   * not listed. Needs the scope `agents:read`.
   */
  list(query?: VoiceListQuery, options?: RequestOptions): PagedList<Voice> {
    return new PagedList(this.send, OPERATIONS["voices.list"], { query, options });
  }
}

/** `client.webrtc`. */
export class WebrtcResource extends Resource {
  readonly sessions: WebrtcSessionsResource;

  constructor(send: Send) {
    super(send);
    this.sessions = new WebrtcSessionsResource(send);
  }
}

/** Everything the API has. */
export class Resources extends Resource {
  readonly agents: AgentsResource;
  readonly analysis: AnalysisResource;
  readonly apiKeys: ApiKeysResource;
  readonly auditLog: AuditLogResource;
  readonly auth: AuthResource;
  readonly channels: ChannelsResource;
  readonly contacts: ContactsResource;
  readonly conversations: ConversationsResource;
  readonly doNotCall: DoNotCallResource;
  readonly mail: MailResource;
  readonly messages: MessagesResource;
  readonly models: ModelsResource;
  readonly outboundCalls: OutboundCallsResource;
  readonly providerCredentials: ProviderCredentialsResource;
  readonly settings: SettingsResource;
  readonly telephony: TelephonyResource;
  readonly users: UsersResource;
  readonly voices: VoicesResource;
  readonly webrtc: WebrtcResource;

  constructor(send: Send) {
    super(send);
    this.agents = new AgentsResource(send);
    this.analysis = new AnalysisResource(send);
    this.apiKeys = new ApiKeysResource(send);
    this.auditLog = new AuditLogResource(send);
    this.auth = new AuthResource(send);
    this.channels = new ChannelsResource(send);
    this.contacts = new ContactsResource(send);
    this.conversations = new ConversationsResource(send);
    this.doNotCall = new DoNotCallResource(send);
    this.mail = new MailResource(send);
    this.messages = new MessagesResource(send);
    this.models = new ModelsResource(send);
    this.outboundCalls = new OutboundCallsResource(send);
    this.providerCredentials = new ProviderCredentialsResource(send);
    this.settings = new SettingsResource(send);
    this.telephony = new TelephonyResource(send);
    this.users = new UsersResource(send);
    this.voices = new VoicesResource(send);
    this.webrtc = new WebrtcResource(send);
  }
}
