// What the clients ask, and how big an answer must be to be right.
import { Connection, requestBytes } from "./connection.ts";
import { pause } from "./pause.ts";
import type { Target } from "./road.ts";

/** A question with the model left open: each road has its own name for it. */
export interface Question {
  readonly path: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function smallChat(): Question {
  return { path: "/v1/chat/completions", fields: { max_tokens: 16, messages: MESSAGES } };
}

export function stream(tokens: number): Question {
  return { path: "/v1/chat/completions", fields: { stream: true, max_tokens: tokens, messages: MESSAGES } };
}

/** @param inputChars the length of each input; the inputs differ, as texts do. */
export function embeddings(inputs: number, inputChars: number): Question {
  const input = Array.from({ length: inputs }, (_, index) => `text ${index} `.padEnd(inputChars, "lorem ipsum "));
  return { path: "/v1/embeddings", fields: { input } };
}

const MESSAGES = [{ role: "user", content: "Say something short." }];

export function bodyOf(question: Question, target: Target): string {
  return JSON.stringify({ model: target.model, ...question.fields });
}

export function bytesOf(question: Question, target: Target): Buffer {
  const { authorization } = target;
  return requestBytes({ method: "POST", path: question.path, authorization, body: bodyOf(question, target) });
}

/** The bounds of a right answer. */
export interface Size {
  readonly min: number;
  readonly max: number;
}

/** Ids, times and rates in a small answer are longer or shorter by a tenth; an error is much shorter. */
export function aroundSize(bytes: number): Size {
  const slack = Math.min(bytes / 4, 4_096);
  return { min: bytes - slack, max: bytes + slack };
}

const ASK_MS = 15_000;

/** Asks once. @throws Error unless the answer is a 200. */
export async function ask(question: Question, target: Target): Promise<string> {
  const connection = new Connection(target.port);
  const late = setTimeout(() => connection.destroy(), ASK_MS);
  const pieces: Buffer[] = [];
  try {
    const status = await connection.ask(bytesOf(question, target), (piece) => pieces.push(Buffer.from(piece)));
    const text = Buffer.concat(pieces).toString("utf8");
    if (status !== 200) throw new Error(`${question.path} answers ${status}: ${text.slice(0, 300)}`);
    return text;
  } finally {
    clearTimeout(late);
    connection.destroy();
  }
}

/** Asks until it works: a road may be up a moment before what it leads to. */
export async function askUntil(
  question: Question,
  target: Target,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<string> {
  const until = performance.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    try {
      return await ask(question, target);
    } catch (error) {
      if (performance.now() > until) throw error;
    }
    await pause(100, signal);
  }
}
