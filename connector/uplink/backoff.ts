// When to dial again (shared/wire/spec.md §10). Pure: chance and time are arguments.

const BASE_MS = 500;
const MOST_MS = 30_000;
/** So long a socket must have lived before its loss counts as the first one. */
export const HEALTHY_MS = 10_000;

export interface Backoff {
  /** Dials in a row that did not lead to a healthy socket. */
  readonly failures: number;
}

export const RESTED: Backoff = { failures: 0 };

/** After the loss of a socket that lived for `livedMs`; 0 for a dial that did not succeed. */
export function afterLoss(backoff: Backoff, livedMs: number): Backoff {
  return { failures: livedMs >= HEALTHY_MS ? 0 : backoff.failures + 1 };
}

/**
 * Full jitter: anything in `[0, min(30 s, 0.5 s · 2ⁿ))`, so that connectors that were cut together do not come back together.
 * The first redial after a loss is due within 500 ms.
 * @param chance in [0, 1).
 * @returns ms.
 */
export function delayOf({ failures }: Backoff, chance: number): number {
  const exponent = Math.max(0, failures - 1);
  return chance * Math.min(MOST_MS, BASE_MS * 2 ** exponent);
}
