// Sending calls over fetch: credentials, retries, log-ins that stay fresh.

import type { Operation, Parts } from "./calls.js";
import {
  apiError,
  ConfigurationError,
  ConnectionFailed,
  RequestTimeout,
  secondsOf,
  UnexpectedAnswer,
  VoisnapError,
} from "./errors.js";

export const VERSION = "0.1.0";
export const PRODUCTION = "https://api.voisnap.ai";
export const SANDBOX = "https://sandbox.api.voisnap.ai";
export const TIMEOUT_MS = 30_000;
export const RETRIES = 3;

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 8_000;
/** A `Retry-After` beyond that is not waited for: the error is thrown and tells it. */
const LONGEST_RETRY_AFTER_MS = 60_000;
/** An access token of a log-in is renewed that long before its end. */
const RENEW_BEFORE_MS = 30_000;
const LARGEST_TIMER_MS = 2 ** 31 - 1;

const AGAIN: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);
/** A PATCH that the server worked on may have been applied: only refusals that say "not now" are repeated. */
const PATCH_AGAIN: ReadonlySet<number> = new Set([429, 503]);
const IN_FLIGHT = "idempotency-in-flight";
/** Codes of Node's failures before anything was sent. */
const NEVER_LEFT: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** Gives an access token for each call, such as one that your server makes. */
export type TokenSource = () => string | Promise<string>;

/** A log-in's tokens. */
export interface TokenPair {
  accessToken: string;
  refreshToken: string;
  expiresIn: number;
}

/** What goes into the Authorization header: an API key, an access token, or a log-in with its refresh token. */
export class Credential {
  readonly #source: TokenSource | undefined;
  #token: string;
  #refreshToken: string | undefined;
  #expiresAt: number;
  #renewing: Promise<void> | undefined;

  constructor(token: string | TokenSource, refreshToken?: string, expiresIn?: number) {
    this.#source = typeof token === "function" ? token : undefined;
    this.#token = typeof token === "function" ? "" : token;
    this.#refreshToken = refreshToken;
    this.#expiresAt = expiresIn === undefined ? Infinity : Date.now() + expiresIn * 1000;
  }

  /** The token for the next call; `refresh` exchanges a refresh token, once for calls that come together. */
  async current(refresh: (refreshToken: string) => Promise<TokenPair>): Promise<string> {
    if (this.#source) return this.#source();
    const refreshToken = this.#refreshToken;
    if (refreshToken !== undefined && Date.now() > this.#expiresAt - RENEW_BEFORE_MS) {
      this.#renewing ??= this.#renew(refresh, refreshToken).finally(() => (this.#renewing = undefined));
      await this.#renewing;
    }
    return this.#token;
  }

  async #renew(refresh: (refreshToken: string) => Promise<TokenPair>, refreshToken: string): Promise<void> {
    const renewed = await refresh(refreshToken);
    this.#token = renewed.accessToken;
    this.#refreshToken = renewed.refreshToken;
    this.#expiresAt = Date.now() + renewed.expiresIn * 1000;
  }
}

/** The platform's address: the one given, else VOISNAP_BASE_URL, else the hosted platform's environment the key belongs to. */
export function baseUrlOf(baseUrl: string | undefined, credential: string): string {
  const given = baseUrl || environment("VOISNAP_BASE_URL");
  const url = given || (credential.startsWith("vsnp_sb_") ? SANDBOX : PRODUCTION);
  if (!/^https?:\/\/[^/]/.test(url)) {
    throw new ConfigurationError(`baseUrl must begin with https:// (or http://): ${JSON.stringify(url)}`);
  }
  return url.replace(/\/+$/, "").replace(/\/api\/v1$/, "");
}

/** A variable of the process; undefined in browsers. */
export function environment(name: string): string | undefined {
  const process = (globalThis as { process?: { env?: Record<string, string | undefined> } }).process;
  return process?.env?.[name] || undefined;
}

/** Whether this runs in a page that strangers can look into. */
export function isBrowser(): boolean {
  const { window, document } = globalThis as { window?: { document?: unknown }; document?: unknown };
  return window?.document !== undefined && document !== undefined;
}

export interface SenderOptions {
  baseUrl: string;
  credential: Credential | undefined;
  timeoutMs: number;
  maxRetries: number;
  fetch: typeof globalThis.fetch;
}

