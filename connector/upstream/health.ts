// Which upstreams of a pool may be used: what probes say, and what requests have met. No I/O; time is an argument.

export type HealthState = "unknown" | "up" | "loading" | "down" | "ejected";
/** `silent`: no answer within the probe's time. */
export type ProbeResult = "up" | "loading" | "down" | "silent";

/** Failures in a row that eject. */
export const EJECT_AFTER = 5;
/** Times the number of ejections that are not forgotten yet. */
export const EJECT_MS = 30_000;
export const EJECT_MAX_MS = 300_000;
/** So much health forgets one ejection. */
export const FORGET_MS = 60_000;
/** A busy engine may miss one probe. */
const SILENT_TWICE = 2;

const PROBE_MS = 5_000;
/** While there is news to expect. */
const PROBE_SOON_MS = 500;

interface Row {
  seen: "unknown" | "up" | "loading" | "down";
  silences: number;
  failures: number;
  /** ms; null while in service. */
  ejectedUntil: number | null;
  ejections: number;
  returnedAt: number;
  /** Since its ejection a probe has seen it loading or down: when it comes back it is another process. */
  wasAway: boolean;
}

export class Health {
  readonly #rows: readonly Row[];

  constructor(upstreams: number) {
    this.#rows = Array.from({ length: upstreams }, () => ({
      seen: "unknown" as const,
      silences: 0,
      failures: 0,
      ejectedUntil: null,
      ejections: 0,
      returnedAt: 0,
      wasAway: false,
    }));
  }

  state(index: number): HealthState {
    const { seen, ejectedUntil } = this.#row(index);
    return ejectedUntil !== null && (seen === "up" || seen === "unknown") ? "ejected" : seen;
  }

  /** Ejection prefers others, it does not refuse: where nobody else is left, an ejected upstream is used. */
  isUsable(index: number): boolean {
    const state = this.state(index);
    return isGood(state) || (state === "ejected" && !this.#rows.some((_, other) => isGood(this.state(other))));
  }

  get usable(): number {
    return this.#rows.reduce((count, _, index) => count + (this.isUsable(index) ? 1 : 0), 0);
  }

  get ejected(): number {
    return this.#rows.reduce((count, { ejectedUntil }) => count + (ejectedUntil === null ? 0 : 1), 0);
  }

  /** What an active probe has found. */
  probed(index: number, result: ProbeResult, now: number): void {
    const row = this.#row(index);
    if (result === "silent") {
      row.silences += 1;
      const isTrusted = row.seen === "up" && row.silences < SILENT_TWICE;
      if (!isTrusted) this.#away(row, "down");
      return;
    }
    row.silences = 0;
    if (result !== "up") {
      this.#away(row, result);
      return;
    }
    row.seen = "up";
    if (row.ejectedUntil === null || (now < row.ejectedUntil && !row.wasAway)) return;
    row.ejectedUntil = null;
    row.failures = 0;
    row.returnedAt = now;
  }

  /** A request has found it so. The next probe decides; it does not cut an ejection short. */
  met(index: number, seen: "loading" | "down"): void {
    this.#row(index).seen = seen;
  }

  succeeded(index: number): void {
    this.#row(index).failures = 0;
  }

  /** A request has failed there. Enough of them in a row eject, but never more than half of a pool. */
  failed(index: number, now: number): void {
    const row = this.#row(index);
    row.failures += 1;
    if (row.failures < EJECT_AFTER || row.ejectedUntil !== null) return;
    if (this.ejected + 1 > Math.floor(this.#rows.length / 2)) return;
    row.ejections = Math.max(0, row.ejections - Math.floor((now - row.returnedAt) / FORGET_MS)) + 1;
    row.ejectedUntil = now + Math.min(EJECT_MS * row.ejections, EJECT_MAX_MS);
    row.wasAway = false;
  }

  /** Until the next probe, ms. */
  probeAfter(index: number): number {
    return this.state(index) === "up" && this.#row(index).silences === 0 ? PROBE_MS : PROBE_SOON_MS;
  }

  #away(row: Row, seen: "loading" | "down"): void {
    row.seen = seen;
    row.wasAway = true;
  }

  #row(index: number): Row {
    const row = this.#rows[index];
    if (row === undefined) throw new RangeError(`no upstream ${index}`);
    return row;
  }
}

function isGood(state: HealthState): boolean {
  return state === "up" || state === "unknown";
}
