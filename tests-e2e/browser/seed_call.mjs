// Makes a call with the documentation's example page and records both sides.
// Usage: node seed_call.mjs <plan.json>, with {baseUrl, html, microphoneWav, recordingWav, questionEndS, quietS, timeoutS}.
// Prints {statuses, buttons, conversationId, errors, sampleRate, hungUpAt}.

import { readFileSync, writeFileSync } from "node:fs";
import { launch } from "./chromium.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const RATE = 16000;

/** Runs before the page's own script: taps microphone and remote audio without the page noticing. */
function tapAudio(rate) {
  const tap = { samples: [], statuses: [], frames: 0 };
  globalThis.tap = tap;
  let merger = null;

  function start() {
    const context = new AudioContext({ sampleRate: rate });
    merger = context.createChannelMerger(2);
    const recorder = context.createScriptProcessor(4096, 2, 1);
    recorder.onaudioprocess = ({ inputBuffer }) => {
      const both = new Int16Array(inputBuffer.length * 2);
      for (let channel = 0; channel < 2; channel++) {
        const samples = inputBuffer.getChannelData(channel);
        for (let i = 0; i < samples.length; i++) both[2 * i + channel] = Math.max(-1, Math.min(1, samples[i])) * 32767;
      }
      tap.samples.push(both);
      tap.frames += inputBuffer.length;
    };
    merger.connect(recorder);
    recorder.connect(context.destination);
    tap.context = context;
  }

  const getUserMedia = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await getUserMedia(wanted);
    start();
    tap.context.createMediaStreamSource(stream).connect(merger, 0, 0);
    return stream;
  };
  globalThis.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(...options) {
      super(...options);
      this.addEventListener("track", (event) => tap.context.createMediaStreamSource(event.streams[0]).connect(merger, 0, 1));
    }
  };

  /** Seconds since the microphone opened, and when the agent was last heard. */
  tap.progress = () => {
    const window = rate / 50;
    let lastVoice = null;
    let position = 0;
    for (const chunk of tap.samples) {
      for (let start = 0; start + window <= chunk.length / 2; start += window) {
        let sum = 0;
        for (let i = start; i < start + window; i++) sum += chunk[2 * i + 1] ** 2;
        if (Math.sqrt(sum / window) > 300) lastVoice = (position + start) / rate;
      }
      position += chunk.length / 2;
    }
    return { seconds: position / rate, lastVoice };
  };
}

const browser = await launch({ microphoneWav: plan.microphoneWav });
try {
  const page = await (await browser.newContext()).newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.addInitScript(tapAudio, RATE);
  await page.addInitScript(() =>
    addEventListener("DOMContentLoaded", () => {
      const status = document.getElementById("status");
      new MutationObserver(() => globalThis.tap.statuses.push(status.textContent)).observe(status, { childList: true, characterData: true, subtree: true });
    }),
  );
  await page.route(`${plan.baseUrl}/example.html`, (route) =>
    route.fulfill({ contentType: "text/html; charset=utf-8", body: readFileSync(plan.html, "utf8") }),
  );
  await page.goto(`${plan.baseUrl}/example.html`);
  await page.click("#callBtn");

  // The answer is over when the agent was heard after the question and has been quiet for a while.
  const timeout = plan.timeoutS * 1000;
  let failure = null;
  await page
    .waitForFunction(
      ([questionEnd, quiet]) => {
        const { seconds, lastVoice } = globalThis.tap.progress();
        return lastVoice !== null && lastVoice > questionEnd + 0.3 && seconds > lastVoice + quiet;
      },
      [plan.questionEndS, plan.quietS],
      { polling: 250, timeout },
    )
    .catch((error) => (failure = error.message));

  const buttons = await page.evaluate(() => ["callBtn", "hangupBtn"].map((id) => document.getElementById(id).disabled));
  await page.click("#hangupBtn", { timeout: 5000 }).catch((error) => (failure ??= error.message));
  const hungUpAt = Date.now() / 1000;
  await page.waitForFunction(() => globalThis.tap.statuses.includes("Call ended"), null, { timeout: 5000 }).catch(() => {});
  const { statuses, audio } = await page.evaluate(() => {
    const parts = globalThis.tap.samples.map((chunk) => new Uint8Array(chunk.buffer));
    let binary = "";
    for (const part of parts) for (let i = 0; i < part.length; i += 8192) binary += String.fromCharCode(...part.subarray(i, i + 8192));
    return { statuses: globalThis.tap.statuses, audio: btoa(binary) };
  });
  writeFileSync(plan.recordingWav, wav(Buffer.from(audio, "base64")));
  const started = statuses.find((text) => text.startsWith("Connected — "));
  console.log(JSON.stringify({ statuses, buttons, errors, failure, hungUpAt, conversationId: started?.split(" — ")[1] ?? null }));
} finally {
  await browser.close();
}

/** 16 kHz, 16 bit, microphone left and agent right. */
function wav(data) {
  const header = Buffer.alloc(44);
  header.write("RIFF", 0);
  header.writeUInt32LE(36 + data.length, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(2, 22);
  header.writeUInt32LE(RATE, 24);
  header.writeUInt32LE(RATE * 4, 28);
  header.writeUInt16LE(4, 32);
  header.writeUInt16LE(16, 34);
  header.write("data", 36);
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}
