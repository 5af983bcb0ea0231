// How large a JSON text becomes once it is parsed, judged from its bytes in one pass: V8 makes 221 MB of 10 MB of
// `[{},{},…]`, and an isolate has 128 MB. It balances brackets and skips strings; whether the text is JSON at all is for
// JSON.parse to say. That one goes left to right, so up to its first error it builds no more than was counted here.
import { Failure } from "../../shared/errors.ts";

export interface ShapeLimits {
  /** Objects and arrays inside each other. */
  readonly depth: number;
  /** Commas and opening brackets: at least the number of values, less one. */
  readonly values: number;
  /** Objects, arrays and members of objects: what costs the heap ten times as much as a number in an array. */
  readonly nodes: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** What a byte outside of strings means for the count. Most mean nothing. */
const KINDS = new Uint8Array(256);
const STRING = 1;
const NEXT = 2;
const NAMED = 3;
const OPEN = 4;
const CLOSE = 5;
for (const [bytes, kind] of [
  ['"', STRING],
  [",", NEXT],
  [":", NAMED],
  ["{[", OPEN],
  ["}]", CLOSE],
] as const) {
  for (const byte of bytes) KINDS[byte.charCodeAt(0)] = kind;
}

/** A search by `indexOf` pays its call back only past so many bytes; most strings are shorter. */
const NEAR_BYTES = 32;

/** @throws Failure invalid_request that says which limit it was. */
export function checkShape(bytes: Uint8Array, limits: ShapeLimits): void {
  const length = bytes.length;
  let depth = 0;
  let values = 0;
  let nodes = 0;
  let i = 0;
  for (;;) {
    // A loop of its own: arrays of numbers are spent here, and it makes them 1.6 times as fast.
    while (i < length && KINDS[bytes[i]!] === 0) i++;
    if (i === length) return;
    switch (KINDS[bytes[i++]!]) {
      case STRING:
        i = stringEnd(bytes, i);
        break;
      case NEXT:
        if (++values > limits.values) throw tooManyValues(limits);
        break;
      case NAMED:
        if (++nodes > limits.nodes) throw tooManyNodes(limits);
        break;
      case OPEN:
        if (++depth > limits.depth) throw refusal(`is nested more than ${limits.depth} levels deep`);
        if (++values > limits.values) throw tooManyValues(limits);
        if (++nodes > limits.nodes) throw tooManyNodes(limits);
        break;
      case CLOSE:
        depth--;
        break;
    }
  }
}

/** Index after the closing quote of the string that `from` is in, or the length. */
function stringEnd(bytes: Uint8Array, from: number): number {
  const length = bytes.length;
  let i = from;
  for (;;) {
    const near = Math.min(i + NEAR_BYTES, length);
    while (i < near) {
      const byte = bytes[i]!;
      if (byte === QUOTE) return i + 1;
      i += byte === BACKSLASH ? 2 : 1;
    }
    if (i >= length) return length;
    const quote = bytes.indexOf(QUOTE, i);
    if (quote === -1) return length;
    let run = quote;
    while (run > i && bytes[run - 1] === BACKSLASH) run--;
    if (((quote - run) & 1) === 0) return quote + 1;
    // The quote was escaped. The near loop comes first again: a text full of `\"` would call `indexOf` at each.
    i = quote + 1;
  }
}

function tooManyValues(limits: ShapeLimits): Failure {
  return refusal(`holds more than ${limits.values} values`);
}

function tooManyNodes(limits: ShapeLimits): Failure {
  return refusal(`holds more than ${limits.nodes} objects, arrays and members`);
}

function refusal(what: string): Failure {
  return new Failure("invalid_request", { message: `The request body ${what}.` });
}
