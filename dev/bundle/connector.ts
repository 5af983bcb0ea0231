// The connector as one file: dist/connector.mjs needs Node 22 or newer beside it, and nothing else.
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { build } from "esbuild";

const ROOT = resolve(import.meta.dirname, "../..");

/**
 * Some of what is bundled is CommonJS and asks for Node's own modules when it runs. undici 8 cannot be loaded without two functions
 * of Node 22.10 and 22.15, and calls them for things that no engine is asked for (caches of its own, zstd).
 */
const BANNER = `#!/usr/bin/env node
import { createRequire as createRequireOfBundle } from "node:module";
if (Number.parseInt(process.versions.node) < 22) {
  console.error("connector: Node " + process.versions.node + " is too old, 22 or newer is needed");
  process.exit(2);
}
const require = createRequireOfBundle(import.meta.url);
require("node:worker_threads").markAsUncloneable ??= () => {};
require("node:zlib").createZstdDecompress ??= () => { throw new Error("zstd needs Node 22.15"); };`;

/** @returns the file. @throws Error in esbuild's words. */
export async function bundleConnector(folder: string): Promise<string> {
  const outfile = resolve(folder, "connector.mjs");
  await build({
    absWorkingDir: ROOT,
    entryPoints: ["connector/main.ts"],
    outfile,
    bundle: true,
    platform: "node",
    target: "node22.0",
    format: "esm",
    banner: { js: BANNER },
    // Native helpers of ws, which does without them.
    external: ["bufferutil", "utf-8-validate"],
    // A trace of the stack should name what it names in the source.
    keepNames: true,
    legalComments: "eof",
    logLevel: "silent",
  });
  return outfile;
}

if (import.meta.filename === process.argv[1]) {
  const file = await bundleConnector(resolve(ROOT, "dist"));
  console.log(`${file}: ${((await stat(file)).size / 1024).toFixed(0)} KiB`);
}
