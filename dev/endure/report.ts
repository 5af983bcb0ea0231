// Prints what a run came to, and gives what of it must not be.
import type { Ran } from "./run.ts";
import { slopeOf } from "./slope.ts";
import { type Asked, billOf } from "./verdict.ts";

const KIB = 1024;
const MINUTE_MS = 60_000;
/** Moments at which memory is told one by one: a line says nothing of whether it levels off. */
const MARKS = 8;

export interface Demands {
  /** Keys of clients that leave before the end. */
  readonly leaving: ReadonlySet<string>;
  /** What comes before is the warming up of a process. Null: memory is not told. */
  readonly memoryFromMs: number | null;
}

/** @returns the violations. */
export function report(ran: Ran, { leaving, memoryFromMs }: Demands): string[] {
  const { asked, figures, problems, faults, resumed, written } = ran;
  const violations = [...problems];
  console.log([...faults].map(([name, count]) => `${name} × ${count}`).join(", "));

  const kinds = Map.groupBy(asked, ({ kind }) => kind);
  console.log(`requests ${asked.length}: ${[...kinds].map(([kind, list]) => `${kind} ${list.length}`).join(", ")}`);
  for (const [kind, list] of kinds) {
    if (kind === "whole" || (kind === "left" && leaving.size > 0)) continue;
    for (const one of list) violations.push(describe(one));
  }
  const times = asked.filter(({ kind }) => kind === "whole").map(({ startedAt, endedAt }) => endedAt - startedAt);
  console.log(`the longest whole answer took ${(Math.max(0, ...times) / 1_000).toFixed(1)} s`);

  const bill = billOf({ asked, rows: figures.rows, chargedBy: figures.chargedBy, written, leaving });
  const { owed, counted, ranAgain, left } = bill;
  const charged = figures.charged - left.charged;
  console.log(`charged ${charged} tokens for ${owed} tokens of whole answers; difference ${charged - owed}`);
  console.log(`engines counted ${counted} for these, ${ranAgain} exchanges ran again in whole or part`);
  if (leaving.size > 0)
    console.log(`clients that leave: charged ${left.charged} tokens, engines counted ${left.counted}`);
  violations.push(...bill.violations);

  const { leases, exchanges, slotsBusy: slots, inPools, heldBytes, quietAfterMs } = figures;
  for (const [what, count] of Object.entries({
    leases,
    exchanges,
    slots,
    "requests in pools": inPools,
    "bytes held": heldBytes,
  }))
    if (count !== 0) violations.push(`${count} ${what} left at rest`);
  if (figures.violations !== 0) violations.push(`${figures.violations} sockets broke the wire`);
  console.log(
    `resumed ${resumed}; at rest after ${(quietAfterMs / 1_000).toFixed(1)} s: ${leases} leases, ${exchanges} exchanges, ${slots} slots busy`,
  );
  if (memoryFromMs !== null) tellMemory(ran, memoryFromMs);
  return violations;
}

function describe({ kind, what, id, detail, startedAt, endedAt }: Asked): string {
  return `${kind}: ${what} ${id ?? "(no id)"}: ${detail}, after ${((endedAt - startedAt) / 1_000).toFixed(1)} s`;
}

function tellMemory({ figures }: Ran, fromMs: number): void {
  console.log(`\nRSS, from minute ${(fromMs / MINUTE_MS).toFixed(0)} on`);
  for (const [name, samples] of Map.groupBy(figures.memory, (sample) => `${sample.name} (${sample.pid})`)) {
    const kept = samples.filter(({ atMs }) => atMs >= fromMs);
    if (kept.length === 0) continue;
    const points = kept.map(({ atMs, rssBytes }) => ({ x: atMs / MINUTE_MS, y: rssBytes / KIB }));
    const cells = [kept[0]!, kept.at(-1)!].map(({ rssBytes }) =>
      `${(rssBytes / KIB / KIB).toFixed(1)} MiB`.padStart(10),
    );
    const most = Math.max(...kept.map(({ rssBytes }) => rssBytes)) / KIB / KIB;
    const slope = slopeOf(points).toFixed(1).padStart(8);
    console.log(`${name.padEnd(20)} ${cells.join(" →")}, at most ${most.toFixed(1)} MiB, slope ${slope} KiB/min`);
    const marks = Array.from({ length: MARKS }, (_, i) => kept[Math.floor((i * (kept.length - 1)) / (MARKS - 1))]!);
    const shape = marks.map(
      ({ atMs, rssBytes }) => `${(atMs / MINUTE_MS).toFixed(0)}: ${(rssBytes / KIB / KIB).toFixed(0)}`,
    );
    console.log(`  MiB by minute: ${shape.join(", ")}`);
  }
}
