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
const LETTER_U = 0x75;

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

/**
 * @returns how many nodes there are.
 * @throws Failure invalid_request that says which limit it was.
 */
export function checkShape(bytes: Uint8Array, limits: ShapeLimits): number {
  const length = bytes.length;
  let depth = 0;
  let values = 0;
  let nodes = 0;
  /** Where the last string began, until it is known for a name. */
  let string = 0;
  let i = 0;
  for (;;) {
    // A loop of its own: arrays of numbers are spent here, and it makes them 1.6 times as fast.
    while (i < length && KINDS[bytes[i]!] === 0) i++;
    if (i === length) return nodes;
    switch (KINDS[bytes[i++]!]) {
      case STRING:
        string = i;
        i = stringEnd(bytes, i);
        break;
      case NEXT:
        if (++values > limits.values) throw tooManyValues(limits);
        break;
      case NAMED:
        if (++nodes > limits.nodes) throw tooManyNodes(limits);
        if (isDisguised(bytes, string, i)) throw refusal("writes letters of a member's name as escapes");
        string = i;
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

/**
 * Whether a name between `from` and `to` has a letter, a digit or `_` as an escape. No writer of JSON does that, and
 * readers do not agree on such names: after `{"a":0,"\\u006dax_t":0}` V8 13.6 reads `{"a":0,"\u006dax_tokens":0}` as
 * another one of these, in this text or in a later one. All names that are looked at here are of such letters.
 */
function isDisguised(bytes: Uint8Array, from: number, to: number): boolean {
  for (let i = from; i < to; i++) {
    if (bytes[i] !== BACKSLASH) continue;
    i++;
    if (bytes[i] === LETTER_U && /^00(?:3\d|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9a])$/i.test(ascii(bytes, i + 1, i + 5))) {
      return true;
    }
  }
  return false;
}

function ascii(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to));
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
