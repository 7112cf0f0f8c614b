// `VoisnapClient`.

import type { HubToken, Login } from "./models.js";
import { ConfigurationError, SecondFactorNeeded } from "./errors.js";
import { Realtime } from "./realtime.js";
import { Resources } from "./resources.js";
import {
  baseUrlOf,
  Credential,
  environment,
  isBrowser,
  RETRIES,
  Sender,
  TIMEOUT_MS,
  type TokenSource,
} from "./sender.js";

/** A hub token is made anew when less than this share of its life is left. */
const RENEW_SHARE = 0.2;

/** How a client behaves. */
export interface ClientOptions {
  /** The platform's address, without `/api/v1`. Default: `VOISNAP_BASE_URL`, else the hosted platform. */
  baseUrl?: string | undefined;
  /** Milliseconds each try may take; 30,000. */
  timeoutMs?: number | undefined;
  /** How often a call is tried again; 3. */
  maxRetries?: number | undefined;
  /** In place of the global `fetch`, for proxies and tests. */
  fetch?: typeof globalThis.fetch | undefined;
}

/** Who the client is, and how it behaves. */
export interface VoisnapClientOptions extends ClientOptions {
  /** `vsnp_live_…` or `vsnp_sb_…`. Default: `VOISNAP_API_KEY`. */
  apiKey?: string | undefined;
  /** An access token, or what gives one for each call. */
  accessToken?: string | TokenSource | undefined;
  /** Renews the access token before it runs out. */
  refreshToken?: string | undefined;
  /** Allows an API key in a page, where everybody can read it. */
  dangerouslyAllowBrowser?: boolean | undefined;
}

/** What a hub token is bound to. */
export interface HubTokenBinding {
  agentId?: string | undefined;
  sessionId?: string | undefined;
  ttlSeconds?: number | undefined;
}

/**
 * The API.
 *
 * ```ts
 * const client = new VoisnapClient({ apiKey: "vsnp_live_..." });
 * for await (const agent of client.agents.list({ status: "active" })) console.log(agent.name);
 * ```
 *
 * Without arguments the key comes from `VOISNAP_API_KEY`. Every method rejects with a `VoisnapError`.
 */
export class VoisnapClient extends Resources {
  readonly realtime: Realtime;
  readonly #sender: Sender;
  readonly #tokens = new Map<string, { token: Promise<string>; goodUntil: number }>();

  constructor(options: VoisnapClientOptions = {}) {
    super((operation, parts) => this.#sender.send(operation, parts));
    const { credential, text } = chosen(options);
    this.#sender = senderOf(options, credential, text);
    this.realtime = new Realtime(this.#sender.baseUrl, (binding) => this.getAccessToken(binding));
  }

  /**
   * A client that acts as a person and stays logged in.
   *
   * Rejects with AuthenticationError; with SecondFactorNeeded, whose token goes with a code to `auth.mfa.verify`, and what that answers to
   * `new VoisnapClient({ accessToken, refreshToken })`.
   */
  static async login(
    { email, password }: { email: string; password: string },
    options: ClientOptions = {},
  ): Promise<VoisnapClient> {
    const client = new VoisnapClient({ ...options, accessToken: () => "" });
    client.#sender.credential = undefined;
    const answer = await client.auth.login({ email, password });
    if (!("accessToken" in answer)) throw new SecondFactorNeeded(answer.mfaToken, answer.methods);
    const { accessToken, refreshToken, expiresIn }: Login = answer;
    client.#sender.credential = new Credential(accessToken, refreshToken, expiresIn);
    return client;
  }

  /** The platform's address. */
  get baseUrl(): string {
    return this.#sender.baseUrl;
  }

  /**
   * A token for the hubs, bound to an agent or a session when one is named; kept and made anew before it runs out.
   *
   * Goes into SignalR's `accessTokenFactory: () => client.getAccessToken({ agentId })`.
   */
  getAccessToken({ agentId, sessionId, ttlSeconds }: HubTokenBinding = {}): Promise<string> {
    const name = JSON.stringify([agentId, sessionId, ttlSeconds]);
    const now = Date.now();
    for (const [other, { goodUntil }] of this.#tokens) if (now >= goodUntil) this.#tokens.delete(other);
    const kept = this.#tokens.get(name);
    if (kept) return kept.token;
    const entry = { token: Promise.resolve(""), goodUntil: Infinity };
    entry.token = this.auth.hubToken({ agentId, sessionId, ttlSeconds }).then(
      ({ accessToken, expiresIn }: HubToken) => {
        entry.goodUntil = Date.now() + expiresIn * (1 - RENEW_SHARE) * 1000;
        return accessToken;
      },
      (error: unknown) => {
        this.#tokens.delete(name);
        throw error;
      },
    );
    this.#tokens.set(name, entry);
    return entry.token;
  }
}

/** The credential that was given, else the key in VOISNAP_API_KEY. */
function chosen(options: VoisnapClientOptions): { credential: Credential; text: string } {
  const { apiKey, accessToken, refreshToken } = options;
  if (apiKey && accessToken) throw new ConfigurationError("Give an apiKey or an accessToken, not both.");
  if (accessToken) {
    const expiresIn = refreshToken === undefined ? undefined : 0;
    return { credential: new Credential(accessToken, refreshToken, expiresIn), text: "" };
  }
  const key = apiKey || environment("VOISNAP_API_KEY");
  if (!key) throw new ConfigurationError("Give an apiKey or an accessToken, or set VOISNAP_API_KEY.");
  if (!key.startsWith("vsnp_")) {
    throw new ConfigurationError("An API key starts with vsnp_live_ or vsnp_sb_; an access token goes into accessToken.");
  }
  if (isBrowser() && !options.dangerouslyAllowBrowser) {
    throw new ConfigurationError(
      "An API key in a page can be read by everybody who opens it. Let your server make tokens " +
        "(client.getAccessToken({ agentId })) and give the page those; dangerouslyAllowBrowser: true allows it nevertheless.",
    );
  }
  return { credential: new Credential(key), text: key };
}

function senderOf(options: ClientOptions, credential: Credential, text: string): Sender {
  const fetch = options.fetch ?? globalThis.fetch;
  if (typeof fetch !== "function") throw new ConfigurationError("There is no fetch here: use Node.js 18 or newer, or give one.");
  return new Sender({
    baseUrl: baseUrlOf(options.baseUrl, text),
    credential,
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
    maxRetries: options.maxRetries ?? RETRIES,
    // Browsers refuse a fetch that is called as a method.
    fetch: (...request) => fetch(...request),
  });
}
