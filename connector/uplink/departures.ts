// When what is ready to be sent leaves: each message costs both ends more than what is in it, and one that waits too long
// leaves the other end idle. The clock is an argument.

/** Answers that are complete: so many fill a message, and the edge serves them while the next ones are read. */
export const FULL_ENDS = 8;
/** What is in no hurry waits so long for company. */
const LATER_MS = 50;

/** The turns of the event loop, as Node has them. */
export interface Turns {
  /** Behind all I/O of this turn. */
  readonly immediate: (call: () => void) => void;
  /** As soon as what runs now has returned. */
  readonly microtask: (call: () => void) => void;
  readonly after: (ms: number, call: () => void) => void;
}

export class Departures {
  readonly #turns: Turns;
  readonly #flush: (all: boolean) => void;
  #isDue = false;
  #isLaterDue = false;
  #ends = 0;

  /** @param flush sends what may be sent; `all`: also what is in no hurry. */
  constructor(turns: Turns, flush: (all: boolean) => void) {
    this.#turns = turns;
    this.#flush = flush;
  }

  /**
   * Something is ready: it leaves after all I/O of this turn, and after one more look at what has come meanwhile, which waits for
   * nothing. So the tokens of a hundred streams and the answers of many engines leave together.
   */
  soon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#turns.immediate(() => this.#turns.immediate(() => this.#leave()));
  }

  /** An answer is complete. A crowd of them does not wait for the last one. */
  ended(): void {
    this.#ends += 1;
    if (this.#ends === FULL_ENDS) this.#turns.microtask(() => this.#leave());
    this.soon();
  }

  /** Something is ready that is in no hurry. */
  later(): void {
    if (this.#isLaterDue) return;
    this.#isLaterDue = true;
    this.#turns.after(LATER_MS, () => {
      this.#isLaterDue = false;
      this.#leave(true);
    });
  }

  #leave(all = false): void {
    this.#isDue = false;
    this.#ends = 0;
    this.#flush(all);
  }
}
