// Bytes that have come and are not yet let go, addressed by their absolute offset. The one store behind every
// direction: what is read does not vanish, so a lane can be started again at any offset that is still retained.

const EMPTY = new Uint8Array(0);
/** A first chunk of that size is the whole of a small answer or body, as a rule: its block is made to measure. */
const WHOLE_BYTES = 512;
const FIRST_BLOCK_BYTES = 2 * 1024;
const BLOCK_BYTES = 16 * 1024;

interface Block {
  /** Absolute offset of its first byte. */
  readonly at: number;
  readonly bytes: Uint8Array;
  used: number;
}

export class Spool {
  #blocks: Block[] = [];
  #start = 0;
  #end = 0;

  /** Absolute offset of the first byte that can still be read. */
  get start(): number {
    return this.#start;
  }

  /** Absolute offset behind the last byte: how much has ever been appended. */
  get end(): number {
    return this.#end;
  }

  get retained(): number {
    return this.#end - this.#start;
  }

  /** All of `bytes`, which nobody changes any more, without a copy. */
  static of(bytes: Uint8Array): Spool {
    const spool = new Spool();
    if (bytes.byteLength > 0) spool.#blocks.push({ at: 0, bytes, used: bytes.byteLength });
    spool.#end = bytes.byteLength;
    return spool;
  }

  /**
   * Copies `chunk` in. The copy is the point: a chunk is often a view of 300 bytes into a message of 128 KiB, and
   * a reader that stands still would otherwise hold the whole message. Small chunks grow together into one block.
   */
  append(chunk: Uint8Array): void {
    let rest = chunk;
    while (rest.byteLength > 0) {
      let block = this.#blocks.at(-1);
      if (block === undefined || block.used === block.bytes.byteLength) {
        block = { at: this.#end, bytes: new Uint8Array(Math.max(this.#nextBlock(rest), rest.byteLength)), used: 0 };
        this.#blocks.push(block);
      }
      const part = rest.subarray(0, block.bytes.byteLength - block.used);
      block.bytes.set(part, block.used);
      block.used += part.byteLength;
      this.#end += part.byteLength;
      rest = rest.subarray(part.byteLength);
    }
  }

  /**
   * At most `max` bytes from `offset`, as one view; shorter where a block ends, empty at the end.
   * The view stays valid: what is written is never overwritten.
   */
  read(offset: number, max: number): Uint8Array {
    if (offset < this.#start || offset > this.#end) throw new RangeError(`offset ${offset} is not retained`);
    const block = this.#blockAt(offset);
    if (block === undefined) return EMPTY;
    const from = offset - block.at;
    return block.bytes.subarray(from, Math.min(block.used, from + max));
  }

  /** Lets go of everything before `offset`. */
  release(offset: number): void {
    const to = Math.min(offset, this.#end);
    if (to <= this.#start) return;
    this.#start = to;
    let gone = 0;
    for (const block of this.#blocks) {
      if (block.at + block.used > to) break;
      gone += 1;
    }
    if (gone > 0) this.#blocks.splice(0, gone);
  }

  #nextBlock(chunk: Uint8Array): number {
    if (this.#blocks.length > 0) return BLOCK_BYTES;
    return this.#end === 0 && chunk.byteLength >= WHOLE_BYTES ? 0 : FIRST_BLOCK_BYTES;
  }

  #blockAt(offset: number): Block | undefined {
    // Readers follow the writer closely or start at the front: look from the back, blocks are few.
    for (let i = this.#blocks.length - 1; i >= 0; i -= 1) {
      const block = this.#blocks[i];
      if (block === undefined || block.at > offset) continue;
      return offset < block.at + block.used ? block : undefined;
    }
    return undefined;
  }
}
