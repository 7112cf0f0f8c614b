// The page: shows log-in, call and summary, and carries what happens in a call to the screen.

import { Call } from "./call.js";
import { apiFault } from "./faults.js";
import { watchLevel } from "./level.js";
import { SecondStep } from "./second_step.js";
import { Session } from "./session.js";
import { clock, eventually, isWithoutRecording, money, REASONS } from "./summary.js";
import { Transcript } from "./transcript.js";

const $ = (id) => document.getElementById(id);

const AGENT_STATES = { listening: "Listening", thinking: "Thinking…", speaking: "Speaking" };

const session = new Session({ onEnd: showLogIn });
const transcript = new Transcript({ lines: $("lines"), partials: $("partials"), empty: $("nothing-said") });

const secondStep = new SecondStep(session, { onDone: showCall, onCancel: () => showLogIn(false), onFault: showFault, onTry: clearFault });

let call = null;
let conversationId = null;
let stopMeter = () => {};
let timer = null;
let summaryPolls = new AbortController();

// Log-in

function showLogIn(expired) {
  call?.hangUp();
  $("account").hidden = true;
  for (const id of ["call", "talk", "summary", "second"]) $(id).hidden = true;
  $("login").hidden = false;
  $("password").value = "";
  if (expired) showFault({ title: "Please log in again", detail: "Your log-in has expired." });
  $($("email").value ? "password" : "email").focus();
}

async function logIn(event) {
  event.preventDefault();
  clearFault();
  if (!checkField("email", "Enter your e-mail address.") | !checkField("password", "Enter your password.")) {
    document.querySelector("#login-form [aria-invalid=true]").focus();
    return;
  }
  const submit = $("login-submit");
  submit.disabled = true;
  try {
    const half = await session.logIn($("email").value.trim(), $("password").value);
    if (half) askSecond(half);
    else await showCall();
  } catch (error) {
    if (error.status === 401 || error.status === 422 || error.status === 400) {
      showFault({ title: "That didn’t work", detail: "The e-mail address or the password is wrong." });
      $("password").select();
    } else {
      showFault(apiFault(error));
    }
  } finally {
    submit.disabled = false;
  }
}

function askSecond(half) {
  $("login").hidden = true;
  secondStep.ask(half);
}

function checkField(id, message) {
  const field = $(id);
  const isValid = field.value.trim() !== "";
  field.setAttribute("aria-invalid", String(!isValid));
  $(`${id}-error`).textContent = isValid ? "" : message;
  $(`${id}-error`).hidden = isValid;
  return isValid;
}

// Before a call

async function changeEnvironment() {
  clearFault();
  try {
    await session.changeEnvironment($("environment").value);
    await loadAgents();
  } catch (error) {
    if (session.isOpen) showFault(apiFault(error));
  }
  $("environment").value = session.environment;
}

async function showCall() {
  $("login").hidden = true;
  $("account").hidden = false;
  $("who").textContent = session.user?.email ?? "";
  $("environment").value = session.environment;
  $("call").hidden = false;
  await loadAgents();
}

async function loadAgents() {
  const select = $("agent");
  try {
    const { data } = await session.request("/api/v1/agents?status=active&pageSize=100&sortBy=name&sortOrder=asc");
    select.replaceChildren(...data.map((agent) => new Option(agent.name, agent.id)));
    const hasAgents = data.length > 0;
    if (!hasAgents) select.replaceChildren(new Option("No active agents", ""));
    $("agent-hint").textContent = hasAgents
      ? "Your browser will ask to use the microphone."
      : "Create and activate an agent through the API, then reload this page.";
    select.disabled = !hasAgents;
    $("start").disabled = !hasAgents;
    if (hasAgents) $("start").focus();
  } catch (error) {
    if (!session.isOpen) return;
    select.replaceChildren(new Option("Agents couldn’t be loaded", ""));
    showFault(apiFault(error));
  }
}

// During a call

async function startCall() {
  clearFault();
  summaryPolls.abort();
  $("summary").hidden = true;
  $("recording").removeAttribute("src");
  transcript.clear();
  conversationId = null;
  $("agent-name").textContent = $("agent").selectedOptions[0].text;
  $("timer").textContent = clock(0);
  setMuted(false);
  $("before").hidden = true;
  $("during").hidden = false;
  $("talk").hidden = false;
  $("hangup").focus();

  call = new Call(session, $("agent").value);
  const on = (name, handle) => call.addEventListener(name, (event) => handle(event.detail));
  on("state", followState);
  on("agent", (state) => showState(state, AGENT_STATES[state] ?? state));
  on("started", begin);
  on("transcription", (transcription) => transcript.show(transcription));
  on("turn", (turn) => transcript.measure(turn));
  on("microphone", (stream) => {
    stopMeter();
    stopMeter = watchLevel(stream, showLevel);
  });
  on("audio", play);
  on("fault", showFault);
  on("ended", endCall);
  await call.start();
}

