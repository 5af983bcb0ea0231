// When to dial again (shared/wire/spec.md §10). Pure: chance and time are arguments.

const BASE_MS = 500;
const MOST_MS = 30_000;
/** So long a socket must have lived before its loss counts as the first one. */
export const HEALTHY_MS = 10_000;
/** A socket that lived so long is worth a redial at once, also where its hub is lost every second; one that did not may be what ends the next one, too. */
export const BRIEF_MS = 250;
/** Dials that fail before the wait doubles: an edge that restarts is back within seconds, and is found within one. */
export const DIALS_PER_STEP = 4;

export interface Backoff {
  /** Dials in a row that did not lead to a healthy socket. */
  readonly failures: number;
  /** The socket that was lost has lived: the next dial does not wait for what failed before it. */
  readonly isFirst: boolean;
}

export const RESTED: Backoff = { failures: 0, isFirst: true };

/** After the loss of a socket that lived for `livedMs`; 0 for a dial that did not succeed. */
export function afterLoss(backoff: Backoff, livedMs: number): Backoff {
  const isFirst = livedMs >= BRIEF_MS;
  return { failures: livedMs >= HEALTHY_MS ? 0 : backoff.failures + (isFirst ? 0 : 1), isFirst };
}

/**
 * Full jitter: anything in `[0, min(30 s, 0.5 s · 2ⁿ))`, so that connectors that were cut together do not come back together.
 * The first redial after a loss is due within 500 ms.
 * @param chance in [0, 1).
 * @returns ms.
 */
export function delayOf({ failures, isFirst }: Backoff, chance: number): number {
  const exponent = isFirst ? 0 : Math.floor(failures / DIALS_PER_STEP);
  return chance * Math.min(MOST_MS, BASE_MS * 2 ** exponent);
}
