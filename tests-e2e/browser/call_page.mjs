// A caller uses the call page of a running platform. Usage: node call_page.mjs <plan.json>, with
// {baseUrl, email, password, microphoneWav, timeoutS, screenshots?, interruption?, midSentence?, until?, relayOnly?}. Prints what the page showed, and `gapMs`:
// how long nothing of the agent was to be heard around the interruption, in decoded sound.
// `relayOnly` lets the browser use TURN alone, as behind a strict firewall; `interruption` is a command that is run when the agent has greeted.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { launch } from "./chromium.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const shot = (page, name) => (plan.screenshots ? page.screenshot({ path: join(plan.screenshots, `${name}.png`), fullPage: true }) : null);

const browser = await launch({ microphoneWav: plan.microphoneWav });
try {
  const page = await (await browser.newContext({ viewport: { width: 900, height: 900 } })).newPage();
  page.setDefaultTimeout(plan.timeoutS * 1000);
  const problems = [];
  page.on("pageerror", (error) => problems.push(error.message));
  // The page asks for what is stored of its call until it is: on a busy machine the first answer is that it isn't yet.
  const isAwaited = (message) => /status of 404/.test(message.text()) && /\/api\/v1\/conversations\//.test(message.location().url);
  page.on("console", (message) => message.type() === "error" && !isAwaited(message) && problems.push(message.text()));
  if (plan.relayOnly) {
    await page.addInitScript(() => {
      globalThis.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(options) {
          super({ ...options, iceTransportPolicy: "relay" });
        }
      };
    });
  }
  await page.addInitScript(() => {
    globalThis.loudAt = [];
    const context = new AudioContext();
    const listen = (stream) => {
      const analyser = context.createAnalyser();
      analyser.fftSize = 1024;
      context.createMediaStreamSource(stream).connect(analyser);
      const samples = new Float32Array(analyser.fftSize);
      setInterval(() => {
        context.resume();
        analyser.getFloatTimeDomainData(samples);
        if (samples.some((sample) => Math.abs(sample) > 0.01)) globalThis.loudAt.push(Date.now());
      }, 20);
    };
    const Peer = globalThis.RTCPeerConnection;
    globalThis.RTCPeerConnection = class extends Peer {
      constructor(options) {
        super(options);
        this.addEventListener("track", (event) => listen(new MediaStream([event.track])));
      }
    };
  });
  const answer = await page.goto(plan.baseUrl);
  await page.getByLabel("E-mail").fill(plan.email);
  await page.getByLabel("Password").fill(plan.password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.locator("#start:enabled").waitFor();
  const agents = await page.locator("#agent option").allInnerTexts();
  await page.evaluate(() => {
    globalThis.states = [];
    const status = document.getElementById("status");
    new MutationObserver(() => globalThis.states.push(status.textContent)).observe(status, { childList: true });
  });
  await page.getByRole("button", { name: "Start call" }).click();

  const lines = page.locator("#lines li");
  let interruptedAt = null;
  if (plan.interruption) {
    if (plan.midSentence) await page.waitForFunction(() => globalThis.loudAt.length > 10);
    else await lines.filter({ hasText: "Agent" }).first().waitFor();
    const [command, ...rest] = plan.interruption;
    execFileSync(command, rest, { stdio: ["ignore", "ignore", "inherit"], timeout: 20_000 });
    interruptedAt = Date.now();
  }
  const answered = plan.until
    ? lines.filter({ hasText: "Agent" }).filter({ hasText: plan.until })
    : lines.filter({ hasText: "Agent" }).filter({ hasText: /110|one hundred/ }).filter({ hasText: "Answered in" });
  const failure = await answered.waitFor().then(() => null, (error) => error.message.split("\n")[0]);
  await shot(page, "real-call");
  const partialsSeen = await page.locator("#partials").count();
  await page.getByRole("button", { name: "Hang up" }).click({ timeout: 3000 }).catch(() => {});
  await page.getByRole("heading", { name: "Call ended" }).waitFor({ timeout: 5000 }).catch(() => {});
  const recording = page.locator("#recording");
  await recording.waitFor({ timeout: 10_000 }).catch(() => {});
  const plays = await recording
    .evaluate((audio) =>
      Promise.race([
        new Promise((resolve) => {
          audio.addEventListener("timeupdate", () => audio.currentTime > 0.3 && resolve(audio.duration));
          audio.play().catch(() => resolve(null));
        }),
        new Promise((resolve) => setTimeout(resolve, 5000, null)),
      ]),
    )
    .catch(() => null);
  await shot(page, "real-summary");
  console.log(
    JSON.stringify({
      policy: answer.headers()["content-security-policy"] ?? null,
      agents,
      failure,
      partialsSeen,
      lines: await lines.allInnerTexts(),
      facts: await page.locator(".facts dd").allInnerTexts(),
      fault: (await page.locator("#alert").isVisible()) ? await page.locator("#alert").innerText() : null,
      recordingSeconds: plays,
      problems,
      gapMs: interruptedAt && (await page.evaluate((at) => globalThis.loudAt.find((loud) => loud > at + 300) - globalThis.loudAt.findLast((loud) => loud <= at + 300), interruptedAt)),
      states: await page.evaluate(() => globalThis.states),
    }),
  );
} finally {
  await browser.close();
}
