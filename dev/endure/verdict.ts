// What must hold when everything is quiet again: every answer whole, and every token charged once. Pure.

import type { LedgerRow } from "../chaos/bill.ts";
import type { Outcome } from "../chaos/client.ts";

/** A request, as its client knows it. */
export interface Asked {
  readonly what: string;
  readonly key: string;
  readonly kind: Outcome["kind"];
  readonly detail: string;
  readonly id: string | null;
  /** What the whole answer costs. */
  readonly tokens: number;
  /** ms. */
  readonly startedAt: number;
  readonly endedAt: number;
}

export interface Bill {
  /** Tokens of all answers that came whole, each once. */
  readonly owed: number;
  /** What engines counted for these, every run of them. */
  readonly counted: number;
  /** Exchanges that engines ran more than once, or in part once more: charged once all the same. */
  readonly ranAgain: number;
  /** What the keys of clients that leave were charged, and what engines counted for them. */
  readonly left: { readonly charged: number; readonly counted: number };
  readonly violations: readonly string[];
}

export interface Account {
  readonly asked: readonly Asked[];
  /** Of all engines. */
  readonly rows: readonly LedgerRow[];
  readonly chargedBy: ReadonlyMap<string, number>;
  /** What the edge has written of the cost of each exchange, once or more often. */
  readonly written: (id: string) => readonly number[];
  /** Keys of clients that leave before the end: they pay for what was generated, which only the engine's pace decides. */
  readonly leaving: ReadonlySet<string>;
}

export function billOf({ asked, rows, chargedBy, written, leaving }: Account): Bill {
  const violations: string[] = [];
  const runs = Map.groupBy(rows, (row) => row.request_id ?? "");
  const owedBy = new Map<string, number>();
  const known = new Set<string>();
  const left = { charged: 0, counted: 0 };
  let owed = 0;
  let counted = 0;
  let ranAgain = 0;
  let nameless = 0;
  for (const one of asked) {
    if (one.id === null) nameless += 1;
    else if (known.has(one.id)) violations.push(`${one.id} was given to two requests`);
    else known.add(one.id);
    if (leaving.has(one.key)) continue;
    if (one.kind !== "whole") continue;
    const own = runs.get(one.id ?? "") ?? [];
    const whole = costOf(own.filter((row) => row.outcome === "complete"));
    if (whole < one.tokens) violations.push(`${one.what} ${one.id}: engines counted ${whole} of ${one.tokens} tokens`);
    const costs = written(one.id ?? "");
    if (costs.length === 0 || costs.some((cost) => cost !== one.tokens))
      violations.push(`${one.what} ${one.id}: cost ${costs.join(", then ") || "nothing"}; its answer is ${one.tokens}`);
    const all = costOf(own);
    if (all > one.tokens) ranAgain += 1;
    counted += all;
    owed += one.tokens;
    owedBy.set(one.key, (owedBy.get(one.key) ?? 0) + one.tokens);
  }
  for (const [key, charged] of chargedBy) {
    if (leaving.has(key)) {
      left.charged += charged;
      continue;
    }
    const difference = charged - (owedBy.get(key) ?? 0);
    if (difference !== 0) violations.push(`${key} was charged ${charged}: ${signed(difference)} of what it got`);
  }
  const strangers = [...runs].filter(([id]) => !known.has(id));
  if (strangers.length > nameless)
    violations.push(`engines ran ${strangers.length} exchanges of ${nameless} requests without an id`);
  const ofLeaving = new Set(asked.filter(({ key }) => leaving.has(key)).map(({ id }) => id ?? ""));
  for (const [id, own] of runs) if (ofLeaving.has(id) || !known.has(id)) left.counted += costOf(own);
  if (left.charged > left.counted)
    violations.push(`who left was charged ${left.charged - left.counted} tokens too much`);
  return { owed, counted, ranAgain, left, violations };
}

function costOf(rows: readonly LedgerRow[]): number {
  return rows.reduce((sum, row) => sum + row.prompt_tokens + row.completion_tokens, 0);
}

function signed(tokens: number): string {
  return `${Math.abs(tokens)} tokens ${tokens > 0 ? "more than the price" : "less than the price"}`;
}
