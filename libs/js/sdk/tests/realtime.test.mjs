// Conversations over a hub that plays what a test writes down; over the platform's own in tests-e2e/test_sdk_typescript.py.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { ConnectionFailed, HubError, VoisnapClient, VoisnapError } from "@voisnap/sdk";
import { WebSocketServer } from "./hub_sockets.cjs";

const END = "\x1e";
const SESSION = { sessionId: "sess_1", conversationId: "conv_1", agentId: "agt_1", agentName: "Aria", channel: "webchat" };
const STARTED = ["SessionStarted", { ...SESSION, startedAt: "2025-01-01T00:00:00Z", resumed: false, audio: null }];
const RESUMED = ["SessionStarted", { ...STARTED[1], resumed: true }];
const ENDED = ["SessionEnded", { sessionId: "sess_1", conversationId: "conv_1", reason: "user_ended", durationSeconds: 1, endedAt: "x" }];
const message = (messageId, content, isFinal = false) => ["MessageReceived", { messageId, content, isChunk: !isFinal, isFinal, timestamp: "x" }];

/** A hub: `began(call)` runs for each connection after its handshake, `methods[name](call, ...arguments)` for each invocation. */
async function hub(context, { began = (call) => call.tell(STARTED), methods = {}, refuses = () => undefined } = {}) {
  const connections = [];
  const tokens = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://hub");
    if (url.pathname.endsWith("/hub-token")) {
      let text = "";
      request.on("data", (piece) => (text += piece)).on("end", () => {
        tokens.push(JSON.parse(text));
        response.setHeader("content-type", "application/json").end(JSON.stringify({ accessToken: `token-${tokens.length}`, expiresIn: 300 }));
      });
      return;
    }
    const refused = refuses(connections.length);
    if (refused) return response.writeHead(refused).end();
    response.setHeader("content-type", "application/json");
    const availableTransports = [{ transport: "WebSockets", transferFormats: ["Text"] }];
    response.end(JSON.stringify({ negotiateVersion: 1, connectionId: "c", connectionToken: "t", availableTransports }));
  });
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (socket, request) => {
    const send = (...records) => socket.send(records.map((record) => JSON.stringify(record) + END).join(""));
    const call = {
      query: Object.fromEntries(new URL(request.url, "http://hub").searchParams),
      authorization: request.headers.authorization,
      invoked: [],
      tell: (...events) => send(...events.map(([target, ...values]) => ({ type: 1, target, arguments: values }))),
      close: (more = {}) => (send({ type: 7, ...more }), socket.close()),
      kill: () => socket.terminate(),
    };
    connections.push(call);
    const number = connections.length;
    socket.on("message", (data) => {
      for (const text of String(data).split(END).filter(Boolean)) {
        const record = JSON.parse(text);
        if (record.protocol) {
          send({});
          began(call, number);
        } else if (record.type === 1) {
          call.invoked.push([record.target, ...record.arguments]);
          let answer;
          try {
            answer = { result: methods[record.target]?.(call, ...record.arguments) ?? null };
          } catch (error) {
            answer = { error: error.message };
          }
          if (record.invocationId !== undefined && answer.result !== "nothing") send({ type: 3, invocationId: record.invocationId, ...answer });
        }
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => (sockets.clients.forEach((socket) => socket.terminate()), sockets.close(), server.closeAllConnections(), server.close()));
  const client = new VoisnapClient({ apiKey: "vsnp_live_x", baseUrl: `http://127.0.0.1:${server.address().port}` });
  return { client, connections, tokens };
}

const EndSessionAsync = (call) => (call.tell(ENDED), setTimeout(call.close, 5), undefined);

async function read(session) {
  const events = [];
  for await (const event of session) events.push(event);
  return events;
}

test("a chat connects with a token of its agent, hands out every event in order, and ends", async (context) => {
  const began = (call) => call.tell(STARTED, ["TypingIndicator", { isTyping: true }], message("msg_01", "Hello", true));
  const { client, connections, tokens } = await hub(context, { began, methods: { EndSessionAsync } });
  const chat = await client.realtime.chat({ agentId: "agt_1", metadata: { a: "ü" }, language: "es-MX" });
  await new Promise((resolve) => setTimeout(resolve, 20)); // events wait until somebody listens
  const heard = [];
  const off = chat.on("MessageReceived", (event) => heard.push(event.content));
  const reading = read(chat);
  await new Promise((resolve) => setTimeout(resolve, 20));
  off();
  connections[0].tell(message("msg_02", "Anybody there?", true));
  await chat.end();
  await chat.end();

  assert.deepEqual((await reading).map((event) => event.type), [
    "SessionStarted", "TypingIndicator", "MessageReceived", "MessageReceived", "SessionEnded",
  ]);
  assert.deepEqual(heard, ["Hello"]);
  assert.equal(chat.session.conversationId, "conv_1");
  const { agentId, metadata, language } = connections[0].query;
  assert.deepEqual([agentId, metadata, language], ["agt_1", '{"a":"ü"}', "es-MX"]);
  assert.deepEqual([tokens, connections[0].authorization], [[{ agentId: "agt_1" }], "Bearer token-1"]);
  assert.deepEqual(connections[0].invoked, [["EndSessionAsync", "user_ended"]]);
  assert.equal(chat.isOver, true);
  await assert.rejects(chat.ask("Still there?"), VoisnapError);
});

test("an answer is told from a greeting that is still on its way, and comes in pieces", async (context) => {
  const SendMessageAsync = (call) => {
    // The answer's first piece overtakes what the method returns.
    call.tell(message("msg_01", "Welcome!", true), message("msg_03", "We open "));
    setTimeout(() => call.tell(message("msg_03", "at "), message("msg_03", "We open at nine.", true)), 20);
    return { messageId: "msg_02" };
  };
  const { client, connections } = await hub(context, { methods: { SendMessageAsync } });
  const chat = await client.realtime.chat({ agentId: "agt_1" });
  const reply = chat.send("When do you open?", { metadata: { page: 1 } });
  const pieces = [];
  for await (const piece of reply) pieces.push(piece);
  assert.deepEqual(pieces, ["We open ", "at ", "nine."]);
  assert.equal(await reply, "We open at nine.");
  assert.deepEqual(connections[0].invoked[0], ["SendMessageAsync", { content: "When do you open?", metadata: { page: 1 } }]);
  await chat.close();
});

test("a message that nobody waits for is sent, and one that is refused says so where it is read", async (context) => {
  const SendMessageAsync = (call, { content }) => {
    if (content === "") throw new Error("The message is empty.");
    return { messageId: "msg_02" };
  };
  const { client, connections } = await hub(context, { methods: { SendMessageAsync } });
  const chat = await client.realtime.chat({ agentId: "agt_1" });
  chat.send("Hello");
  const refused = chat.send("");
  await assert.rejects(refused.text(), (error) => error instanceof HubError && error.code === "INVOCATION_FAILED" && /empty/.test(error.message));
  assert.equal(connections[0].invoked.length, 2);
  await chat.close();
});

test("a conversation comes back to its session, and an answer that broke off is made whole", async (context) => {
  const began = (call, number) => {
    call.tell(number === 1 ? STARTED : RESUMED);
    if (number === 2) setTimeout(() => call.tell(message("msg_03", "We open at nine.", true)), 10);
  };
  const SendMessageAsync = (call) => {
    setTimeout(() => (call.tell(message("msg_03", "We open ")), setTimeout(call.kill, 10)), 10);
    return { messageId: "msg_02" };
  };
  const { client, connections, tokens } = await hub(context, { began, methods: { SendMessageAsync, EndSessionAsync } });
  const chat = await client.realtime.chat({ agentId: "agt_1" });
  const reading = read(chat);
  assert.equal(await chat.ask("When do you open?"), "We open at nine.");
  await chat.end();

  const kinds = (await reading).map((event) => event.type).filter((kind) => kind !== "MessageReceived");
  assert.deepEqual(kinds, ["SessionStarted", "Reconnecting", "SessionStarted", "Reconnected", "SessionEnded"]);
  assert.deepEqual([connections[1].query.sessionId, connections[1].query.agentId], ["sess_1", "agt_1"]);
  assert.deepEqual(tokens[1], { agentId: "agt_1", sessionId: "sess_1" });
  assert.equal(chat.session.resumed, true);
});

test("a server that closes to be left comes back too, after tries that fail", async (context) => {
  let tries = 0;
  const refuses = (connected) => (connected === 1 && (tries += 1) < 3 ? 503 : undefined);
  const began = (call, number) => call.tell(number === 1 ? STARTED : RESUMED);
  const { client, connections } = await hub(context, { began, refuses, methods: { EndSessionAsync } });
  const chat = await client.realtime.chat({ agentId: "agt_1" });
  const back = new Promise((resolve) => chat.on("Reconnected", resolve));
  connections[0].close({ allowReconnect: true });
  assert.equal((await back).resumed, true);
  assert.equal(tries, 3);
  await chat.end();
});

test("a session that can't be resumed ends its loop and its answers with the reason", async (context) => {
  const refusal = ["Error", { code: "RECONNECT_FAILED", message: "Too late.", recoverable: false }];
  const began = (call, number) => (number === 1 ? call.tell(STARTED) : (call.tell(refusal), call.close()));
  const { client, connections } = await hub(context, { began, methods: { SendMessageAsync: () => ({ messageId: "msg_02" }) } });
  const chat = await client.realtime.chat({ agentId: "agt_1" });
  const reading = read(chat);
  const answer = chat.ask("Hello");
  setTimeout(connections[0].kill, 20);
  await assert.rejects(reading, { name: "HubError", code: "RECONNECT_FAILED" });
  await assert.rejects(answer, { code: "RECONNECT_FAILED" });
  await assert.rejects(chat.typing(), { code: "RECONNECT_FAILED" });
});

test("a recoverable error is an event; the conversation goes on", async (context) => {
  const fault = { code: "LLM_PROVIDER_ERROR", message: "No answer.", recoverable: true };
  const { client } = await hub(context, { began: (call) => call.tell(STARTED, ["Error", fault]), methods: { EndSessionAsync } });
  const chat = await client.realtime.chat({ agentId: "agt_1" });
  const told = new Promise((resolve) => chat.on("Error", resolve));
  assert.equal((await told).code, "LLM_PROVIDER_ERROR");
  await chat.typing();
  await chat.end();
});

test("a refused conversation rejects with what the hub said, a wrong token and a missing hub with what they are", async (context) => {
  const refusal = ["Error", { code: "AGENT_INACTIVE", message: "Not active.", recoverable: false }];
  const one = await hub(context, { began: (call) => (call.tell(refusal), call.close()) });
  await assert.rejects(one.client.realtime.chat({ agentId: "agt_1" }), { name: "HubError", code: "AGENT_INACTIVE", reason: "Not active." });
  const other = await hub(context, { refuses: () => 401 });
  await assert.rejects(other.client.realtime.voice({ agentId: "agt_1" }), { name: "HubError", code: "AUTH_FAILED" });
  const full = await hub(context, { refuses: () => 503 });
  await assert.rejects(full.client.realtime.chat({ agentId: "agt_1" }), ConnectionFailed);
});

test("a call carries samples both ways, keys, and drops what is said while nobody is there", async (context) => {
  const sound = Buffer.from(Int16Array.of(1, -2, 32767, -32768).buffer).toString("base64");
  const began = (call, number) => number === 1 && call.tell(STARTED, ["AudioReceived", sound], ["AudioCleared"]);
  const { client, connections } = await hub(context, { began, methods: { EndSessionAsync } });
  const given = [];
  const accessTokenFactory = (binding) => (given.push(binding), "mine");
  const call = await client.realtime.voice({ agentId: "agt_1", accessTokenFactory });
  const heard = [];
  call.on("AudioReceived", ({ pcm }) => heard.push([...pcm]));
  const cleared = new Promise((resolve) => call.on("AudioCleared", resolve));
  await cleared;
  assert.deepEqual(heard, [[1, -2, 32767, -32768]]);
  await call.sendAudio(Int16Array.of(5, -6));
  await call.speak(new Uint8Array(1280).fill(7));
  await call.sendDtmf("#");
  await assert.rejects(call.sendAudio(new Uint8Array(3)), /even number/);
  const sent = connections[0].invoked.map(([method, value]) => [method, method === "SendAudioAsync" ? Buffer.from(value, "base64") : value]);
  assert.deepEqual(sent.map(([method, value]) => [method, value.length]), [
    ["SendAudioAsync", 4], ["SendAudioAsync", 640], ["SendAudioAsync", 640], ["SendDtmfAsync", 1],
  ]);
  assert.deepEqual([...new Int16Array(new Uint8Array(sent[0][1]).buffer)], [5, -6]);
  assert.deepEqual([connections[0].authorization, given[0]], ["Bearer mine", { agentId: "agt_1" }]);

  const away = new Promise((resolve) => call.on("Reconnecting", resolve));
  connections[0].kill();
  await away;
  await call.sendAudio(Int16Array.of(1));
  assert.equal(connections[0].invoked.length, 4);
  await call.close();
});

test("a handler that fails keeps no event from the others", async (context) => {
  const { client } = await hub(context, { methods: { EndSessionAsync } });
  const runners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  context.after(() => runners.forEach((one) => process.on("uncaughtException", one)));
  const uncaught = new Promise((resolve) => process.once("uncaughtException", resolve));
  const chat = await client.realtime.chat({ agentId: "agt_1" });
  chat.on("SessionStarted", () => {
    throw new Error("the handler's own");
  });
  const second = new Promise((resolve) => chat.on("SessionStarted", resolve));
  assert.equal((await second).sessionId, "sess_1");
  assert.equal((await uncaught).message, "the handler's own");
  await chat.end();
});
