// What the client sends, what it makes of answers, and what it does when they don't come.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";
import * as sdk from "@voisnap/sdk";
import { problem, scripted, withoutPauses } from "./scripted.mjs";

const { VoisnapClient } = sdk;
const AGENT = { id: "agt_1", name: "Aria", version: 3, voice: { voiceId: "v" } };
const TIMEOUT_MS = 90_000; // longer than any pause, so that a test tells them apart

/** A client of a scripted server. */
async function played(context, ...answers) {
  const server = await scripted(...answers);
  context.after(server.close);
  const client = new VoisnapClient({ apiKey: "vsnp_live_x", baseUrl: server.url, timeoutMs: TIMEOUT_MS });
  return { server, client };
}

test("the same package is there for import and for require", () => {
  const required = createRequire(import.meta.url)("@voisnap/sdk");
  assert.deepEqual(Object.keys(required).sort(), Object.keys(sdk).sort());
  assert.equal(typeof new required.VoisnapClient({ apiKey: "vsnp_live_x" }).agents.list, "function");
});

test("a request carries the credential, JSON and a key of its own", async (context) => {
  const { server, client } = await played(context, { status: 201, body: AGENT });
  await client.agents.create({ name: "Aria", variables: { at: new Date(0) }, description: null, firstMessage: undefined });
  await client.agents.create({ name: "Aria" }, { idempotencyKey: "mine", headers: { "X-Mine": "1" } });
  const [first, second] = server.asked;
  assert.deepEqual([first.method, first.url], ["POST", "/api/v1/agents"]);
  assert.deepEqual(first.body, { name: "Aria", variables: { at: "1970-01-01T00:00:00.000Z" }, description: null });
  assert.equal(first.headers.authorization, "Bearer vsnp_live_x");
  assert.match(first.headers["user-agent"], /^voisnap-js\/\d/);
  assert.match(first.headers["idempotency-key"], /^[0-9a-f-]{32,36}$/);
  assert.deepEqual([second.headers["idempotency-key"], second.headers["x-mine"]], ["mine", "1"]);
});

test("an answer shows its tag without being changed by it, and goes back as an argument", async (context) => {
  const { server, client } = await played(context, { body: AGENT, headers: { etag: '"3-a"', "x-request-id": "req_9" } });
  const agent = await client.agents.get("agt_1");
  await client.agents.update("agt_1", { voice: agent.voice }, { ifMatch: agent.etag });
  assert.deepEqual(agent, AGENT);
  assert.deepEqual([agent.etag, agent.requestId], ['"3-a"', "req_9"]);
  assert.equal(JSON.stringify(agent), JSON.stringify(AGENT));
  assert.equal(server.asked[1].headers["if-match"], '"3-a"');
  assert.deepEqual(server.asked[1].body, { voice: { voiceId: "v" } });
});

test("ids are escaped in paths, and an empty one is no other operation", async (context) => {
  const { server, client } = await played(context, { status: 204 });
  assert.equal(await client.conversations.removeTag("conv_1", "a/b c?"), undefined);
  assert.equal(server.asked[0].url, "/api/v1/conversations/conv_1/tags/a%2Fb%20c%3F");
  for (const id of ["", undefined, ".."]) await assert.rejects(client.agents.delete(id), sdk.VoisnapError);
  assert.equal(server.asked.length, 1);
});

test("queries join lists, spell moments and leave out what is not given", async (context) => {
  const { server, client } = await played(context, { body: { data: [], page: 1, pageSize: 20, total: 0, totalPages: 0 } });
  const query = { tags: ["x", "y"], dateFrom: new Date("2025-06-01"), minDuration: 0, status: undefined };
  assert.deepEqual(await client.conversations.list(query).toArray(), []);
  const sent = Object.fromEntries(new URL(server.asked[0].url, server.url).searchParams);
  assert.deepEqual(sent, { tags: "x,y", dateFrom: "2025-06-01T00:00:00.000Z", minDuration: "0" });
});

function pages(withCursor) {
  return [1, 2, 3].map((page) => {
    const body = { data: [{ id: `${page}a` }, { id: `${page}b` }], page, pageSize: 2, total: 6, totalPages: 3 };
    return { body: withCursor ? { ...body, nextCursor: page < 3 ? `c${page}` : null } : body };
  });
}

