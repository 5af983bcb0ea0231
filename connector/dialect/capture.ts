// A few bytes kept across chunks. Bounded: what does not fit is given up as a whole, and says so.

const FIRST_BYTES = 64;

export class Capture {
  readonly #limit: number;
  /** Grows: what is kept is short, as a rule. */
  #bytes = new Uint8Array(0);
  #length = 0;
  #isWhole = true;

  constructor(limit: number) {
    this.#limit = limit;
  }

  clear(): void {
    this.#length = 0;
    this.#isWhole = true;
  }

  add(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (!this.#isWhole || length > this.#limit) {
      this.#isWhole = false;
      return;
    }
    if (length > this.#bytes.length) this.#grow(length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  #grow(least: number): void {
    const grown = new Uint8Array(Math.min(this.#limit, Math.max(least, 2 * this.#bytes.length, FIRST_BYTES)));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
  }

  /** What was added since `clear`; null if it was too much. Valid until the next `clear`. */
  taken(): Uint8Array | null {
    return this.#isWhole ? this.#bytes.subarray(0, this.#length) : null;
  }
}
