// A run that can be held: what asks waits, what has been asked ends, and the clock of the run stands still meanwhile.
import { setTimeout as sleep } from "node:timers/promises";

export class Pause {
  #gate: PromiseWithResolvers<void> | null = null;
  #since = 0;
  #lostMs = 0;

  get isHeld(): boolean {
    return this.#gate !== null;
  }

  toggle(): void {
    if (this.#gate === null) {
      this.#gate = Promise.withResolvers();
      this.#since = performance.now();
      return;
    }
    this.#lostMs += performance.now() - this.#since;
    this.#gate.resolve();
    this.#gate = null;
  }

  /** ms; without the pauses. */
  readonly now = (): number => (this.#gate === null ? performance.now() : this.#since) - this.#lostMs;

  /** Resolves at once unless the run is held. */
  async over(): Promise<void> {
    while (this.#gate !== null) await this.#gate.promise;
  }

  /** @param at on the clock of {@link now}. */
  async until(at: number): Promise<void> {
    for (let left = at - this.now(); left > 0; left = at - this.now()) {
      await sleep(left);
      await this.over();
    }
  }
}