const ALL = ["1a", "1b", "2a", "2b", "3a", "3b"];
const QUERIES = {
  pages: ["?status=active", "?status=active&page=2", "?status=active&page=3"],
  cursors: ["?status=active", "?status=active&cursor=c1", "?status=active&cursor=c2"],
};

for (const [kind, queries] of Object.entries(QUERIES)) {
  test(`a list loads its pages as it is read, by ${kind}`, async (context) => {
    const { server, client } = await played(context, ...pages(kind === "cursors"));
    const read = [];
    for await (const agent of client.agents.list({ status: "active" })) read.push(agent.id);
    assert.deepEqual(read, ALL);
    assert.deepEqual(server.asked.map((one) => new URL(one.url, server.url).search), queries);
  });
}

test("a list stops asking when its reader stops, gives one page, and counts", async (context) => {
  const { server, client } = await played(context, ...pages(true));
  const list = client.agents.list();
  for await (const agent of list) if (agent.id === "1b") break;
  assert.equal(server.asked.length, 1);
  server.plays(...pages(true));
  assert.deepEqual((await list.toArray({ limit: 3 })).map((one) => one.id), ["1a", "1b", "2a"]);
  server.plays(pages(false)[1]);
  assert.deepEqual((await list.page(2)).data, [{ id: "2a" }, { id: "2b" }]);
  assert.equal(await list.total(), 6);
  server.plays({ body: { nothing: 1 } });
  await assert.rejects(list.toArray(), /without its envelope/);
});

const KINDS = {
  400: "BadRequestError", 401: "AuthenticationError", 403: "PermissionDeniedError", 404: "NotFoundError", 409: "ConflictError",
  412: "PreconditionFailedError", 418: "ApiError", 422: "ValidationError", 501: "ServerError",
};

for (const [status, name] of Object.entries(KINDS)) {
  test(`${status} is a ${name}`, async (context) => {
    const errors = [{ pointer: "/name", code: "too_long", detail: "at most 100 characters" }];
    const { client } = await played(context, problem(Number(status), "some-code", { errors }));
    const error = await client.agents.get("agt_1").catch((one) => one);
    assert.ok(error instanceof sdk[name] && error instanceof sdk.ApiError && error instanceof sdk.VoisnapError);
    assert.deepEqual(
      [error.name, error.status, error.code, error.detail, error.traceId, error.requestId],
      [name, Number(status), "some-code", "No.", "trace_1", "req_1"],
    );
    assert.deepEqual(error.errors, errors);
    assert.match(error.message, /some-code: No\. \(trace_1\)\n {2}\/name: at most/);
  });
}

test("what passes is tried again, with growing pauses and the same key", async (context) => {
  const pauses = withoutPauses(context);
  const { server, client } = await played(context, problem(503, "x"), problem(502, "x"), { breaks: true }, { body: AGENT });
  assert.equal((await client.agents.duplicate("agt_1")).id, "agt_1");
  assert.equal(server.asked.length, 4);
  assert.equal(new Set(server.asked.map((one) => one.headers["idempotency-key"])).size, 1);
  assert.equal(pauses.length, 3);
  pauses.forEach((ms, attempt) => assert.ok(ms >= 100 && ms <= 500 * 2 ** attempt, `${ms}`));
});

test("retries end", async (context) => {
  withoutPauses(context);
  const { server, client } = await played(context, problem(503, "x"));
  await assert.rejects(client.agents.get("agt_1"), sdk.ServerError);
  assert.equal(server.asked.length, 4);
  await assert.rejects(client.agents.get("agt_1", { maxRetries: 0 }), sdk.ServerError);
  assert.equal(server.asked.length, 5);
});

test("Retry-After is waited for, as seconds and as a date, unless it is too long", async (context) => {
  const pauses = withoutPauses(context);
  const date = new Date(Date.now() + 20_000).toUTCString();
  const later = (value) => problem(429, "rate-limited", {}, { "retry-after": value, "x-ratelimit-policy": "api-write" });
  const { server, client } = await played(context, later("7"), later(date), { body: AGENT });
  await client.agents.get("agt_1");
  assert.equal(pauses[0], 7000);
  assert.ok(pauses[1] > 17_000 && pauses[1] <= 20_000, `${pauses[1]}`);
  server.plays(later("61"));
  const error = await client.agents.get("agt_1").catch((one) => one);
  assert.ok(error instanceof sdk.RateLimitError);
  assert.deepEqual([error.retryAfter, error.policy, server.asked.length], [61, "api-write", 4]);
});

