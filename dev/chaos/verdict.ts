// What must hold when everything is quiet again. Pure: figures in, a list of what was violated out.
import type { Outcome } from "./client.ts";
import { FAULTS, type FaultKind } from "./schedule.ts";

/** A fault as it really happened. ms, the clock of the outcomes. */
export interface Happened {
  readonly kind: FaultKind;
  readonly from: number;
  readonly to: number;
}

/** What an engine has written down of one request. */
export interface LedgerRow {
  readonly request_id: string | null;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly outcome: string;
}

/** Whether what became of a request may be so, with these faults around it. */
export function isHonest(outcome: Outcome, happened: readonly Happened[]): boolean {
  if (outcome.kind === "whole" || outcome.kind === "left") return true;
  if (outcome.kind === "wrong" || outcome.kind === "hung") return false;
  return happened.some(({ kind, from, to }) => {
    const { loss, shadowMs } = FAULTS[kind];
    const isNear = outcome.startedAt <= to + shadowMs && outcome.endedAt >= from;
    if (!isNear || loss === "none") return false;
    if (loss === "in flight") return true;
    return outcome.kind === (loss === "begun" ? "broken" : "refused");
  });
}

export interface Recovery {
  readonly kind: FaultKind;
  readonly times: number;
  readonly p50Ms: number;
  readonly maxMs: number;
  /** Probes that began after the fault and failed. */
  readonly failed: number;
}

/** From each fault to the end of the first probe that began after it and came back whole. */
export function recoveries(probes: readonly Outcome[], happened: readonly Happened[]): Recovery[] {
  const sorted = probes.toSorted((a, b) => a.startedAt - b.startedAt);
  const rows = new Map<FaultKind, { ms: number[]; failed: number }>();
  for (const { kind, from } of happened) {
    const after = sorted.filter((probe) => probe.startedAt >= from);
    const first = after.findIndex((probe) => probe.kind === "whole");
    const row = rows.get(kind) ?? { ms: [], failed: 0 };
    rows.set(kind, row);
    if (first === -1) continue;
    row.ms.push(after[first]!.endedAt - from);
    row.failed += after.slice(0, first).length;
  }
  return [...rows].map(([kind, { ms, failed }]) => {
    const sortedMs = ms.toSorted((a, b) => a - b);
    const p50Ms = sortedMs[Math.floor((sortedMs.length - 1) / 2)] ?? Number.NaN;
    return { kind, times: ms.length, p50Ms, maxMs: sortedMs.at(-1) ?? Number.NaN, failed };
  });
}

export interface Bill {
  /** What may be charged at least and at most, from the engines' own count. */
  readonly least: number;
  readonly most: number;
  /** Exchanges that more than one engine ran, or that broke: what of them is charged depends on which attempt answered. */
  readonly uncertain: number;
}

/**
 * An exchange that one engine ran to its end costs what that engine counted. One that was run more than once, because an engine or
 * a connector was lost, costs one of the runs, or what was reserved where nobody is left to say; one that was cut short costs
 * what was generated, as far as the connector saw it.
 */
export function billOf(rows: readonly LedgerRow[], reservedAtMost: number): Bill {
  const runs = new Map<string, LedgerRow[]>();
  for (const row of rows)
    if (row.request_id !== null) runs.set(row.request_id, [...(runs.get(row.request_id) ?? []), row]);
  let least = 0;
  let most = 0;
  let uncertain = 0;
  for (const all of runs.values()) {
    const costs = all.map((row) => row.prompt_tokens + row.completion_tokens);
    const [only] = all;
    if (all.length === 1 && only?.outcome === "complete") {
      least += costs[0]!;
      most += costs[0]!;
      continue;
    }
    uncertain += 1;
    const whole = all.filter((row) => row.outcome === "complete");
    // What one of several parts or attempts counted, or all of them together.
    least += whole.length > 0 ? Math.min(...costs) : 0;
    most += Math.max(
      reservedAtMost,
      costs.reduce((sum, cost) => sum + cost, 0),
    );
  }
  return { least, most, uncertain };
}
