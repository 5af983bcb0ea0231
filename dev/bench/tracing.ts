// What traces cost: the same small answers over two connectors of one edge that differ in nothing else. In slices of a tenth of a
// second, one, the other, the other, one: whatever drifts meets both. The ratio of each such round is one figure, and their middle
// with its interval is the result; two connectors without any difference show what the run cannot see.
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { Command } from "commander";
import { number } from "../cli.ts";
import { Crew } from "../crew.ts";
import { Connection } from "./connection.ts";
import { cpuNs } from "./cpu.ts";
import { startEngines } from "./engines.ts";
import { type Interval, middleOf } from "./interval.ts";
import { startPair, type Twin } from "./pair.ts";
import { askUntil, bytesOf, smallChat } from "./questions.ts";
import type { ConnectorChanges } from "./road-product.ts";

/** A collector that does not answer may cost so much of the throughput. */
const ALLOWED_LOSS = 0.03;
const FIRST_ANSWER_MS = 15_000;
const WARM_MS = 4_000;
const LIMIT_MS = 600_000;

const PAIRS = ["plain again", "black-holed", "traced", "no log"] as const;
type PairName = (typeof PAIRS)[number];

/** One slice of load on one connector. */
interface Slice {
  readonly rate: number;
  /** us of the connector's processor for an answer; null where /proc does not say. */
  readonly cpuUs: number | null;
}

interface Round {
  readonly plain: readonly [Slice, Slice];
  readonly other: readonly [Slice, Slice];
}

interface Options {
  readonly minutes: number;
  readonly answers: number;
  readonly connections: number;
  readonly pairs: string;
}

async function main(): Promise<void> {
  const options = new Command("bench:tracing")
    .description("Measures small answers with traces off, on, and to a collector that never answers.")
    .option("--minutes <n>", "of measuring, after the start", number({ least: 0.01, whole: false }), 4)
    .option("--answers <n>", "of each connection in a slice", number({ least: 1 }), 5)
    .option("--connections <n>", "that ask at once", number({ least: 1 }), 32)
    .option("--pairs <names>", `of ${PAIRS.join(", ")}`, "plain again,black-holed,traced")
    .parse()
    .opts<Options>();
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => stop.abort(new Error(`stopped by ${signal}`)));
  setTimeout(() => stop.abort(new Error("the run takes too long")), LIMIT_MS).unref();
  const directory = mkdtempSync(join(tmpdir(), "heartcode-bench-"));
  const crew = new Crew();
  try {
    const found = await measure(options, crew, directory, AbortSignal.any([stop.signal, crew.lost]));
    process.exitCode = tell(found) ? 0 : 1;
  } finally {
    await crew.dismiss();
    rmSync(directory, { recursive: true, force: true });
  }
  process.exit();
}

async function measure(
  options: Options,
  crew: Crew,
  directory: string,
  signal: AbortSignal,
): Promise<Map<PairName, Round[]>> {
  const names = PAIRS.filter((name) => options.pairs.split(",").includes(name));
  const engines = await startEngines(crew, 0);
  const traced = (port: number) => ({
    config: `tracing: { otlp: { endpoint: "http://127.0.0.1:${port}/v1/traces" } }\n`,
  });
  const changes: Record<PairName, ConnectorChanges> = {
    "plain again": {},
    "black-holed": traced(await openHole()),
    traced: traced(await startCollector()),
    "no log": { args: ["--log-level", "warn"] },
  };
  const pairs = [];
  for (const name of names) {
    const folder = join(directory, name.replaceAll(" ", "-"));
    const twins = await startPair(crew, engines.chat, folder, signal, [{}, changes[name]]);
    for (const { chat } of twins) await askUntil(smallChat(), chat, FIRST_ANSWER_MS, signal);
    pairs.push({ name, loads: twins.map((twin) => new Load(twin, options.connections)) });
  }
  // Warm, and the black hole's buffers full: the state that lasts.
  const warm = performance.now() + WARM_MS * pairs.length;
  while (performance.now() < warm)
    for (const { loads } of pairs) for (const load of loads) await load.slice(options.answers);
  const results = new Map<PairName, Round[]>(names.map((name) => [name, []]));
  const until = performance.now() + options.minutes * 60_000;
  for (let turn = 0; performance.now() < until; turn += 1) {
    signal.throwIfAborted();
    for (const { name, loads } of pairs) {
      // Who is first and last changes too.
      const [a, b] = turn % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
      const slices = [];
      for (const at of [a, b, b, a]) slices.push(await loads[at]!.slice(options.answers));
      const [first, second, third, fourth] = slices as [Slice, Slice, Slice, Slice];
      const [outer, inner] = [[first, fourth] as const, [second, third] as const];
      results.get(name)!.push(a === 0 ? { plain: outer, other: inner } : { plain: inner, other: outer });
    }
  }
  return results;
}

