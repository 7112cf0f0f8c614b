// The call page against a stubbed platform: API by request interception, hub by a scripted WebSocket, audio by a peer
// inside the page. Usage: node console_page.mjs <origin of the static files> [folder for screenshots]
// Prints {scenario: what the page showed}.

import { join } from "node:path";
import { launch } from "./chromium.mjs";

const [origin, screenshots] = process.argv.slice(2);
const RS = "\x1e";
const CONVERSATION = "conv_01JD0000000000000000000000";
const seen = {};

const json = (route, status, body, headers = {}) =>
  route.fulfill({ status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
const problem = (status, title, detail, more = {}) => ({ type: "about:blank", title, status, detail, ...more });

/** What the stubbed API answers; a scenario overrides single routes. */
const api = {
  "POST /api/v1/auth/login": (route, body) =>
    body.password === "right"
      ? json(route, 200, { accessToken: "t1", refreshToken: "r1", expiresIn: 900, tokenType: "Bearer", user: { email: body.email } })
      : json(route, 401, problem(401, "Unauthorized", "Wrong e-mail or password.")),
  "POST /api/v1/auth/refresh": (route) => json(route, 401, problem(401, "Unauthorized", "Expired.")),
  "POST /api/v1/auth/logout": (route) => route.fulfill({ status: 204 }),
  "GET /api/v1/agents": (route) =>
    json(route, 200, { data: [{ id: "agt_1", name: "Demo agent – Bella’s Bakery" }, { id: "agt_2", name: "Front desk" }], page: 1, pageSize: 100, total: 2, totalPages: 1 }),
  "POST /api/v1/webrtc/sessions": (route) =>
    json(route, 201, { sessionId: "wrtc_1", sessionToken: "wrtc_tok_1", expiresAt: "2030-01-01T00:00:00Z", iceServers: [], conversationId: CONVERSATION }),
  [`GET /api/v1/conversations/${CONVERSATION}`]: (route) =>
    json(route, 200, { id: CONVERSATION, status: "completed", durationSeconds: 42, cost: { totalUsd: 0.0123 } }),
  [`GET /api/v1/conversations/${CONVERSATION}/recording`]: (route) =>
    json(route, 200, { url: `${origin}/test-recording.wav`, format: "wav", durationSeconds: 1, expiresAt: "2030-01-01T00:00:00Z" }),
  "POST /hubs/webrtc/negotiate": (route) =>
    json(route, 200, { negotiateVersion: 1, connectionId: "c", connectionToken: "ct", availableTransports: [{ transport: "WebSockets", transferFormats: ["Text"] }] }),
};

/** The agent's end of the audio connection: a tone, answered inside the page itself. */
async function answerInPage({ sdp, type }) {
  const peer = new RTCPeerConnection();
  globalThis.testPeer = peer;
  const context = new AudioContext();
  const tone = context.createOscillator();
  const target = context.createMediaStreamDestination();
  tone.connect(target);
  tone.start();
  peer.addTrack(target.stream.getAudioTracks()[0], target.stream);
  await peer.setRemoteDescription({ sdp, type });
  await peer.setLocalDescription(await peer.createAnswer());
  if (peer.iceGatheringState !== "complete") {
    await new Promise((done) => peer.addEventListener("icegatheringstatechange", () => peer.iceGatheringState === "complete" && done()));
  }
  return { sdp: peer.localDescription.sdp, type: "answer" };
}

class HubStub {
  constructor(page, onConnect) {
    this.page = page;
    this.calls = [];
    this.urls = [];
    this.ready = new Promise((resolve) => (this.gotOffer = resolve));
    this.onConnect = onConnect ?? ((hub) => hub.started());
  }

  attach(socket) {
    this.socket = socket;
    this.urls.push(new URL(socket.url()));
    socket.onMessage(async (data) => {
      for (const record of String(data).split(RS).filter(Boolean)) {
        await this.handle(JSON.parse(record)).catch((error) => this.page.problems.push(error.message));
      }
    });
  }

  async handle(message) {
    if (message.protocol) {
      this.socket.send(`{}${RS}`);
      return this.onConnect(this);
    }
    if (message.type !== 1) return;
    this.calls.push(message.target);
    if (message.invocationId) {
      const result = message.target === "RequestReconnectionAsync" ? { result: { resumeToken: `wrtc_res_${this.urls.length}` } } : {};
      this.raw({ type: 3, invocationId: message.invocationId, ...result });
    }
    if (message.target === "SendOfferAsync") {
      this.send("SdpAnswerReceived", await this.page.evaluate(answerInPage, message.arguments[0]));
      this.gotOffer();
    }
    if (message.target === "EndSessionAsync") {
      this.send("SessionEnded", { sessionId: "wrtc_1", conversationId: CONVERSATION, reason: message.arguments[0], durationSeconds: 41, endedAt: "2026-01-01T00:00:41Z" });
    }
  }

  raw(message) {
    this.socket.send(JSON.stringify(message) + RS);
  }

  send(target, ...values) {
    this.raw({ type: 1, target, arguments: values });
  }

  started(resumed = false) {
    this.send("SessionStarted", { sessionId: "wrtc_1", conversationId: CONVERSATION, agentId: "agt_1", agentName: "Demo agent – Bella’s Bakery", channel: "webrtc", startedAt: "2026-01-01T00:00:00Z", resumed });
  }

  says(turnId, speaker, text, isFinal) {
    this.send("Transcription", { turnId, speaker, text, isFinal, confidence: 0.9, startTime: 0, endTime: 1 });
  }
}

async function openPage(browser, { overrides = {}, viewport = { width: 1100, height: 900 }, colorScheme = "light", init, onConnect, reducedMotion = "reduce" } = {}) {
  const context = await browser.newContext({ viewport, colorScheme, reducedMotion });
  const page = await context.newPage();
  page.problems = [];
  page.on("pageerror", (error) => page.problems.push(error.message));
  page.on("console", (message) => message.type() === "error" && /Content Security Policy/.test(message.text()) && page.problems.push(message.text()));
  if (init) await page.addInitScript(init);
  const answers = { ...api, ...overrides };
  await page.route(/\/(api|hubs)\//, (route) => {
    const request = route.request();
    const answer = answers[`${request.method()} ${new URL(request.url()).pathname}`];
    return answer ? answer(route, request.postDataJSON(), request) : route.fulfill({ status: 404 });
  });
  page.hub = new HubStub(page, onConnect);
  await page.routeWebSocket(/\/hubs\/webrtc/, (socket) => page.hub.attach(socket));
  await page.goto(origin);
  return page;
}

async function logIn(page, password = "right") {
  await page.getByLabel("E-mail").fill("demo@voisnap.local");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
}

async function startCall(page) {
  await page.getByRole("button", { name: "Start call" }).click();
}

async function alertText(page) {
  const alert = page.getByRole("alert");
  await alert.waitFor();
  return page.locator("#alert-title").innerText();
}

const shot = (page, name) => (screenshots ? page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true }) : null);
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);

