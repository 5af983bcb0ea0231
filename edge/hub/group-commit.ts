// When what the gate has decided is written down. A commit costs a sync of the disk however little it holds (workerd 1.20261023:
// 0.2 ms, in which the hub does nothing else), and on a platform that bills rows it is a row. So an exchange is opened first, and
// written down while its engine works:
// - Alone, and the one before was alone too: at once, as nothing else waits for the hub. The first of a crowd looks alone.
// - Among others, a few milliseconds later, or when the first answer is about to leave whose own admission is not on disk; that
//   commit takes with it all who were let in by then.
// Near a limit the gate does not wait for any of that, and a denial leaves when everything is on disk on whose account it was made.
// The output gate holds an answer until it is on disk. A hub that is lost before that has let nobody hear of it: its Worker asks
// again by the same id, and it is counted once. If the Worker is lost too, or its client leaves, or is denied this time, then the
// connector's END brings back the lease that went out with OPEN, and the next life of the hub charges by that (gate/debt.ts).
// Knows no storage: to commit is a function.

/** Longer than a crowd takes to come in, and shorter than any engine to answer it. */
export const WITHIN_MS = 4;

export class GroupCommit {
  readonly #commit: () => void;
  readonly #after: (ms: number, work: () => void) => void;
  #made = 0;
  #wasAlone = true;
  #isDue = false;

  constructor(
    commit: () => void,
    after: (ms: number, work: () => void) => void = (ms, work) => void setTimeout(work, ms),
  ) {
    this.#commit = commit;
    this.#after = after;
  }

  /** The first word of an exchange has left. @returns the commit that its answer needs. */
  opened(others: number): number {
    const isAlone = others === 0;
    const isAtOnce = isAlone && this.#wasAlone;
    this.#wasAlone = isAlone;
    if (isAtOnce) {
      this.#all();
      return this.#made;
    }
    const needed = this.#made + 1;
    if (!this.#isDue) {
      this.#isDue = true;
      this.#after(WITHIN_MS, () => {
        this.#isDue = false;
        this.answering(needed);
      });
    }
    return needed;
  }

  /** An answer is about to leave, and so is a refusal. @param needed what {@link opened} has returned */
  answering(needed: number): void {
    if (this.#made < needed) this.#all();
  }

  #all(): void {
    this.#made += 1;
    this.#commit();
  }
}
