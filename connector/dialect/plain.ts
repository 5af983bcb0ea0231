// An answer that is one JSON object, chunk by chunk: every top-level `model` gets the public name, `usage` is read, and
// all other bytes pass as they come, most of them uncopied, up to the first that no such object has there. Behind several
// choices what follows `usage` waits for the end: only that tells whether all of them are meant. It holds a few kilobytes however
// long the answer is.
import type { Usage } from "../../shared/wire/messages.ts";
import {
  type AnswerOptions,
  type Finish,
  parsed,
  type Rewriter,
  readTimings,
  readUsage,
  type Tokens,
  usageOf,
} from "./answer.ts";
import { Capture } from "./capture.ts";
import { ChoiceSizes } from "./choices.ts";
import { Gather } from "./gather.ts";
import {
  CLOSE_BRACE,
  COLON,
  COMMA,
  isNested,
  isScalar,
  isScalarStart,
  isSpace,
  keyOf,
  NotJson,
  OPEN_BRACE,
  QUOTE,
  scalarRun,
  ValueSkip,
} from "./json.ts";
import { restated } from "./restate.ts";
import { concat } from "./splice.ts";

/** Room for a key or the value of `usage` or `timings`: ten times what engines send. */
const CAPTURE_BYTES = 4096;
/** Of `null` and `false`: some engines send `"error": null` along. */
const NULL_START = 0x6e;
const FALSE_START = 0x66;
const EMPTY = new Uint8Array(0);
const text = new TextEncoder();

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
  | "over"
  | "broken";

export function rewritePlain({ model }: AnswerOptions): Rewriter {
  return new PlainRewriter(model);
}

class PlainRewriter implements Rewriter {
  readonly #model: Uint8Array;
  readonly #skip = new ValueSkip();
  readonly #capture = new Capture(CAPTURE_BYTES);
  #state: State = "start";
  /** Of the member we are in. Keys longer than the capture are no key that is known here. */
  #key: string | null = null;
  #usage: Tokens | null = null;
  #timings: Tokens | null = null;
  #choices: ChoiceSizes | null = null;
  /** What was asked for has begun to come. */
  #hasBegun = false;
  /** Of the chunk at hand: what goes out, and where what has not gone out begins; null while a value is swallowed. */
  #parts: Uint8Array[] = [];
  #from: number | null = 0;
  /** The value of `usage` and what has come behind it; null while nothing is held back. */
  #held: Gather | null = null;
  #usageBytes = 0;
  /** Of the parts, the first that is held back. */
  #heldFrom = 0;

  constructor(model: string) {
    this.#model = text.encode(JSON.stringify(model));
  }

