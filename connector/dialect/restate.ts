// An engine's `usage` with other figures in it: where that of one choice stands for all of them. What else stands there stays.
import { parsed, readUsage, type Tokens } from "./answer.ts";
import { members } from "./items.ts";
import { concat, splice } from "./splice.ts";

const text = new TextEncoder();

/** @param usage JSON. @returns undefined where it says so already, or says nothing. */
export function restated(usage: Uint8Array, { prompt, completion }: Tokens): Uint8Array | undefined {
  const own = readUsage(parsed(usage));
  if (own === null || (own.prompt === prompt && own.completion === completion)) return undefined;
  const figures: Readonly<Record<string, number>> = {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
  };
  const parts = splice(usage, members(usage), ({ key }) => {
    return Object.hasOwn(figures, key) ? text.encode(String(figures[key])) : undefined;
  });
  return concat(parts);
}
