// The official client on VoiceHub and ChatHub, over every transport and protocol: one line of JSON a conversation.
// node hubs_client.mjs <base url> <token> <agent id>
import signalR from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

const [base, token, agentId] = process.argv.slice(2);
const transports = {
  webSockets: signalR.HttpTransportType.WebSockets,
  serverSentEvents: signalR.HttpTransportType.ServerSentEvents,
  longPolling: signalR.HttpTransportType.LongPolling,
};

function connect(hub, transport, messagePack) {
  const builder = new signalR.HubConnectionBuilder()
    .withUrl(`${base}/hubs/${hub}?agentId=${agentId}`, {
      transport: transports[transport],
      accessTokenFactory: () => token,
    })
    .configureLogging(signalR.LogLevel.Error);
  if (messagePack) builder.withHubProtocol(new MessagePackHubProtocol());
  const connection = builder.build();
  const seen = [];
  const waiting = [];
  const note = (name) => (value) => {
    seen.push([name, value]);
    for (const wait of [...waiting]) {
      if (wait.name === name && wait.where(value)) {
        waiting.splice(waiting.indexOf(wait), 1);
        wait.resolve(value);
      }
    }
  };
  for (const name of [
    "SessionStarted", "SessionEnded", "Error", "AudioReceived", "AudioCleared", "Transcription", "AgentStateChanged",
    "TurnCompleted", "DtmfReceived", "MessageReceived", "TypingIndicator", "ConversationEnded",
  ]) connection.on(name, note(name));
  const until = (name, where = () => true) =>
    new Promise((resolve, reject) => {
      const found = seen.find(([seenName, value]) => seenName === name && where(value));
      if (found) return resolve(found[1]);
      setTimeout(() => reject(new Error(`no ${name}: ${seen.map(([n]) => n).join(" ")}`)), 15000).unref();
      waiting.push({ name, where, resolve });
    });
  const closed = new Promise((resolve) => connection.onclose(resolve));
  return { connection, until, seen, closed };
}

async function chat(transport, messagePack) {
  const { connection, until, closed } = connect("chat", transport, messagePack);
  await connection.start();
  const started = await until("SessionStarted");
  await until("MessageReceived", (message) => message.isFinal);
  await connection.invoke("TypingAsync");
  await connection.invoke("SendMessageAsync", { content: "How much does a teeth cleaning cost?" });
  const answer = await until("MessageReceived", (message) => message.isFinal && message.content.includes("110"));
  await connection.invoke("EndSessionAsync");
  const ended = await until("SessionEnded");
  await closed;
  return { conversationId: started.conversationId, answer: answer.content, reason: ended.reason };
}

async function voice(transport, messagePack) {
  const { connection, until, seen, closed } = connect("voice", transport, messagePack);
  await connection.start();
  const started = await until("SessionStarted");
  const silence = new Uint8Array(640);
  await connection.invoke("SendAudioAsync", messagePack ? silence : Buffer.from(silence).toString("base64"));
  const upload = new signalR.Subject();
  const uploaded = connection.invoke("UploadAudio", upload);
  for (let frame = 0; frame < 10; frame += 1) upload.next(messagePack ? silence : Buffer.from(silence).toString("base64"));
  upload.complete();
  await until("Transcription", (said) => said.speaker === "agent");
  await until("AudioReceived", () => seen.filter(([name]) => name === "AudioReceived").length >= 10);
  await connection.invoke("SendDtmfAsync", "5");
  await until("DtmfReceived", (key) => key.digit === "5");
  const { resumeToken } = await connection.invoke("RequestReconnectionAsync");
  await uploaded; // the client posts the frames one after another, and nobody hears of one that fails
  await connection.invoke("EndSessionAsync", "user_ended");
  const ended = await until("SessionEnded");
  await closed;
  const audio = seen.find(([name]) => name === "AudioReceived")[1];
  return {
    conversationId: started.conversationId,
    audio: typeof audio === "string" ? "base64" : audio.constructor.name,
    bytes: typeof audio === "string" ? Buffer.from(audio, "base64").length : audio.length,
    resumes: resumeToken.length > 20,
    errors: seen.filter(([name]) => name === "Error").map(([, error]) => error.code),
    reason: ended.reason,
  };
}

const runs = [
  ["chat", chat, "webSockets", false],
  ["chat", chat, "webSockets", true],
  ["chat", chat, "serverSentEvents", false],
  ["chat", chat, "longPolling", false],
  ["chat", chat, "longPolling", true],
  ["voice", voice, "webSockets", false],
  ["voice", voice, "webSockets", true],
  ["voice", voice, "serverSentEvents", false],
  ["voice", voice, "longPolling", true],
];
await Promise.all(
  runs.map(async ([hub, talk, transport, messagePack]) => {
    const run = { hub, transport, protocol: messagePack ? "messagepack" : "json" };
    try {
      console.log(JSON.stringify({ ...run, ...(await talk(transport, messagePack)) }));
    } catch (error) {
      console.log(JSON.stringify({ ...run, failed: String(error) }));
    }
  }),
);
process.exit(0);
