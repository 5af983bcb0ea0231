// What traces and the log cost: the same small answers over four connectors that differ in nothing else, in one run and in
// turns, each round in another order. Every figure is a round's own against that round's connector without traces, so
// that whatever the machine does meanwhile meets both.
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
import { find } from "./programs.ts";
import { aroundSize, askUntil, smallChat } from "./questions.ts";
import { type ConnectorChanges, type ProductRoad, startProductRoad } from "./road-product.ts";
import { plain } from "./section.ts";

/** A collector that does not answer may cost so much of the throughput. */
const ALLOWED_LOSS = 0.03;
const FIRST_ANSWER_MS = 15_000;
const LIMIT_MS = 600_000;
/** Of Linux, in a second: what /proc counts in. */
const TICKS = 100;

const NAMES = ["off", "on", "black-holed", "off, no log"] as const;
type Name = (typeof NAMES)[number];

interface Round {
  readonly rate: number;
  /** ms of the connector's processor for an answer; null where /proc is not there. */
  readonly cpuMs: number | null;
}

if (isMainThread) await main();
else serveTraces();

async function main(): Promise<void> {
  const options = new Command("bench:tracing")
    .description("Measures small answers with traces off, on, and to a collector that never answers.")
    .option("--rounds <n>", "of all connectors in turn", number({ least: 1 }), 16)
    .option("--seconds <n>", "of measuring for each connector and round", number({ least: 0.2, whole: false }), 1)
    .option("--connections <n>", "that ask at once", number({ least: 1 }), 32)
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
): Promise<Map<Name, Round[]>> {
  const engines = await startEngines(crew, 0);
  const collector = await startCollector();
  const hole = await openHole();
  const traced = (port: number) => ({
    config: `tracing: { otlp: { endpoint: "http://127.0.0.1:${port}/v1/traces" } }\n`,
  });
  const changes: Record<Name, ConnectorChanges> = {
    off: {},
    on: traced(collector),
    "black-holed": traced(hole),
    "off, no log": { args: ["--log-level", "warn"] },
  };
  const roads = new Map<Name, ProductRoad>();
  let size = aroundSize(0);
  for (const name of NAMES) {
    const road = await startProductRoad(
      crew,
      engines,
      join(directory, name.replaceAll(/\W/g, "")),
      signal,
      changes[name],
    );
    size = aroundSize((await askUntil(smallChat(), road.chat, FIRST_ANSWER_MS, signal)).length);
    roads.set(name, road);
  }
  const wrk = await find("wrk");
  const load = async (road: ProductRoad, ms: number): Promise<Round> => {
    const asked = plain(smallChat(), road.chat, size, connections, ms);
    const before = cpuTicks(road.connector.pid);
    const slice = await (wrk === null ? loadByRawSockets(asked, signal) : loadByWrk(wrk, directory, asked, signal));
    const after = cpuTicks(road.connector.pid);
    if (countFailures(slice.failures) > 0) throw new Error(`answers failed: ${JSON.stringify(slice.failures)}`);
    const cpuMs = before === null || after === null ? null : ((after - before) * 1000) / TICKS / slice.completed;
    return { rate: slice.completed / slice.seconds, cpuMs };
  };
  // Warm, and the black hole's buffers full: the state that lasts.
  for (const road of roads.values()) await load(road, 2_000);
  const results = new Map<Name, Round[]>(NAMES.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < NAMES.length; turn += 1) {
      const name = NAMES[(turn + round) % NAMES.length]!;
      results.get(name)!.push(await load(roads.get(name)!, seconds * 1000));
    }
  }
  return results;
}

/** @returns whether the demand is met. */
function tell(found: ReadonlyMap<Name, readonly Round[]>): boolean {
  const off = found.get("off")!;
  console.log(`${"traces".padEnd(14)}requests/s   of off (median of rounds, quartiles)   connector's CPU, us/answer`);
  let isMet = true;
  for (const [name, all] of found) {
    const ratios = all.map(({ rate }, round) => rate / off[round]!.rate);
    const cpu = all.map(({ cpuMs }) => cpuMs).filter((ms) => ms !== null);
    const [low, middle, high] = [0.25, 0.5, 0.75].map((share) => quantile(ratios, share)) as [number, number, number];
    const rate = quantile(
      all.map((round) => round.rate),
      0.5,
    );
    const us = cpu.length === 0 ? "-" : (quantile(cpu, 0.5) * 1000).toFixed(0);
    const share = name === "off" ? "" : `${middle.toFixed(3)} (${low.toFixed(3)} to ${high.toFixed(3)})`;
    console.log(`${name.padEnd(14)}${rate.toFixed(0).padStart(10)}   ${share.padEnd(39)}  ${us}`);
    if (name === "black-holed") isMet = middle >= 1 - ALLOWED_LOSS;
  }
  console.log(`a collector that never answers costs ${isMet ? "less" : "MORE"} than ${ALLOWED_LOSS * 100} %`);
  return isMet;
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
