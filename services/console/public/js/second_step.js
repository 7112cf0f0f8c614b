// The second factor of a log-in: a code of an app, a recovery code or a passkey.

import { apiFault } from "./faults.js";
import { requestJson } from "./http.js";
import { canUsePasskeys, passkeyFault, usePasskey } from "./passkeys.js";

const $ = (id) => document.getElementById(id);

const CODES = {
  totp: { label: "Code", hint: "Enter the code that your authenticator app shows now." },
  recovery_code: { label: "Recovery code", hint: "Enter one of the recovery codes you kept. Each is good once." },
};

export class SecondStep {
  #half = null;
  #method = "totp";

  constructor(session, { onDone, onCancel, onFault, onTry }) {
    this.session = session;
    this.onDone = onDone;
    this.onFault = onFault;
    this.onTry = onTry;
    this.onCancel = onCancel;
    $("second-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#sendCode();
    });
    $("second-passkey").addEventListener("click", () => this.#sendPasskey());
    $("second-other").addEventListener("click", () => this.#choose(this.#method === "totp" ? "recovery_code" : "totp"));
    $("second-cancel").addEventListener("click", () => this.#leave(onCancel));
  }

  /** Show the step for a log-in whose password was right. */
  ask(half) {
    this.#half = half;
    const codes = half.methods.filter((method) => method in CODES);
    $("second-form").hidden = codes.length === 0;
    $("second-other").hidden = codes.length < 2;
    $("second-passkey").hidden = !half.methods.includes("webauthn") || !canUsePasskeys();
    $("second").hidden = false;
    this.#choose(codes[0] ?? "totp");
    if (!$("second-passkey").hidden) $("second-passkey").focus();
  }

  #choose(method) {
    this.#method = method;
    $("code-label").textContent = CODES[method].label;
    $("second-hint").textContent = CODES[method].hint;
    $("second-other").textContent = method === "totp" ? "Use a recovery code" : "Use the app’s code";
    $("code").value = "";
    $("code").inputMode = method === "totp" ? "numeric" : "text";
    this.#mark("");
    $("code").focus();
  }

  async #sendCode() {
    const code = $("code").value.trim();
    this.#mark(code ? "" : "Enter the code.");
    if (!code) return $("code").focus();
    await this.#verify({ method: this.#method, code }, $("second-submit"));
  }

  async #sendPasskey() {
    this.onTry();
    let credential;
    try {
      const body = { mfaToken: this.#half.mfaToken };
      const { publicKey } = await requestJson("/api/v1/auth/mfa/passkeys/challenge", { method: "POST", body });
      credential = await usePasskey(publicKey);
    } catch (error) {
      return this.#fail(error);
    }
    await this.#verify({ method: "webauthn", credential }, $("second-passkey"));
  }

  async #verify(proof, button) {
    this.onTry();
    button.disabled = true;
    try {
      const body = { mfaToken: this.#half.mfaToken, ...proof };
      this.session.open(await requestJson("/api/v1/auth/mfa/verify", { method: "POST", body }));
      this.#leave(this.onDone);
    } catch (error) {
      this.#fail(error);
    } finally {
      button.disabled = false;
    }
  }

  #fail(error) {
    if (error.code === "invalid-mfa-token") {
      this.#leave(this.onCancel);
      this.onFault({ title: "Please log in again", detail: error.message });
    } else if (error.code === "invalid-mfa-code") {
      this.#mark("That didn’t work. Wait for the next code and try again.");
      $("code").select();
    } else if (error.status === undefined) this.onFault(passkeyFault(error));
    else this.onFault(apiFault(error));
  }

  #mark(message) {
    $("code").setAttribute("aria-invalid", String(message !== ""));
    $("code-error").textContent = message;
    $("code-error").hidden = message === "";
  }

  #leave(next) {
    this.#half = null;
    $("second").hidden = true;
    next();
  }
}
