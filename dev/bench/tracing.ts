// What traces cost: the same small answers over two connectors of one edge that differ in nothing else. In slices of a third of a
// second, one, the other, the other, one: whatever drifts meets both. The ratio of each such round is one figure, and their middle
// with its interval is the result; two connectors without any difference show what the run cannot see.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { Command } from "commander";
import { number } from "../cli.ts";
import { Crew } from "../crew.ts";
import { startEngines } from "./engines.ts";
import { type Interval, medianOf } from "./interval.ts";
import { loadByRawSockets } from "./load-raw.ts";
import { loadByWrk } from "./load-wrk.ts";
import { countFailures } from "./measure.ts";
import { startPair, type Twin } from "./pair.ts";
import { find } from "./programs.ts";
import { aroundSize, ask, askUntil, smallChat } from "./questions.ts";
import type { ConnectorChanges } from "./road-product.ts";
import { plain } from "./section.ts";

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

if (isMainThread) await main();
else serveTraces();

interface Options {
  readonly minutes: number;
  readonly slice: number;
  readonly connections: number;
  readonly pairs: string;
}

async function main(): Promise<void> {
  const options = new Command("bench:tracing")
    .description("Measures small answers with traces off, on, and to a collector that never answers.")
    .option("--minutes <n>", "of measuring, after the start", number({ least: 0.01, whole: false }), 4)
    .option("--slice <seconds>", "of load on one connector", number({ least: 0.1, whole: false }), 0.35)
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
  const wrk = await find("wrk");
  const load = async ({ connector, chat }: Twin, size: ReturnType<typeof aroundSize>, ms: number): Promise<Slice> => {
    const asked = plain(smallChat(), chat, size, options.connections, ms);
    const before = cpuNs(connector.pid);
    const slice = await (wrk === null ? loadByRawSockets(asked, signal) : loadByWrk(wrk, directory, asked, signal));
    const after = cpuNs(connector.pid);
    if (countFailures(slice.failures) > 0) throw new Error(`answers failed: ${JSON.stringify(slice.failures)}`);
    const cpuUs = before === null || after === null ? null : (after - before) / 1_000 / slice.completed;
    return { rate: slice.completed / slice.seconds, cpuUs };
  };
  const pairs = [];
  for (const name of names) {
    const folder = join(directory, name.replaceAll(" ", "-"));
    const twins = await startPair(crew, engines.chat, folder, signal, [{}, changes[name]]);
    for (const { chat } of twins) await askUntil(smallChat(), chat, FIRST_ANSWER_MS, signal);
    const size = aroundSize((await ask(smallChat(), twins[0].chat)).length);
    pairs.push({ name, run: (at: 0 | 1, ms: number) => load(twins[at], size, ms) });
  }
  // Warm, and the black hole's buffers full: the state that lasts.
  for (const { run } of pairs) for (const at of [0, 1, 0, 1] as const) await run(at, WARM_MS / 2);
  const results = new Map<PairName, Round[]>(names.map((name) => [name, []]));
  const until = performance.now() + options.minutes * 60_000;
  for (let turn = 0; performance.now() < until; turn += 1) {
    for (const { name, run } of pairs) {
      // Who is first and last changes too.
      const [a, b] = turn % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const);
      const slices = [];
      for (const at of [a, b, b, a]) slices.push(await run(at, options.slice * 1000));
      const [first, second, third, fourth] = slices as [Slice, Slice, Slice, Slice];
      const [outer, inner] = [[first, fourth] as const, [second, third] as const];
      results.get(name)!.push(a === 0 ? { plain: outer, other: inner } : { plain: inner, other: outer });
    }
  }
  return results;
}

/** @returns whether the demand is met, as far as this run can see. */
function tell(found: ReadonlyMap<PairName, readonly Round[]>): boolean {
  const show = ({ middle, low, high }: Interval) => `${middle.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
  console.log("against its twin (95 %)  rounds  requests/s                connector's CPU an answer");
  for (const [name, rounds] of found) {
    const rate = medianOf(rounds.map(({ plain: a, other: b }) => (b[0].rate + b[1].rate) / (a[0].rate + a[1].rate)));
    const cpu = rounds.flatMap(({ plain: a, other: b }) => {
      const [from, to] = [meanCpu(a), meanCpu(b)];
      return from === null || to === null ? [] : [{ ratio: to / from, us: to - from }];
    });
    const us = medianOf(cpu.map((one) => one.us));
    const costs = cpu.length === 0 ? "-" : `${show(medianOf(cpu.map((one) => one.ratio)))}, ${us.middle.toFixed(1)} us`;
    console.log(`${name.padEnd(25)}${String(rounds.length).padEnd(8)}${show(rate).padEnd(26)}${costs}`);
  }
  const holed = found.get("black-holed");
  if (holed === undefined) return true;
  const { middle, low, high } = medianOf(
    holed.map(({ plain: a, other: b }) => (b[0].rate + b[1].rate) / (a[0].rate + a[1].rate)),
  );
  const isMet = middle >= 1 - ALLOWED_LOSS;
  const isSure = isMet ? low >= 1 - ALLOWED_LOSS : high < 1 - ALLOWED_LOSS;
  console.log(
    `a collector that never answers costs ${((1 - middle) * 100).toFixed(1)} %, ${isMet ? "within" : "MORE than"} ` +
      `${ALLOWED_LOSS * 100} %${isSure ? "" : "; this run was too short to be sure of it"}`,
  );
  return isMet;
}

function meanCpu([first, second]: readonly [Slice, Slice]): number | null {
  return first.cpuUs === null || second.cpuUs === null ? null : (first.cpuUs + second.cpuUs) / 2;
}

/** Of all threads of a process. */
function cpuNs(pid: number): number | null {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const spent = threads.map((thread) =>
      Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
    );
    return spent.reduce((sum, ns) => sum + ns, 0);
  } catch {
    return null;
  }
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
