// `npm run fuzz:input`: mutated requests against the whole product on loopback. A finding prints its seed and ends the search.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { barrage } from "../../test/support/barrage.ts";
import { number, readCommand } from "../cli.ts";
import { Crew } from "../crew.ts";
import { startStack } from "../start/stack.ts";

const KEY = "a-key-of-the-barrage";

interface Given {
  readonly requests: number;
  readonly seed: number;
  readonly concurrency: number;
}

const program = new Command("fuzz:input")
  .description("Sends mutated requests to the whole product on loopback and judges every answer.")
  .option("--requests <count>", "how many requests", number({ least: 1, most: 1_000_000 }), 10_000)
  .option("--seed <seed>", "of the first request; each next one has the next", number({ least: 0 }), Date.now() % 1e9)
  .option("--concurrency <count>", "requests at once", number({ least: 1, most: 64 }), 16);
const read = readCommand(program, process.argv, () => program.opts<Given>());
if ("exit" in read) process.exit(read.exit);

const { requests, seed, concurrency } = read.given;
const crew = new Crew();
const directory = await mkdtemp(join(tmpdir(), "heartcode-"));
let code = 0;
try {
  const stack = await startStack(crew, {
    directory,
    // A small context bounds what the wildest request can cost.
    fleet: [
      "--chat",
      "0x4",
      "--embed",
      "0x2",
      "--tokens-per-second",
      "0",
      "--first-token-ms",
      "0",
      "--slots",
      "64",
      "--context",
      "512",
    ],
    slots: 64,
    edge: { AUTH_MODE: "master-key", MASTER_KEY: KEY },
  });
  while (!(await fetch(`${stack.url}/health/ready`)).ok) await new Promise((done) => setTimeout(done, 100));
  console.log(`${requests} requests from seed ${seed}, ${concurrency} at once`);
  const began = performance.now();
  const ports = [...stack.chatPorts, ...stack.embedPorts, stack.backendPort].map((port) => `:${port}`);
  const tally = await barrage({
    port: stack.port,
    key: KEY,
    seed,
    requests,
    concurrency,
    secrets: [KEY, directory, ...ports],
  });
  const rows = [...tally].sort(([a], [b]) => a - b).map(([status, count]) => `${count} × ${status || "no request"}`);
  console.log(`no finding in ${Math.round((performance.now() - began) / 1_000)} s: ${rows.join(", ")}`);
} catch (error) {
  console.error(error instanceof Error && error.name === "Finding" ? error.message : error);
  console.error("replay a finding with: npm run fuzz:input -- --requests 1 --seed SEED");
  code = 1;
} finally {
  await crew.dismiss();
  await rm(directory, { recursive: true, force: true });
}
process.exit(code);
