// Talks to systemd, if it is systemd that has started us: sd_notify(3) is a datagram to a unix socket, and Node has none.
//
// Our units therefore start us by way of a few words of perl, which connect such a socket, keep it open over exec and name its
// descriptor in HEARTCODE_NOTIFY_FD (units.ts): a write to it is a datagram, it comes from the main process, and it costs
// microseconds. Without it `systemd-notify` is started for each message (8 ms), which needs NotifyAccess=all. An addon
// (npm unix-dgram) would have to be compiled, and would end the one-file build.
import { spawn } from "node:child_process";
import { writeSync } from "node:fs";
import type { ConnectorStatus } from "../status.ts";
import { Announcer } from "./announcer.ts";

const LOOK_MS = 500;
/** systemd-notify waits at most 5 s for systemd. */
const NOTIFY_WITHIN_MS = 6_000;

interface Notices {
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Sender {
  /** Of the same variable the last one counts. None: what could not be sent before is tried again. */
  send(assignments: readonly string[]): void;
  /** All that was given is sent, or cannot be. */
  flushed(): Promise<void>;
}

/** @returns null where nobody listens. */
export function senderOf(env: Environment, log: Notices): Sender | null {
  const { NOTIFY_SOCKET, HEARTCODE_NOTIFY_FD } = env;
  if (NOTIFY_SOCKET === undefined) return null;
  return HEARTCODE_NOTIFY_FD === undefined ? new ByProcess(log) : new ByDescriptor(Number(HEARTCODE_NOTIFY_FD), log);
}

/** Assignments that wait to be sent, one for each variable. */
class Pending {
  readonly #rows = new Map<string, string>();

  add(assignments: readonly string[]): void {
    for (const assignment of assignments) this.#rows.set(assignment.split("=", 1)[0] ?? "", assignment);
  }

  get all(): string[] {
    return [...this.#rows.values()];
  }

  clear(): void {
    this.#rows.clear();
  }
}

/** Writes to a datagram socket that is connected already. */
class ByDescriptor implements Sender {
  readonly #fd: number;
  readonly #log: Notices;
  readonly #pending = new Pending();
  #isBroken = false;

  constructor(fd: number, log: Notices) {
    this.#fd = fd;
    this.#log = log;
  }

  send(assignments: readonly string[]): void {
    this.#pending.add(assignments);
    const { all } = this.#pending;
    if (all.length === 0 || this.#isBroken) return;
    try {
      writeSync(this.#fd, all.join("\n"));
      this.#pending.clear();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // systemd is busy: next time. The socket does not block.
      if (code === "EAGAIN" || code === "ENOBUFS") return;
      this.#isBroken = true;
      this.#log.error({ code }, "systemd's socket is gone: it will not hear from us");
    }
  }

  async flushed(): Promise<void> {
    this.send([]);
  }
}

/** Starts systemd-notify, one at a time; what comes meanwhile is sent together after it. */
class ByProcess implements Sender {
  readonly #log: Notices;
  readonly #pending = new Pending();
  #running: Promise<void> | null = null;
  #isBroken = false;

  constructor(log: Notices) {
    this.#log = log;
  }

  send(assignments: readonly string[]): void {
    this.#pending.add(assignments);
    if (this.#running !== null || this.#pending.all.length === 0 || this.#isBroken) return;
    this.#running = this.#drain().finally(() => {
      this.#running = null;
    });
  }

  async flushed(): Promise<void> {
    await this.#running;
  }

  async #drain(): Promise<void> {
    for (let { all } = this.#pending; all.length > 0 && !this.#isBroken; { all } = this.#pending) {
      this.#pending.clear();
      await this.#spawn(all);
    }
  }

  #spawn(assignments: readonly string[]): Promise<void> {
    return new Promise((done) => {
      const options = { stdio: "ignore", timeout: NOTIFY_WITHIN_MS, killSignal: "SIGKILL" } as const;
      const child = spawn("systemd-notify", assignments, options);
      child.once("error", (error) => {
        this.#isBroken = true;
        this.#log.error({ error: error.message }, "systemd-notify does not run: systemd will not hear from us");
        done();
      });
      child.once("exit", (code, signal) => {
        if (code !== 0) this.#log.warn({ code, signal }, "systemd-notify failed");
        done();
      });
    });
  }
}

export interface InitReports {
  /** Says what there is to say now. */
  look(): void;
  /** Says the last words, and no more after them. */
  end(): Promise<void>;
}

/** Tells systemd about a connector from now on; does nothing where nobody listens. */
export function reportToSystemd(env: Environment, status: () => ConnectorStatus, log: Notices): InitReports {
  const notify = senderOf(env, log);
  if (notify === null) return { look: () => {}, end: async () => {} };
  const announcer = new Announcer(watchdogMs(env));
  const look = () => notify.send(announcer.next(status(), performance.now()));
  const timer = setInterval(look, LOOK_MS);
  look();
  return {
    look,
    end: async () => {
      clearInterval(timer);
      look();
      await notify.flushed();
    },
  };
}

/** How often systemd wants to hear WATCHDOG of this process at least; null: it does not wait for it. */
export function watchdogMs(env: Environment): number | null {
  const { WATCHDOG_USEC, WATCHDOG_PID } = env;
  if (WATCHDOG_USEC === undefined || (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(process.pid))) return null;
  const ms = Number(WATCHDOG_USEC) / 1000;
  return Number.isFinite(ms) && ms > 0 ? ms : null;
}
