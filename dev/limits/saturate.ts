// Clients that take all they can get of one key, in real time: each asks, waits exactly as long as it is told, and asks the
// same again.
import { setTimeout as sleep } from "node:timers/promises";
import type { Denial } from "./replay.ts";

export type Load = "tokens" | "requests";

export interface Saturated {
  readonly denials: Denial[];
  /** Answers that were neither one of the engine nor a denial, by what they said. */
  readonly others: Map<string, number>;
  /** Denied again after the wait that was told, although nobody else used the key. */
  broken: number;
  /** ms; when the last request was sent. */
  until: number;
}

interface Options {
  readonly url: string;
  readonly key: string;
  readonly load: Load;
  /** Asked for by one request, where tokens are to run out. */
  readonly maxTokens: number;
  readonly clients: number;
  readonly ms: number;
}

export async function saturate(options: Options): Promise<Saturated> {
  const seen: Saturated = { denials: [], others: new Map(), broken: 0, until: 0 };
  const end = Date.now() + options.ms;
  await Promise.all(Array.from({ length: options.clients }, () => loop(options, seen, end)));
  await waitUntil(end);
  if (options.load === "tokens") await takeTheRest(options, seen);
  else seen.until = Math.max(seen.until, end);
  return seen;
}

async function loop(options: Options, seen: Saturated, end: number): Promise<void> {
  let hasWaited = false;
  for (;;) {
    const asked = await ask(options, options.maxTokens).catch((error: Error) => {
      count(seen.others, `broken: ${(error.cause as Error | undefined)?.message ?? error.message}`);
      return null;
    });
    if (asked === null) {
      // It may have been let in: the next denial is its doing.
      hasWaited = false;
      continue;
    }
    const { answer, from, to } = asked;
    if (from > end) return;
    seen.until = Math.max(seen.until, from);
    if (answer.status === 429) {
      if (hasWaited && options.clients === 1) seen.broken += 1;
      const retryAfterMs = await noteDenial(answer, from, to, seen);
      if (retryAfterMs === null || to + retryAfterMs > end) return;
      await waitUntil(to + retryAfterMs);
      hasWaited = true;
      continue;
    }
    hasWaited = false;
    if (answer.status !== 200) await noteOther(answer, seen);
    else await answer.arrayBuffer();
    if (to > end) return;
  }
}

/** What is left is less than one request of the usual size: one of just that size. */
async function takeTheRest(options: Options, seen: Saturated): Promise<void> {
  // What is reserved for the prompt, as a denial tells it.
  let prompt = 0;
  for (let tries = 5; tries > 0; tries -= 1) {
    const usage = await fetch(`${options.url}/v1/usage`, { headers: headersOf(options.key) }).catch(() => null);
    if (usage === null) continue;
    const { limits } = (await usage.json()) as { limits: { tokens_per_minute: { remaining: number } } };
    const rest = limits.tokens_per_minute.remaining - prompt;
    if (rest < 1) return;
    const asked = await ask(options, rest).catch(() => null);
    if (asked === null) continue;
    const { answer, from, to } = asked;
    seen.until = Math.max(seen.until, from);
    if (answer.status !== 429) {
      await answer.arrayBuffer();
      return;
    }
    await noteDenial(answer, from, to, seen);
    prompt = (seen.denials.at(-1)?.requested ?? rest) - rest;
  }
}

async function ask({ url, key, load }: Options, maxTokens: number) {
  const [path, body] =
    load === "tokens"
      ? [
          "/v1/chat/completions",
          { model: "heartcode-default", max_tokens: maxTokens, messages: [{ role: "user", content: "Go on." }] },
        ]
      : ["/v1/embeddings", { model: "heartcode-embed", input: "hi" }];
  const from = Date.now();
  const init = { method: "POST", headers: headersOf(key), body: JSON.stringify(body) };
  const streamed = await fetch(`${url}${path}`, init);
  const to = Date.now();
  // Whole: where its hub is lost in the middle of a plain answer, that breaks here.
  const answer = new Response(await streamed.arrayBuffer(), { status: streamed.status, headers: streamed.headers });
  return { answer, from, to };
}

function headersOf(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}`, "content-type": "application/json" };
}

/** @returns how long to wait; null: a denial that no wait helps against. */
async function noteDenial(answer: Response, from: number, to: number, seen: Saturated): Promise<number | null> {
  const { error } = (await answer.json()) as { error: { code: string; type: string; message: string } };
  const retryAfterMs = answer.headers.get("retry-after-ms");
  if (error.code !== "rate_limit_exceeded" || retryAfterMs === null) {
    count(seen.others, `429 ${error.code}`);
    return null;
  }
  const requested = error.type === "tokens" ? Number(/Requested (\d+)/.exec(error.message)?.[1]) : null;
  seen.denials.push({ from, to, requested, retryAfterMs: Number(retryAfterMs) });
  return Number(retryAfterMs);
}

async function noteOther(answer: Response, seen: Saturated): Promise<void> {
  const { error } = (await answer.json()) as { error: { code: string } };
  count(seen.others, `${answer.status} ${error.code}`);
  await sleep(Number(answer.headers.get("retry-after-ms") ?? 0));
}

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

/** A timer may be early by the part of a ms that clocks are rounded by. */
async function waitUntil(then: number): Promise<void> {
  for (let left = then - Date.now(); left > 0; left = then - Date.now()) await sleep(left);
}
