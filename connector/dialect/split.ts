// One embedding request as several, each with some of the inputs, and what makes one answer of theirs again. A body is cut
// between inputs and its bytes are copied, never parsed.
import { elements, members } from "./items.ts";
import { NotJson, OPEN_BRACKET, type Span } from "./json.ts";
import { Merge } from "./merge.ts";
import { concat } from "./splice.ts";

/** A part has so many inputs or so many bytes of them: less is not worth a request of its own. */
const PART_INPUTS = 16;
const PART_BYTES = 16 * 1024;
/** What an input costs whatever its length, in bytes of text. */
const INPUT_BYTES = 64;

const text = new TextEncoder();
const OPEN = text.encode("[");
const CLOSE = text.encode("]");

export interface Split {
  readonly bodies: readonly Uint8Array[];
  readonly merge: Merge;
}

/**
 * Texts and arrays of tokens are inputs; one array of tokens is one input.
 * @param most parts.
 * @returns null where one request does as well.
 */
export function splitInputs(body: Uint8Array, most: number): Split | null {
  const input = inputOf(body);
  if (input === null) return null;
  const inputs = elements(body, input);
  const bytes = input.end - input.start;
  const worth = Math.max(Math.floor(inputs.length / PART_INPUTS), Math.floor(bytes / PART_BYTES));
  const count = Math.min(most, worth, inputs.length);
  if (count < 2) return null;
  const groups = grouped(inputs, count);
  const before = body.subarray(0, input.start);
  const after = body.subarray(input.end);
  return {
    bodies: groups.map(({ start, end }) => concat([before, OPEN, body.subarray(start, end), CLOSE, after])),
    merge: new Merge(groups.map(({ inputs }) => inputs)),
  };
}

/** The value of `input` if it is a list of inputs. */
function inputOf(body: Uint8Array): Span | null {
  try {
    const input = members(body).findLast(({ key }) => key === "input")?.value;
    if (input === undefined || body[input.start] !== OPEN_BRACKET) return null;
    const first = body.subarray(input.start + 1, input.end).find((byte) => byte > 0x20);
    return first !== undefined && isInput(first) ? input : null;
  } catch (error) {
    // What it is, is the engine's to say.
    if (error instanceof NotJson) return null;
    throw error;
  }
}

/** A text or an array of tokens begins so. */
function isInput(byte: number): boolean {
  return byte === 0x22 || byte === OPEN_BRACKET;
}

interface Group extends Span {
  readonly inputs: number;
}

/** In order, none of them empty, all about as heavy. */
function grouped(inputs: readonly Span[], count: number): Group[] {
  const weight = (input: Span | undefined) => (input === undefined ? 0 : input.end - input.start + INPUT_BYTES);
  const total = inputs.reduce((sum, input) => sum + weight(input), 0);
  const groups: Group[] = [];
  let from = 0;
  let done = 0;
  for (const [i, input] of inputs.entries()) {
    done += weight(input);
    const left = count - groups.length - 1;
    const goal = (total * (groups.length + 1)) / count;
    const isNearest = done + weight(inputs[i + 1]) / 2 >= goal;
    // One for each of the others is left.
    const isLastChance = inputs.length - i - 1 === left;
    if (!isLastChance && !(isNearest && left > 0)) continue;
    groups.push({ start: inputs[from]!.start, end: input.end, inputs: i + 1 - from });
    from = i + 1;
  }
  return groups;
}
