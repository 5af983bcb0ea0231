// One workerd process that runs the bundle: its configuration, its start, its end.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { join, relative, resolve } from "node:path";
import { json } from "node:stream/consumers";
import type { Look } from "../../edge/leaving.ts";
import { readCompatibility } from "./compatibility.ts";
import { Complaints, complaintIn } from "./complaints.ts";
import { cannotWrite } from "./lock.ts";

const ROOT = resolve(import.meta.dirname, "../..");
/** The native binary: killing a wrapper would leave workerd on the port. */
const WORKERD = join(ROOT, "node_modules/workerd/bin/workerd");
/** workerd stays as long as a WebSocket is open, and an uplink is until the connectors were let go. */
const KILL_AFTER_MS = 1_000;
const LOOK_WITHIN_MS = 2_000;

/** A port (0: a free one), or a unix socket behind a front that says in a header who the client is. */
export type ListenAt =
  | { readonly host: string; readonly port: number }
  | { readonly socketPath: string; readonly cfHeader: string };

/**
 * Every API object of a request survives V8's scavenges and waits for a full collection, which stops the one thread: by default for
 * 80 to 180 ms. With a young generation that fits a core's own cache and a heap that grows in small steps it is 20 to 30 ms, at no
 * cost (workerd 1.20261023, 32 connections, small answers: p99 30 ms instead of 108 to 155; with 8 MiB for the young: 42 ms, and a
 * twentieth more CPU).
 */
const V8_FLAGS = ["--max-semi-space-size=2", "--heap-growing-percent=10"];

/**
 * workerd's allocator (TCMalloc) keeps its caches by processor where it can register a restartable sequence with the kernel. glibc from
 * 2.35 on has registered its own before, and the caches are then by thread, which makes every allocation slower: a twentieth of the CPU
 * of a small answer (workerd 1.20261023, Debian 12). Other C libraries do not read this.
 */
const ALLOCATOR = { GLIBC_TUNABLES: "glibc.pthread.rseq=0" };

/**
 * Hubs stay in memory, and their counters with them. An eviction after 10 s of rest would give nothing back: the process is as large
 * after it, and takes no CPU either way (workerd 1.20261023, two hubs, 2,000 requests: 134 MiB).
 */
const EVICTION = "preventEviction = true";

export interface WorkerdOptions {
  readonly bundle: string;
  readonly state: string;
  readonly listen: ListenAt;
  /** A unix socket for {@link Workerd.look} and its like. */
  readonly controlPath: string;
  /** Address and port for Chrome DevTools. */
  readonly inspect?: string;
  /** Is told when a write to `state` has failed, with the word for it. */
  readonly complained: (word: string) => void;
  /** The Worker's variables and secrets: in the process environment, never on disk or in arguments. */
  readonly settings: Readonly<Record<string, string>>;
}

export interface Workerd {
  readonly port: number;
  readonly process: ChildProcess;
  /** Resolves with the exit code, or null if a signal ended it. */
  readonly exited: Promise<number | null>;
  /** Whether the Worker answers. */
  isAlive(): Promise<boolean>;
  /** From the first call on nothing new begins; rejects where workerd does not answer. */
  look(): Promise<Look>;
  /** Whether what the hubs keep can be written. Rejects where workerd does not answer. */
  tellWritable(isWritable: boolean): Promise<void>;
  /** @param withinMs what is left after it is cut. */
  stop(withinMs?: number): Promise<void>;
}

