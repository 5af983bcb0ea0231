// What must hold when everything is quiet again. Pure: figures in, a list of what was violated out.
import { HOLD_MS } from "../../edge/hub/patience.ts";
import { costOf, type Happened, type LedgerRow, type Manner, type Settled, settle } from "./bill.ts";
import type { Outcome } from "./client.ts";
import type { Account } from "./lines.ts";
import { FAULTS, type FaultKind, type Took } from "./schedule.ts";

export interface Evidence {
  readonly happened: readonly Happened[];
  /** Of the exchange. */
  readonly rows: readonly LedgerRow[];
  /** The longest time in which no connector was there for its hub while it ran. ms. */
  readonly absentMs: number;
}

/** The ends of a socket do not see in the same moment that it is gone or there. */
const SEEN_APART_MS = 250;

/** Whether what became of a request has a cause that nobody could have mended. */
export function isHonest(outcome: Outcome, { happened, rows, absentMs }: Evidence): boolean {
  const { kind, detail, question, startedAt, endedAt } = outcome;
  if (kind === "whole" || kind === "left") return true;
  if (kind === "wrong" || kind === "hung") return false;
  const lost = (what: Took): boolean =>
    happened.some((one) => FAULTS[one.kind].takes.includes(what) && startedAt <= one.to && one.from <= endedAt);
  const hasEngineFailed = lost("engine") || rows.some((row) => row.outcome === "failed");
  switch (kind) {
    case "lost":
      return lost("edge");
    case "refused":
      // Nobody came while it was held for that long.
      if (detail === "503 model_unavailable" && absentMs >= HOLD_MS - SEEN_APART_MS) return true;
      // A plain answer whose head was known, and of which nothing had come.
      return hasEngineFailed || (!question.stream && detail === "502 upstream_error" && lost("connector"));
    case "broken":
      return hasEngineFailed || lost("connector") || lost("edge");
    default:
      return kind satisfies never;
  }
}

export interface Recovery {
  readonly kind: FaultKind;
  readonly times: number;
  /** From the fault to the first whole answer to a probe that began after it. */
  readonly next: Spread;
  /** How long the slowest probe took of those that ran at the time or began within a second: what the unluckiest felt. */
  readonly felt: Spread;
  /** Probes that began after the fault and failed before one was answered. */
  readonly failed: number;
}

export interface Spread {
  readonly p50Ms: number;
  readonly maxMs: number;
}

const FELT_WITHIN_MS = 1_000;

export function recoveries(probes: readonly Outcome[], happened: readonly Happened[]): Recovery[] {
  const rows = new Map<FaultKind, { next: number[]; felt: number[]; failed: number; times: number }>();
  for (const { kind, from } of happened) {
    const row = rows.get(kind) ?? { next: [], felt: [], failed: 0, times: 0 };
    rows.set(kind, row);
    row.times += 1;
    const near = probes.filter(({ startedAt, endedAt }) => startedAt <= from + FELT_WITHIN_MS && endedAt >= from);
    row.felt.push(near.reduce((most, { startedAt, endedAt }) => Math.max(most, endedAt - startedAt), 0));
    const after = probes.filter(({ startedAt }) => startedAt >= from);
    const whole = after.filter(({ kind: became }) => became === "whole").map(({ endedAt }) => endedAt);
    if (whole.length === 0) continue;
    const next = Math.min(...whole);
    row.next.push(next - from);
    row.failed += after.filter(({ kind: became, endedAt }) => became !== "whole" && endedAt <= next).length;
  }
  return [...rows].map(([kind, { next, felt, failed, times }]) => ({
    kind,
    times,
    next: spreadOf(next),
    felt: spreadOf(felt),
    failed,
  }));
}

export function spreadOf(list: readonly number[]): Spread {
  const sorted = list.toSorted((a, b) => a - b);
  return {
    p50Ms: sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN,
    maxMs: sorted.at(-1) ?? Number.NaN,
  };
}

export interface Reckoning {
  readonly charged: number;
  /** Tokens that engines worked for, and how many of them no key has paid: runs that moved, clients that left, answers that broke. */
  readonly worked: number;
  readonly byManner: ReadonlyMap<
    Manner,
    { readonly exchanges: number; readonly charged: number; readonly worked: number }
  >;
  readonly repeated: number;
  readonly problems: readonly string[];
}

/** Every exchange that the edge has let in, by its own lines, by the engines' ledgers and by what its client saw. */
export function reckon(
  accounts: ReadonlyMap<string, Account>,
  rows: readonly LedgerRow[],
  outcomes: readonly Outcome[],
  happened: readonly Happened[],
): Reckoning {
  const rowsOf = Map.groupBy(rows, (row) => row.request_id);
  const outcomeOf = new Map(outcomes.map((outcome) => [outcome.id, outcome]));
  const byManner = new Map<Manner, { exchanges: number; charged: number; worked: number }>();
  const problems: string[] = [];
  let repeated = 0;
  for (const [id, account] of accounts) {
    const own = rowsOf.get(id) ?? [];
    const settled: Settled = settle({ account, rows: own, outcome: outcomeOf.get(id) ?? null, happened });
    const row = byManner.get(settled.manner) ?? { exchanges: 0, charged: 0, worked: 0 };
    byManner.set(settled.manner, row);
    row.exchanges += 1;
    row.charged += settled.charged;
    row.worked += own.reduce((sum, one) => sum + costOf(one), 0);
    if (settled.isRepeated) repeated += 1;
    if (settled.problem !== null) problems.push(`${id} ${settled.problem}`);
  }
  for (const { id, kind } of outcomes)
    if (id !== null && kind === "whole" && !accounts.has(id)) problems.push(`${id} has no line of the edge`);
  for (const id of rowsOf.keys())
    if (id !== null && !accounts.has(id)) problems.push(`${id} was run, and has no line of the edge`);
  const sum = (of: "charged" | "worked") => [...byManner.values()].reduce((total, row) => total + row[of], 0);
  return { charged: sum("charged"), worked: sum("worked"), byManner, repeated, problems };
}
