// Time that passes when it is told to.
import type { Clock } from "../../../connector/upstream/request.ts";

export class VirtualClock implements Clock {
  #now = 1_000_000;
  readonly #timers = new Map<object, { readonly at: number; readonly callback: () => void }>();

  readonly now = (): number => this.#now;

  readonly setTimeout = (callback: () => void, ms: number): object => {
    const timer = {};
    this.#timers.set(timer, { at: this.#now + ms, callback });
    return timer;
  };

  readonly clearTimeout = (timer: unknown): void => {
    this.#timers.delete(timer as object);
  };

  /** Timers that are not due yet. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Time passes while the process does nothing: timers come late. */
  stall(ms: number): void {
    this.#now += ms;
  }

  pass(ms: number): void {
    const end = this.#now + ms;
    for (;;) {
      let next: object | null = null;
      let at = end;
      for (const [timer, due] of this.#timers) {
        if (due.at > at || (next !== null && due.at === at)) continue;
        next = timer;
        at = due.at;
      }
      if (next === null) break;
      const { callback } = this.#timers.get(next)!;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, at);
      callback();
    }
    this.#now = end;
  }
}
