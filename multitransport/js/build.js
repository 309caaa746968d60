// Bundles the client and its types into ../static; with --check only tells whether that is up to date, and small enough.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const MOST_GZIP_BYTES = 12_000;
const here = import.meta.dirname ?? new URL(".", import.meta.url).pathname;
const target = join(here, "../static");

async function bundle() {
  const { outputFiles } = await build({
    entryPoints: [join(here, "src/index.ts")],
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    legalComments: "none",
    charset: "utf8",
    write: false,
  });
  return outputFiles[0].text;
}

/** The public types in one file: what tsc says of the three modules that have any, without what ties them together. */
function declarations() {
  const scratch = mkdtempSync(join(tmpdir(), "declarations-"));
  try {
    execFileSync(join(here, "node_modules/.bin/tsc"), ["-p", here, "--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--outDir", scratch], { stdio: "inherit" });
    const parts = ["errors", "codes", "api", "index"].map((name) => readFileSync(join(scratch, `src/${name}.d.ts`), "utf8"));
    const lines = parts.join("\n").split("\n").filter((line) => !/^(import|export) .*from "\.\/|^export declare const ERRORS/.test(line));
    return `${lines.join("\n").trim()}\n`;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

const files = { "client.js": await bundle(), "client.d.ts": declarations() };
const size = gzipSync(files["client.js"], { level: 9 }).length;
console.log(`client.js: ${files["client.js"].length} bytes, ${size} with gzip`);
let failed = size > MOST_GZIP_BYTES;
if (failed) console.error(`client.js is larger than ${MOST_GZIP_BYTES} bytes with gzip`);

for (const [name, content] of Object.entries(files)) {
  const path = join(target, name);
  if (!process.argv.includes("--check")) {
    mkdirSync(target, { recursive: true });
    writeFileSync(path, content);
  } else if (readFileSync(path, "utf8") !== content) {
    console.error(`${path} is not what the source makes: run npm run build`);
    failed = true;
  }
}
process.exit(failed ? 1 : 0);