test("a request in work elsewhere is asked for again, another conflict is not", async (context) => {
  withoutPauses(context);
  const { server, client } = await played(context, problem(409, "idempotency-in-flight"), problem(409, "agent-inactive"));
  await assert.rejects(client.agents.publish("agt_1"), { code: "agent-inactive" });
  assert.equal(server.asked.length, 2);
});

test("a change whose answer was lost is not sent again; one that never left is", async (context) => {
  withoutPauses(context);
  const { server, client } = await played(context, { breaks: true });
  await assert.rejects(client.agents.update("agt_1", { name: "B" }), sdk.ConnectionFailed);
  server.plays(problem(502, "x"));
  await assert.rejects(client.agents.update("agt_1", { name: "B" }), sdk.ServerError);
  assert.equal(server.asked.length, 2);

  let tries = 0;
  const refused = Object.assign(new TypeError("fetch failed"), { cause: { code: "ECONNREFUSED" } });
  const offline = new VoisnapClient({ apiKey: "vsnp_live_x", timeoutMs: TIMEOUT_MS, fetch: async () => (tries++, Promise.reject(refused)) });
  await assert.rejects(offline.agents.update("agt_1", { name: "B" }), /ECONNREFUSED/);
  assert.equal(tries, 4);
});

test("a slow server is a timeout, a broken one and a proxy's page are what they are", async (context) => {
  const { server, client } = await played(context, { late: 400, body: AGENT });
  await assert.rejects(client.agents.get("agt_1", { timeoutMs: 50, maxRetries: 0 }), sdk.RequestTimeout);
  for (const [status, body] of [[200, "<html>"], [404, "<html>Not found"], [404, "[]"], [200, '{"id":']]) {
    server.plays({ status, body });
    const error = await client.agents.get("agt_1").catch((one) => one);
    assert.ok(error instanceof sdk.UnexpectedAnswer, `${status} ${body}: ${error}`);
    assert.deepEqual([error.status, error.body], [status, body]);
  }
});

test("a signal gives up a call, its pauses included, with its own reason", async (context) => {
  const { server, client } = await played(context, { late: 5000 });
  const reason = new Error("enough");
  const during = new AbortController();
  const waiting = client.agents.get("agt_1", { signal: during.signal });
  server.until(1).then(() => during.abort(reason));
  await assert.rejects(waiting, reason);
  server.plays(problem(503, "x", {}, { "retry-after": "30" }));
  const pausing = new AbortController();
  const paused = client.agents.get("agt_1", { signal: pausing.signal });
  server.until(2).then(() => setTimeout(() => pausing.abort(reason), 50)); // in the pause, or just before it
  await assert.rejects(paused, reason);
  await assert.rejects(client.agents.get("agt_1", { signal: AbortSignal.abort(reason) }), reason);
  assert.equal(server.asked.length, 2);
});

test("the credential and the address are chosen as documented", async (context) => {
  const before = { ...process.env };
  context.after(() => (process.env = before));
  delete process.env.VOISNAP_API_KEY;
  delete process.env.VOISNAP_BASE_URL;
  const refused = (options) => assert.throws(() => new VoisnapClient(options), sdk.ConfigurationError);
  refused({});
  refused(undefined);
  refused({ apiKey: "eyJ" });
  refused({ apiKey: "vsnp_live_x", accessToken: "eyJ" });
  refused({ apiKey: "vsnp_live_x", baseUrl: "wss://api.voisnap.ai" });
  assert.equal(new VoisnapClient({ apiKey: "vsnp_live_x" }).baseUrl, "https://api.voisnap.ai");
  assert.equal(new VoisnapClient({ apiKey: "vsnp_sb_x" }).baseUrl, "https://sandbox.api.voisnap.ai");
  assert.equal(new VoisnapClient({ apiKey: "vsnp_sb_x", baseUrl: "http://127.0.0.1:1/api/v1/" }).baseUrl, "http://127.0.0.1:1");
  process.env.VOISNAP_API_KEY = "vsnp_sb_y";
  assert.equal(new VoisnapClient().baseUrl, "https://sandbox.api.voisnap.ai");
  process.env.VOISNAP_BASE_URL = "http://127.0.0.1:2";
  assert.equal(new VoisnapClient().baseUrl, "http://127.0.0.1:2");
});

