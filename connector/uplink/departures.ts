// When what is ready to be sent leaves: each message costs both ends more than what is in it. The clock is an argument.

/** What is in no hurry waits so long for company. */
const LATER_MS = 50;

/** The turns of the event loop, as Node has them. */
export interface Turns {
  /** Behind all I/O of this turn. */
  readonly immediate: (call: () => void) => void;
  readonly after: (ms: number, call: () => void) => void;
}

export class Departures {
  readonly #turns: Turns;
  readonly #flush: (all: boolean) => void;
  #isDue = false;
  #isLaterDue = false;

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
    this.#flush(all);
  }
}
