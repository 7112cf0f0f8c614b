// A server on a real port that plays the answers a test writes down, and pauses that take no time.

import { createServer } from "node:http";
import { once } from "node:events";

/** `answers`: `{ status, body, headers, late, breaks }`, the last one again and again. */
export async function scripted(...answers) {
  const asked = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const piece of request) text += piece;
    asked.push({ method: request.method, url: request.url, headers: request.headers, body: text ? JSON.parse(text) : undefined });
    const { status = 200, body = {}, headers = {}, late = 0, breaks = false } = answers.length > 1 ? answers.shift() : answers[0];
    if (breaks) return request.socket.destroy();
    if (late) await new Promise((resolve) => realSetTimeout(resolve, late).unref());
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(status === 204 ? undefined : typeof body === "string" ? body : JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    asked,
    /** Waits for a number of requests. */
    until: async (number) => {
      while (asked.length < number) await new Promise((resolve) => realSetTimeout(resolve, 2));
    },
    plays: (...next) => answers.splice(0, answers.length, ...next),
    close: () => (server.closeAllConnections(), server.close()),
  };
}

export function problem(status, code, more = {}, headers = {}) {
  const body = { type: `https://docs.voisnap.ai/errors/${code}`, title: "T", status, detail: "No.", traceId: "trace_1", ...more };
  return { status, body, headers: { "content-type": "application/problem+json", "x-request-id": "req_1", ...headers } };
}

export const realSetTimeout = globalThis.setTimeout;

/** The package's timers of `from` ms and more run at once; their lengths are noted. */
export function withoutPauses(context, { from = 50, below = 70_000 } = {}) {
  const pauses = [];
  globalThis.setTimeout = (call, ms, ...rest) => {
    // Only this package's own: Node.js has timers of its own for its connections.
    const isOurs = new Error().stack.split("\n")[2]?.includes("/sdk/dist/");
    if (!isOurs || ms < from || ms >= below) return realSetTimeout(call, ms, ...rest);
    pauses.push(ms);
    return realSetTimeout(call, 0, ...rest);
  };
  context.after(() => (globalThis.setTimeout = realSetTimeout));
  return pauses;
}