test("a page is refused an API key, unless it insists, and may give tokens", (context) => {
  globalThis.window = { document: {} };
  globalThis.document = globalThis.window.document;
  context.after(() => (delete globalThis.window, delete globalThis.document));
  assert.throws(() => new VoisnapClient({ apiKey: "vsnp_live_x" }), /dangerouslyAllowBrowser/);
  new VoisnapClient({ apiKey: "vsnp_live_x", dangerouslyAllowBrowser: true });
  new VoisnapClient({ accessToken: "eyJ" });
});

test("an access token may come from the program at each call", async (context) => {
  const server = await scripted({ body: AGENT });
  context.after(server.close);
  let number = 0;
  const client = new VoisnapClient({ accessToken: async () => `t${++number}`, baseUrl: server.url });
  await client.agents.get("agt_1");
  await client.agents.get("agt_1");
  assert.deepEqual(server.asked.map((one) => one.headers.authorization), ["Bearer t1", "Bearer t2"]);
});

const LOGIN = { accessToken: "a1", refreshToken: "r1", expiresIn: 10, tokenType: "Bearer", user: {} };

test("a log-in stays fresh, and calls at the same time renew it once", async (context) => {
  const server = await scripted({ body: LOGIN }, { body: { ...LOGIN, accessToken: "a2", refreshToken: "r2", expiresIn: 900 } }, { body: AGENT });
  context.after(server.close);
  const client = await VoisnapClient.login({ email: "a@b.c", password: "secret" }, { baseUrl: server.url });
  await Promise.all([client.agents.get("agt_1"), client.agents.get("agt_2")]);
  const [login, refresh, ...others] = server.asked;
  assert.deepEqual([login.url, login.headers.authorization], ["/api/v1/auth/login", undefined]);
  assert.deepEqual([refresh.url, refresh.body, refresh.headers.authorization], ["/api/v1/auth/refresh", { refreshToken: "r1" }, undefined]);
  assert.deepEqual(others.map((one) => one.headers.authorization), ["Bearer a2", "Bearer a2"]);
});

test("a log-in that wants a second factor says so", async (context) => {
  const server = await scripted({ body: { mfaRequired: true, mfaToken: "m", methods: ["totp"] } });
  context.after(server.close);
  const login = VoisnapClient.login({ email: "a@b.c", password: "secret" }, { baseUrl: server.url });
  await assert.rejects(login, { name: "SecondFactorNeeded", token: "m", methods: ["totp"] });
});

test("hub tokens are kept by what they are bound to, shared, and renewed before they end", async (context) => {
  const token = (accessToken, expiresIn) => ({ body: { accessToken, expiresIn, tokenType: "Bearer" } });
  const { server, client } = await played(context, problem(401, "x"), token("t1", 300), token("t2", 300), token("t3", 300));
  const { now } = Date;
  context.after(() => (Date.now = now));
  Date.now = () => 1_000_000;
  await assert.rejects(client.getAccessToken({ agentId: "agt_1" }), sdk.AuthenticationError);
  const two = await Promise.all([client.getAccessToken({ agentId: "agt_1" }), client.getAccessToken({ agentId: "agt_1" })]);
  assert.deepEqual(two, ["t1", "t1"]);
  assert.equal(await client.getAccessToken({ sessionId: "sess_1" }), "t2");
  Date.now = () => 1_000_000 + 239_000;
  assert.equal(await client.getAccessToken({ agentId: "agt_1" }), "t1");
  Date.now = () => 1_000_000 + 241_000;
  assert.equal(await client.getAccessToken({ agentId: "agt_1" }), "t3");
  assert.deepEqual(server.asked.map((one) => one.body), [{ agentId: "agt_1" }, { agentId: "agt_1" }, { sessionId: "sess_1" }, { agentId: "agt_1" }]);
});
