// What can go wrong. Every error of this package is a `VoisnapError`; every answer of the API that is no success an `ApiError`.

/** Any failure of this package. */
export class VoisnapError extends Error {
  override readonly name: string = "VoisnapError";

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}

/** The client was made without a credential, or with one that makes no sense. */
export class ConfigurationError extends VoisnapError {
  override readonly name: string = "ConfigurationError";
}

/** The password was right and a second factor is wanted: `token` for `auth.mfa.verify`, and the `methods` it takes. */
export class SecondFactorNeeded extends VoisnapError {
  override readonly name: string = "SecondFactorNeeded";

  constructor(
    readonly token: string,
    readonly methods: readonly string[],
  ) {
    super(`a second factor is needed: ${methods.join(", ")}`);
  }
}

/** The platform could not be reached, or the connection broke before the answer; tried again as often as allowed. */
export class ConnectionFailed extends VoisnapError {
  override readonly name: string = "ConnectionFailed";
}

/** No answer within the client's timeout. */
export class RequestTimeout extends ConnectionFailed {
  override readonly name: string = "RequestTimeout";
}

/** The answer is not what the API documents: a proxy's page, a broken body. `body` is its beginning. */
export class UnexpectedAnswer extends VoisnapError {
  override readonly name: string = "UnexpectedAnswer";

  constructor(
    message: string,
    readonly status: number,
    readonly body: string,
  ) {
    super(message);
  }
}

/** The hub refused: `code` is one of the documented error codes, or `INVOCATION_FAILED` for a method's own error. */
export class HubError extends VoisnapError {
  override readonly name: string = "HubError";

  constructor(
    readonly code: string,
    readonly reason: string,
    readonly recoverable = false,
  ) {
    super(`${code}: ${reason}`);
  }
}

/** One wrong field: a JSON pointer (`/voice/voiceId`) or a parameter (`?pageSize`), a stable code, and what is wrong in words. */
export interface FieldFault {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}

/** A problem document (RFC 9457). `code` is the last part of its `type`, such as `agent-inactive`. */
export class ApiError extends VoisnapError {
  override readonly name: string = "ApiError";

  readonly type: string;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly traceId: string | undefined;
  readonly requestId: string | undefined;
  /** Every wrong field at once; empty for problems that are not about fields. */
  readonly errors: readonly FieldFault[];

  constructor(
    readonly status: number,
    /** The whole document, with members this class has no name for. */
    readonly problem: Readonly<Record<string, unknown>>,
    headers: Headers,
  ) {
    const type = text(problem["type"]);
    const code = type.slice(type.lastIndexOf("/") + 1);
    const title = text(problem["title"]);
    const detail = text(problem["detail"]);
    const traceId = problem["traceId"] === undefined ? undefined : text(problem["traceId"]);
    const errors = faults(problem["errors"]);
    const fields = errors.map((one) => `\n  ${one.pointer}: ${one.detail}`).join("");
    super(`${status} ${code || title}: ${detail}${traceId ? ` (${traceId})` : ""}${fields}`);
    this.type = type;
    this.code = code;
    this.title = title;
    this.detail = detail;
    this.traceId = traceId;
    this.requestId = headers.get("x-request-id") ?? undefined;
    this.errors = errors;
  }
}

/** 400: the request can't be read. */
export class BadRequestError extends ApiError {
  override readonly name: string = "BadRequestError";
}

/** 401: no credential, or one that is wrong, expired, revoked or of the other environment. */
export class AuthenticationError extends ApiError {
  override readonly name: string = "AuthenticationError";
}

/** 403: the credential lacks the scope or the right. */
export class PermissionDeniedError extends ApiError {
  override readonly name: string = "PermissionDeniedError";
}

/** 404: there is no such thing, or it belongs to somebody else. */
export class NotFoundError extends ApiError {
  override readonly name: string = "NotFoundError";
}

/** 409: it does not go with the state things are in; `code` says which, such as `agent-inactive`. */
export class ConflictError extends ApiError {
  override readonly name: string = "ConflictError";
}

/** 412: it changed since you read it (`ifMatch`). Read it again and repeat your change. */
export class PreconditionFailedError extends ApiError {
  override readonly name: string = "PreconditionFailedError";
}

/** 422: `errors` names every wrong field at once. */
export class ValidationError extends ApiError {
  override readonly name: string = "ValidationError";
}

/** 429: too many requests, or a limit of the plan. */
export class RateLimitError extends ApiError {
  override readonly name: string = "RateLimitError";

  /** Seconds until the next try makes sense, if the API told. */
  readonly retryAfter: number | undefined;
  /** Which limit it was. */
  readonly policy: string | undefined;

  constructor(status: number, problem: Readonly<Record<string, unknown>>, headers: Headers) {
    super(status, problem, headers);
    this.retryAfter = secondsOf(headers.get("retry-after"));
    this.policy = headers.get("x-ratelimit-policy") ?? undefined;
  }
}

/** 5xx: the platform failed; tried again as often as allowed. */
export class ServerError extends ApiError {
  override readonly name: string = "ServerError";
}

const KINDS: Readonly<Record<number, typeof ApiError>> = {
  400: BadRequestError,
  401: AuthenticationError,
  403: PermissionDeniedError,
  404: NotFoundError,
  409: ConflictError,
  412: PreconditionFailedError,
  422: ValidationError,
  429: RateLimitError,
};

/** The error that belongs to a status. */
/** @internal */
export function apiError(status: number, problem: Readonly<Record<string, unknown>>, headers: Headers): ApiError {
  const Kind = KINDS[status] ?? (status >= 500 ? ServerError : ApiError);
  return new Kind(status, problem, headers);
}

/** The seconds a `Retry-After` header names, as a number or as a date; undefined without one. */
export function secondsOf(header: string | null, now: number = Date.now()): number | undefined {
  if (!header) return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, (date - now) / 1000);
}

function faults(value: unknown): readonly FieldFault[] {
  if (!Array.isArray(value)) return [];
  return value
    .filter((one): one is Record<string, unknown> => typeof one === "object" && one !== null)
    .map((one) => ({ pointer: text(one["pointer"]), code: text(one["code"]), detail: text(one["detail"]) }));
}

function text(value: unknown): string {
  return value === undefined || value === null ? "" : String(value);
}
