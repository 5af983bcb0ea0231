// `npm run fuzz:input`: mutated requests against the whole product on loopback. A finding prints its seed and ends the search.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, Option } from "commander";
import { barrage } from "../../test/support/barrage.ts";
import { number, readCommand } from "../cli.ts";
import { Crew } from "../crew.ts";
import { startStack } from "../start/stack.ts";

/** Limits that no search reaches. */
const WIDE = { rpm: 1e9, tpm: 1e9, tokens_per_day: 1e12, max_tokens: 1e9 };
const MODES = {
  backend: { key: "hc-sk-demo-admin", edge: { AUTH_MODE: "backend", TIERS: JSON.stringify({ admin: WIDE }) } },
  "master-key": {
    key: "a-key-of-the-barrage",
    edge: { AUTH_MODE: "master-key", MASTER_KEY: "a-key-of-the-barrage" },
  },
} as const;

interface Given {
  readonly requests: number;
  readonly seed: number;
  readonly concurrency: number;
  readonly auth: keyof typeof MODES;
}

const program = new Command("fuzz:input")
  .description("Sends mutated requests to the whole product on loopback and judges every answer.")
  .option("--requests <count>", "how many requests", number({ least: 1, most: 1_000_000 }), 10_000)
  .option("--seed <seed>", "of the first request; each next one has the next", number({ least: 0 }), Date.now() % 1e9)
  .option("--concurrency <count>", "requests at once", number({ least: 1, most: 64 }), 16)
  .addOption(new Option("--auth <mode>", "how the edge knows keys").choices(Object.keys(MODES)).default("backend"));
const read = readCommand(program, process.argv, () => program.opts<Given>());
if ("exit" in read) process.exit(read.exit);

const { requests, seed, concurrency, auth } = read.given;
const { key, edge } = MODES[auth];
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
    edge,
  });
  while (!(await fetch(`${stack.url}/health/ready`)).ok) await new Promise((done) => setTimeout(done, 100));
  console.log(`${requests} requests from seed ${seed}, ${concurrency} at once, AUTH_MODE=${auth}`);
  const began = performance.now();
  const ports = [...stack.chatPorts, ...stack.embedPorts, stack.backendPort].map((port) => `:${port}`);
  const tally = await barrage({
    port: stack.port,
    key,
    seed,
    requests,
    concurrency,
    secrets: [key, directory, ...ports],
  });
  await checkLogs();
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

/** What no client sees may still have gone wrong; and no log holds a key. */
async function checkLogs(): Promise<void> {
  for (const name of ["edge", "onprem-1"]) {
    const log = await readFile(join(directory, `${name}.log`), "utf8");
    const odd = log
      .split("\n")
      .find((line) => /"level":"(?!info|debug)|uncaught|exception/i.test(line) || line.includes(key));
    if (odd !== undefined) throw new Error(`${name} wrote: ${odd.slice(0, 1_000)}`);
  }
}
