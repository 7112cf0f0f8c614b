// The package covers the API's OpenAPI document: every operation, with its method, its path and its arguments.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { OPERATIONS, PagedList, VoisnapClient } from "@voisnap/sdk";

const document = JSON.parse(readFileSync(new URL("../../../../proto/openapi/api.json", import.meta.url), "utf8"));
const operations = Object.entries(document.paths).flatMap(([path, verbs]) =>
  Object.entries(verbs).map(([verb, operation]) => ({ path, verb: verb.toUpperCase(), operation })),
);
const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());

test("the table of operations is that of the document", () => {
  const documented = operations.map(({ path, verb, operation }) => [operation.operationId, [verb, path]]);
  assert.deepEqual(
    Object.entries(OPERATIONS).sort(),
    documented.sort(([one], [other]) => (one < other ? -1 : 1)),
  );
});

for (const { path, verb, operation } of operations) {
  test(`${operation.operationId} asks ${verb} ${path}`, async () => {
    const asked = [];
    const fetch = async (url, request) => {
      asked.push({ url: new URL(url), request });
      return new Response('{"data":[],"page":1,"pageSize":20,"total":0,"totalPages":0}');
    };
    const client = new VoisnapClient({ apiKey: "vsnp_live_x", fetch });
    const names = operation.operationId.split(".").map(camel);
    const method = names.pop();
    const resource = names.reduce((found, name) => found[name], client);
    const ids = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => `x-${name}`);
    const parameters = (operation.parameters ?? []).filter((one) => one.in === "query");
    const query = Object.fromEntries(parameters.map((one) => [one.name, "q"]));
    const values = [...ids, ...(operation.requestBody ? [{ some: "body" }] : []), ...(parameters.length ? [query] : [])];

    const result = resource[method](...values, { headers: { "x-mine": "1" } });
    await (result instanceof PagedList ? result.toArray() : result);

    const [{ url, request }] = asked;
    assert.equal(request.method, verb);
    assert.equal(url.pathname, path.replace(/\{(\w+)\}/g, "x-$1"));
    assert.deepEqual(Object.fromEntries(url.searchParams), query);
    assert.equal(request.body, operation.requestBody ? '{"some":"body"}' : undefined);
    assert.equal(request.headers.get("x-mine"), "1");
  });
}
