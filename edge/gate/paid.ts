// Which exchanges were paid for lately, so that none is paid twice. Pure.

/** All of them are written down with the ledgers, in one row. */
const MOST = 10_000;

export type PaidState = readonly (readonly [id: string, at: number])[];

export class Paid {
  /** In the order of payment. */
  readonly #at = new Map<string, number>();

  readonly #rememberedMs: number;

  constructor(rememberedMs: number, state: PaidState = []) {
    this.#rememberedMs = rememberedMs;
    for (const [id, at] of state) this.#at.set(id, at);
  }

  add(id: string, at: number): void {
    this.#at.set(id, at);
    this.#forget(at);
  }

  has(id: string): boolean {
    return this.#at.has(id);
  }

  rest(now: number): PaidState {
    this.#forget(now);
    return [...this.#at];
  }

  #forget(now: number): void {
    for (const [id, at] of this.#at) {
      if (now - at < this.#rememberedMs && this.#at.size <= MOST) return;
      this.#at.delete(id);
    }
  }
}
