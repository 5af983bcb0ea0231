// What every rewriter of answers offers, and how an engine's own figures are read. Figures are believed only if they are
// counts; everything else an engine may put there is as if it were missing.
import type { Usage, WireFailure } from "../../shared/wire/messages.ts";
import type { Scrub } from "./scrub.ts";

export interface AnswerOptions {
  /** The name that the client knows the model by. */
  readonly model: string;
  /** For what the engine says of its own failures. */
  readonly scrub: Scrub;
}

export interface Rewriter {
  /** Bytes from the engine in, bytes for the client out: maybe none, maybe a view into `chunk`. Cuts may be anywhere. */
  push(chunk: Uint8Array): Uint8Array;
  /** `done`: the engine has said that it is, whatever its connection does now. `failed`: nothing that comes now matters. */
  readonly stands: "open" | "done" | "failed";
  /** The engine's answer is over, cleanly as far as HTTP knows. `tail` still goes to the client. */
  finish(): Finish;
  /** The engine's answer breaks off. @returns what has waited for its end and still goes to the client. */
  cut(): Uint8Array;
  /**
   * What has been used until now; null while nothing is known.
   * @param isLeft nobody reads on: of an engine that has not said it yet, what can be reckoned.
   */
  usage(isLeft?: boolean): Usage | null;
}

export interface Finish {
  readonly tail: Uint8Array;
  readonly outcome: "complete" | "truncated" | "failed";
  readonly failure: WireFailure | null;
}

/** Tokens of one answer, or of one choice of it. */
export interface Tokens {
  readonly prompt: number;
  readonly completion: number;
}

/** The wire's own limit of a count. */
const MAX_COUNT = 1e12;

/** OpenAI's `usage`. Embeddings name no completion. */
export function readUsage(value: unknown): Tokens | null {
  const prompt = countIn(value, "prompt_tokens");
  const completion = countIn(value, "completion_tokens");
  return prompt === null && completion === null ? null : { prompt: prompt ?? 0, completion: completion ?? 0 };
}

/** llama.cpp's `timings`: what was read of the prompt, what of it was in the cache, and what was generated. */
export function readTimings(value: unknown): Tokens | null {
  const read = countIn(value, "prompt_n");
  const generated = countIn(value, "predicted_n");
  if (read === null || generated === null) return null;
  return { prompt: read + (countIn(value, "cache_n") ?? 0), completion: generated };
}

export function usageOf(tokens: Tokens, source: Usage["source"]): Usage {
  return {
    prompt_tokens: Math.min(tokens.prompt, MAX_COUNT),
    completion_tokens: Math.min(tokens.completion, MAX_COUNT),
    source,
  };
}

function countIn(value: unknown, key: string): number | null {
  if (typeof value !== "object" || value === null) return null;
  const count: unknown = Reflect.get(value, key);
  return typeof count === "number" && Number.isSafeInteger(count) && count >= 0 && count <= MAX_COUNT ? count : null;
}

const text = new TextDecoder();

/** JSON of a small, already delimited value; undefined if it is none. */
export function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(text.decode(bytes));
  } catch {
    return undefined;
  }
}