/** Connections that stay, so that nothing but answers is in a slice. */
class Load {
  readonly #pid: number;
  readonly #request: Buffer;
  readonly #connections: readonly Connection[];

  constructor({ connector, chat }: Twin, connections: number) {
    this.#pid = connector.pid;
    this.#request = bytesOf(smallChat(), chat);
    this.#connections = Array.from({ length: connections }, () => new Connection(chat.port));
  }

  /** So much work, and how long it takes: no answer is cut by a clock. */
  async slice(answers: number): Promise<Slice> {
    const before = cpuNs(this.#pid);
    const from = performance.now();
    await Promise.all(
      this.#connections.map(async (connection) => {
        for (let asked = 0; asked < answers; asked += 1) {
          const status = await connection.ask(this.#request, () => {});
          if (status !== 200) throw new Error(`an answer has the status ${status}`);
        }
      }),
    );
    const seconds = (performance.now() - from) / 1000;
    const after = cpuNs(this.#pid);
    const count = answers * this.#connections.length;
    return {
      rate: count / seconds,
      cpuUs: before === null || after === null ? null : (after - before) / 1_000 / count,
    };
  }
}

/** @returns false where it is sure that the demand is not met. */
function tell(found: ReadonlyMap<PairName, readonly Round[]>): boolean {
  const show = ({ middle, low, high }: Interval) => `${middle.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
  console.log("against its twin (95 %)  rounds  requests/s                connector's CPU an answer");
  for (const [name, rounds] of found) {
    const rate = middleOf(rounds.map(({ plain: a, other: b }) => (b[0].rate + b[1].rate) / (a[0].rate + a[1].rate)));
    const cpu = rounds.flatMap(({ plain: a, other: b }) => {
      const [from, to] = [meanCpu(a), meanCpu(b)];
      return from === null || to === null ? [] : [{ ratio: to / from, us: to - from }];
    });
    const us = middleOf(cpu.map((one) => one.us));
    const costs = cpu.length === 0 ? "-" : `${show(middleOf(cpu.map((one) => one.ratio)))}, ${us.middle.toFixed(1)} us`;
    console.log(`${name.padEnd(25)}${String(rounds.length).padEnd(8)}${show(rate).padEnd(26)}${costs}`);
  }
  const holed = found.get("black-holed");
  if (holed === undefined) return true;
  const { middle, low, high } = middleOf(
    holed.map(({ plain: a, other: b }) => (b[0].rate + b[1].rate) / (a[0].rate + a[1].rate)),
  );
  const least = 1 - ALLOWED_LOSS;
  const verdict =
    low >= least
      ? "within"
      : high < least
        ? "MORE than"
        : `${middle >= least ? "within" : "more than"}, as far as this run can see,`;
  console.log(
    `a collector that never answers costs ${((1 - middle) * 100).toFixed(1)} %, ${verdict} ${ALLOWED_LOSS * 100} %`,
  );
  return high >= least;
}

function meanCpu([first, second]: readonly [Slice, Slice]): number | null {
  return first.cpuUs === null || second.cpuUs === null ? null : (first.cpuUs + second.cpuUs) / 2;
}

/** In a thread of its own: it reads everything and thinks of nothing. */
async function startCollector(): Promise<number> {
  const worker = new Worker(fileURLToPath(import.meta.url));
  worker.unref();
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

async function serveTraces(): Promise<void> {
  const { createServer: createHttpServer } = await import("node:http");
  const server = createHttpServer((request, response) => {
    request.resume();
    request.on("end", () => response.writeHead(200, { "content-type": "application/json" }).end("{}"));
  });
  server.listen(0, "127.0.0.1", () => parentPort?.postMessage((server.address() as AddressInfo).port));
}

/** Takes connections and never reads. */
async function openHole(): Promise<number> {
  const server = createServer((socket) => {
    socket.pause();
    socket.on("error", () => {});
  });
  server.unref();
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

if (isMainThread) await main();
else serveTraces();
