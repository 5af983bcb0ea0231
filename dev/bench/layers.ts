// Where the time of a small answer goes: the platform alone, then one part of the way more in each line, up to a tunnel that does
// nothing but carry; then the product, and nginx with `ssh -R`. All in turns. What is between two lines is what the part costs.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { number } from "../cli.ts";
import { Crew } from "../crew.ts";
import { startWorkerd } from "../edge/workerd.ts";
import { cpuNs, cpuNsOfGroup } from "./cpu.ts";
import { startEngines } from "./engines.ts";
import { loadByRawSockets } from "./load-raw.ts";
import { loadByWrk } from "./load-wrk.ts";
import { countFailures, pool, type Slice } from "./measure.ts";
import { find, machine } from "./programs.ts";
import { aroundSize, askUntil, bodyOf, type Question, smallChat } from "./questions.ts";
import { directRoad, type EnginePorts, type Target } from "./road.ts";
import { startProductRoad } from "./road-product.ts";
import { findSshPrograms, providePrivilegeDirectory, startSshRoad } from "./road-ssh.ts";

const FIRST_ANSWER_MS = 15_000;
/** Of each layer: until its figures rise no more. */
const WARM_UP_MS = 3_000;
const BARE_WORKER = fileURLToPath(new URL("./bare/worker.mjs", import.meta.url));
const BARE_CONNECTOR = fileURLToPath(new URL("./bare/connector.ts", import.meta.url));
const CONNECTOR_READY_MS = 10_000;

const options = new Command("bench:layers")
  .description("Requests a second and CPU of a small answer, from the bare platform to the product, on loopback.")
  .option("--seconds <n>", "of each slice", number({ least: 0.5, most: 60, whole: false }), 1.5)
  .option("--rounds <n>", "slices of each layer", number({ least: 1, most: 100 }), 8)
  .option("--connections <n>", "at once", number({ least: 1, most: 1_024 }), 32)
  .parse()
  .opts<{ seconds: number; rounds: number; connections: number }>();

interface Layer {
  readonly name: string;
  readonly target: Target;
  readonly question: Question;
  /** What the others are measured by. */
  readonly isYardstick?: boolean;
  /** ns of CPU so far, of the edge and of the connector. */
  readonly edge?: () => number | null;
  readonly connector?: () => number | null;
}

interface Spent {
  readonly slice: Slice;
  readonly edgeNs: number | null;
  readonly connectorNs: number | null;
}

