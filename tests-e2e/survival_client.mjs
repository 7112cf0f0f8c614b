// The official client in calls and chats that outlive their server. One connection of VoiceHub or ChatHub.
// Usage: node survival_client.mjs <hub url>, access token in HUB_TOKEN. Prints one JSON object a line: {at, event, …}, `at` in milliseconds.
// Reads lines from stdin: `say <text>` sends a chat message, `end` hangs up.

import { createInterface } from "node:readline";
import { HubConnectionBuilder, LogLevel } from "@microsoft/signalr";

const url = process.argv[2];
const isVoice = url.includes("/hubs/voice");
const SILENCE = Buffer.alloc(640).toString("base64");

const tell = (event, values = {}) => console.log(JSON.stringify({ at: performance.now(), event, ...values }));

const connection = new HubConnectionBuilder()
  .withUrl(url, { accessTokenFactory: () => process.env.HUB_TOKEN })
  .withAutomaticReconnect()
  .configureLogging(LogLevel.None)
  .build();

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
connection.on("Transcription", (words) => words.isFinal && tell("words", words));

for (const name of ["AudioCleared", "TurnCompleted", "DtmfReceived"]) connection.on(name, () => {});

await connection.start();
tell("connected");
if (isVoice) {
  setInterval(() => connection.state === "Connected" && connection.send("SendAudioAsync", SILENCE).catch(() => {}), 20);
}

createInterface({ input: process.stdin }).on("line", async (line) => {
  if (line === "end") {
    await connection.invoke("EndSessionAsync", "user_ended").catch((error) => tell("failed", { error: String(error) }));
    await connection.stop();
  } else if (line.startsWith("say ")) {
    await connection.invoke("SendMessageAsync", { content: line.slice(4) }).catch((error) => tell("failed", { error: String(error) }));
  }
});