async function conversation(page) {
  const { hub } = page;
  await hub.ready;
  await page.getByText("Connected", { exact: true }).first().waitFor();
  hub.send("AgentStateChanged", { state: "speaking" });
  hub.says("turn_0", "agent", "Hello, this is Bella’s Bakery. How can I help you?", true);
  hub.send("AgentStateChanged", { state: "listening" });
  hub.says("turn_1", "user", "when do you", false);
  hub.says("turn_1", "user", "When do you open on Saturdays?", true);
  hub.send("AgentStateChanged", { state: "thinking" });
  hub.says("turn_2", "agent", "We are open", false);
  hub.says("turn_2", "agent", "We are open from seven in the morning until two in the afternoon on Saturdays.", true);
  hub.send("TurnCompleted", { turnId: "turn_2", speaker: "agent", interrupted: false, latency: { totalMs: 812.4, endpointingMs: 500, sttMs: 121, llmMs: 93, ttsMs: 74, platformMs: 24 } });
  hub.send("AgentStateChanged", { state: "speaking" });
  hub.says("turn_3", "user", "and do you sell", false);
  await page.getByText("and do you sell").waitFor();
}

const scenarios = {
  async call(browser) {
    const page = await openPage(browser);
    await shot(page, "login-light");
    await logIn(page, "wrong");
    const refused = await alertText(page);
    await logIn(page);
    await page.getByRole("button", { name: "Start call" }).waitFor();
    const agents = await page.locator("#agent option").allInnerTexts();
    await shot(page, "before-light");
    await startCall(page);
    await conversation(page);
    await page.waitForFunction(() => Number(document.querySelector("[role=meter]").getAttribute("aria-valuenow")) > 5);
    await shot(page, "call-light");
    const lines = await page.locator("#lines li").allInnerTexts();
    const partial = await page.locator("#partials li").allInnerTexts();
    const state = await page.locator("#state").innerText();
    await page.getByRole("button", { name: "Mute" }).click();
    await page.waitForFunction(() => document.querySelector("[role=meter]").getAttribute("aria-valuenow") === "0");
    const muted = await page.getByRole("button", { name: "Unmute" }).getAttribute("aria-pressed");
    const hears = await page.evaluate(async () => {
      const audio = document.getElementById("remote");
      return !audio.paused && audio.srcObject.getAudioTracks().length === 1;
    });
    await page.getByRole("button", { name: "Hang up" }).click();
    await page.getByRole("heading", { name: "Call ended" }).waitFor();
    await page.locator("#recording").waitFor();
    await page.getByText("$0.0123").waitFor();
    const facts = await page.locator(".facts dd").allInnerTexts();
    const played = await page.locator("#recording").evaluate(async (audio) => {
      await audio.play();
      return audio.duration;
    });
    await shot(page, "summary-light");
    await page.getByRole("button", { name: "Log out" }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    const stored = await page.evaluate(() => sessionStorage.length + localStorage.length);
    return { refused, agents, lines, partial, state, muted, hears, facts, played: played > 0.5, stored, calls: [...new Set(page.hub.calls)].sort(), problems: page.problems };
  },

  async dark(browser) {
    const page = await openPage(browser, { colorScheme: "dark" });
    await shot(page, "login-dark");
    await logIn(page);
    await startCall(page);
    await conversation(page);
    await shot(page, "call-dark");
    await page.getByRole("button", { name: "Hang up" }).click();
    await page.locator("#recording").waitFor();
    await shot(page, "summary-dark");
    return { problems: page.problems };
  },

  async narrow(browser) {
    const page = await openPage(browser, { viewport: { width: 360, height: 740 } });
    const overflows = [await overflow(page)];
    await shot(page, "login-narrow");
    await logIn(page);
    await page.getByRole("button", { name: "Start call" }).waitFor();
    overflows.push(await overflow(page));
    await startCall(page);
    await conversation(page);
    overflows.push(await overflow(page));
    await shot(page, "call-narrow");
    await page.getByRole("button", { name: "Hang up" }).click();
    await page.locator("#recording").waitFor();
    overflows.push(await overflow(page));
    await shot(page, "summary-narrow");
    return { overflows };
  },

  async keyboard(browser) {
    const page = await openPage(browser);
    const focus = () => page.evaluate(() => document.activeElement.id);
    const order = [await focus()];
    await page.keyboard.type("demo@voisnap.local");
    await page.keyboard.press("Tab");
    order.push(await focus());
    await page.keyboard.type("right");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement.id === "start");
    order.push(await focus());
    await page.keyboard.press("Enter");
    await page.hub.ready;
    order.push(await focus());
    await page.keyboard.press("Shift+Tab");
    order.push(await focus());
    await page.keyboard.press("Space");
    const muted = await page.locator("#mute").getAttribute("aria-pressed");
    const ring = await page.locator("#mute").evaluate((element) => getComputedStyle(element).outlineStyle);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement.id === "summary-title");
    return { order, muted, ring };
  },

  async emptyForm(browser) {
    const page = await openPage(browser);
    await page.getByRole("button", { name: "Log in" }).click();
    return { errors: await page.locator(".field-error").allInnerTexts(), focus: await page.evaluate(() => document.activeElement.id) };
  },

  async microphoneBlocked(browser) {
    const page = await openPage(browser, {
      init: () => (navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotAllowedError"); }),
    });
    await logIn(page);
    await startCall(page);
    const text = await alertText(page);
    await shot(page, "error-light");
    return { text, canRetry: await page.getByRole("button", { name: "Start call" }).isVisible() };
  },

  async noMicrophone(browser) {
    const page = await openPage(browser, {
      init: () => (navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("no", "NotFoundError"); }),
    });
    await logIn(page);
    await startCall(page);
    return { text: await alertText(page) };
  },

  async hubUnreachable(browser) {
    const page = await openPage(browser, { overrides: { "POST /hubs/webrtc/negotiate": (route) => route.fulfill({ status: 502 }) } });
    await logIn(page);
    await startCall(page);
    return { text: await alertText(page), canRetry: await page.getByRole("button", { name: "Start call" }).isVisible() };
  },

  async tooManyCalls(browser) {
    const page = await openPage(browser, {
      overrides: { "POST /api/v1/webrtc/sessions": (route) => json(route, 429, problem(429, "Too Many Sessions", "5 of 5 calls are in use.", { code: "SESSION_LIMIT_REACHED" }), { "retry-after": "30" }) },
    });
    await logIn(page);
    await startCall(page);
    return { text: await alertText(page) };
  },

  async agentInactive(browser) {
    const page = await openPage(browser, {
      onConnect: (hub) => {
        hub.send("Error", { code: "AGENT_INACTIVE", message: "Agent agt_1 is not active.", recoverable: false });
        hub.raw({ type: 7 });
      },
    });
    await logIn(page);
    await startCall(page);
    return { text: await alertText(page) };
  },

  async recoverableError(browser) {
    const page = await openPage(browser);
    await logIn(page);
    await startCall(page);
    await page.hub.ready;
    page.hub.send("Error", { code: "LLM_PROVIDER_ERROR", message: "x", recoverable: true });
    return { text: await alertText(page), goesOn: await page.getByRole("button", { name: "Hang up" }).isVisible() };
  },

  async audioBlocked(browser) {
    const page = await openPage(browser, {
      init: () => {
        // A connection that never gets through.
        globalThis.RTCPeerConnection = class extends RTCPeerConnection {
          get connectionState() { return "failed"; }
          setRemoteDescription(description) {
            if (description.type === "offer") return super.setRemoteDescription(description);
            setTimeout(() => { for (let i = 0; i < 5; i++) this.dispatchEvent(new Event("connectionstatechange")); }, 10);
            return Promise.resolve();
          }
        };
      },
    });
    await logIn(page);
    await startCall(page);
    return { text: await alertText(page) };
  },

  async connectionLost(browser) {
    const page = await openPage(browser);
    await logIn(page);
    await startCall(page);
    await page.hub.ready;
    page.hub.raw({ type: 7, error: "gone" });
    return { text: await alertText(page) };
  },

  async signallingLost(browser) {
    let connections = 0;
    const page = await openPage(browser, { onConnect: (hub) => hub.started(++connections > 1) });
    await logIn(page);
    await startCall(page);
    await page.hub.ready;
    await page.getByText("Connected", { exact: true }).first().waitFor();
    page.hub.socket.close({ code: 1011, reason: "gone" });
    await page.waitForFunction(() => document.getElementById("status").textContent === "Reconnecting…");
    await page.waitForFunction(() => document.getElementById("status").textContent === "Connected");
    page.hub.says("turn_9", "agent", "I am still here.", true);
    await page.getByText("I am still here.").waitFor();
    await page.getByRole("button", { name: "Hang up" }).click();
    await page.getByRole("heading", { name: "Call ended" }).waitFor();
    return { connections, offers: page.hub.calls.filter((call) => call === "SendOfferAsync").length, alert: await page.locator("#alert").isVisible() };
  },

  // The server is gone, and its audio with it: `hangs` leaves the connections open.
  async serverLost(browser) {
    const seen = {};
    for (const hangs of [false, true]) {
      let connections = 0;
      const page = await openPage(browser, { onConnect: (hub) => hub.started(++connections > 1) });
      await logIn(page);
      await startCall(page);
      await page.hub.ready;
      await page.getByText("Connected", { exact: true }).first().waitFor();
      const began = Date.now();
      await page.evaluate(() => globalThis.testPeer.getSenders()[0].replaceTrack(null));
      if (!hangs) page.hub.socket.close({ code: 1011, reason: "gone" });
      await page.waitForFunction(() => document.getElementById("status").textContent === "Reconnecting…");
      await page.waitForFunction(() => document.getElementById("status").textContent === "Connected");
      seen[hangs ? "hangs" : "killed"] = {
        connections,
        tokens: page.hub.urls.map((url) => url.searchParams.get("sessionToken")),
        offers: page.hub.calls.filter((call) => call === "SendOfferAsync").length,
        isQuick: Date.now() - began < 6000,
        alert: await page.locator("#alert").isVisible(),
        problems: page.problems,
      };
      await page.getByRole("button", { name: "Hang up" }).click();
      await page.getByRole("heading", { name: "Call ended" }).waitFor();
    }
    return seen;
  },

  async expiredLogIn(browser) {
    const page = await openPage(browser);
    await logIn(page);
    await page.getByRole("button", { name: "Start call" }).waitFor();
    await page.route(/\/webrtc\/sessions/, (route) => json(route, 401, problem(401, "Unauthorized", "The token has expired.")));
    await startCall(page);
    await page.getByRole("heading", { name: "Log in" }).waitFor();
    return { text: await alertText(page), focus: await page.evaluate(() => document.activeElement.id) };
  },

  async renewedLogIn(browser) {
    let refreshes = 0;
    const page = await openPage(browser, {
      overrides: {
        "POST /api/v1/auth/refresh": (route, body) => {
          refreshes += 1;
          return json(route, 200, { accessToken: "t2", refreshToken: "r2", expiresIn: 900, tokenType: "Bearer", user: { email: "demo@voisnap.local" }, was: body.refreshToken });
        },
        "GET /api/v1/agents": (route, _body, request) =>
          request.headers().authorization === "Bearer t2" ? api["GET /api/v1/agents"](route) : json(route, 401, problem(401, "Unauthorized", "Expired")),
      },
    });
    await logIn(page);
    await page.locator("#agent option", { hasText: "Front desk" }).waitFor({ state: "attached" });
    await page.reload();
    await page.locator("#agent option", { hasText: "Front desk" }).waitFor({ state: "attached" });
    return { refreshes, alert: await page.locator("#alert").isVisible() };
  },

  async withoutRecording(browser) {
    const page = await openPage(browser, {
      overrides: {
        [`GET /api/v1/conversations/${CONVERSATION}/recording`]: (route) =>
          json(route, 404, problem(404, "Not Found", "There is no recording (disabled).", { code: "recording-not-available" })),
      },
    });
    await logIn(page);
    await startCall(page);
    await page.hub.ready;
    await page.getByText("Connected", { exact: true }).first().waitFor();
    await page.getByRole("button", { name: "Hang up" }).click();
    await page.getByText("There is no recording of this call.").waitFor();
    return { player: await page.locator("#recording").isVisible() };
  },

  async platformDown(browser) {
    const page = await openPage(browser, { overrides: { "POST /api/v1/auth/login": (route) => route.abort() } });
    await logIn(page);
    return { text: await alertText(page) };
  },
};

const browser = await launch();
const waiting = Object.entries(scenarios).filter(([name]) => !process.env.ONLY || process.env.ONLY.split(",").includes(name));

/** Scenarios one after the other, each in a context of its own; three of these run side by side. */
async function work() {
  for (let next; (next = waiting.shift()); ) {
    const [name, scenario] = next;
    const own = new Set();
    const newContext = async (options) => {
      const context = await browser.newContext(options);
      own.add(context);
      return context;
    };
    try {
      seen[name] = await scenario({ newContext });
    } catch (error) {
      seen[name] = { failed: error.message.split("\n").slice(0, 6).join("\n") };
    }
    for (const context of own) await context.close();
  }
}

try {
  await Promise.all([work(), work(), work()]);
} finally {
  await browser.close();
}
console.log(JSON.stringify(seen));
