// Processes that another one starts: each in a group of its own, so that Ctrl-C reaches the starter alone and it ends them
// in order. Knows nothing of what they do.
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { stripVTControlCharacters } from "node:util";

export interface Program {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Opens a channel; the first message is what {@link Child.ready} gives. */
  readonly ipc?: boolean;
  /** Gets a copy of what it prints. */
  readonly logFile?: string;
  /** Is told what it prints, as it comes. */
  readonly heard?: (text: string) => void;
  /** What it prints on stdout goes nowhere. */
  readonly isSilent?: boolean;
  /** How long SIGTERM may take before SIGKILL. */
  readonly graceMs?: number;
}

export interface Child {
  readonly name: string;
  /** The first message over IPC. Rejects when the process ends without one. */
  ready(timeoutMs: number): Promise<unknown>;
  stop(): Promise<void>;
  readonly pid: number;
  /** Sends a signal, and from now on the end of the process is expected. */
  kill(signal: NodeJS.Signals): void;
  /** Resolves when the process has ended, with its exit code, or null if a signal ended it. */
  readonly exited: Promise<number | null>;
  /** What it printed last. */
  tail(): string;
}

const GRACE_MS = 3_000;
const TAIL_CHARS = 2_000;

const groups = new Set<number>();
// The last resort: whatever way this process ends, short of SIGKILL, no group outlives it.
process.on("exit", () => {
  for (const group of groups) signalGroup(group, "SIGKILL");
});

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // Nobody is left in it.
  }
}

/** The processes of one part of a run. The first one that ends unasked aborts `lost`. */
export class Crew {
  readonly #children: Child[] = [];
  readonly #lost = new AbortController();

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  start(program: Program): Child {
    const started = start(program, (error) => this.#lost.abort(error));
    this.#children.push(started);
    return started;
  }

  /** Last started, first stopped: a tunnel goes before what it leads to. */
  async dismiss(): Promise<void> {
    for (const child of this.#children.splice(0).reverse()) await child.stop();
  }
}

function start(program: Program, lost: (error: Error) => void): Child {
  const { name } = program;
  const child = spawn(program.command, program.args, {
    detached: true,
    env: program.env ?? process.env,
    stdio: [
      "ignore",
      program.isSilent === true ? "ignore" : "pipe",
      "pipe",
      ...(program.ipc === true ? (["ipc"] as const) : []),
    ],
  });
  const group = child.pid;
  if (group !== undefined) groups.add(group);
  let asked = false;
  const tail = keepTail(child, program);
  const ended = new Promise<Error>((resolve) => {
    child.once("error", (error) => resolve(new Error(`${name} did not start: ${error.message}`)));
    child.once("exit", (code, signal) => resolve(new Error(`${name} ended (${signal ?? `exit ${code}`})${tail()}`)));
  }).then((error) => {
    if (group !== undefined) {
      signalGroup(group, "SIGKILL");
      groups.delete(group);
    }
    if (!asked) lost(error);
    return error;
  });
  const first = new Promise<unknown>((resolve) => child.once("message", resolve));

  return {
    name,
    pid: group ?? 0,
    tail,
    exited: new Promise((resolve) => child.once("exit", (code) => resolve(code))),
    kill(signal) {
      asked = true;
      child.kill(signal);
    },
    async ready(timeoutMs) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${name} is not ready after ${timeoutMs} ms${tail()}`)), timeoutMs);
      });
      const early = ended.then((error) => Promise.reject(error));
      return Promise.race([first, late, early]).finally(() => clearTimeout(timer));
    },
    async stop() {
      asked = true;
      // A stopped process takes no SIGTERM.
      child.kill("SIGCONT");
      child.kill("SIGTERM");
      const force = setTimeout(() => group !== undefined && signalGroup(group, "SIGKILL"), program.graceMs ?? GRACE_MS);
      await ended;
      clearTimeout(force);
    },
  };
}

/** Drains both outputs, or the child would block, and keeps the end for an error message. */
function keepTail(child: ChildProcess, { logFile, heard }: Program): () => string {
  let text = "";
  const log = logFile === undefined ? null : createWriteStream(logFile, { flags: "a" });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (piece: string) => {
      text = (text + piece).slice(-TAIL_CHARS);
      log?.write(piece);
      heard?.(piece);
    });
  }
  return () => {
    const plain = stripVTControlCharacters(text).trim();
    return plain === "" ? "" : `:\n${plain}`;
  };
}

/** Runs a program to its end. Rejects unless it exits with 0; `signal` ends it. */
export async function run(
  program: Omit<Program, "ipc">,
  options: { signal?: AbortSignal; interruptAfterMs?: number } = {},
): Promise<string> {
  const child = spawn(program.command, program.args, {
    detached: true,
    env: program.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const group = child.pid;
  if (group !== undefined) groups.add(group);
  const kill = () => child.kill("SIGKILL");
  options.signal?.addEventListener("abort", kill);
  const interrupt =
    options.interruptAfterMs === undefined
      ? undefined
      : setTimeout(() => child.kill("SIGINT"), options.interruptAfterMs);
  try {
    return await new Promise<string>((resolve, reject) => {
      let out = "";
      let err = "";
      child.stdout.setEncoding("utf8").on("data", (piece: string) => {
        out += piece;
      });
      child.stderr.setEncoding("utf8").on("data", (piece: string) => {
        err += piece;
      });
      child.once("error", (error) => reject(new Error(`${program.name} did not start: ${error.message}`)));
      child.once("close", (code, by) => {
        if (code === 0) return resolve(out);
        reject(new Error(`${program.name} ended (${by ?? `exit ${code}`}): ${(err + out).trim().slice(-TAIL_CHARS)}`));
      });
    });
  } finally {
    clearTimeout(interrupt);
    options.signal?.removeEventListener("abort", kill);
    if (group !== undefined) groups.delete(group);
  }
}
