// Where the items of a complete JSON object or array are, in bytes. It looks at one level and steps over what lies inside;
// what it looks at itself (commas, colons, keys, scalars) is held to the grammar. Nothing here knows what a member means.
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
  type Span,
  scalarRun,
  ValueSkip,
} from "./json.ts";

export interface Member {
  /** Decoded: `"\u006dodel"` is `model`. */
  readonly key: string;
  /** The key as it stands, with its quotes. */
  readonly name: Span;
  readonly value: Span;
}

/** Said by an item instead of its end: the rest is not looked at. */
const STOP = -1;

/**
 * The members of a complete JSON object, in order, doubles included.
 * @throws NotJson
 */
export function members(body: Uint8Array): Member[] {
  const found: Member[] = [];
  const skip = new ValueSkip();
  const end = eachItem(body, spaceEnd(body, 0), OPEN_BRACE, CLOSE_BRACE, (at) => {
    const { name, start } = nameAt(body, at, skip);
    const value = { start, end: valueEnd(body, start, skip) };
    found.push({ key: keyOf(body, name), name, value });
    return value.end;
  });
  const rest = spaceEnd(body, end);
  if (rest !== body.length) throw new NotJson("more after the object", rest);
  return found;
}

/**
 * The elements of an array value.
 * @throws NotJson
 */
export function elements(body: Uint8Array, span: Span): Span[] {
  const found: Span[] = [];
  const skip = new ValueSkip();
  const end = eachItem(body, span.start, OPEN_BRACKET, CLOSE_BRACKET, (start) => {
    const value = { start, end: valueEnd(body, start, skip) };
    found.push(value);
    return value.end;
  });
  if (end !== span.end) throw new NotJson("the array ends elsewhere", end);
  return found;
}

/**
 * Where the first value of `key` begins in the object at `at`; null if there is none. What comes after it is not looked at.
 * @throws NotJson
 */
export function valueAt(body: Uint8Array, at: number, key: string): number | null {
  const skip = new ValueSkip();
  let found: number | null = null;
  eachItem(body, spaceEnd(body, at), OPEN_BRACE, CLOSE_BRACE, (start) => {
    const { name, start: value } = nameAt(body, start, skip);
    if (keyOf(body, name) !== key) return valueEnd(body, value, skip);
    found = value;
    return STOP;
  });
  return found;
}

/**
 * The first element of the array at `at` that `isWanted` takes; null if it takes none. What comes after it is not looked at.
 * @throws NotJson
 */
export function findElement(body: Uint8Array, at: number, isWanted: (value: Span) => boolean): Span | null {
  const skip = new ValueSkip();
  let found: Span | null = null;
  eachItem(body, at, OPEN_BRACKET, CLOSE_BRACKET, (start) => {
    const value = { start, end: valueEnd(body, start, skip) };
    if (!isWanted(value)) return value.end;
    found = value;
    return STOP;
  });
  return found;
}

/** Calls `item` at the first byte of each item; it returns where the item ends. */
function eachItem(body: Uint8Array, start: number, open: number, close: number, item: (at: number) => number): number {
  if (body[start] !== open) throw new NotJson(`no ${String.fromCharCode(open)}`, start);
  let i = spaceEnd(body, start + 1);
  if (body[i] === close) return i + 1;
  for (;;) {
    const end = item(i);
    if (end === STOP) return STOP;
    i = spaceEnd(body, end);
    const byte = body[i];
    if (byte === close) return i + 1;
    if (byte !== COMMA) throw new NotJson("a comma is missing", i);
    i = spaceEnd(body, i + 1);
  }
}

/** A member's name, and where its value begins. */
function nameAt(body: Uint8Array, at: number, skip: ValueSkip): { readonly name: Span; readonly start: number } {
  if (body[at] !== QUOTE) throw new NotJson("a key is missing", at);
  const name = { start: at, end: valueEnd(body, at, skip) };
  const colon = spaceEnd(body, name.end);
  if (body[colon] !== COLON) throw new NotJson("a colon is missing", colon);
  return { name, start: spaceEnd(body, colon + 1) };
}

function spaceEnd(body: Uint8Array, from: number): number {
  let i = from;
  while (i < body.length && isSpace(body[i]!)) i++;
  return i;
}

function valueEnd(body: Uint8Array, start: number, skip: ValueSkip): number {
  const byte = body[start];
  if (byte === undefined) throw new NotJson("it ends too early", start);
  if (isNested(byte)) {
    const end = skip.skip(body, start);
    if (end === -1) throw new NotJson("a value does not end", start);
    return end;
  }
  const end = scalarRun(body, start);
  if (!isScalarStart(byte) || !isPlainInteger(body, start, end)) {
    if (!isScalar(body.subarray(start, end))) throw new NotJson("no value", start);
  }
  return end;
}

/** The scalar that a million token ids are, without a detour by text. */
function isPlainInteger(body: Uint8Array, start: number, end: number): boolean {
  const first = body[start]!;
  if (first < 0x31 || first > 0x39) return false;
  for (let i = start + 1; i < end; i++) {
    const byte = body[i]!;
    if (byte < 0x30 || byte > 0x39) return false;
  }
  return true;
}
