// Builds the production bundle as a deploy would, and says how large it is.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { buildWorker } from "./build.ts";

try {
  const { size } = await stat(join(await buildWorker(), "worker.js"));
  console.log(`the Worker builds: ${(size / 1024).toFixed(0)} KiB`);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
