// Small pieces gathered into one chunk. A typed array of its own for each piece would cost more than everything else
// that is done to an event (0.8 µs against 0.05 µs); here they share one, which is copied out once.

const FIRST_BYTES = 4096;
/** A buffer that one large event has grown beyond this is given back. */
const KEPT_BYTES = 64 * 1024;
/** The most bytes that UTF-8 takes for one UTF-16 unit. */
const BYTES_PER_UNIT = 3;
const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();

export class Gather {
  #bytes = EMPTY;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  add(piece: Uint8Array): void {
    this.#reserve(piece.byteLength);
    this.#bytes.set(piece, this.#length);
    this.#length += piece.byteLength;
  }

  addText(piece: string): void {
    this.#reserve(piece.length * BYTES_PER_UNIT);
    this.#length += encoder.encodeInto(piece, this.#bytes.subarray(this.#length)).written;
  }

  /** What is gathered, as a view: valid until something is added. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  clear(): void {
    this.#length = 0;
    if (this.#bytes.byteLength > KEPT_BYTES) this.#bytes = EMPTY;
  }

  /** What is gathered, as bytes of their own; nothing is gathered then. */
  take(): Uint8Array {
    if (this.#length === 0) return EMPTY;
    const taken = this.#bytes.slice(0, this.#length);
    this.clear();
    return taken;
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.byteLength) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.byteLength, FIRST_BYTES));
    grown.set(this.view());
    this.#bytes = grown;
  }
}
