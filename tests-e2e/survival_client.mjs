// The official client in calls and chats that outlive their server. One connection of VoiceHub or ChatHub.
// Usage: node survival_client.mjs <hub url>, access token in HUB_TOKEN. Prints one JSON object a line: {at, event, …}, `at` in milliseconds.
// HUB_SILENCE_MS: how long the server may say nothing before it counts as gone (the client's own default is 30 s).
// HUB_RETRY_MS: try to come back every so often (the client's own default: after 0, 2, 10 and 30 s).
// Reads lines from stdin: `say <text>` sends a chat message, `play <wav>` speaks a file (16 kHz, 16-bit), `end` hangs up.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { HubConnectionBuilder, LogLevel } from "@microsoft/signalr";

const url = process.argv[2];
const isVoice = url.includes("/hubs/voice");
const SILENCE = Buffer.alloc(640).toString("base64");

const tell = (event, values = {}) => console.log(JSON.stringify({ at: performance.now(), event, ...values }));

let speech = [];

const connection = new HubConnectionBuilder()
  .withUrl(url, { accessTokenFactory: () => process.env.HUB_TOKEN })
  .withAutomaticReconnect(process.env.HUB_RETRY_MS ? Array(80).fill(Number(process.env.HUB_RETRY_MS)) : undefined)
  .configureLogging(LogLevel.None)
  .build();

if (process.env.HUB_SILENCE_MS) connection.serverTimeoutInMilliseconds = Number(process.env.HUB_SILENCE_MS);
connection.onreconnecting((error) => tell("reconnecting", { error: String(error ?? "") }));
connection.onreconnected(() => tell("reconnected"));
connection.onclose((error) => {
  tell("closed", { error: String(error ?? "") });
  process.exit(0);
});
connection.on("SessionStarted", (session) => tell("SessionStarted", session));
connection.on("SessionEnded", (end) => tell("SessionEnded", end));
connection.on("Error", (error) => tell("Error", error));
connection.on("AudioReceived", (audio) => tell("audio", { bytes: Buffer.from(audio, "base64").length }));
connection.on("AgentStateChanged", (state) => tell("state", state));
connection.on("MessageReceived", (message) => tell("message", message));
connection.on("TypingIndicator", () => {});
connection.on("ConversationEnded", () => {});
connection.on("Transcription", (words) => tell("words", words));

for (const name of ["AudioCleared", "TurnCompleted", "DtmfReceived"]) connection.on(name, () => {});

await connection.start();
tell("connected");
if (isVoice) {
  setInterval(() => {
    const frame = speech.shift() ?? SILENCE;
    if (connection.state === "Connected") connection.send("SendAudioAsync", frame).catch(() => {});
  }, 20);
}

createInterface({ input: process.stdin }).on("line", async (line) => {
  if (line.startsWith("play ")) {
    const pcm = readFileSync(line.slice(5)).subarray(44);
    speech = Array.from({ length: Math.floor(pcm.length / 640) }, (_, n) => pcm.subarray(640 * n, 640 * (n + 1)).toString("base64"));
  } else if (line === "end") {
    await connection.invoke("EndSessionAsync", "user_ended").catch((error) => tell("failed", { error: String(error) }));
    await connection.stop();
  } else if (line.startsWith("say ")) {
    await connection.invoke("SendMessageAsync", { content: line.slice(4) }).catch((error) => tell("failed", { error: String(error) }));
  }
});