/** Sends calls and awaits their answers. */
export class Sender {
  readonly baseUrl: string;
  credential: Credential | undefined;
  readonly #options: SenderOptions;

  constructor(options: SenderOptions) {
    this.baseUrl = options.baseUrl;
    this.credential = options.credential;
    this.#options = options;
  }

  /** The answer. Rejects with VoisnapError, or with the reason of the caller's signal. */
  send = async <T>(operation: Operation, parts: Parts): Promise<T> => {
    const token = await this.credential?.current((refreshToken) =>
      this.#sendAs(["POST", "/api/v1/auth/refresh"], { body: { refreshToken } }, undefined),
    );
    return this.#sendAs<T>(operation, parts, token);
  };

  async #sendAs<T>(operation: Operation, parts: Parts, token: string | undefined): Promise<T> {
    const [method, path] = operation;
    const options = parts.options ?? {};
    const url = this.baseUrl + pathOf(path, parts.path ?? {}) + queryOf(parts.query ?? {});
    const request: RequestInit = { method, headers: headersOf(method, parts, token) };
    if (parts.body !== undefined) request.body = JSON.stringify(parts.body);
    const retries = bounded("maxRetries", options.maxRetries ?? this.#options.maxRetries);
    for (let attempt = 0; ; attempt += 1) {
      let delay: number | undefined;
      try {
        const { response, text } = await this.#try(url, request, options);
        delay = attempt < retries ? pauseBeforeRetry(method, response, text, attempt) : undefined;
        if (delay === undefined) return answerOf<T>(method, path, response, text);
      } catch (error) {
        if (!(error instanceof ConnectionFailed)) throw error;
        if (attempt >= retries || !mayRepeatAfterBreak(method, error)) throw error;
        delay = pause(attempt);
      }
      await wait(delay, options.signal);
    }
  }

  /** One try, its body included. The caller's signal and the timeout both end it. */
  async #try(
    url: string,
    request: RequestInit,
    { signal, timeoutMs }: { signal?: AbortSignal | undefined; timeoutMs?: number | undefined },
  ): Promise<{ response: Response; text: string }> {
    signal?.throwIfAborted();
    const limit = bounded("timeoutMs", timeoutMs ?? this.#options.timeoutMs);
    const given = new AbortController();
    const giveUp = () => given.abort(signal?.reason);
    signal?.addEventListener("abort", giveUp, { once: true });
    let isLate = false;
    const timer = setTimeout(
      () => {
        isLate = true;
        given.abort();
      },
      Math.min(limit, LARGEST_TIMER_MS),
    );
    try {
      const response = await this.#options.fetch(url, { ...request, signal: given.signal });
      return { response, text: await response.text() };
    } catch (error) {
      signal?.throwIfAborted();
      const { pathname } = new URL(url);
      if (isLate) {
        throw new RequestTimeout(`${request.method} ${pathname} was not answered within ${limit} ms`, { cause: error });
      }
      throw new ConnectionFailed(`${request.method} ${pathname}: ${reasonOf(error)}`, { cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
    }
  }
}

/** Exponential backoff with full jitter, in milliseconds. */
export function pause(attempt: number): number {
  const most = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt);
  return 100 + Math.random() * (most - 100);
}

/** Waits; rejects with the signal's reason when it is aborted meanwhile. */
export function wait(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const giveUp = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", giveUp);
      resolve();
    }, ms);
    signal?.addEventListener("abort", giveUp, { once: true });
  });
}

function pathOf(path: string, values: Readonly<Record<string, string | number>>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    // Without its id the path would be that of another operation.
    if (value === undefined || value === null || value === "") throw new VoisnapError(`${name} is needed`);
    if (value === "." || value === "..") throw new VoisnapError(`${name} can't be ${JSON.stringify(value)}`);
    return encodeURIComponent(String(value));
  });
}

function queryOf(values: object): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values) as [string, unknown][]) {
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) continue;
    query.set(name, Array.isArray(value) ? value.map(textOf).join(",") : textOf(value));
  }
  const text = query.toString();
  return text ? `?${text}` : "";
}

function textOf(value: unknown): string {
  return value instanceof Date ? value.toISOString() : String(value);
}

