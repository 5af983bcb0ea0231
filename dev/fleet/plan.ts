// From the body of a request to what the engine will do: which choices, how many tokens of each, and what it refuses.
// A test reads the same plan to know what must come. Pure.
import { z } from "zod";
import { complaint } from "../complaint.ts";
import { contextExceeded, invalid, notJson, type Refusal } from "./refusals.ts";
import { countTokens, seedOf, tokensFrom } from "./script.ts";

/** Generated where the request names no limit. The real engine would go on until its context is full. */
export const DEFAULT_MAX_TOKENS = 16;

export type Dialect = "chat" | "completions";

export interface Choice {
  readonly index: number;
  readonly promptTokens: number;
  /** Where its text begins, see script.ts. */
  readonly seed: number;
  readonly count: number;
  readonly finish: "stop" | "length";
}

export interface Plan {
  readonly model: string | undefined;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly choices: readonly Choice[];
  /** Of all prompts together; `n` choices of one prompt read it once. */
  readonly promptTokens: number;
}

export interface Limits {
  readonly context: number;
  readonly slots: number;
}

export type Refused = { readonly refusal: Refusal };

const tokens = z.array(z.int());
const part = z.looseObject({ text: z.string().optional() });
const message = z.looseObject({
  role: z.string().optional(),
  content: z.union([z.string(), z.array(part)]).nullish(),
});
const settings = {
  model: z.string().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  n: z.int().min(1).nullish(),
  seed: z.int().nullish(),
  max_tokens: z.int().nullish(),
  max_completion_tokens: z.int().nullish(),
};
const ChatBody = z.looseObject({ ...settings, messages: z.array(message) });
const CompletionsBody = z.looseObject({
  ...settings,
  prompt: z.union([z.string(), tokens, z.array(z.union([z.string(), tokens]))]),
});
type Settings = z.infer<z.ZodObject<typeof settings>>;

/** A prompt as text, and how many tokens it counts. Token ids have no text here, so their digits stand for it. */
interface Prompt {
  readonly text: string;
  readonly tokens: number;
}

export function promptOf(item: string | readonly number[]): Prompt {
  if (typeof item === "string") return { text: item, tokens: countTokens(item) };
  return { text: item.join(" "), tokens: item.length };
}

/** A single prompt or a list of them. A flat list of numbers is one prompt. */
export function promptsOf(input: string | readonly (string | number | readonly number[])[]): Prompt[] {
  if (typeof input === "string") return [promptOf(input)];
  const numbers = input.filter((item) => typeof item === "number");
  if (numbers.length > 0) return [promptOf(numbers)];
  return input.filter((item) => typeof item !== "number").map(promptOf);
}

/** The messages as the one text that is hashed and counted: `role: text`, a line each. Pictures weigh nothing. */
export function chatPrompt(messages: z.infer<typeof ChatBody>["messages"]): string {
  return messages.map(({ role, content }) => `${role ?? "user"}: ${textOf(content)}`).join("\n");
}

function textOf(content: z.infer<typeof message>["content"]): string {
  if (content === null || content === undefined) return "";
  if (typeof content === "string") return content;
  return content.map((piece) => piece.text ?? "").join("");
}

export function readPlan(dialect: Dialect, body: unknown, limits: Limits): Plan | Refused {
  if (dialect === "chat") {
    if (!has(body, "messages")) return refused(invalid("'messages' is required"));
    const parsed = ChatBody.safeParse(body);
    if (!parsed.success) return refused(invalid(complaint(parsed.error)));
    return plan(parsed.data, [promptOf(chatPrompt(parsed.data.messages))], limits);
  }
  if (!has(body, "prompt")) return refused(invalid("'prompt' is required"));
  const parsed = CompletionsBody.safeParse(body);
  if (!parsed.success) return refused(invalid(complaint(parsed.error)));
  return plan(parsed.data, promptsOf(parsed.data.prompt), limits);
}

