// The middle of many ratios, and how far it may be from the true one. Pure.

export interface Interval {
  readonly middle: number;
  readonly low: number;
  readonly high: number;
}

/** Of 95 %: the middle's error is less than so many standard errors of a rank. */
const Z = 1.96;

/** The median, and the order statistics that hold the true one in 95 of 100 runs: nothing is assumed of how ratios spread. */
export function medianOf(values: readonly number[]): Interval {
  const sorted = values.toSorted((a, b) => a - b);
  const count = sorted.length;
  if (count === 0) return { middle: Number.NaN, low: Number.NaN, high: Number.NaN };
  const reach = (Z * Math.sqrt(count)) / 2;
  const at = (rank: number): number => sorted[Math.min(count - 1, Math.max(0, Math.round(rank)))]!;
  const half = (count - 1) / 2;
  return {
    middle: (sorted[Math.floor(half)]! + sorted[Math.ceil(half)]!) / 2,
    low: at(half - reach),
    high: at(half + reach),
  };
}
