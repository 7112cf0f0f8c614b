// One call of the API: what is asked, and what its methods take besides.

/** What every method takes as its last argument. */
export interface RequestOptions {
  /** Gives the call up; the method then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Milliseconds for each try, in place of the client's. */
  timeoutMs?: number | undefined;
  /** How often it is tried again, in place of the client's. */
  maxRetries?: number | undefined;
  /** The `Idempotency-Key` of a POST, in place of one made for the call: use your own to repeat a call in another process. */
  idempotencyKey?: string | undefined;
  /** More headers. */
  headers?: Readonly<Record<string, string>> | undefined;
}

/** What methods take that change a thing only if it is still as you saw it. */
export interface ConditionalOptions extends RequestOptions {
  /** The `etag` you saw; PreconditionFailedError when it changed since. */
  ifMatch?: string | undefined;
}

/** What the API answered. `etag` and `requestId` come from its headers; they are no members of its JSON. */
export type Answer<T> = T & { readonly etag?: string; readonly requestId?: string };

/** A JSON merge patch (RFC 7396): what is left out stays, `null` clears, objects merge, lists are replaced. */
export type MergePatch<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [K in keyof T]?: MergePatch<T[K]> | null | undefined }
    : T;

/** An operation: its method and its path. */
export type Operation = readonly [method: string, path: string];

/** What goes into a request. */
export interface Parts {
  path?: Readonly<Record<string, string | number>>;
  query?: object | undefined;
  body?: unknown;
  options?: ConditionalOptions | undefined;
}

/** Sends a call; its answer as JSON. Rejects with VoisnapError. */
export type Send = <T>(operation: Operation, parts: Parts) => Promise<T>;

/** A group of operations. */
export class Resource {
  protected readonly send: Send;

  constructor(send: Send) {
    this.send = send;
  }
}