function followState(state) {
  if (state === "connecting") showState("connecting", "Connecting…");
  if (state === "connected") showState("listening", "Connected");
  if (state === "reconnecting") showState("connecting", "Reconnecting…");
}

function showState(state, text) {
  $("orb").dataset.state = state;
  $("state").textContent = text;
  // Turn by turn this would talk over the agent: only the call's own states are announced.
  if (!(state in AGENT_STATES) || text === "Connected") $("status").textContent = text;
}

function begin(started) {
  conversationId = started.conversationId;
  if (started.agentName) $("agent-name").textContent = started.agentName;
  if (timer !== null) return;
  const startedAt = performance.now();
  timer = setInterval(() => {
    $("timer").textContent = clock((performance.now() - startedAt) / 1000);
  }, 250);
}

function play(stream) {
  const remote = $("remote");
  remote.srcObject = stream;
  remote.play().catch((error) => {
    if (error.name !== "NotAllowedError") return;
    showFault({ title: "The browser holds the sound back", detail: "Press any key or click on the page to hear the agent." });
    const retry = () => remote.play().then(clearFault, () => {});
    addEventListener("pointerdown", retry, { once: true });
    addEventListener("keydown", retry, { once: true });
  });
}

function setMuted(isMuted) {
  call?.setMuted(isMuted);
  $("mute").setAttribute("aria-pressed", String(isMuted));
  $("mute").textContent = isMuted ? "Unmute" : "Mute";
  $("meter-label").textContent = isMuted ? "Muted" : "Microphone";
}

function showLevel(level) {
  $("meter-fill").style.transform = `scaleX(${level / 100})`;
  $("meter").setAttribute("aria-valuenow", String(level));
}

// After a call

function endCall(ended) {
  stopMeter();
  stopMeter = () => {};
  clearInterval(timer);
  timer = null;
  showLevel(0);
  $("remote").srcObject = null;
  call = null;
  transcript.close();
  $("during").hidden = true;
  $("before").hidden = false;
  $("status").textContent = "Call ended";
  conversationId = ended.conversationId ?? conversationId;
  if (conversationId === null || !session.isOpen) {
    $("talk").hidden = true;
    $("start").focus();
    return;
  }
  showSummary(ended);
}

function showSummary({ reason, durationSeconds }) {
  const median = transcript.medianLatencyMs;
  $("summary-reason").textContent = REASONS[reason] ?? reason;
  $("summary-duration").textContent = durationSeconds === null ? "–" : clock(durationSeconds);
  $("summary-turns").textContent = String(transcript.turns);
  $("summary-latency").textContent = median === null ? "–" : `${Math.round(median)} ms`;
  $("summary-cost").textContent = "…";
  $("summary-id").textContent = conversationId;
  $("recording").hidden = true;
  $("recording-note").hidden = false;
  $("recording-note").textContent = "Preparing the recording…";
  $("summary").hidden = false;
  $("summary-title").focus({ preventScroll: true });
  summaryPolls = new AbortController();
  fillCost(conversationId, summaryPolls.signal);
  fillRecording(conversationId, summaryPolls.signal);
}

async function fillCost(id, signal) {
  const stored = await eventually(async () => {
    const conversation = await session.request(`/api/v1/conversations/${encodeURIComponent(id)}`);
    return conversation.status === "in_progress" ? null : conversation;
  }, signal);
  if (signal.aborted) return;
  const usd = stored?.cost?.totalUsd;
  $("summary-cost").textContent = Number.isFinite(usd) ? money(usd) : "not available";
  if (Number.isFinite(stored?.durationSeconds)) $("summary-duration").textContent = clock(stored.durationSeconds);
}

async function fillRecording(id, signal) {
  const recording = await eventually(
    () => session.request(`/api/v1/conversations/${encodeURIComponent(id)}/recording`),
    signal,
    isWithoutRecording,
  );
  if (signal.aborted) return;
  if (!recording) {
    $("recording-note").textContent = "There is no recording of this call.";
    return;
  }
  $("recording").src = recording.url;
  $("recording").hidden = false;
  $("recording-note").hidden = true;
}

// Messages

function showFault({ title, detail }) {
  $("alert-title").textContent = title;
  $("alert-detail").textContent = detail;
  $("alert").hidden = false;
}

function clearFault() {
  $("alert").hidden = true;
}

// Wiring

$("login-form").addEventListener("submit", logIn);
$("environment").addEventListener("change", changeEnvironment);
$("logout").addEventListener("click", () => session.logOut());
$("alert-dismiss").addEventListener("click", clearFault);
$("start").addEventListener("click", startCall);
$("hangup").addEventListener("click", () => call?.hangUp());
$("mute").addEventListener("click", () => setMuted($("mute").getAttribute("aria-pressed") !== "true"));
addEventListener("pagehide", () => call?.hangUp());

// The demo tenant exists where the platform was started by hand.
$("demo-hint").hidden = !["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

if (session.isOpen) showCall();
else showLogIn(false);
