// What systemd is told of a connector, and when (sd_notify(3)): READY once a request can be served, STATUS when there is
// news, STOPPING when it leaves, and WATCHDOG only while the edge is really heard. That the event loop turns is shown by
// being called at all. No I/O, no clock: what has been heard is in the picture, and the uptime, which nobody sets, is an argument.
import type { ConnectorStatus } from "../status.ts";
import { headline, isHeard, isReady } from "./readiness.ts";

/** A watchdog is fed so many times within its period: one lost message must not end a sound process. */
const FEEDS = 3;

export class Announcer {
  /** ms; null without a watchdog. */
  readonly #feedEveryMs: number | null;
  #isReady = false;
  #isStopping = false;
  #told = "";
  #fedAt = Number.NEGATIVE_INFINITY;

  /** @param watchdogMs after so long without WATCHDOG systemd ends the process. */
  constructor(watchdogMs: number | null) {
    this.#feedEveryMs = watchdogMs === null ? null : watchdogMs / FEEDS;
  }

  /** To be called a few times within a watchdog's period. @returns assignments, none if there is no news. */
  next(status: ConnectorStatus, uptime: number): string[] {
    const lines: string[] = [];
    if (status.draining && !this.#isStopping) {
      this.#isStopping = true;
      lines.push("STOPPING=1");
    }
    if (!this.#isReady && isReady(status)) {
      this.#isReady = true;
      lines.push("READY=1");
    }
    const line = headline(status);
    if (line !== this.#told) {
      this.#told = line;
      lines.push(`STATUS=${line.replace(/\s+/g, " ")}`);
    }
    if (this.#feedEveryMs !== null && uptime - this.#fedAt >= this.#feedEveryMs && isHeard(status)) {
      this.#fedAt = uptime;
      lines.push("WATCHDOG=1");
    }
    return lines;
  }
}