const crew = new Crew();
const directory = mkdtempSync(join(tmpdir(), "heartcode-layers-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort(new Error(signal)));
let stopBare = async (): Promise<void> => {};
try {
  await bench(AbortSignal.any([stop.signal, crew.lost]));
} finally {
  await stopBare();
  await crew.dismiss();
}

async function bench(signal: AbortSignal): Promise<void> {
  for (const [name, fact] of Object.entries(await machine())) console.log(`${name.padEnd(11)}${fact}`);
  const wrk = await find("wrk");
  const engines = await startEngines(crew, 0);
  const layers = [
    ...(await bareLayers(engines, signal)),
    await productLayer(engines, signal),
    ...(await sshLayer(engines, signal)),
  ];
  const load = async ({ target, question }: Layer, ms: number): Promise<Slice> => {
    const { port, authorization } = target;
    const size = aroundSize((await askUntil(question, target, FIRST_ANSWER_MS, signal)).length);
    const body = bodyOf(question, target);
    const asked = { port, path: question.path, authorization, body, connections: options.connections, ms, size };
    return wrk === null ? loadByRawSockets(asked, signal) : loadByWrk(wrk, directory, asked, signal);
  };
  for (const layer of layers) await load(layer, WARM_UP_MS);
  const found = new Map<Layer, Spent[]>(layers.map((layer) => [layer, []]));
  for (let round = 0; round < options.rounds; round += 1) {
    for (const layer of round % 2 === 0 ? layers : layers.toReversed()) {
      const before = { edge: layer.edge?.() ?? null, connector: layer.connector?.() ?? null };
      const slice = await load(layer, options.seconds * 1_000);
      found.get(layer)?.push({
        slice,
        edgeNs: since(before.edge, layer.edge),
        connectorNs: since(before.connector, layer.connector),
      });
    }
  }
  print(found, wrk === null ? "raw sockets of Node" : "wrk");
}

async function bareLayers(engines: EnginePorts, signal: AbortSignal): Promise<Layer[]> {
  const bundle = join(directory, "bare");
  mkdirSync(bundle);
  copyFileSync(BARE_WORKER, join(bundle, "worker.js"));
  const direct = directRoad(engines).chat;
  const answer = await askUntil(smallChat(), direct, FIRST_ANSWER_MS, signal);
  const workerd = await startWorkerd({
    bundle,
    state: join(directory, "bare-state"),
    listen: { host: "127.0.0.1", port: 0 },
    controlPath: join(directory, "bare.sock"),
    complained: () => {},
    settings: { ANSWER: Buffer.from(answer).toString("base64") },
  });
  stopBare = () => workerd.stop();
  const connector = crew.start({
    name: "bare connector",
    command: process.execPath,
    args: [BARE_CONNECTOR, "--edge", String(workerd.port), "--engine", String(engines.chat)],
    ipc: true,
  });
  await connector.ready(CONNECTOR_READY_MS);
  const layer = (name: string, path: string): Layer => ({
    name,
    target: { ...direct, port: workerd.port },
    question: { ...smallChat(), path },
    edge: () => cpuNs(workerd.process.pid ?? 0),
    ...(path === "/tunnel" ? { connector: () => cpuNs(connector.pid) } : {}),
  });
  return [
    layer("a Worker that answers", "/answer"),
    layer("... and has read the question", "/read"),
    layer("... and has asked a Durable Object", "/hub"),
    layer("... which has asked an engine: a bare tunnel", "/tunnel"),
  ];
}

async function productLayer(engines: EnginePorts, signal: AbortSignal): Promise<Layer> {
  const road = await startProductRoad(crew, engines, join(directory, "product"), signal);
  return {
    name: "the product",
    target: road.chat,
    question: smallChat(),
    edge: () => cpuNsOfGroup(road.edge.pid),
    connector: () => cpuNs(road.connector.pid),
  };
}

async function sshLayer(engines: EnginePorts, signal: AbortSignal): Promise<Layer[]> {
  const programs = await findSshPrograms();
  if ("missing" in programs) {
    console.log(`nginx+ssh is skipped: not installed: ${programs.missing.join(", ")}`);
    return [];
  }
  await providePrivilegeDirectory();
  const road = await startSshRoad(crew, programs, engines, join(directory, "ssh"), signal);
  return [{ name: "nginx + ssh -R", target: road.chat, question: smallChat(), isYardstick: true }];
}

function since(before: number | null, now: (() => number | null) | undefined): number | null {
  const after = now?.() ?? null;
  return before === null || after === null ? null : after - before;
}

function print(found: ReadonlyMap<Layer, readonly Spent[]>, generator: string): void {
  const { connections, rounds, seconds } = options;
  console.log(`\nsmall chat answers, ${connections} at once, ${rounds} x ${seconds} s each, load by ${generator}`);
  console.log(`CPU in ms a request\n`);
  const rates = new Map([...found].map(([layer, all]) => [layer, pool(all.map(({ slice }) => slice))]));
  const yardstick = [...rates].find(([layer]) => layer.isYardstick)?.[1].rate ?? null;
  console.log(`${"".padEnd(46)}requests/s  /nginx+ssh   edge  connector`);
  for (const [layer, all] of found) {
    const { rate, completed, failures } = rates.get(layer)!;
    const ms = (pick: (spent: Spent) => number | null) => {
      const spent = all.map(pick);
      if (completed === 0 || spent.some((ns) => ns === null)) return "-";
      return (spent.reduce<number>((sum, ns) => sum + (ns ?? 0), 0) / completed / 1e6).toFixed(3);
    };
    const ratio = yardstick === null ? "-" : `${(rate / yardstick).toFixed(2)}x`;
    const failed = countFailures(failures);
    console.log(
      `${layer.name.padEnd(46)}${rate.toFixed(0).padStart(10)}  ${ratio.padStart(10)}  ${ms((spent) => spent.edgeNs).padStart(5)}  ` +
        `${ms((spent) => spent.connectorNs).padStart(9)}${failed === 0 ? "" : `  ${failed} failed: ${JSON.stringify(failures)}`}`,
    );
    if (failed > 0) process.exitCode = 1;
  }
}
