// How much work may be done twice: retries are a share of the requests of the last ten seconds, so that a sick pool
// is not finished off by its own retries. No I/O; time is an argument.

export const WINDOW_MS = 10_000;
export const SHARE = 0.2;
/** A quiet pool may always retry so often. */
export const LEAST = 3;

const STEP_MS = 500;
const STEPS = WINDOW_MS / STEP_MS;

interface Step {
  readonly step: number;
  requests: number;
  retries: number;
}

export class RetryBudget {
  /** What fell into each step of the clock, oldest first. */
  readonly #steps: Step[] = [];

  request(now: number): void {
    this.#at(now).requests += 1;
  }

  /** Takes one retry, if there is one. */
  take(now: number): boolean {
    const current = this.#at(now);
    let requests = 0;
    let retries = 0;
    for (const row of this.#steps) {
      retries += row.retries;
      // The oldest step is not wholly inside the window: its retries count, its requests do not. The bound is exact.
      if (row.step > current.step - STEPS) requests += row.requests;
    }
    if (retries + 1 > Math.max(LEAST, SHARE * requests)) return false;
    current.retries += 1;
    return true;
  }

  #at(now: number): Step {
    const step = Math.floor(now / STEP_MS);
    while (this.#steps[0] !== undefined && this.#steps[0].step < step - STEPS) this.#steps.shift();
    const last = this.#steps.at(-1);
    if (last?.step === step) return last;
    const row = { step, requests: 0, retries: 0 };
    this.#steps.push(row);
    return row;
  }
}
