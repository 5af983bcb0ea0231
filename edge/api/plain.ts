// The members that most requests have and that facts are read off, looked at by hand: a schema takes ten times as long for it.
// What is not obviously right here is not wrong: it is for the schema to say.
import type { JsonObject } from "./schema.ts";

export const MAX_CHOICES = 8;
export const MAX_TOKENS = 1_000_000;
export const MAX_MODEL_LENGTH = 256;

/** The members that every endpoint's facts are read off. */
export interface Slice {
  readonly model: string;
  readonly stream?: boolean | null | undefined;
  readonly stream_options?: { readonly include_usage?: boolean | null | undefined } | null | undefined;
  readonly max_tokens?: number | null | undefined;
  readonly max_completion_tokens?: number | null | undefined;
  readonly n?: number | null | undefined;
}

type Rule = (value: unknown) => boolean;

function numberFrom(min: number, max: number): Rule {
  return (value) => typeof value === "number" && value >= min && value <= max;
}

function integerFrom(min: number, max: number): Rule {
  return (value) => Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

/** As the schema has them. */
const PLAIN: readonly (readonly [name: string, rule: Rule])[] = [
  ["stream", (value) => typeof value === "boolean"],
  ["max_tokens", integerFrom(1, MAX_TOKENS)],
  ["max_completion_tokens", integerFrom(1, MAX_TOKENS)],
  ["n", integerFrom(1, MAX_CHOICES)],
  ["temperature", numberFrom(0, 2)],
  ["top_p", numberFrom(0, 1)],
];
/** What else the schema checks. */
const OTHERS = ["user", "stream_options", "best_of", "logprobs", "top_logprobs"];

/** Of a chat or a completion: what the schema would make of it, or null where it must be asked. */
export function plainSlice(body: JsonObject): Slice | null {
  const { model } = body;
  if (typeof model !== "string" || model.length === 0 || model.length > MAX_MODEL_LENGTH) return null;
  for (const name of OTHERS) if (body[name] !== undefined) return null;
  const slice: Record<string, unknown> & { model: string } = { model };
  for (const [name, rule] of PLAIN) {
    const value = body[name];
    if (value === undefined) continue;
    if (!rule(value)) return null;
    slice[name] = value;
  }
  return slice;
}
