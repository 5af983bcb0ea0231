// The answer to one part of an embedding request, chunk by chunk: the inside of its `data`, byte for byte but for the
// `index` of each vector, which is counted on; and its other members, kept if they are short. Held to the grammar.
import { Capture } from "./capture.ts";
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  isNested,
  isScalar,
  isScalarStart,
  isSpace,
  keyOf,
  NotJson,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  scalarRun,
  ValueSkip,
} from "./json.ts";

/** Room for a key or a member that is kept: ten times what engines send. */
const CAPTURE_BYTES = 4096;
/** Members that are kept. */
const MOST_KEPT = 16;

const text = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** What the next byte that is not a space may be, or which value we are in. */
type State =
  | "start"
  | "first name"
  | "name"
  | "in name"
  | "colon"
  | "value"
  | "in nested"
  | "in scalar"
  | "after value"
  | "first vector"
  | "vector"
  | "after vector"
  | "over"
  | "broken";

/** A member of the answer other than `data`, as it stands there. */
export interface Kept {
  readonly key: string;
  readonly name: string;
  readonly value: string;
}

export class PartReader {
  readonly kept: Kept[] = [];
  /** How many of them came before `data`. */
  keptBefore = 0;
  usage: string | null = null;
  readonly #inputs: number;
  readonly #offset: number;
  readonly #skip = new ValueSkip();
  readonly #capture = new Capture(CAPTURE_BYTES);
  #state: State = "start";
  /** The member we are in is one of a vector and not of the answer. */
  #isInVector = false;
  #key: string | null = null;
  #name = "";
  #vectors = 0;
  #hasData = false;
  /** Of the chunk at hand: what goes out, and where what has not gone out begins; null while nothing does. */
  #out: Uint8Array[] = [];
  #from: number | null = null;

  /**
   * @param inputs so many vectors are to come.
   * @param offset index of the first of them in the whole.
   */
  constructor(inputs: number, offset: number) {
    this.#inputs = inputs;
    this.#offset = offset;
  }

  /** Its `data` has begun: from here on bytes come out. */
  get hasBegun(): boolean {
    return this.#hasData;
  }

  get isWhole(): boolean {
    return this.#state === "over" && this.#vectors === this.#inputs;
  }

  /** @returns what of `data` is in the chunk, as views where it can; null if it is not what it should be. */
  push(chunk: Uint8Array): Uint8Array[] | null {
    if (this.#from !== null) this.#from = 0;
    let i = 0;
    while (i < chunk.length && this.#state !== "broken") i = this.#step(chunk, i);
    if (this.#state === "broken") return null;
    if (this.#from !== null && this.#from < chunk.length) this.#out.push(chunk.subarray(this.#from));
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /** Takes at least the byte at `i`, or changes the state. @returns the index to go on at. */
  #step(chunk: Uint8Array, i: number): number {
    if (this.#state === "in name" || this.#state === "in nested") return this.#inNested(chunk, i);
    if (this.#state === "in scalar") return this.#inScalar(chunk, i);
    const byte = chunk[i]!;
    if (isSpace(byte)) return i + 1;
    if (this.#state === "value") return this.#beginValue(chunk, i);
    const next = this.#after(byte);
    if (next === "first name" && this.#hasData) this.#isInVector = true;
    if (next === "after value") this.#cut(chunk, i);
    if (next === "after vector") this.#isInVector = false;
    this.#state = next;
    if (next !== "in name") return i + 1;
    this.#capture.clear();
    return i;
  }

  /** The grammar between values: of the answer, of `data` in it, and of the vectors in that. */
  #after(byte: number): State {
    const closed = this.#isInVector ? "after vector" : "over";
    switch (this.#state) {
      case "start":
        return byte === OPEN_BRACE ? "first name" : "broken";
      case "first name":
        return byte === QUOTE ? "in name" : byte === CLOSE_BRACE ? closed : "broken";
      case "name":
        return byte === QUOTE ? "in name" : "broken";
      case "colon":
        return byte === COLON ? "value" : "broken";
      case "after value":
        return byte === COMMA ? "name" : byte === CLOSE_BRACE ? closed : "broken";
      case "first vector":
      case "vector":
        if (byte !== OPEN_BRACE || this.#vectors === this.#inputs) return "broken";
        this.#vectors += 1;
        return "first name";
      case "after vector":
        return byte === COMMA ? "vector" : byte === CLOSE_BRACKET ? "after value" : "broken";
      default:
        return "broken";
    }
  }

  #beginValue(chunk: Uint8Array, i: number): number {
    const byte = chunk[i]!;
    const isIndex = this.#isInVector && this.#key === "index";
    if (!this.#isInVector && this.#key === "data") return this.#beginData(byte, i);
    if (isNested(byte) ? isIndex : !isScalarStart(byte)) {
      this.#state = "broken";
      return i;
    }
    this.#state = isNested(byte) ? "in nested" : "in scalar";
    this.#capture.clear();
    if (isIndex) this.#cut(chunk, i);
    return i;
  }

  #beginData(byte: number, i: number): number {
    this.#state = byte === OPEN_BRACKET && !this.#hasData ? "first vector" : "broken";
    this.#hasData = true;
    this.keptBefore = this.kept.length;
    this.#from = i + 1;
    return i + 1;
  }

  /** What comes now does not go out. */
  #cut(chunk: Uint8Array, i: number): void {
    if (this.#from !== null && this.#from < i) this.#out.push(chunk.subarray(this.#from, i));
    this.#from = null;
  }

  #inNested(chunk: Uint8Array, i: number): number {
    const end = this.#skip.skip(chunk, i);
    const stop = end === -1 ? chunk.length : end;
    // The vectors themselves are not looked at.
    if (this.#state === "in name" || !this.#isInVector) this.#capture.add(chunk.subarray(i, stop));
    if (end === -1) return stop;
    if (this.#state === "in name") this.#endName();
    else this.#endValue(end);
    return end;
  }

  #inScalar(chunk: Uint8Array, i: number): number {
    const end = scalarRun(chunk, i);
    this.#capture.add(chunk.subarray(i, end));
    if (end === chunk.length) return end;
    const scalar = this.#capture.taken();
    if (scalar === null || !isScalar(scalar)) this.#state = "broken";
    else this.#endValue(end);
    return end;
  }

  #endName(): void {
    const name = this.#capture.taken();
    this.#state = "colon";
    this.#key = null;
    if (name === null) return;
    try {
      this.#key = keyOf(name, { start: 0, end: name.length });
      if (!this.#isInVector) this.#name = decoder.decode(name);
    } catch (error) {
      if (!(error instanceof NotJson)) throw error;
      this.#state = "broken";
    }
  }

  #endValue(end: number): void {
    this.#state = "after value";
    if (this.#isInVector) {
      if (this.#key === "index") this.#endIndex(end);
      return;
    }
    const taken = this.#capture.taken();
    if (taken === null || this.#key === null) return;
    const value = decoder.decode(taken);
    if (this.#key === "usage") this.usage = value;
    if (this.kept.length < MOST_KEPT) this.kept.push({ key: this.#key, name: this.#name, value });
  }

  #endIndex(end: number): void {
    const taken = this.#capture.taken();
    const index = taken === null ? Number.NaN : Number(decoder.decode(taken));
    if (!Number.isInteger(index) || index < 0 || index >= this.#inputs) {
      this.#state = "broken";
      return;
    }
    this.#out.push(text.encode(String(index + this.#offset)));
    this.#from = end;
  }
}
