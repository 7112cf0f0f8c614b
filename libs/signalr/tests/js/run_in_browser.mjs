// Plays scenarios with the official client in Chromium.
// Usage: node run_in_browser.mjs <plan.json>, with {cells, scenarios, launcher}; a cell's `page` is an address that serves
// page.html, `launcher` the module that starts Chromium. Prints the outcomes as JSON.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const { launch } = await import(pathToFileURL(plan.launcher).href);
const browser = await launch();
try {
  // A context for each cell: cookies know no ports, and a browser keeps those of its last connections only.
  const played = await Promise.all(plan.cells.map((cell) => play(cell)));
  console.log(JSON.stringify(Object.assign({}, ...played)));
} finally {
  await browser.close();
}

async function play(cell) {
  const page = await (await browser.newContext()).newPage();
  await page.goto(cell.page);
  return page.evaluate(
    async ({ cells, scenarios }) => {
      const { runCells } = await import("./steps.mjs");
      const { signalR } = globalThis;
      const { MessagePackHubProtocol } = signalR.protocols.msgpack;
      return runCells({ signalR, MessagePackHubProtocol }, cells, scenarios);
    },
    { cells: [cell], scenarios: plan.scenarios },
  );
}
