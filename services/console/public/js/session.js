// Who is logged in: tokens live in this tab's sessionStorage and nowhere else.

import { ApiError, requestJson } from "./http.js";

const STORE = "voisnap.session";
const REFRESH_BEFORE_MS = 60_000;

/** The log-in of this tab. `onEnd(expired)` is called when it is over: by log-out, or because it can't be renewed. */
export class Session {
  #tokens = null;
  #refreshing = null;

  constructor({ onEnd }) {
    this.onEnd = onEnd;
    try {
      this.#tokens = JSON.parse(sessionStorage.getItem(STORE));
    } catch {
      sessionStorage.removeItem(STORE);
    }
  }

  get isOpen() {
    return this.#tokens !== null;
  }

  get user() {
    return this.#tokens?.user ?? null;
  }

  get environment() {
    return this.#tokens?.environment ?? "live";
  }

  /** Log in; null, or `{mfaToken, methods}` when a second factor is needed. */
  async logIn(email, password) {
    const answer = await requestJson("/api/v1/auth/login", { method: "POST", body: { email, password } });
    if (answer.mfaRequired) return answer;
    this.open(answer);
    return null;
  }

  /** Begin with tokens that were given elsewhere: after a second factor, an invitation or a new password. */
  open(answer) {
    this.#keep({ ...answer, environment: answer.environment ?? "live" });
  }

  /** Go on in the other environment, with the whole log-in. */
  async changeEnvironment(environment) {
    const body = { environment, refreshToken: this.#tokens.refreshToken };
    this.#keep(await this.request("/api/v1/auth/environment", { method: "POST", body }));
  }

  async logOut() {
    const tokens = this.#tokens;
    this.#drop(false);
    if (tokens) {
      await requestJson("/api/v1/auth/logout", {
        method: "POST",
        token: tokens.accessToken,
        body: { refreshToken: tokens.refreshToken },
      }).catch(() => {});
    }
  }

  /** A token that is good for at least a few seconds more; renews it when needed. */
  async accessToken() {
    if (!this.#tokens) throw new ApiError({ status: 401, title: "Not logged in" });
    if (Date.now() >= this.#tokens.expiresAt - REFRESH_BEFORE_MS) await this.#refresh();
    return this.#tokens.accessToken;
  }

  /** Call the API as this user; a token that the server no longer takes is renewed once. */
  async request(path, options = {}) {
    try {
      return await requestJson(path, { ...options, token: await this.accessToken() });
    } catch (error) {
      if (error.status !== 401 || !this.#tokens) throw error;
      await this.#refresh();
      return requestJson(path, { ...options, token: this.#tokens.accessToken });
    }
  }

  // Refresh tokens are used up by their first use: calls at the same time must share one renewal.
  #refresh() {
    this.#refreshing ??= this.#renew().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #renew() {
    try {
      this.#keep(
        await requestJson("/api/v1/auth/refresh", {
          method: "POST",
          body: { refreshToken: this.#tokens.refreshToken },
        }),
      );
    } catch (error) {
      if (error.status >= 400 && error.status < 500 && error.status !== 429) this.#drop(true);
      throw error;
    }
  }

  #keep(answer) {
    this.#tokens = {
      accessToken: answer.accessToken,
      refreshToken: answer.refreshToken ?? this.#tokens?.refreshToken,
      expiresAt: Date.now() + answer.expiresIn * 1000,
      user: answer.user ?? this.#tokens?.user,
      environment: answer.environment ?? this.#tokens?.environment,
    };
    sessionStorage.setItem(STORE, JSON.stringify(this.#tokens));
  }

  #drop(expired) {
    this.#tokens = null;
    sessionStorage.removeItem(STORE);
    this.onEnd(expired);
  }
}
