// The pages before a log-in: forgotten passwords, invitations, registration, locks. What a link carries stands behind `#`.

import { apiFault } from "./faults.js";
import { clearFault, onSubmit, showFault } from "./forms.js";
import { requestJson } from "./http.js";
import { Session } from "./session.js";

const $ = (id) => document.getElementById(id);
const post = (path, body) => requestJson(`/api/v1/auth${path}`, { method: "POST", body });

const session = new Session({ onEnd: () => {} });
let token = "";

function show(id) {
  clearFault();
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
  const field = $(id).querySelector("input");
  (field ?? $(`${id}-title`)).focus();
}

function finish(title, text) {
  $("finished-title").textContent = title;
  $("finished-text").textContent = text;
  show("finished");
}

function enter(answer) {
  session.open(answer);
  location.replace("/");
}

/** A link that asks for one press only: a mail scanner that opens it does nothing. */
function offer(title, label, act) {
  $("follow-title").textContent = title;
  $("follow-go").textContent = label;
  $("follow-go").onclick = async () => {
    $("follow-go").disabled = true;
    try {
      await act();
    } catch (error) {
      showFault(apiFault(error));
    } finally {
      $("follow-go").disabled = false;
    }
  };
  show("follow");
}

async function showInvitation() {
  show("invitation");
  try {
    const { email, firstName, lastName, tenantName } = await post("/invitations/look", { token });
    $("invitation-text").textContent = `${tenantName || "A team"} invites ${email}.`;
    $("invitation-first").value = firstName;
    $("invitation-last").value = lastName;
  } catch (error) {
    $("invitation-form").hidden = true;
    showFault(apiFault(error));
  }
}

const links = {
  forgot: () => show("forgot"),
  register: () => show("register"),
  locked: () => show("locked"),
  reset: () => show("reset"),
  invitation: showInvitation,
  unlock: () =>
    offer("Unlock your account", "Unlock", async () => {
      await post("/unlock", { token });
      finish("Your account is unlocked", "You can log in again.");
    }),
  registration: () =>
    offer("Confirm your address", "Open my account", async () => enter(await post("/register/confirm", { token }))),
};

onSubmit($("forgot-form"), async ({ email }) => {
  await post("/password/forgot", { email });
  finish("Look into your mail", "If somebody has this address, a link is on its way.");
});
onSubmit($("locked-form"), async ({ email }) => {
  await post("/unlock/request", { email });
  finish("Look into your mail", "If an account with this address is locked, a link is on its way.");
});
onSubmit(
  $("reset-form"),
  async ({ password }) => {
    await post("/password/reset", { token, password });
    finish("Your password is changed", "Log in with the new one.");
  },
  { "/password": "reset-password" },
);
onSubmit($("invitation-form"), async (values) => enter(await post("/invitations/accept", { token, ...values })), {
  "/password": "invitation-password",
  "/firstName": "invitation-first",
  "/lastName": "invitation-last",
});
onSubmit(
  $("register-form"),
  async (values) => {
    await post("/register", values);
    finish("Look into your mail", "Open the link in it to confirm your address.");
  },
  {
    "/companyName": "register-company",
    "/firstName": "register-first",
    "/lastName": "register-last",
    "/email": "register-email",
    "/password": "register-password",
  },
);

function follow() {
  const [name, secret = ""] = location.hash.slice(1).split("=");
  token = secret;
  // The secret must not stay in the address bar and the history.
  if (secret) history.replaceState(null, "", location.pathname);
  (links[name] ?? links.forgot)();
}

addEventListener("hashchange", () => location.hash && follow());
follow();
