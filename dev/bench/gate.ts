// What the gate costs: the same product with keys, limits and their journal, and with one master key and none of it, in one
// run and in turns. Run it alone on a quiet machine; only the ratio is worth reading: the median of many short rounds, since what
// else a machine does comes in bursts.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { Crew } from "../crew.ts";
import { type Stack, startStack } from "../start/stack.ts";
import { loadByRawSockets } from "./load-raw.ts";
import { loadByWrk } from "./load-wrk.ts";
import { countFailures, pool, type Slice } from "./measure.ts";
import { find } from "./programs.ts";
import { aroundSize, askUntil, bodyOf, smallChat } from "./questions.ts";
import type { Target } from "./road.ts";

const MASTER_KEY = "bench-master-key";
/** Nobody reaches these: what is measured is the bookkeeping, not the denials. */
const WIDE = { rpm: 1e9, tpm: 1e9, tokens_per_day: 1e12 };
const FIRST_ANSWER_MS = 15_000;
/** Until the figures of the product rise no more (V8 14: 8 s). */
const WARM_UP_MS = 8_000;

const options = new Command("bench:gate")
  .description("Requests a second with the gate and without it, on loopback.")
  .option("--seconds <n>", "of each slice", positive, 0.7)
  .option("--rounds <n>", "slices of each side for each number of connections", positive, 24)
  .option("--connections <list>", "comma separated", (text) => text.split(",").map(positive), [1, 32])
  .parse()
  .opts<{ seconds: number; rounds: number; connections: number[] }>();

/** The value below which a part of the list is. */
function at(list: readonly number[], part: number): string {
  return list.toSorted((a, b) => a - b)[Math.floor(part * (list.length - 1))]!.toFixed(3);
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1_024)) throw new InvalidArgumentError("a number above 0");
  return value;
}

const SIDES = {
  "master-key": { key: MASTER_KEY, edge: { AUTH_MODE: "master-key", MASTER_KEY, HUB_SHARDS: "1" } },
  gate: { key: "hc-sk-demo-admin", edge: { HUB_SHARDS: "1", TIERS: JSON.stringify({ admin: WIDE }) } },
} as const;
type Side = keyof typeof SIDES;
const NAMES = Object.keys(SIDES) as Side[];

const crew = new Crew();
const directory = await mkdtemp(join(tmpdir(), "heartcode-bench-gate-"));
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort(new Error(signal)));
try {
  await bench(AbortSignal.any([stop.signal, crew.lost]));
} finally {
  await crew.dismiss();
  await rm(directory, { recursive: true, force: true });
}

async function bench(signal: AbortSignal): Promise<void> {
  const wrk = await find("wrk");
  const fleet = [
    "--chat",
    "0x2",
    "--embed",
    "0x1",
    "--tokens-per-second",
    "0",
    "--first-token-ms",
    "0",
    "--slots",
    "1024",
  ];
  const targets = new Map<Side, Target>();
  for (const side of NAMES) {
    const { edge, key } = SIDES[side];
    const stack: Stack = await startStack(crew, {
      directory: await mkdtemp(join(directory, "side-")),
      fleet,
      slots: 1_024,
      edge,
    });
    targets.set(side, { port: stack.port, model: "heartcode-default", authorization: `Bearer ${key}` });
  }
  const question = smallChat();
  const slice = async (side: Side, connections: number, ms: number): Promise<Slice> => {
    const target = targets.get(side)!;
    const answer = await askUntil(question, target, FIRST_ANSWER_MS, signal);
    const { authorization, port } = target;
    const { path } = question;
    const load = {
      port,
      path,
      authorization,
      body: bodyOf(question, target),
      connections,
      ms,
      size: aroundSize(answer.length),
    };
    return wrk === null ? loadByRawSockets(load, signal) : loadByWrk(wrk, directory, load, signal);
  };

  for (const side of NAMES) await slice(side, 32, WARM_UP_MS);
  console.log("connections  master-key req/s   gate req/s   median ratio   quartiles      pooled");
  for (const connections of options.connections) {
    const slices: Record<Side, Slice[]> = { "master-key": [], gate: [] };
    const ratios: number[] = [];
    for (let round = 0; round < options.rounds; round += 1) {
      // Who is first has turns, too.
      for (const side of round % 2 === 0 ? NAMES : NAMES.toReversed()) {
        slices[side].push(await slice(side, connections, options.seconds * 1_000));
      }
      ratios.push(pool([slices.gate[round]!]).rate / pool([slices["master-key"][round]!]).rate);
    }
    const without = pool(slices["master-key"]);
    const withGate = pool(slices.gate);
    const failed = countFailures(without.failures) + countFailures(withGate.failures);
    console.log(
      `${String(connections).padStart(11)}  ${without.rate.toFixed(0).padStart(16)}   ${withGate.rate.toFixed(0).padStart(10)}   ` +
        `${at(ratios, 0.5).padStart(12)}   ${at(ratios, 0.25)} ${at(ratios, 0.75)}   ${(withGate.rate / without.rate).toFixed(3)}` +
        (failed === 0 ? "" : `   ${failed} failed: ${JSON.stringify({ ...without.failures, ...withGate.failures })}`),
    );
    if (failed > 0) process.exitCode = 1;
  }
}