function headersOf(method: string, parts: Parts, token: string | undefined): Headers {
  const options = parts.options ?? {};
  const headers = new Headers({ Accept: "application/json" });
  // A page's own name tells enough, and another one would cost a preflight.
  if (!isBrowser()) headers.set("User-Agent", `voisnap-js/${VERSION}${runtime()}`);
  if (token !== undefined) headers.set("Authorization", `Bearer ${token}`);
  if (parts.body !== undefined) headers.set("Content-Type", "application/json");
  if (options.ifMatch !== undefined) headers.set("If-Match", options.ifMatch);
  if (method === "POST") headers.set("Idempotency-Key", options.idempotencyKey ?? newKey());
  for (const [name, value] of Object.entries(options.headers ?? {})) headers.set(name, value);
  return headers;
}

function runtime(): string {
  const versions = (globalThis as { process?: { versions?: Record<string, string> } }).process?.versions;
  return versions?.["node"] ? ` (Node.js ${versions["node"]})` : "";
}

/** Unique; no secret. Node 18 and pages without TLS have no `crypto.randomUUID`. */
function newKey(): string {
  const crypto = globalThis.crypto as Crypto | undefined;
  if (typeof crypto?.randomUUID === "function") return crypto.randomUUID();
  const part = () => Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, "0");
  return `${part()}${part()}${part()}${part()}`;
}

function bounded(name: string, value: number): number {
  if (!(value >= 0)) throw new ConfigurationError(`${name} must be 0 or more: ${value}`);
  return value;
}

/** Milliseconds until the call may be sent again after this answer; undefined when it must not be. */
function pauseBeforeRetry(method: string, response: Response, text: string, attempt: number): number | undefined {
  const again =
    (method === "PATCH" ? PATCH_AGAIN : AGAIN).has(response.status) ||
    (response.status === 409 && String(problemIn(text)?.["type"]).endsWith(IN_FLIGHT));
  if (!again) return undefined;
  const told = secondsOf(response.headers.get("retry-after"));
  if (told === undefined) return pause(attempt);
  return told * 1000 <= LONGEST_RETRY_AFTER_MS ? told * 1000 : undefined;
}

/** Whether a call whose connection broke may be sent again: if it never left, or if doing it twice is like doing it once. */
function mayRepeatAfterBreak(method: string, error: ConnectionFailed): boolean {
  return method !== "PATCH" || NEVER_LEFT.has(String(codeOf(error.cause)));
}

/** Node's fetch hides why behind `cause`. */
function codeOf(error: unknown): unknown {
  const { code, cause } = (error ?? {}) as { code?: unknown; cause?: unknown };
  return code ?? (cause === undefined ? undefined : codeOf(cause));
}

function reasonOf(error: unknown): string {
  const { message, cause } = (error ?? {}) as { message?: unknown; cause?: { message?: unknown; code?: unknown } };
  return [message, cause?.message || cause?.code].filter(Boolean).join(": ") || "no connection";
}

function answerOf<T>(method: string, path: string, response: Response, text: string): T {
  const value = response.status === 204 || text === "" ? undefined : parsed(text);
  if (response.ok) {
    if (value === NO_JSON) throw unexpected(method, path, response, text);
    return tagged(value, response.headers) as T;
  }
  const problem = problemIn(text);
  if (problem === undefined) throw unexpected(method, path, response, text);
  throw apiError(response.status, problem, response.headers);
}

const NO_JSON = Symbol("no JSON");

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return NO_JSON;
  }
}

function problemIn(text: string): Readonly<Record<string, unknown>> | undefined {
  const value = parsed(text);
  const isProblem = typeof value === "object" && value !== null && ("type" in value || "title" in value);
  return isProblem ? (value as Record<string, unknown>) : undefined;
}

/** The answer with what its headers say; not enumerable, so that it goes back as an argument as it came. */
function tagged(value: unknown, headers: Headers): unknown {
  if (typeof value !== "object" || value === null) return value;
  const tags = { etag: headers.get("etag"), requestId: headers.get("x-request-id") };
  for (const [name, tag] of Object.entries(tags)) {
    if (tag !== null && !(name in value)) Object.defineProperty(value, name, { value: tag });
  }
  return value;
}

function unexpected(method: string, path: string, response: Response, text: string): UnexpectedAnswer {
  const message = `${method} ${path} answered ${response.status} with something that is no document of the API`;
  return new UnexpectedAnswer(`${message}: ${JSON.stringify(text.slice(0, 120))}`, response.status, text.slice(0, 500));
}
