// Prints what happened and says what of it must not have.
import type { Happened } from "./bill.ts";
import type { Outcome } from "./client.ts";
import type { Account } from "./lines.ts";
import type { Load } from "./load.ts";
import type { Presence } from "./presence.ts";
import { shardOf } from "./question.ts";
import type { FaultKind } from "./schedule.ts";
import { isHonest, reckon, recoveries, spreadOf } from "./verdict.ts";
import type { Figures, MemorySample } from "./watch.ts";

/** A process may warm up; what it gains after its first third is growth. */
const GROWTH_BYTES = 150 * 1024 * 1024;
const FAULTS_SHOWN = 3;
/** Shorter runs do not see every kind. */
const ALL_KINDS_MS = 60_000;

interface Run {
  readonly load: Load;
  readonly happened: readonly Happened[];
  readonly presence: Presence;
  readonly figures: Figures;
  readonly accounts: ReadonlyMap<string, Account>;
  readonly problems: readonly string[];
  readonly asked: { readonly ms: number; readonly kinds: readonly FaultKind[] };
}

/** @returns the violations. */
export function report(run: Run): string[] {
  return [...run.problems, ...answers(run), ...faults(run), ...bill(run), ...rest(run.figures), ...memory(run.figures)];
}

function answers({ load, happened, presence, figures }: Run): string[] {
  const all = [...load.outcomes, ...load.probes];
  const rows = Map.groupBy(figures.rows, (row) => row.request_id);
  const kinds = Map.groupBy(all, ({ kind }) => kind);
  console.log(`requests ${all.length}: ${[...kinds].map(([kind, list]) => `${kind} ${list.length}`).join(", ")}`);
  for (const kind of ["refused", "broken", "lost"] as const) {
    const details = Map.groupBy(kinds.get(kind) ?? [], ({ detail }) => detail);
    for (const [detail, list] of details) console.log(`  ${kind}: ${detail} × ${list.length}`);
  }
  return all
    .filter((outcome) => {
      const { question, startedAt, endedAt, id } = outcome;
      const absentMs = presence.longestAbsence(shardOf(question.key), startedAt, endedAt);
      return !isHonest(outcome, { happened, rows: rows.get(id) ?? [], absentMs });
    })
    .map((outcome) => describe(outcome, happened));
}

function faults({ load, happened, asked }: Run): string[] {
  const usual = load.probes.filter(({ kind }) => kind === "whole").map(({ startedAt, endedAt }) => endedAt - startedAt);
  const { p50Ms, maxMs } = spreadOf(usual);
  console.log(`\n${happened.length} faults; probes took ${p50Ms.toFixed(0)} ms at p50, ${maxMs.toFixed(0)} at most`);
  console.log(`${"fault".padEnd(30)} times | next answer p50    max | slowest felt p50    max | failed probes`);
  for (const { kind, times, next, felt, failed } of recoveries(load.probes, happened)) {
    const cells = [ms(next.p50Ms, 19), ms(next.maxMs, 6), "|", ms(felt.p50Ms, 16), ms(felt.maxMs, 6), "|"];
    console.log(`${kind.padEnd(30)} ${String(times).padStart(5)} ${cells.join(" ")} ${String(failed).padStart(13)}`);
  }
  if (asked.ms < ALL_KINDS_MS) return [];
  const seen = new Set(happened.map(({ kind }) => kind));
  return asked.kinds.filter((kind) => !seen.has(kind)).map((kind) => `${kind} never came`);
}

function bill({ load, happened, figures, accounts }: Run): string[] {
  const all = [...load.outcomes, ...load.probes];
  const { charged, worked, byManner, repeated, problems } = reckon(accounts, figures.rows, all, happened);
  console.log(`\nbill: ${accounts.size} exchanges cost ${charged} tokens; the keys were charged ${figures.charged}`);
  for (const [manner, row] of byManner) {
    const cells = [String(row.exchanges).padStart(7), `charged ${row.charged}`, `engines worked ${row.worked}`];
    console.log(`  ${manner.padEnd(10)} ${cells.join(", ")}`);
  }
  console.log(
    `  engines worked for ${worked} tokens in all; ${repeated} costs were told again after the loss of a hub`,
  );
  if (figures.isSameDay && charged !== figures.charged)
    return [...problems, `exchanges cost ${charged}, keys were charged ${figures.charged}`];
  return [...problems];
}

function rest(figures: Figures): string[] {
  console.log(`\nresumed ${figures.resumed}; quiet after ${figures.quietAfterMs.toFixed(0)} ms`);
  const left = {
    leases: figures.leases,
    exchanges: figures.exchanges,
    "slots of engines": figures.slotsBusy,
    "requests in pools": figures.inPools,
    "bytes held": figures.heldBytes,
  };
  const violations = Object.entries(left).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what} at rest`]));
  if (figures.violations !== 0) violations.push(`${figures.violations} sockets broke the wire`);
  return violations;
}

function memory(figures: Figures): string[] {
  const violations: string[] = [];
  for (const [name, samples] of Map.groupBy(figures.memory, ({ name: of, pid }) => `${of} (${pid})`)) {
    const growth = growthOf(samples);
    const last = samples.at(-1)!.rssBytes;
    console.log(`memory ${name}: ${mib(last)} MiB at the end, ${mib(growth)} MiB more than after its first third`);
    if (growth > GROWTH_BYTES) violations.push(`${name} grew by ${mib(growth)} MiB`);
  }
  return violations;
}

function describe(outcome: Outcome, happened: readonly Happened[]): string {
  const { question, kind, detail, id, startedAt, endedAt } = outcome;
  const near = happened
    .filter(({ from, to }) => startedAt <= to + 5_000 && endedAt >= from)
    .slice(-FAULTS_SHOWN)
    .map((fault) => `${fault.kind} ${(fault.from - startedAt).toFixed(0)} ms after it began`);
  const what = `${question.path}${question.stream ? " stream" : ""} ${id ?? "(no id)"}`;
  return `${kind}: ${what}: ${detail}, after ${(endedAt - startedAt).toFixed(0)} ms; near: ${near.join("; ") || "nothing"}`;
}

/** From the median after the first third to the median of the last third. */
function growthOf(samples: readonly MemorySample[]): number {
  const third = Math.floor(samples.length / 3);
  if (third < 2) return 0;
  const median = (list: readonly MemorySample[]) =>
    list.map(({ rssBytes }) => rssBytes).toSorted((a, b) => a - b)[Math.floor(list.length / 2)]!;
  return median(samples.slice(-third)) - median(samples.slice(third, 2 * third));
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(0);
}

function ms(value: number, width: number): string {
  return value.toFixed(0).padStart(width);
}