/** @throws Error in one line if it does not come up. */
export async function startWorkerd(options: WorkerdOptions): Promise<Workerd> {
  const { bundle, state, listen, controlPath, settings, inspect } = options;
  const file = join(state, "workerd.capnp");
  try {
    await mkdir(join(state, "do"), { recursive: true });
    await writeFile(file, configOf(relative(state, join(bundle, "worker.js")), { listen, controlPath, settings }));
  } catch (error) {
    throw cannotWrite(state, error);
  }
  const inspector = inspect === undefined ? [] : [`--inspector-addr=${inspect}`];
  const child = spawn(WORKERD, ["serve", file, "--control-fd=3", ...inspector], {
    cwd: state,
    env: { ...settings, ...ALLOCATOR },
    stdio: ["ignore", "inherit", "pipe", "pipe"],
  });
  // However this process ends, short of SIGKILL.
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  child.once("exit", () => process.off("exit", kill));
  const exited = new Promise<number | null>((done) => child.once("exit", (code) => done(code)));
  let said = "";
  let isUp = false;
  const complaints = new Complaints();
  const stderr = child.stderr?.setEncoding("utf8");
  stderr?.on("data", (text: string) => {
    // Until it listens its words are ours to tell, in one line.
    if (!isUp) {
      said = (said + text).slice(-4_000);
      return;
    }
    const { rest, complaint } = complaints.hear(text);
    process.stderr.write(rest);
    if (complaint !== null) options.complained(complaint);
  });
  stderr?.on("end", () => process.stderr.write(complaints.end()));
  const listening = new Promise<number>((done) => {
    let lines = "";
    const control = child.stdio[3] as NodeJS.ReadableStream;
    control.setEncoding("utf8");
    control.on("data", (text: string) => {
      lines += text;
      const match = /"event":"listen","socket":"http","port":(\d+)/.exec(lines);
      if (match?.[1] !== undefined) done(Number(match[1]));
    });
  });
  const started = await Promise.race([listening, exited]);
  if (child.exitCode !== null || started === null) {
    const complaint = complaintIn(said);
    if (complaint !== null) throw cannotWrite(state, new Error(complaint));
    const isTaken = /in use/i.test(said) && "port" in listen;
    throw new Error(isTaken ? `port ${listen.port} is taken` : `workerd did not start:\n${said.trim()}`);
  }
  isUp = true;
  return {
    port: started,
    process: child,
    exited,
    isAlive: () => isAlive(controlPath),
    look: () => look(controlPath),
    tellWritable: (isWritable) => tell(controlPath, isWritable ? "/writable" : "/unwritable"),
    stop: async (withinMs = KILL_AFTER_MS) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      const force = setTimeout(() => child.kill("SIGKILL"), withinMs);
      await exited;
      clearTimeout(force);
    },
  };
}

/** Of the Worker's Control. */
function ask(socketPath: string, path: string): Promise<IncomingMessage> {
  return new Promise((done, fail) => {
    const asked = request({ socketPath, path, agent: false, timeout: LOOK_WITHIN_MS }, done);
    asked.on("timeout", () => asked.destroy(new Error("workerd does not answer")));
    asked.on("error", fail).end();
  });
}

async function look(socketPath: string): Promise<Look> {
  return (await json(await ask(socketPath, "/"))) as Look;
}

async function tell(socketPath: string, path: string): Promise<void> {
  (await ask(socketPath, path)).resume();
}

async function isAlive(socketPath: string): Promise<boolean> {
  try {
    const answer = await ask(socketPath, "/alive");
    answer.resume();
    return answer.statusCode === 200;
  } catch {
    return false;
  }
}

type Configured = Pick<WorkerdOptions, "listen" | "controlPath" | "settings">;

function configOf(worker: string, { listen, controlPath, settings }: Configured): string {
  const address = "port" in listen ? `${bracketed(listen.host)}:${listen.port}` : `unix:${listen.socketPath}`;
  const http = "port" in listen ? "()" : `(cfBlobHeader = "${listen.cfHeader}")`;
  const { compatibilityDate, compatibilityFlags } = readCompatibility();
  const bindings = Object.keys(settings).map((name) => `(name = "${name}", fromEnvironment = "${name}")`);
  bindings.push('(name = "HUB", durableObjectNamespace = "Hub")');
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  v8Flags = [${V8_FLAGS.map((flag) => `"${flag}"`).join(", ")}],
  services = [ (name = "main", worker = .edge), (name = "do-disk", disk = (path = "do", writable = true)) ],
  sockets = [
    (name = "http", address = "${address}", http = ${http}, service = "main"),
    (name = "control", address = "unix:${controlPath}", http = (), service = (name = "main", entrypoint = "Control")) ] );
const edge :Workerd.Worker = (
  modules = [ (name = "worker.js", esModule = embed "${worker}") ],
  compatibilityDate = "${compatibilityDate}",
  compatibilityFlags = [${compatibilityFlags.map((flag) => `"${flag}"`).join(", ")}],
  durableObjectNamespaces = [ (className = "Hub", uniqueKey = "heartcode-hub", enableSql = true, ${EVICTION}) ],
  durableObjectStorage = (localDisk = "do-disk"),
  bindings = [ ${bindings.join(", ")} ] );
`;
}

/** An address as it stands before a port. */
export function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
