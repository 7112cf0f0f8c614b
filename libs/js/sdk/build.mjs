// Writes dist/: ES modules and CommonJS, each with its types, and one file for pages without a bundler.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = path.dirname(fileURLToPath(import.meta.url));
const dist = path.join(root, "dist");
rmSync(dist, { recursive: true, force: true });

const shared = {
  absWorkingDir: root,
  entryPoints: ["src/index.ts"],
  bundle: true,
  target: "es2022",
  logLevel: "warning",
  external: ["@microsoft/signalr"],
};
await build({ ...shared, format: "esm", platform: "neutral", outfile: "dist/esm/index.js", sourcemap: true });
await build({ ...shared, format: "cjs", platform: "node", outfile: "dist/cjs/index.js", sourcemap: true });
await build({
  ...shared,
  external: [],
  format: "iife",
  globalName: "Voisnap",
  platform: "browser",
  minify: true,
  outfile: "dist/browser/voisnap.min.js",
});

const typescript = createRequire(import.meta.url).resolve("typescript/package.json");
const compiled = spawnSync(process.execPath, [path.join(path.dirname(typescript), "bin", "tsc"), "-p", root], { stdio: "inherit" });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);

// The same declarations once more, read as CommonJS there.
mkdirSync(path.join(dist, "cjs"), { recursive: true });
for (const name of readdirSync(path.join(dist, "esm")).filter((one) => one.endsWith(".d.ts"))) {
  cpSync(path.join(dist, "esm", name), path.join(dist, "cjs", name));
}
writeFileSync(path.join(dist, "cjs", "package.json"), '{ "type": "commonjs" }\n');
