// JSON as bytes: where a value ends, though it comes in chunks, and what is a scalar or a key. Nested values are only
// balanced (strings and brackets), never parsed, never copied. Nothing here knows what a value means.

/** The bytes are not the JSON that they were taken for. */
export class NotJson extends Error {
  constructor(what: string, at: number) {
    super(`not JSON: ${what} at byte ${at}`);
    this.name = "NotJson";
  }
}

/** `end` is the byte after the last. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
const BACKSLASH = 0x5c;

/** A search by `indexOf` pays its call back only past so many bytes; most strings are shorter. */
const NEAR_BYTES = 32;
/** Keys beyond this length take the decoder; building them letter by letter is for the short ones. */
const SHORT_KEY_BYTES = 64;

const text = new TextDecoder("utf-8", { ignoreBOM: true });

const STRUCTURES = [QUOTE, OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET];
const STRUCTURE = tableOf(String.fromCharCode(...STRUCTURES));
const SPACE = tableOf(" \t\n\r");
const SCALAR_START = tableOf("-0123456789tfn");
const SCALAR = tableOf("-+.0123456789eEtrufalsn");
const SCALAR_TEXT = /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/;

function tableOf(letters: string): Uint8Array {
  const table = new Uint8Array(256);
  for (const letter of letters) table[letter.charCodeAt(0)] = 1;
  return table;
}

export function isSpace(byte: number): boolean {
  return SPACE[byte] === 1;
}

/** Begins a string, an object or an array: what {@link ValueSkip} steps over. */
export function isNested(byte: number): boolean {
  return byte === QUOTE || byte === OPEN_BRACE || byte === OPEN_BRACKET;
}

export function isScalarStart(byte: number): boolean {
  return SCALAR_START[byte] === 1;
}

/** Index after the run of bytes that scalars are made of. Whether they make one is for {@link isScalar} to say. */
export function scalarRun(bytes: Uint8Array, from: number): number {
  let i = from;
  while (i < bytes.length && SCALAR[bytes[i]!] === 1) i++;
  return i;
}

/** A number, `true`, `false` or `null`. */
export function isScalar(bytes: Uint8Array): boolean {
  return SCALAR_TEXT.test(text.decode(bytes));
}

/** Steps over one string, object or array, which may come in chunks. Constant memory: depth is a number. */
export class ValueSkip {
  readonly #structure = new StructureSearch();
  #depth = 0;
  #isString = false;
  /** The chunk ended after a backslash. */
  #isEscaped = false;

  /**
   * @param from at the value's first byte, or at the beginning of the next chunk.
   * @returns the index after the value, ready for the next one; -1 if the chunk ends inside it.
   */
  skip(bytes: Uint8Array, from: number): number {
    let i = from;
    let depth = this.#depth;
    for (;;) {
      if (this.#isString) {
        i = this.#skipString(bytes, i);
        if (i === -1 || depth === 0) break;
      }
      i = this.#structure.next(bytes, i);
      if (i === bytes.length) {
        i = -1;
        break;
      }
      const byte = bytes[i++]!;
      if (byte === QUOTE) this.#isString = true;
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++;
      else if (--depth === 0) break;
    }
    this.#depth = depth;
    return i;
  }

  #skipString(bytes: Uint8Array, from: number): number {
    const length = bytes.length;
    let i = this.#isEscaped ? from + 1 : from;
    this.#isEscaped = false;
    while (i < length) {
      const near = Math.min(i + NEAR_BYTES, length);
      while (i < near) {
        const byte = bytes[i]!;
        if (byte === QUOTE) {
          this.#isString = false;
          return i + 1;
        }
        i += byte === BACKSLASH ? 2 : 1;
      }
      if (i >= length) break;
      const quote = bytes.indexOf(QUOTE, i);
      const stop = quote === -1 ? length : quote;
      let run = stop;
      while (run > i && bytes[run - 1] === BACKSLASH) run--;
      const isEscape = ((stop - run) & 1) === 1;
      if (quote !== -1 && !isEscape) {
        this.#isString = false;
        return quote + 1;
      }
      i = isEscape ? stop + 1 : stop;
    }
    // One past the end: the escaped byte is in the next chunk.
    this.#isEscaped = i > length;
    return -1;
  }
}

/**
 * Finds the next quote, brace or bracket. In an array of numbers it is kilobytes away: there each of the five is searched by `indexOf`
 * (memchr), and where it was found is kept, so that no byte of a chunk is looked at more than once for each. An embedding answer of
 * 1 MB took the connector a third of its CPU byte by byte.
 */
class StructureSearch {
  #chunk: Uint8Array | null = null;
  readonly #found = STRUCTURES.map(() => -1);

  /** @returns the index, or the length. */
  next(bytes: Uint8Array, from: number): number {
    const near = Math.min(from + NEAR_BYTES, bytes.length);
    for (let i = from; i < near; i++) if (STRUCTURE[bytes[i]!] === 1) return i;
    return near === bytes.length ? near : this.#far(bytes, near);
  }

  #far(bytes: Uint8Array, from: number): number {
    if (this.#chunk !== bytes) {
      this.#chunk = bytes;
      this.#found.fill(-1);
    }
    let least = bytes.length;
    for (let k = 0; k < STRUCTURES.length; k++) {
      let at = this.#found[k]!;
      if (at < from) {
        const index = bytes.indexOf(STRUCTURES[k]!, from);
        at = index === -1 ? bytes.length : index;
        this.#found[k] = at;
      }
      if (at < least) least = at;
    }
    return least;
  }
}

/**
 * The key that stands in `name`, decoded.
 * @throws NotJson if its escapes are broken.
 */
export function keyOf(body: Uint8Array, name: Span): string {
  const start = name.start + 1;
  const end = name.end - 1;
  if (end - start > SHORT_KEY_BYTES) return decodedKey(body, name);
  let key = "";
  for (let i = start; i < end; i++) {
    const byte = body[i]!;
    if (byte < 0x20 || byte >= 0x80 || byte === BACKSLASH) return decodedKey(body, name);
    key += String.fromCharCode(byte);
  }
  return key;
}

function decodedKey(body: Uint8Array, name: Span): string {
  try {
    return String(JSON.parse(text.decode(body.subarray(name.start, name.end))));
  } catch {
    throw new NotJson("a broken key", name.start);
  }
}
