// The bytes of llama.cpp's answers: chunks, whole answers, usage and timings, member for member in its order. Pure.

export const FINGERPRINT = "b11669-Debian";
export const DONE = "data: [DONE]\n\n";

/** What all objects of one answer share. */
export interface Stamp {
  readonly id: string;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly model: string;
}

export interface Usage {
  readonly completion_tokens: number;
  readonly prompt_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

export function usageOf(promptTokens: number, completionTokens: number): Usage {
  return {
    completion_tokens: completionTokens,
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: 0 },
  };
}

export type Timings = Readonly<Record<(typeof TIMING_NAMES)[number], number>>;
const TIMING_NAMES = [
  "cache_n",
  "prompt_n",
  "prompt_ms",
  "prompt_per_token_ms",
  "prompt_per_second",
  "predicted_n",
  "predicted_ms",
  "predicted_per_token_ms",
  "predicted_per_second",
] as const;

/** The engine's own clock has microseconds, and a measured time is never zero: a rate would be infinite. */
export function timingsOf(promptN: number, promptMs: number, predictedN: number, predictedMs: number): Timings {
  const prompt = Math.max(0.001, Math.round(promptMs * 1000) / 1000);
  const predicted = Math.max(0.001, Math.round(predictedMs * 1000) / 1000);
  // The first token belongs to the prompt, so n tokens are n - 1 steps.
  const steps = Math.max(1, predictedN - 1);
  return {
    cache_n: 0,
    prompt_n: promptN,
    prompt_ms: prompt,
    prompt_per_token_ms: prompt / promptN,
    prompt_per_second: (1000 / prompt) * promptN,
    predicted_n: predictedN,
    predicted_ms: predicted,
    predicted_per_token_ms: predicted / steps,
    predicted_per_second: (1000 / predicted) * steps,
  };
}

/** An event that carries a token is `before`, the token as a JSON string, `after`. */
export interface Frame {
  readonly before: string;
  readonly after: string;
}

function chatTail({ created, id, model }: Stamp): string {
  const rest = { created, id, model, system_fingerprint: FINGERPRINT, object: "chat.completion.chunk" };
  return JSON.stringify(rest).slice(1, -1);
}

export function chatFrame(stamp: Stamp, index: number): Frame {
  return {
    before: `data: {"choices":[{"finish_reason":null,"index":${index},"delta":{"content":`,
    after: `}}],${chatTail(stamp)}}\n\n`,
  };
}

/** The first event of a chat, once even where there are several choices. */
export function roleChunk(stamp: Stamp, index: number): string {
  const delta = `{"role":"assistant","content":null}`;
  return `data: {"choices":[{"finish_reason":null,"index":${index},"delta":${delta}}],${chatTail(stamp)}}\n\n`;
}

/** @param timings given where no chunk with usage follows. */
export function chatLast(stamp: Stamp, index: number, finish: string, timings: Timings | null): string {
  const more = timings === null ? "" : `,"timings":${JSON.stringify(timings)}`;
  return `data: {"choices":[{"finish_reason":"${finish}","index":${index},"delta":{}}],${chatTail(stamp)}${more}}\n\n`;
}

export function usageChunk(stamp: Stamp, usage: Usage, timings: Timings): string {
  return `data: {"choices":[],${chatTail(stamp)},"usage":${JSON.stringify(usage)},"timings":${JSON.stringify(timings)}}\n\n`;
}

function textHead({ created, model }: Stamp): string {
  return JSON.stringify({ created, model, system_fingerprint: FINGERPRINT, object: "text_completion" }).slice(1, -1);
}

export function textFrame(stamp: Stamp, index: number): Frame {
  return {
    before: `data: {"choices":[{"text":`,
    after: `,"index":${index},"logprobs":null,"finish_reason":null}],${textHead(stamp)},"id":${JSON.stringify(stamp.id)}}\n\n`,
  };
}

/** The last event of a completion has usage whether it was asked for or not. */
export function textLast(stamp: Stamp, index: number, finish: string, usage: Usage, timings: Timings): string {
  return (
    `data: {"choices":[{"text":"","index":${index},"logprobs":null,"finish_reason":"${finish}"}],${textHead(stamp)},` +
    `"usage":${JSON.stringify(usage)},"id":${JSON.stringify(stamp.id)},"timings":${JSON.stringify(timings)}}\n\n`
  );
}

export interface Said {
  readonly index: number;
  readonly text: string;
  readonly finish: string;
}

export function chatAnswer(stamp: Stamp, said: readonly Said[], usage: Usage, timings: Timings): string {
  return JSON.stringify({
    choices: said.map(({ index, text, finish }) => ({
      finish_reason: finish,
      index,
      message: { role: "assistant", content: text },
    })),
    created: stamp.created,
    model: stamp.model,
    system_fingerprint: FINGERPRINT,
    object: "chat.completion",
    usage,
    id: stamp.id,
    timings,
  });
}

export function textAnswer(stamp: Stamp, said: readonly Said[], usage: Usage, timings: Timings): string {
  return JSON.stringify({
    choices: said.map(({ index, text, finish }) => ({ text, index, logprobs: null, finish_reason: finish })),
    created: stamp.created,
    model: stamp.model,
    system_fingerprint: FINGERPRINT,
    object: "text_completion",
    usage,
    id: stamp.id,
    timings,
  });
}

export function errorEvent(message: string): string {
  return `data: ${JSON.stringify({ error: { code: 500, message, type: "server_error" } })}\n\n`;
}
