// The account of who is logged in: names, password, second factors, API keys, and the outbox.

import { apiFault } from "./faults.js";
import { clearFault, day, mark, onSubmit, say, showFault } from "./forms.js";
import { canUsePasskeys, createPasskey, passkeyFault } from "./passkeys.js";
import { Session } from "./session.js";

const $ = (id) => document.getElementById(id);

const session = new Session({ onEnd: () => location.replace("/") });
const get = (path) => session.request(`/api/v1${path}`);
const send = (method, path, body = {}) => session.request(`/api/v1${path}`, { method, body });

const READS = ["agents", "conversations", "telephony", "webhooks", "analytics", "billing", "knowledge", "calls", "users", "keys"].map((area) => `${area}:read`);
const WRITES = ["agents", "conversations", "telephony", "webhooks", "billing", "knowledge", "calls", "users", "keys", "webrtc"].map((area) => `${area}:write`);
const SCOPES = { read: READS, all: [...READS, ...WRITES], calls: ["webrtc:write"] };

function item(what, ...actions) {
  const line = document.createElement("li");
  const text = document.createElement("span");
  text.className = "what";
  text.textContent = what;
  line.append(text, ...actions);
  return line;
}

function button(label, name, act) {
  const element = document.createElement("button");
  element.type = "button";
  element.textContent = label;
  element.setAttribute("aria-label", `${label} ${name}`);
  element.addEventListener("click", async () => {
    clearFault();
    element.disabled = true;
    try {
      await act();
    } catch (error) {
      showFault(apiFault(error));
    } finally {
      element.disabled = false;
    }
  });
  return element;
}

// Profile and password

function showProfile(user) {
  $("profile-text").textContent = `${user.email} · ${user.role}`;
  $("first-name").value = user.firstName;
  $("last-name").value = user.lastName;
}

onSubmit(
  $("profile-form"),
  async (values) => {
    showProfile(await send("PATCH", "/auth/me", values));
    say("Your names are saved.");
  },
  { "/firstName": "first-name", "/lastName": "last-name" },
);

onSubmit(
  $("password-form"),
  async (values) => {
    session.open({ ...(await send("POST", "/auth/password", values)), environment: session.environment });
    $("password-form").reset();
    say("Your password is changed, and all other log-ins have ended.");
  },
  { "/currentPassword": "current-password", "/newPassword": "new-password" },
);

$("logout-all").addEventListener("click", async () => {
  try {
    await send("POST", "/auth/logout/all");
    await session.logOut();
  } catch (error) {
    showFault(apiFault(error));
  }
});

// Second factors

async function showFactors() {
  const { enabled, totpEnabled, totpSince, passkeys, recoveryCodesLeft } = await get("/auth/mfa");
  $("factors-text").textContent = enabled
    ? `Your log-in asks for a second factor. ${recoveryCodesLeft} recovery codes are left.`
    : "With a second factor, your password alone opens nothing.";
  const lines = passkeys.map((one) =>
    item(`Passkey “${one.name}” for ${one.hostName}, since ${day(one.createdAt)}`, button("Remove", one.name, () => removePasskey(one.id))),
  );
  if (totpEnabled) lines.unshift(item(`Authenticator app, since ${day(totpSince)}`, button("Remove", "the authenticator app", removeApp)));
  $("factor-list").replaceChildren(...lines);
  $("add-app").hidden = totpEnabled;
  $("add-passkey").hidden = !canUsePasskeys();
  $("new-codes").hidden = !enabled;
}

/** The password that stands in the form; null, with a word at its field, when none does. */
function password() {
  const field = $("factor-password");
  mark(field, field.value ? "" : field.dataset.missing);
  if (!field.value) field.focus();
  return field.value || null;
}

async function remove(path, done) {
  const typed = password();
  if (typed === null) return;
  try {
    await send("POST", path, { password: typed });
  } catch (error) {
    const fault = error.errors?.find((one) => one.pointer === "/password");
    if (!fault) throw error;
    mark($("factor-password"), fault.detail);
    $("factor-password").focus();
    return;
  }
  $("codes").hidden = true;
  say(done);
  await showFactors();
}

const removeApp = () => remove("/auth/mfa/totp/remove", "The authenticator app is removed.");
const removePasskey = (id) => remove(`/auth/mfa/passkeys/${encodeURIComponent(id)}/remove`, "The passkey is removed.");

function showCodes(codes) {
  if (!codes.length) return;
  $("code-list").replaceChildren(...codes.map((code) => Object.assign(document.createElement("li"), { textContent: code })));
  $("codes").hidden = false;
  $("codes-title").focus();
}

