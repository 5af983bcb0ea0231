// What a slice of load found, and the arithmetic that makes one figure of many slices. Pure.

/** How many answers failed, by reason. */
export type Failures = Readonly<Record<string, number>>;

export interface Slice {
  /** Whole and right answers. */
  readonly completed: number;
  /** Read by the client, of unfinished answers too. */
  readonly bytes: number;
  readonly seconds: number;
  /** Milliseconds; each stands for `weight` answers. */
  readonly samples: readonly number[];
  readonly weight: number;
  readonly failures: Failures;
}

export interface Measure {
  readonly completed: number;
  readonly rate: number;
  readonly bytesPerSecond: number;
  readonly p50: number | null;
  readonly p99: number | null;
  readonly failures: Failures;
}

export function pool(slices: readonly Slice[]): Measure {
  const completed = sum(slices.map((slice) => slice.completed));
  const seconds = sum(slices.map((slice) => slice.seconds));
  const weighted = slices.flatMap((slice) => slice.samples.map((value) => ({ value, weight: slice.weight })));
  weighted.sort((a, b) => a.value - b.value);
  return {
    completed,
    rate: seconds > 0 ? completed / seconds : 0,
    bytesPerSecond: seconds > 0 ? sum(slices.map((slice) => slice.bytes)) / seconds : 0,
    p50: percentile(weighted, 0.5),
    p99: percentile(weighted, 0.99),
    failures: addFailures(slices.map((slice) => slice.failures)),
  };
}

/** @param sorted by value. */
export function percentile(
  sorted: readonly { readonly value: number; readonly weight: number }[],
  share: number,
): number | null {
  const rank = sum(sorted.map((sample) => sample.weight)) * share;
  let passed = 0;
  for (const { value, weight } of sorted) {
    passed += weight;
    if (passed >= rank) return value;
  }
  return sorted.at(-1)?.value ?? null;
}

export function addFailures(all: readonly Failures[]): Failures {
  const total: Record<string, number> = {};
  for (const failures of all) {
    for (const [reason, count] of Object.entries(failures)) total[reason] = (total[reason] ?? 0) + count;
  }
  return total;
}

export function countFailures(failures: Failures): number {
  return sum(Object.values(failures));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
