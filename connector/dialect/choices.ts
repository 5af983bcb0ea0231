// How much each choice of a plain answer says, in bytes of its texts: llama.cpp tells what the first of several choices has
// used and nothing of the others, and those are reckoned by their length. It sees the value of `choices` in chunks, and holds
// a few numbers.
import { COLON, COMMA, QUOTE } from "./json.ts";

const BACKSLASH = 0x5c;
/** More than any request may ask for. */
const MAX_CHOICES = 256;
/** `assistant` and a finish reason, which nobody has generated. */
const FRAME_BYTES = 14;
/** Where the first choice is empty and gives no measure: about what English takes. */
const TOKENS_A_BYTE = 0.25;

export class ChoiceSizes {
  readonly #sizes: number[] = [];
  #depth = 0;
  #size = 0;
  /** Of the string at hand, or of the last one: a name, if a colon follows. */
  #text = 0;
  #isInText = false;
  #isEscaped = false;

  add(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (this.#isInText) this.#inText(byte);
      else if (byte === QUOTE) {
        this.#isInText = true;
        this.#text = 0;
      } else if (byte === COLON) this.#size -= this.#text;
      // Brackets and braces differ in the sixth bit alone.
      else if ((byte | 0x20) === 0x7b) this.#depth += 1;
      else if ((byte | 0x20) === 0x7d) this.#close();
      else if (byte === COMMA && this.#depth === 1) this.#size = 0;
    }
  }

  /** Tokens of all choices, where the engine says `first` of the first one. */
  total(first: number): number {
    const [measure = 0, ...others] = this.#sizes;
    const rate = measure > 0 && first > 0 ? first / measure : TOKENS_A_BYTE;
    return first + others.reduce((sum, size) => sum + Math.ceil(size * rate), 0);
  }

  /** Tokens of all that has come, where the engine says nothing. */
  get reckoned(): number {
    const open = this.#size + (this.#isInText ? this.#text : 0);
    return [...this.#sizes, Math.max(0, open)].reduce((sum, size) => sum + Math.ceil(size * TOKENS_A_BYTE), 0);
  }

  get count(): number {
    return this.#sizes.length;
  }

  #inText(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === BACKSLASH) this.#isEscaped = true;
    else if (byte === QUOTE) {
      this.#isInText = false;
      this.#size += this.#text;
      return;
    }
    this.#text += 1;
  }

  #close(): void {
    this.#depth -= 1;
    if (this.#depth !== 1 || this.#sizes.length >= MAX_CHOICES) return;
    this.#sizes.push(Math.max(0, this.#size - FRAME_BYTES));
    this.#size = 0;
  }
}
