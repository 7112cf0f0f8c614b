// Plays scenarios with the official client under Node.
// Usage: node run_in_node.cjs <plan.json>, with {cells, scenarios}. Prints the outcomes as JSON.
// The packages are found by NODE_PATH.

const { readFileSync } = require("node:fs");
const { pathToFileURL } = require("node:url");
const path = require("node:path");
const signalR = require("@microsoft/signalr");
const { MessagePackHubProtocol } = require("@microsoft/signalr-protocol-msgpack");

// The client rejects what it cancels also where nobody waits for it any more.
process.on("unhandledRejection", () => {});

async function main() {
  const { cells, scenarios } = JSON.parse(readFileSync(process.argv[2], "utf8"));
  const { runCells } = await import(pathToFileURL(path.join(__dirname, "steps.mjs")).href);
  const results = await runCells({ signalR, MessagePackHubProtocol }, cells, scenarios);
  process.stdout.write(JSON.stringify(results), () => process.exit(0));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
