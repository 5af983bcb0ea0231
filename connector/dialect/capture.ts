// A few bytes kept across chunks. Bounded: what does not fit is given up as a whole, and says so.

export class Capture {
  readonly #bytes: Uint8Array;
  #length = 0;
  #isWhole = true;

  constructor(limit: number) {
    this.#bytes = new Uint8Array(limit);
  }

  clear(): void {
    this.#length = 0;
    this.#isWhole = true;
  }

  add(bytes: Uint8Array): void {
    if (!this.#isWhole || this.#length + bytes.length > this.#bytes.length) {
      this.#isWhole = false;
      return;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** What was added since `clear`; null if it was too much. Valid until the next `clear`. */
  taken(): Uint8Array | null {
    return this.#isWhole ? this.#bytes.subarray(0, this.#length) : null;
  }
}
