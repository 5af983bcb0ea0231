// `npm run dev`: everything that `npm start` runs, with its logs, and what is changed in edge, shared or connector runs at once.
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { number, readCommand } from "../cli.ts";
import { type Child, Crew } from "../crew.ts";
import { newLines } from "./lines.ts";
import { bundleWorker, checkConnector, watchFolders } from "./reload.ts";
import { type Stack, startStack } from "./stack.ts";

const program = new Command("dev")
  .description("Runs the whole product on loopback, and again what is changed.")
  .option("--port <port>", "port of the edge; 0 takes a free one", number({ least: 0, most: 65_535 }), 4000)
  .option("--state <folder>", "keys, state, logs and the bundle", ".state/dev")
  .option("--root <folder>", "whose edge and connector run", resolve(import.meta.dirname, "../.."));
const read = readCommand(program, process.argv, () => program.opts<{ port: number; state: string; root: string }>());
if ("exit" in read) process.exit(read.exit);

const { port } = read.given;
const root = resolve(read.given.root);
const directory = resolve(read.given.state);
const bundle = join(directory, "bundle");
const crew = new Crew();
const lines = newLines(process.stdout.isTTY === true);
const print = (part: string, text: string): void => {
  for (const line of lines.take(part, text)) console.log(line);
};
const say = (text: string): void => print("dev", `${text}\n`);

let stopping = false;
async function stop(code: number): Promise<void> {
  if (stopping) return;
  stopping = true;
  unwatch();
  await crew.dismiss();
  process.exit(code);
}
process.on("SIGINT", () => void stop(0));
process.on("SIGTERM", () => void stop(0));
crew.lost.addEventListener("abort", () => stopping || say(`${words(crew.lost.reason)}`));

const words = (error: unknown): string => (error instanceof Error ? error.message.trim() : String(error));

// What has to be done; a change that comes meanwhile is done after it.
let stack: Stack | undefined;
let edge: Child | undefined;
let connector: Child | undefined;
let queue: Promise<void> = Promise.resolve();
const unwatch = watchFolders(root, ["edge", "shared", "connector"], (folders) => {
  const has = (folder: string) => folders.has(folder) || folders.has("shared");
  if (has("edge")) then("edge", reloadEdge);
  if (has("connector")) then("connector", reloadConnector);
});

/** Does one thing after the other, and tells how it went. Nothing that goes wrong ends this program. */
function then(part: string, work: () => Promise<void>): Promise<void> {
  queue = queue.then(async () => {
    if (stopping) return;
    const since = performance.now();
    try {
      await work();
      say(`${part} reloaded in ${Math.round(performance.now() - since)} ms`);
    } catch (error) {
      if (!stopping) say(`${part} was not reloaded; the next change is tried again:\n${words(error)}`);
    }
  });
  return queue;
}

async function reloadEdge(): Promise<void> {
  await bundleWorker(root, bundle);
  if (stack === undefined) return start();
  await replace(edge);
  ({ edge } = await stack.startEdge());
}

async function reloadConnector(): Promise<void> {
  await checkConnector(root);
  if (stack === undefined) return;
  await replace(connector);
  connector = await stack.startConnector(0);
}

/** At once: nobody in development waits for answers to finish. */
async function replace(child: Child | undefined): Promise<void> {
  child?.kill("SIGKILL");
  await child?.exited;
}

async function start(): Promise<void> {
  try {
    stack = await startParts();
  } catch (error) {
    // Half of it runs: a port is taken, or a part does not start at all.
    say(words(error));
    return stop(1);
  }
  edge = stack.parts.edge;
  connector = stack.connectors[0];
  say(`ready:  ${stack.url}/v1  (keys: hc-sk-demo-free, -premium, -adult, -admin, -revoked)`);
  say("watching edge, shared and connector; Ctrl-C stops everything");
}

async function startParts(): Promise<Stack> {
  await checkConnector(root);
  return startStack(crew, {
    directory,
    edgePort: port,
    edgeArgs: ["--bundle", bundle],
    connectorProgram: join(root, "connector/main.ts"),
    fleet: ["--chat", "0x8", "--embed", "0x8"],
    heard: print,
  });
}

await mkdir(bundle, { recursive: true });
await then("edge", async () => {
  await bundleWorker(root, bundle);
  await start();
});
