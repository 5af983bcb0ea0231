// Prints what happened and says what of it must not have.
import type { Outcome } from "./client.ts";
import type { Load } from "./load.ts";
import { billOf, type Happened, isHonest, recoveries } from "./verdict.ts";
import type { Figures, MemorySample } from "./watch.ts";

/** More than any question reserves: prompt, template and 300 tokens. */
const RESERVED_AT_MOST = 700;
/** A process may warm up; what it gains after its first third is growth. */
const GROWTH_BYTES = 150 * 1024 * 1024;
const PROBES_SHOWN = 3;

interface Run {
  readonly load: Load;
  readonly happened: readonly Happened[];
  readonly figures: Figures;
  readonly problems: readonly string[];
}

/** @returns the violations. */
export function report({ load, happened, figures, problems }: Run): string[] {
  const { outcomes, probes } = load;
  const all = [...outcomes, ...probes];
  const violations = [...problems];
  for (const outcome of all) if (!isHonest(outcome, happened)) violations.push(describe(outcome, happened));

  const kinds = Map.groupBy(all, ({ kind }) => kind);
  console.log(`requests ${all.length}: ${[...kinds].map(([kind, list]) => `${kind} ${list.length}`).join(", ")}`);
  for (const kind of ["refused", "broken", "lost"] as const) {
    const details = Map.groupBy(kinds.get(kind) ?? [], ({ detail }) => detail);
    for (const [detail, list] of details) console.log(`  ${kind}: ${detail} × ${list.length}`);
  }

  console.log(`\n${"fault".padEnd(30)} times  back after ms p50    max  failed probes`);
  for (const { kind, times, p50Ms, maxMs, failed } of recoveries(probes, happened)) {
    const cells = [String(times).padStart(5), p50Ms.toFixed(0).padStart(18), maxMs.toFixed(0).padStart(6)];
    console.log(`${kind.padEnd(30)} ${cells.join(" ")} ${String(failed).padStart(14)}`);
  }

  const { least, most, uncertain } = billOf(figures.rows, RESERVED_AT_MOST);
  console.log(
    `\ncharged ${figures.charged} tokens; the engines' own count allows ${least} to ${most} (${uncertain} exchanges ran twice or broke)`,
  );
  if (figures.charged < least) violations.push(`charged ${least - figures.charged} tokens less than engines counted`);
  if (figures.charged > most) violations.push(`charged ${figures.charged - most} tokens more than engines counted`);
  console.log(
    `resumed ${figures.resumed}, forfeited ${figures.forfeited} tokens, quiet after ${figures.quietAfterMs.toFixed(0)} ms`,
  );
  const rest = {
    leases: figures.leases,
    exchanges: figures.exchanges,
    slots: figures.slotsBusy,
    held: figures.heldBytes,
  };
  for (const [what, count] of Object.entries(rest)) if (count !== 0) violations.push(`${count} ${what} left at rest`);
  if (figures.violations !== 0) violations.push(`${figures.violations} sockets broke the wire`);

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
    .slice(-PROBES_SHOWN)
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
