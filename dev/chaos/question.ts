// A request and the only right answer to it, both from chance. Pure.
import { digestOf } from "../backend/keys.ts";
import { choiceText, type Plan, readInput, readPlan } from "../fleet/plan.ts";
import { Vectors } from "../fleet/vectors.ts";
import type { Random } from "./random.ts";

export interface Question {
  readonly path: string;
  readonly key: string;
  readonly body: string;
  readonly stream: boolean;
  /** Leaves after so many bytes of the answer; null: stays to the end. */
  readonly leaveAfterBytes: number | null;
  /** What the engine must have said. */
  readonly text: string;
  /** What it must count for that, in tokens. */
  readonly cost: { readonly prompt: number; readonly completion: number };
  /** More than is ever reserved for it. */
  readonly most: number;
}

/** Two on each of two shards: the demo keys would all be on one. */
export const CHAOS_KEYS = [
  { api_key: "hc-sk-chaos-free", tier: "free" },
  { api_key: "hc-sk-chaos-premium-2", tier: "premium" },
  { api_key: "hc-sk-chaos-adult", tier: "premium", age_verified: true },
  { api_key: "hc-sk-chaos-admin", tier: "admin", age_verified: true },
];
/** Each hub has the keys whose digests say so. */
export const SHARDS = 2;
export const shardOf = (key: string): number => Number.parseInt(digestOf(key).slice(0, 8), 16) % SHARDS;
export const KEYS = CHAOS_KEYS.map((key) => key.api_key);
const MODELS = ["heartcode-default", "heartcode-sfw"];
const DIMENSIONS = 32;
const vectors = new Vectors(DIMENSIONS);

export const FLEET_DIMENSIONS = String(DIMENSIONS);
const LIMITLESS = { context: Number.MAX_SAFE_INTEGER, slots: Number.MAX_SAFE_INTEGER };
/** What the gate reserves beside the bytes of a prompt, at most. */
const TEMPLATE_TOKENS = 16;

/** A share of clients goes before the end. */
const LEAVING = 0.08;

export function draw(random: Random): Question {
  const key = random.pick(KEYS);
  const prompt = `${random.int(0, 1_000_000)} ${"word ".repeat(random.int(0, 40))}`;
  const roll = random.next();
  if (roll < 0.15) return embedding(random, key, prompt);
  const path = roll < 0.25 ? "/v1/completions" : "/v1/chat/completions";
  const stream = random.next() < 0.7;
  const count = stream ? random.int(10, 300) : random.int(1, 120);
  const input = path.includes("chat") ? { messages: [{ role: "user", content: prompt }] } : { prompt };
  const body = { model: random.pick(MODELS), stream, max_tokens: count, ...input };
  const leaveAfterBytes = random.next() < LEAVING ? random.int(0, 4_000) : null;
  return { ...questionOf(path, key, body), leaveAfterBytes };
}

/** A chat or completion, with what the engine must say to it. */
export function questionOf(path: string, key: string, body: { readonly stream: boolean }): Question {
  const plan = planOf(path, body);
  const completion = plan.choices.reduce((sum, choice) => sum + choice.count, 0);
  const text = JSON.stringify(body);
  return {
    path,
    key,
    body: text,
    stream: body.stream,
    leaveAfterBytes: null,
    text: plan.choices.map(choiceText).join(""),
    cost: { prompt: plan.promptTokens, completion },
    most: text.length + TEMPLATE_TOKENS + completion,
  };
}

function planOf(path: string, body: object): Plan {
  const plan = readPlan(path.includes("chat") ? "chat" : "completions", body, LIMITLESS);
  if ("refusal" in plan) throw new Error(`no engine answers ${JSON.stringify(body)}`);
  return plan;
}

function embedding(random: Random, key: string, prompt: string): Question {
  const input = Array.from({ length: random.int(1, 200) }, (_, i) => `${prompt}${i}`);
  return embeddingOf(key, input);
}

export function embeddingOf(key: string, input: readonly string[]): Question {
  const body = { model: "heartcode-embed", input };
  const plan = readInput(body, LIMITLESS);
  if ("refusal" in plan) throw new Error(`no engine embeds ${JSON.stringify(input)}`);
  const text = JSON.stringify(body);
  return {
    path: "/v1/embeddings",
    key,
    body: text,
    stream: false,
    leaveAfterBytes: null,
    text: input.map(vectorOf).join("\n"),
    cost: { prompt: plan.promptTokens, completion: 0 },
    most: text.length + TEMPLATE_TOKENS,
  };
}

/** The embedding of a text, as JSON. */
export function vectorOf(text: string): string {
  return `[${vectors.json(text)}]`;
}