function plan(given: Settings, prompts: readonly Prompt[], { context, slots }: Limits): Plan | Refused {
  const n = given.n ?? 1;
  if (n > slots) return refused(invalid("n_cmpl cannot be greater than the number of slots, please increase -np"));
  if (prompts.length === 0) return refused(invalid('"prompt" must not be empty'));
  const limit = given.max_completion_tokens ?? given.max_tokens;
  const choices: Choice[] = [];
  for (const prompt of prompts) {
    if (prompt.tokens >= context) return refused(contextExceeded(prompt.tokens, context));
    const room = context - prompt.tokens;
    // A negative limit is llama.cpp's "until the context is full".
    const wanted = limit === null || limit === undefined ? DEFAULT_MAX_TOKENS : limit < 0 ? room : limit;
    const finish = (limit === null || limit === undefined) && wanted <= room ? "stop" : "length";
    for (let i = 0; i < n; i++) {
      const seed = seedOf(prompt.text, given.seed ?? undefined, i);
      const count = Math.min(wanted, room);
      choices.push({ index: choices.length, promptTokens: prompt.tokens, seed, count, finish });
    }
  }
  return {
    model: given.model ?? undefined,
    stream: given.stream === true,
    includeUsage: given.stream_options?.include_usage === true,
    choices,
    promptTokens: prompts.reduce((sum, prompt) => sum + prompt.tokens, 0),
  };
}

/** Everything that a choice will say. */
export function choiceText(choice: Choice): string {
  return tokensFrom(choice.seed, choice.count).join("");
}

/** What the engine counts for the prompt of a body, whichever endpoint it is for. Null: it would refuse it. */
export function promptTokens(body: unknown): number | null {
  const limits = { context: Number.MAX_SAFE_INTEGER, slots: Number.MAX_SAFE_INTEGER };
  if (has(body, "input")) {
    const input = readInput(body, limits);
    return "refusal" in input ? null : input.promptTokens;
  }
  const read = readPlan(has(body, "messages") ? "chat" : "completions", body, limits);
  return "refusal" in read ? null : read.promptTokens;
}

export interface InputPlan {
  readonly model: string | undefined;
  readonly base64: boolean;
  /** The texts, one for each vector. */
  readonly inputs: readonly string[];
  readonly promptTokens: number;
}

const InputBody = z.looseObject({
  model: z.string().nullish(),
  input: z.union([z.string(), tokens, z.array(z.union([z.string(), tokens]))]),
  encoding_format: z.string().nullish(),
});

export function readInput(body: unknown, { context }: Pick<Limits, "context">): InputPlan | Refused {
  if (!has(body, "input")) return refused(invalid('"input" or "content" must be provided'));
  const parsed = InputBody.safeParse(body);
  if (!parsed.success) return refused(invalid(complaint(parsed.error)));
  const { model, input, encoding_format: format } = parsed.data;
  if (format !== undefined && format !== null && format !== "float" && format !== "base64") {
    return refused(invalid("The format to return the embeddings in. Can be either float or base64"));
  }
  const prompts = promptsOf(input);
  if (prompts.length === 0) return refused(invalid('"prompt" must not be empty'));
  if (prompts.some((prompt) => prompt.text === "")) return refused(invalid("Input content cannot be empty"));
  const long = prompts.find((prompt) => prompt.tokens >= context);
  if (long !== undefined) return refused(contextExceeded(long.tokens, context));
  return {
    model: model ?? undefined,
    base64: format === "base64",
    inputs: prompts.map((prompt) => prompt.text),
    promptTokens: prompts.reduce((sum, prompt) => sum + prompt.tokens, 0),
  };
}

export function parseBody(text: string): { readonly value: unknown } | Refused {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    return refused(notJson(text, error instanceof Error ? error.message : ""));
  }
}

function has(body: unknown, name: string): boolean {
  return typeof body === "object" && body !== null && Object.hasOwn(body, name);
}

function refused(refusal: Refusal): Refused {
  return { refusal };
}
