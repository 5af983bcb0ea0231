// What the gate keeps beyond the life of its hub, as the gate sees it: store.ts has it in SQLite. Types only.
import type { Shelf } from "./accounts.ts";
import type { Entry, Known } from "./books.ts";
import type { EstimatesState } from "./estimate.ts";
import type { LedgerState } from "./ledger.ts";

export interface Disk extends Shelf {
  /** False: a write would lose the hub, and nothing is to be written. */
  readonly isWritable: boolean;
  ledger(digest: string): LedgerState | null;
  /** Ledgers with leases: their ENDs may come before their keys do. */
  leased(): Iterable<readonly [digest: string, state: LedgerState]>;
  /** All that was appended since the last checkpoint. */
  journal(): Iterable<Entry>;
  append(entries: readonly Entry[]): void;
  /** The changed ledgers as a whole in place of the journal. */
  checkpoint(changed: ReadonlyMap<string, LedgerState>, known: Known, estimates: EstimatesState, now: number): void;
  estimates(): EstimatesState;
  known(): Known | undefined;
  /** Forgets what nobody has used for long. */
  sweep(now: number): void;
}
