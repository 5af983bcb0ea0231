// How much of something there was in the last minute: sixty numbers, one for each second. No I/O; time is an argument.

export const RATE_WINDOW_S = 60;

export class Rate {
  readonly #seconds = new Float64Array(RATE_WINDOW_S);
  readonly #startedAt: number;
  #last: number;

  constructor(now: number) {
    this.#startedAt = now;
    this.#last = Math.floor(now / 1000);
  }

  add(amount: number, now: number): void {
    const second = this.#turnTo(now);
    this.#seconds[second % RATE_WINDOW_S] = this.#seconds[second % RATE_WINDOW_S]! + amount;
  }

  /** Over the last minute, or over the time since the start if that is shorter. */
  perSecond(now: number): number {
    this.#turnTo(now);
    const sum = this.#seconds.reduce((all, one) => all + one, 0);
    const seconds = Math.min(RATE_WINDOW_S, Math.max(1, (now - this.#startedAt) / 1000));
    return sum / seconds;
  }

  /** Clears the seconds that have begun since the last call. A clock that goes back stays in the last one. */
  #turnTo(now: number): number {
    const second = Math.max(this.#last, Math.floor(now / 1000));
    const steps = Math.min(RATE_WINDOW_S, second - this.#last);
    for (let step = 0; step < steps; step += 1) this.#seconds[(second - step) % RATE_WINDOW_S] = 0;
    this.#last = second;
    return second;
  }
}