async function addApp(typed) {
  const { secret, qrCodeSvg } = await send("POST", "/auth/mfa/totp", { password: typed });
  const picture = new DOMParser().parseFromString(qrCodeSvg, "image/svg+xml").documentElement;
  picture.setAttribute("viewBox", `0 0 ${picture.getAttribute("width")} ${picture.getAttribute("height")}`);
  $("qr").replaceChildren(document.importNode(picture, true));
  $("app-secret").textContent = secret.match(/.{1,4}/g).join(" ");
  $("app").hidden = false;
  $("app-code").focus();
}

async function addPasskey(typed) {
  const { enrolmentToken, publicKey } = await send("POST", "/auth/mfa/passkeys/options", { password: typed });
  let credential;
  try {
    credential = await createPasskey(publicKey);
  } catch (error) {
    return showFault(passkeyFault(error));
  }
  const { passkey, recoveryCodes } = await send("POST", "/auth/mfa/passkeys", { enrolmentToken, name: "", credential });
  say(`The passkey for ${passkey.hostName} is added.`);
  await showFactors();
  showCodes(recoveryCodes);
}

async function renewCodes(typed) {
  const { recoveryCodes } = await send("POST", "/auth/mfa/recovery-codes", { password: typed });
  say("Your old recovery codes are no good any more.");
  await showFactors();
  showCodes(recoveryCodes);
}

let chosen = addApp;
for (const [id, act] of [["add-app", addApp], ["add-passkey", addPasskey], ["new-codes", renewCodes]]) {
  $(id).addEventListener("click", () => (chosen = act));
}
onSubmit($("factor-form"), ({ password: typed }) => chosen(typed), { "/password": "factor-password" });

onSubmit(
  $("app-form"),
  async ({ code }) => {
    const { recoveryCodes } = await send("POST", "/auth/mfa/totp/confirm", { code });
    $("app").hidden = true;
    $("app-form").reset();
    $("factor-form").reset();
    say("Your authenticator app is switched on.");
    await showFactors();
    showCodes(recoveryCodes);
  },
  { "/code": "app-code" },
);

// API keys

async function showKeys() {
  $("keys-text").textContent = `Keys of the ${session.environment} environment. Switch it on the page of the calls.`;
  const { data } = await get("/api-keys?status=active&pageSize=100");
  const lines = data.map((key) =>
    item(
      `${key.name} · ${key.prefix}… · last used ${day(key.lastUsedAt)}${key.expiresAt ? ` · until ${day(key.expiresAt)}` : ""}`,
      ...(key.replacedBy ? [] : [button("Rotate", key.name, async () => showKey(await send("POST", `/api-keys/${key.id}/rotate`)))]),
      button("Revoke", key.name, async () => {
        await session.request(`/api/v1/api-keys/${key.id}`, { method: "DELETE" });
        say(`The key ${key.name} is revoked.`);
        await showKeys();
      }),
    ),
  );
  $("key-list").replaceChildren(...(lines.length ? lines : [item("There are no keys yet.")]));
}

async function showKey({ key }) {
  $("new-key-text").textContent = key;
  $("new-key").hidden = false;
  $("new-key-text").focus();
  await showKeys();
}

onSubmit(
  $("key-form"),
  async ({ name, scopes }) => {
    await showKey(await send("POST", "/api-keys", { name, scopes: SCOPES[scopes] }));
    $("key-form").reset();
  },
  { "/name": "key-name" },
);

// Outbox

async function showMails() {
  const { data } = await get("/mail?pageSize=50");
  const lines = data.map((mail) => {
    const line = item(`${mail.subject} · to ${mail.to} · ${day(mail.createdAt)} · ${mail.status}`);
    if (mail.text) line.append(Object.assign(document.createElement("pre"), { textContent: mail.text }));
    return line;
  });
  $("mail-list").replaceChildren(...(lines.length ? lines : [item("No mail was written yet.")]));
}

/** A part of the page that this person may not see stays away. */
async function open(id, fill) {
  try {
    await fill();
    $(id).hidden = false;
  } catch (error) {
    if (error.status !== 403 && session.isOpen) showFault(apiFault(error));
  }
}

if (session.isOpen) {
  await open("profile", async () => showProfile(await get("/auth/me")));
  $("secrets").hidden = !session.isOpen;
  await Promise.all([open("factors", showFactors), open("keys", showKeys), open("outbox", showMails)]);
} else {
  location.replace("/");
}
