// What traces and the log cost: the same small answers over connectors that differ in nothing else. Each is measured at the
// same time as the plain one, half of the load on either, so that whatever the machine does meets both; in rounds, each in
// another order. One is as plain as the plain one: how far its figures are from 1 is what this run cannot see.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker } from "node:worker_threads";
import { Command } from "commander";
import { number } from "../cli.ts";
import { Crew } from "../crew.ts";
import { startEngines } from "./engines.ts";
import { loadByRawSockets } from "./load-raw.ts";
import { loadByWrk } from "./load-wrk.ts";
import { countFailures } from "./measure.ts";
import { pause } from "./pause.ts";
import { find } from "./programs.ts";
import { aroundSize, ask, askUntil, smallChat } from "./questions.ts";
import { type ConnectorChanges, type ProductRoad, startProductRoad } from "./road-product.ts";
import { plain } from "./section.ts";

/** A collector that does not answer may cost so much of the throughput. */
const ALLOWED_LOSS = 0.03;
const FIRST_ANSWER_MS = 15_000;
const WARM_MS = 2_000;
const SETTLE_MS = 250;
const LIMIT_MS = 600_000;
/** Of Linux, in a second: what /proc counts in. */
const TICKS = 100;

const PLAIN = "plain";
const OTHERS = ["plain again", "traced", "black-holed", "no log"] as const;
type Other = (typeof OTHERS)[number];

interface Side {
  readonly rate: number;
  /** ms of the connector's processor for an answer; null where /proc is not there. */
  readonly cpuMs: number | null;
}

interface Pair {
  readonly plain: Side;
  readonly other: Side;
}

if (isMainThread) await main();
else serveTraces();

async function main(): Promise<void> {
  const options = new Command("bench:tracing")
    .description("Measures small answers with traces off, on, and to a collector that never answers.")
    .option("--rounds <n>", "of all connectors in turn", number({ least: 1 }), 20)
    .option("--seconds <n>", "of measuring for each pair and round", number({ least: 0.2, whole: false }), 0.6)
    .option("--connections <n>", "that ask at once, of both", number({ least: 1 }), 32)
    .parse()
    .opts<{ rounds: number; seconds: number; connections: number }>();
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
  { rounds, seconds, connections }: { rounds: number; seconds: number; connections: number },
  crew: Crew,
  directory: string,
  signal: AbortSignal,
): Promise<Map<Other, Pair[]>> {
  const engines = await startEngines(crew, 0);
  const collector = await startCollector();
  const hole = await openHole();
  const traced = (port: number) => ({
    config: `tracing: { otlp: { endpoint: "http://127.0.0.1:${port}/v1/traces" } }\n`,
  });
  const changes: Record<Other, ConnectorChanges> = {
    "plain again": {},
    traced: traced(collector),
    "black-holed": traced(hole),
    "no log": { args: ["--log-level", "warn"] },
  };
  const open = async (name: string, change: ConnectorChanges): Promise<ProductRoad> => {
    const road = await startProductRoad(crew, engines, join(directory, name.replaceAll(" ", "-")), signal, change);
    await askUntil(smallChat(), road.chat, FIRST_ANSWER_MS, signal);
    return road;
  };
  const off = await open(PLAIN, {});
  const size = aroundSize((await ask(smallChat(), off.chat)).length);
  const roads = new Map<Other, ProductRoad>();
  for (const name of OTHERS) roads.set(name, await open(name, changes[name]));
  const wrk = await find("wrk");
  const load = async (road: ProductRoad, ms: number): Promise<Side> => {
    const asked = plain(smallChat(), road.chat, size, Math.ceil(connections / 2), ms);
    const before = cpuTicks(road.connector.pid);
    const slice = await (wrk === null ? loadByRawSockets(asked, signal) : loadByWrk(wrk, directory, asked, signal));
    const after = cpuTicks(road.connector.pid);
    if (countFailures(slice.failures) > 0) throw new Error(`answers failed: ${JSON.stringify(slice.failures)}`);
    const cpuMs = before === null || after === null ? null : ((after - before) * 1000) / TICKS / slice.completed;
    return { rate: slice.completed / slice.seconds, cpuMs };
  };
  // Warm, and the black hole's buffers full: the state that lasts.
  for (const road of [off, ...roads.values()]) await load(road, WARM_MS);
  const results = new Map<Other, Pair[]>(OTHERS.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const name of shuffled(OTHERS)) {
      // The one before may still have traces to send.
      await pause(SETTLE_MS, signal);
      const ms = seconds * 1000;
      const [side, other] = await Promise.all([load(off, ms), load(roads.get(name)!, ms)]);
      results.get(name)!.push({ plain: side, other });
    }
  }
  return results;
}

/** @returns whether the demand is met. */
function tell(found: ReadonlyMap<Other, readonly Pair[]>): boolean {
  console.log("against the plain one beside it   requests/s (quartiles of rounds)   connector's CPU an answer");
  const rates = new Map<Other, number>();
  for (const [name, pairs] of found) {
    const ratios = pairs.map(({ plain: side, other }) => other.rate / side.rate);
    const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(ratios, share)) as [number, number, number];
    rates.set(name, middle);
    const cpu = pairs.flatMap(({ plain: { cpuMs: side }, other: { cpuMs } }) =>
      side === null || cpuMs === null ? [] : [{ ratio: cpuMs / side, us: (cpuMs - side) * 1000 }],
    );
    const ratio = quantile(
      cpu.map((one) => one.ratio),
      0.5,
    ).toFixed(3);
    const us = quantile(
      cpu.map((one) => one.us),
      0.5,
    ).toFixed(0);
    const rate = `${middle.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
    console.log(`${name.padEnd(34)}${rate.padEnd(35)}${cpu.length === 0 ? "-" : `${ratio} (${us} us)`}`);
  }
  const loss = 1 - rates.get("black-holed")! / rates.get("plain again")!;
  const isMet = loss <= ALLOWED_LOSS;
  console.log(
    `a collector that never answers costs ${(loss * 100).toFixed(1)} %, ${isMet ? "within" : "MORE than"} ${ALLOWED_LOSS * 100} %`,
  );
  return isMet;
}

/** Whoever always came behind the same other one would inherit its caches and its queues. */
function shuffled<T>(items: readonly T[]): T[] {
  const places = items.map((item) => ({ item, place: Math.random() }));
  return places.toSorted((a, b) => a.place - b.place).map(({ item }) => item);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const low = sorted[Math.floor(place)] ?? 0;
  return low + ((sorted[Math.ceil(place)] ?? 0) - low) * (place % 1);
}

function cpuTicks(pid: number): number | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\) /s, "")
      .split(" ");
    return Number(fields[11]) + Number(fields[12]);
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
