// Checks that build on each other: each runs as soon as what it needs has passed, and where that failed it is skipped and
// says why. What is checked is not known here. The clock is given.
import { remedy } from "./remedies.ts";

export type Verdict = "PASS" | "WARN" | "FAIL" | "SKIP";

/** What is not well says what to do about it, in one line. */
export type Finding = Seen &
  ({ readonly verdict: "PASS" | "SKIP" } | { readonly verdict: "WARN" | "FAIL"; readonly remedy: string });

interface Seen {
  /** What was seen. One line. */
  readonly detail: string;
  /** If it is not the time that the whole check has taken. */
  readonly ms?: number;
  /** Checks that only now are known to be wanted. They stand behind this one. */
  readonly more?: readonly Check[];
}

export interface Check {
  /** Unique. */
  readonly name: string;
  /** Names of checks that stand before it. */
  readonly needs: readonly string[];
  run(): Promise<Finding>;
}

export interface Row {
  readonly check: string;
  readonly verdict: Verdict;
  readonly ms: number | null;
  readonly detail: string;
  readonly remedy: string | null;
}

export interface CheckClock {
  now(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

/** A check that has not ended by then has failed, whatever it waits for. */
export const CHECK_WITHIN_MS = 30_000;

/** So few run at once that they do not measure each other. */
const AT_ONCE = 4;

/** @returns a row for each check, in the order of the list. */
export async function runChecks(checks: readonly Check[], clock: CheckClock): Promise<Row[]> {
  const rows = new Map<string, Promise<Row[]>>();
  const take = turnstile(AT_ONCE);
  const start = (check: Check): Promise<Row[]> => {
    const needed = check.needs.map((name) => {
      const row = rows.get(name);
      if (row === undefined) throw new RangeError(`${check.name} needs ${name}, which does not stand before it`);
      return row;
    });
    const running = Promise.all(needed).then(async (before) => {
      const bad = before.map(([first]) => first).find((row) => row?.verdict === "FAIL" || row?.verdict === "SKIP");
      if (bad !== undefined) return [skipped(check, bad)];
      const finding = await take(() => runOne(check, clock));
      const behind = await Promise.all((finding.more ?? []).map(start));
      return [rowOf(check, finding), ...behind.flat()];
    });
    rows.set(check.name, running);
    return running;
  };
  return (await Promise.all(checks.map(start))).flat();
}

async function runOne(check: Check, clock: CheckClock): Promise<Finding> {
  const startedAt = clock.now();
  const late = Promise.withResolvers<Finding>();
  const timer = clock.setTimeout(
    () =>
      late.resolve({
        verdict: "FAIL",
        detail: `no result within ${CHECK_WITHIN_MS / 1000} s`,
        remedy: remedy("late"),
      }),
    CHECK_WITHIN_MS,
  );
  try {
    const finding = await Promise.race([check.run(), late.promise]);
    return { ms: clock.now() - startedAt, ...finding };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { verdict: "FAIL", detail, remedy: remedy("defect"), ms: clock.now() - startedAt };
  } finally {
    clock.clearTimeout(timer);
  }
}

/** Lets `most` through at once, the others in the order of their coming. */
function turnstile(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let inside = 0;
  return async (work) => {
    if (inside >= most) await new Promise<void>((done) => waiting.push(done));
    else inside += 1;
    try {
      return await work();
    } finally {
      // The place goes to the next, or is free.
      const next = waiting.shift();
      if (next === undefined) inside -= 1;
      else next();
    }
  };
}

function skipped(check: Check, because: Row): Row {
  const why = because.verdict === "FAIL" ? "failed" : "was skipped";
  return {
    check: check.name,
    verdict: "SKIP",
    ms: null,
    detail: `needs "${because.check}", which ${why}`,
    remedy: null,
  };
}

function rowOf(check: Check, finding: Finding): Row {
  const { verdict, detail, ms } = finding;
  return {
    check: check.name,
    verdict,
    ms: ms === undefined || verdict === "SKIP" ? null : Math.round(ms),
    detail: detail.replace(/\s+/g, " ").trim(),
    remedy: "remedy" in finding ? finding.remedy : null,
  };
}
