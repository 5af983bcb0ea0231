// Talks to systemd, if it is systemd that has started us.
//
// sd_notify is a datagram to a unix socket, and Node has no such datagrams. systemd's own `systemd-notify` sends it: it is
// wherever systemd is, and waits until its message was read, so that systemd still finds the sender. What it costs is a short
// process now and then (8 ms, of which 3 are ours); hence NotifyAccess=all in the unit, as the sender is our child and not we. An addon
// (npm unix-dgram) would have to be compiled and would end the one-file build.
import { spawn } from "node:child_process";
import type { ConnectorStatus } from "../status.ts";
import { Announcer } from "./announcer.ts";
import type { Log } from "./troubles.ts";

const LOOK_MS = 500;
/** It waits at most 5 s for systemd. */
const NOTIFY_WITHIN_MS = 6_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Sends assignments, one process at a time; what comes meanwhile is sent together after it. */
export class SystemdNotify {
  readonly #log: Log;
  readonly #pending = new Map<string, string>();
  #running: Promise<void> | null = null;
  #isBroken = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Of the same variable the last one counts. */
  send(assignments: readonly string[]): void {
    for (const assignment of assignments) this.#pending.set(assignment.split("=", 1)[0] ?? "", assignment);
    if (this.#running === null && this.#pending.size > 0 && !this.#isBroken) {
      this.#running = this.#drain().finally(() => {
        this.#running = null;
      });
    }
  }

  /** All that was given is sent, or cannot be. */
  async flushed(): Promise<void> {
    await this.#running;
  }

  async #drain(): Promise<void> {
    while (this.#pending.size > 0 && !this.#isBroken) {
      const assignments = [...this.#pending.values()];
      this.#pending.clear();
      await this.#spawn(assignments);
    }
  }

  #spawn(assignments: readonly string[]): Promise<void> {
    return new Promise((done) => {
      const child = spawn("systemd-notify", assignments, {
        stdio: ["ignore", "ignore", "ignore"],
        timeout: NOTIFY_WITHIN_MS,
        killSignal: "SIGKILL",
      });
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
export function reportToSystemd(env: Environment, status: () => ConnectorStatus, log: Log): InitReports {
  if (env["NOTIFY_SOCKET"] === undefined) return { look: () => {}, end: async () => {} };
  const notify = new SystemdNotify(log);
  const announcer = new Announcer(watchdogMs(env));
  const look = () => notify.send(announcer.next(status()));
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

function watchdogMs(env: Environment): number | null {
  const { WATCHDOG_USEC, WATCHDOG_PID } = env;
  if (WATCHDOG_USEC === undefined || (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(process.pid))) return null;
  const ms = Number(WATCHDOG_USEC) / 1000;
  return Number.isFinite(ms) && ms > 0 ? ms : null;
}
