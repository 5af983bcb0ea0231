// What a deploy would say to each environment of wrangler.toml, without deploying: a warning is an error here. And how large the
// Worker is.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { buildWorker, dryRun, ENVIRONMENTS } from "./build.ts";

try {
  for (const environment of ENVIRONMENTS) {
    const said = await dryRun(environment);
    if (/\[WARNING\]/.test(said)) throw new Error(`wrangler warns of the environment ${environment}:\n${said}`);
    const bindings = [...said.matchAll(/env\.(\w+)/g)].map((match) => match[1]);
    console.log(`${environment}: would deploy, with ${bindings.join(", ")}`);
  }
  const { size } = await stat(join(await buildWorker(), "worker.js"));
  console.log(`the Worker builds: ${(size / 1024).toFixed(0)} KiB`);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