  push(chunk: Uint8Array): Uint8Array {
    // What is no answer is somebody else's page: what stands there is not for the client.
    if (this.stands === "failed") return EMPTY;
    if (this.#from !== null) this.#from = 0;
    let at = 0;
    let i = 0;
    while (i < chunk.length && this.#state !== "broken") {
      at = i;
      i = this.#step(chunk, i);
    }
    const end = this.#state === "broken" ? at : chunk.length;
    if (this.#from !== null) {
      if (this.#from === 0 && end === chunk.length && this.#held === null) return chunk;
      if (this.#from < end) this.#parts.push(chunk.subarray(this.#from, end));
    }
    if (this.#held !== null) this.#holdBack(this.#held);
    const out = this.#parts.length === 0 ? EMPTY : concat(this.#parts);
    this.#parts = [];
    return out;
  }

  get stands(): "open" | "failed" {
    return this.#state === "broken" ? "failed" : "open";
  }

  finish(): Finish {
    if (this.#state === "over") return { tail: EMPTY, outcome: "complete", failure: null };
    const message =
      this.#state === "broken" ? "The model server's answer is malformed." : "The model server's answer broke off.";
    return { tail: this.cut(), outcome: "truncated", failure: { code: "upstream_error", message } };
  }

  cut(): Uint8Array {
    return this.#held?.take() ?? EMPTY;
  }

  usage(isLeft = false): Usage | null {
    const tokens = this.#usage ?? this.#timings;
    if (tokens === null) {
      // The work was done when the answer began; who leaves before its last bytes, where the figures are, has had the rest.
      if (!isLeft || !this.#hasBegun) return null;
      return usageOf({ prompt: 0, completion: this.#choices?.reckoned ?? 0 }, "counted");
    }
    const all = this.#ofAll(tokens);
    return all === null ? usageOf(tokens, "engine") : usageOf(all, "counted");
  }

  /** Null: they are of all choices. */
  #ofAll(tokens: Tokens): Tokens | null {
    // Who tells timings is llama.cpp, and that speaks of the first choice alone.
    if (this.#timings === null || this.#choices === null || this.#choices.count < 2) return null;
    return { ...tokens, completion: this.#choices.total(tokens.completion) };
  }

  /** Until the object is over, or is none, or is not what an engine sends. */
  #holdBack(held: Gather): void {
    for (const part of this.#parts.splice(this.#heldFrom)) held.add(part);
    this.#heldFrom = 0;
    // Not only by how much there was at once: what a client is shown must not depend on how the answer was cut.
    const isTooLong = held.length > CAPTURE_BYTES;
    if (this.#state !== "over" && this.#state !== "broken" && !isTooLong) return;
    this.#held = null;
    const bytes = held.take();
    const all = this.#state === "over" && !isTooLong && this.#usage !== null ? this.#ofAll(this.#usage) : null;
    const usage = all === null ? undefined : restated(bytes.subarray(0, this.#usageBytes), all);
    if (usage === undefined) this.#parts.push(bytes);
    else this.#parts.push(usage, bytes.subarray(this.#usageBytes));
  }

  /** Takes at least the byte at `i`, or changes the state. @returns the index to go on at. */
  #step(chunk: Uint8Array, i: number): number {
    if (this.#state === "in name" || this.#state === "in nested") return this.#inNested(chunk, i);
    if (this.#state === "in scalar") return this.#inScalar(chunk, i);
    const byte = chunk[i]!;
    if (isSpace(byte)) return i + 1;
    if (this.#state === "value") return this.#beginValue(chunk, i);
    const next = this.#after(byte);
    this.#state = next;
    if (next !== "in name") return i + 1;
    this.#capture.clear();
    return i;
  }

  /** The grammar of an object, between its values. */
  #after(byte: number): State {
    switch (this.#state) {
      case "start":
        return byte === OPEN_BRACE ? "first name" : "broken";
      case "first name":
        return byte === QUOTE ? "in name" : byte === CLOSE_BRACE ? "over" : "broken";
      case "name":
        return byte === QUOTE ? "in name" : "broken";
      case "colon":
        return byte === COLON ? "value" : "broken";
      case "after value":
        return byte === COMMA ? "name" : byte === CLOSE_BRACE ? "over" : "broken";
      default:
        return "broken";
    }
  }

  #beginValue(chunk: Uint8Array, i: number): number {
    const byte = chunk[i]!;
    if (!isNested(byte) && !isScalarStart(byte)) {
      this.#state = "broken";
      return i;
    }
    this.#state = isNested(byte) ? "in nested" : "in scalar";
    this.#capture.clear();
    if (this.#key === "choices" || this.#key === "data") this.#hasBegun = true;
    if (this.#key === "choices") this.#choices = new ChoiceSizes();
    if (this.#key === "error" && byte !== NULL_START && byte !== FALSE_START) {
      // A failure under the status of a success, in the engine's own words: nobody is to read them, or to pay for them.
      this.#state = "broken";
      this.#parts = [];
      this.#from = null;
      return i;
    }
    if (this.#key === "usage" && this.#held === null && this.#usageBytes === 0 && (this.#choices?.count ?? 0) > 1) {
      this.#parts.push(chunk.subarray(this.#from ?? i, i));
      this.#from = i;
      this.#held = new Gather();
      this.#heldFrom = this.#parts.length;
    }
    if (this.#key === "model") {
      this.#parts.push(chunk.subarray(this.#from ?? i, i), this.#model);
      this.#from = null;
    }
    return i;
  }

  #inNested(chunk: Uint8Array, i: number): number {
    const end = this.#skip.skip(chunk, i);
    const stop = end === -1 ? chunk.length : end;
    const isName = this.#state === "in name";
    if (isName || this.#isRead()) this.#capture.add(chunk.subarray(i, stop));
    else if (this.#key === "choices") this.#choices?.add(chunk.subarray(i, stop));
    if (end === -1) return stop;
    if (isName) this.#endName();
    else this.#endValue(end);
    return end;
  }

  #inScalar(chunk: Uint8Array, i: number): number {
    const end = scalarRun(chunk, i);
    this.#capture.add(chunk.subarray(i, end));
    if (end === chunk.length) return end;
    const scalar = this.#capture.taken();
    this.#endValue(end);
    // A number of four thousand digits may be one; it is not looked at.
    if (scalar !== null && !isScalar(scalar)) this.#state = "broken";
    return end;
  }

  #endName(): void {
    const name = this.#capture.taken();
    this.#state = "colon";
    this.#key = null;
    if (name === null) return;
    try {
      this.#key = keyOf(name, { start: 0, end: name.length });
    } catch (error) {
      if (!(error instanceof NotJson)) throw error;
      this.#state = "broken";
    }
  }

  #endValue(end: number): void {
    this.#state = "after value";
    if (this.#key === "model") this.#from = end;
    if (!this.#isRead()) return;
    const value = this.#capture.taken();
    if (value === null) return;
    if (this.#key === "usage") {
      if (this.#usageBytes === 0) this.#usageBytes = value.length;
      this.#usage = readUsage(parsed(value)) ?? this.#usage;
    } else this.#timings = readTimings(parsed(value)) ?? this.#timings;
  }

  #isRead(): boolean {
    return this.#key === "usage" || this.#key === "timings";
  }
}
