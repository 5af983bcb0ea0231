// Which exchanges were paid for lately, so that none is paid twice. Pure.

/** Of one generation, and so at least remembered; two are written down with the ledgers, in one row. */
const GENERATION = 10_000;

export type PaidState = readonly (readonly [id: string, at: number])[];

/**
 * In two generations: the older one is forgotten as a whole. One map whose oldest member goes with each new one would have to look
 * for it behind thousands of empty places (V8 14: 20 us, a tenth of a request).
 */
export class Paid {
  readonly #rememberedMs: number;
  #older: ReadonlyMap<string, number> = new Map();
  #younger: Map<string, number>;
  /** ms; when the first of the younger ones was paid. */
  #since: number;

  /** @param rememberedMs at least, unless ten thousand others come. */
  constructor(rememberedMs: number, state: PaidState = []) {
    this.#rememberedMs = rememberedMs;
    this.#younger = new Map(state);
    this.#since = state[0]?.[1] ?? Number.NEGATIVE_INFINITY;
  }

  add(id: string, at: number): void {
    if (this.#younger.size >= GENERATION || at - this.#since >= this.#rememberedMs) {
      this.#older = this.#younger;
      this.#younger = new Map();
      this.#since = at;
    }
    this.#younger.set(id, at);
  }

  has(id: string): boolean {
    return this.#younger.has(id) || this.#older.has(id);
  }

  rest(now: number): PaidState {
    return [...this.#older, ...this.#younger].filter(([, at]) => now - at < this.#rememberedMs);
  }
}
