// A machine of the manual: a shell that is given its commands one after the other, so that `cd` and `export` last.
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { assertStaysHere, type ManualCommand } from "./manual.ts";
import { until } from "./stack.ts";

export interface ManualShellOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What the page says, and what stands for it on this machine. */
  readonly substitutions: readonly (readonly [from: string | RegExp, to: string])[];
}

export class ManualShell {
  readonly #substitutions: ManualShellOptions["substitutions"];
  readonly #shell: ChildProcess;
  #said = "";
  #count = 0;

  constructor({ cwd, env = {}, substitutions }: ManualShellOptions) {
    this.#substitutions = substitutions;
    // The Node that runs the tests is the one that the page asks for.
    const path = `${dirname(process.execPath)}:${process.env["PATH"]}`;
    this.#shell = spawn("bash", ["--norc"], { cwd, env: { ...process.env, ...env, PATH: path }, detached: true });
    // What it starts is in its group, and is ended without it.
    this.#shell.stdin!.write("trap : TERM\n");
    for (const stream of [this.#shell.stdout!, this.#shell.stderr!])
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#said += text;
      });
  }

  substitute(text: string): string {
    return this.#substitutions.reduce((now, [from, to]) => now.replaceAll(from, to), text);
  }

  /** @param ready what one says that runs on, when it is ready. @returns what it said. @throws Error if it ends with anything but 0. */
  async run(command: ManualCommand, ready: RegExp): Promise<string> {
    const text = this.substitute(command.text);
    await assertStaysHere(text, (path) => this.#read(path));
    const from = this.#said.length;
    const said = (): string => this.#said.slice(from);
    this.#count += 1;
    if (command.runs) {
      this.#shell.stdin!.write(`${text} &\n`);
      await until(() => ready.test(said()) || this.#shell.exitCode !== null, 60_000).catch(() => {
        throw new Error(`${text}\nis not ready: ${said()}`);
      });
      return said();
    }
    const end = new RegExp(`ended-${this.#count} (\\d+)\n`);
    this.#shell.stdin!.write(`${text}\necho "ended-${this.#count} $?"\n`);
    await until(() => end.test(said()), 60_000);
    const code = Number(end.exec(said())![1]);
    const words = said().replace(end, "");
    if (code !== 0) throw new Error(`${text}\nended with ${code}: ${words}`);
    return words;
  }

  async #read(path: string): Promise<string | null> {
    const cwd = `/proc/${this.#shell.pid}/cwd`;
    return readFile(isAbsolute(path) ? path : join(cwd, path), "utf8").catch(() => null);
  }

  /** Ends what runs on. */
  async interrupt(): Promise<void> {
    this.#signal("SIGTERM");
    await this.run({ text: "wait", runs: false }, /./);
  }

  async close(): Promise<void> {
    this.#shell.stdin!.end();
    this.#signal("SIGTERM");
    await until(() => !this.#signal(0)).catch(() => this.#signal("SIGKILL"));
  }

  /** To the shell and all that it has started. @returns false if nobody is left. */
  #signal(signal: NodeJS.Signals | 0): boolean {
    try {
      return process.kill(-this.#shell.pid!, signal);
    } catch {
      return false;
    }
  }
}
