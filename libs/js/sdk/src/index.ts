// Client of the Voisnap API.

export { VoisnapClient, type ClientOptions, type HubTokenBinding, type VoisnapClientOptions } from "./client.js";
export type { Answer, ConditionalOptions, MergePatch, RequestOptions } from "./calls.js";
export {
  ApiError,
  AuthenticationError,
  BadRequestError,
  ConfigurationError,
  ConflictError,
  ConnectionFailed,
  HubError,
  NotFoundError,
  PermissionDeniedError,
  PreconditionFailedError,
  RateLimitError,
  RequestTimeout,
  SecondFactorNeeded,
  ServerError,
  UnexpectedAnswer,
  ValidationError,
  VoisnapError,
  type FieldFault,
} from "./errors.js";
export type * from "./models.js";
export { PagedList, type PaginatedResponse } from "./paging.js";
export type { Pcm } from "./pcm.js";
export { ChatSession, Realtime, RealtimeSession, Reply, VoiceSession } from "./realtime.js";
export type {
  ChatEvent,
  ChatEvents,
  ConversationEvents,
  ConversationOptions,
  EventOf,
  HubFault,
  MessageReceived,
  SessionEnded,
  SessionStarted,
  TranscriptionReceived,
  VoiceEvent,
  VoiceEvents,
} from "./realtime.js";
export { OPERATIONS } from "./resources.js";
export { VERSION } from "./sender.js";
