// Bundles each test with esbuild, since Node does not read TypeScript by itself, and runs them: node test/run.js [NAME …]
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const wanted = process.argv.slice(2);
const tests = readdirSync(here).filter((name) => name.endsWith(".test.ts"));
const chosen = tests.filter((name) => !wanted.length || wanted.includes(name.replace(".test.ts", "")));
// Inside the package, so that a test finds what it has in node_modules.
const scratch = mkdtempSync(join(here, "../node_modules/.tests-"));
try {
  await build({
    entryPoints: chosen.map((name) => join(here, name)),
    outdir: scratch,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node18",
    sourcemap: "inline",
    logLevel: "warning",
  });
  const files = chosen.map((name) => join(scratch, name.replace(/ts$/, "mjs")));
  const reporter = process.stdout.isTTY ? [] : ["--test-reporter=dot"];
  const { status } = spawnSync(process.execPath, ["--enable-source-maps", ...reporter, "--test", ...files], {
    stdio: "inherit",
    cwd: join(here, ".."),
  });
  process.exitCode = status ?? 1;
} finally {
  rmSync(scratch, { recursive: true });
}
