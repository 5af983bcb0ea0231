// How a list of admissions stands to a limit. Pure.

/** One admission: when, and how much it was in the end. */
export interface Admitted {
  readonly at: number;
  readonly amount: number;
}

const MINUTE = 60_000;

/** The most that was admitted in any 60 s, as a part of the limit. */
export function worstMinute(list: readonly Admitted[], limit: number): number {
  let worst = 0;
  let sum = 0;
  let from = 0;
  for (const { at, amount } of list) {
    sum += amount;
    while (list[from]!.at <= at - MINUTE) {
      sum -= list[from]!.amount;
      from += 1;
    }
    worst = Math.max(worst, sum / limit);
  }
  return worst;
}

/**
 * The worst interval of all: what was admitted in it, as a part of capacity and refill. The promise is at most 1.
 * By Dinkelbach's method: the interval that exceeds `worst` times its promise by most, until none exceeds it.
 */
export function worstInterval(list: readonly Admitted[], limit: number): number {
  for (let worst = 0; ; ) {
    let most = 0;
    let ratio = worst;
    let sum = 0;
    let best = { rest: Number.POSITIVE_INFINITY, before: 0, at: 0 };
    for (const { at, amount } of list) {
      const refill = (worst * limit * at) / MINUTE;
      if (sum - refill < best.rest) best = { rest: sum - refill, before: sum, at };
      sum += amount;
      const excess = sum - refill - best.rest - worst * limit;
      if (excess <= most) continue;
      most = excess;
      // Whole numbers until the last step: what is exactly the promise is exactly 1.
      ratio = ((sum - best.before) * MINUTE) / (limit * (MINUTE + at - best.at));
    }
    if (ratio <= worst) return worst;
    worst = ratio;
  }
}

/** What was admitted in all, as a part of all that could be. */
export function use(list: readonly Admitted[], limit: number, ms: number): number {
  return list.reduce((sum, { amount }) => sum + amount, 0) / (limit + (limit * ms) / MINUTE);
}
