// What a hub has on its disk, without the disk: as JSON, so that nothing is shared with the life that wrote it.
import type { Kept } from "../../edge/gate/accounts.ts";
import type { Entry, Known } from "../../edge/gate/books.ts";
import type { Disk } from "../../edge/gate/disk.ts";
import type { EstimatesState } from "../../edge/gate/estimate.ts";
import type { LedgerState } from "../../edge/gate/ledger.ts";

export class MemoryStore implements Disk {
  /** False: a write is a defect. */
  isWritable = true;
  readonly #accounts = new Map<string, string>();
  readonly #ledgers = new Map<string, string>();
  #journal: string[] = [];
  #known: string | null = null;
  #estimates = "{}";

  load(digest: string): Kept | null {
    return JSON.parse(this.#accounts.get(digest) ?? "null");
  }

  keep(digest: string, kept: Kept): void {
    this.#accounts.set(digest, JSON.stringify(kept));
  }

  drop(digest: string): void {
    this.#accounts.delete(digest);
  }

  ledger(digest: string): LedgerState | null {
    return JSON.parse(this.#ledgers.get(digest) ?? "null");
  }

  *leased(): Iterable<readonly [digest: string, state: LedgerState]> {
    for (const [digest, text] of this.#ledgers) {
      const state = JSON.parse(text) as LedgerState;
      if (state.leases.length > 0) yield [digest, state];
    }
  }

  *journal(): Iterable<Entry> {
    for (const row of this.#journal) yield* JSON.parse(row) as Entry[];
  }

  append(entries: readonly Entry[]): void {
    this.#writes();
    this.#journal.push(JSON.stringify(entries));
  }

  checkpoint(changed: ReadonlyMap<string, LedgerState>, known: Known, estimates: EstimatesState): void {
    this.#writes();
    for (const [digest, state] of changed) this.#ledgers.set(digest, JSON.stringify(state));
    this.#known = JSON.stringify(known);
    this.#estimates = JSON.stringify(estimates);
    this.#journal = [];
  }

  estimates(): EstimatesState {
    return JSON.parse(this.#estimates);
  }

  known(): Known | undefined {
    return this.#known === null ? undefined : JSON.parse(this.#known);
  }

  sweep(): void {
    this.#writes();
  }

  #writes(): void {
    if (!this.isWritable) throw new Error("a write, where none is possible");
  }
}
