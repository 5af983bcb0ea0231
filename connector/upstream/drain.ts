// How fast slots come free, from how long they were really held. No I/O; durations are arguments.

/** Weight of the newest one. */
const NEWEST = 0.1;
/** Fewer say nothing. */
const LEAST_SAMPLES = 4;
/** While nothing is known. */
const GUESS_MS = 2_000;
const LEAST_MS = 1_000;
const MOST_MS = 60_000;

export class DrainRate {
  #samples = 0;
  #heldMs = 0;

  /** A slot was held for so long. */
  record(heldMs: number): void {
    this.#samples += 1;
    // A plain mean at first, so that the first one does not weigh for long.
    this.#heldMs += (heldMs - this.#heldMs) * Math.max(NEWEST, 1 / this.#samples);
  }

  /** Until `places` more requests have got one of `slots` slots, all held now; null if nothing is known. */
  waitMs(places: number, slots: number): number | null {
    return this.#samples < LEAST_SAMPLES || slots === 0 ? null : (places * this.#heldMs) / slots;
  }

  /**
   * When to come back to a queue of so many.
   * @param stillMs that no slot has come free: the past may have been faster than the present.
   */
  retryAfterMs(places: number, slots: number, stillMs = 0): number {
    const wait = Math.max(this.waitMs(places, slots) ?? GUESS_MS, stillMs);
    return Math.round(Math.min(MOST_MS, Math.max(LEAST_MS, wait)));
  }
}
