// When which entry goes to disk. What lets an exchange in is written before its answer leaves, or with the tick (when exactly:
// hub/group-commit.ts). What ends one waits for the tick: an answer should be at its Worker before its lease is gone from the
// disk, because a hub that is lost in between is asked for it again, and would count it a second time. Until then its connector
// repeats END, and the lease settles once. Pure.
import type { Entry } from "./books.ts";

/** For the tick: END is repeated until it is acknowledged, and that is behind the tick. */
const MAY_WAIT: ReadonlySet<Entry[0]> = new Set(["settle", "hasten", "owe", "tell", "unserve"]);

export class Journal {
  readonly #append: (entries: readonly Entry[]) => void;
  #urgent: Entry[] = [];
  #others: Entry[] = [];
  /** Accepted and not yet over: most are over before it is worth writing down. */
  readonly #accepted = new Map<string, Entry>();
  /** Since the last checkpoint. */
  rows = 0;

  constructor(append: (entries: readonly Entry[]) => void) {
    this.#append = append;
  }

  note(entry: Entry): void {
    if (entry[0] === "accept") {
      this.#accepted.set(entry[1], entry);
      return;
    }
    if (entry[0] === "settle") this.#accepted.delete(entry[1]);
    (MAY_WAIT.has(entry[0]) ? this.#others : this.#urgent).push(entry);
  }

  /** Who was let in, or is opened anew. */
  commitAdmissions(): void {
    this.#write(this.#urgent);
    this.#urgent = [];
  }

  /** Everything. */
  commit(): void {
    const accepted = [...this.#accepted.values()];
    this.#accepted.clear();
    this.#write([...this.#urgent, ...accepted, ...this.#others]);
    this.#urgent = [];
    this.#others = [];
  }

  #write(entries: readonly Entry[]): void {
    if (entries.length === 0) return;
    this.#append(entries);
    this.rows += 1;
  }
}
