import { describe, expect, test } from "vitest";
import { type Choice, promptTokens, readInput, readPlan } from "../../../dev/fleet/plan.ts";

const limits = { context: 100, slots: 4 };
const messages = [{ role: "user", content: "hello" }];

function choicesOf(dialect: "chat" | "completions", body: unknown): Pick<Choice, "index" | "count" | "finish">[] {
  const plan = readPlan(dialect, body, limits);
  if ("refusal" in plan) throw new Error(plan.refusal.body);
  return plan.choices.map(({ index, count, finish }) => ({ index, count, finish }));
}

describe("how many tokens of how many choices", () => {
  test.each([
    ["no limit", { messages }, [[0, 16, "stop"]]],
    ["max_tokens", { messages, max_tokens: 3 }, [[0, 3, "length"]]],
    [
      "max_completion_tokens over max_tokens",
      { messages, max_completion_tokens: 2, max_tokens: 9 },
      [[0, 2, "length"]],
    ],
    ["null as if not given", { messages, max_tokens: null, n: null, seed: null }, [[0, 16, "stop"]]],
    ["none at all", { messages, max_tokens: 0 }, [[0, 0, "length"]]],
    ["more than fits into the context", { messages, max_tokens: 5_000 }, [[0, 97, "length"]]],
    ["until the context is full", { messages, max_tokens: -1 }, [[0, 97, "length"]]],
    [
      "n",
      { messages, max_tokens: 3, n: 2 },
      [
        [0, 3, "length"],
        [1, 3, "length"],
      ],
    ],
  ])("chat: %s", (_name, body, expected) => {
    const given = choicesOf("chat", body).map(({ index, count, finish }) => [index, count, finish]);
    expect(given).toEqual(expected);
  });

  test.each([
    ["a string", "hello", 1],
    ["a list of strings", ["hello", "you"], 2],
    ["token ids", [1, 2, 3], 1],
    ["lists of token ids", [[1, 2], [3]], 2],
    ["a list of both", ["hello", [3]], 2],
  ])("completions: %s", (_name, prompt, prompts) => {
    expect(choicesOf("completions", { prompt, max_tokens: 1 })).toHaveLength(prompts);
  });
});

describe("what is refused", () => {
  test.each([
    ["chat", {}, 400, "'messages' is required"],
    ["chat", { messages: "hello" }, 400, "messages: "],
    ["chat", { messages, stream: "yes" }, 400, "stream: "],
    ["chat", { messages, n: 5 }, 400, "n_cmpl cannot be greater than the number of slots"],
    [
      "chat",
      { messages: [{ role: "user", content: "x".repeat(400) }] },
      400,
      "exceeds the available context size (100 tokens)",
    ],
    ["completions", { prompt: "x".repeat(400) }, 400, "request (100 tokens) exceeds"],
    ["completions", { prompt: [] }, 400, "must not be empty"],
    ["completions", {}, 400, "'prompt' is required"],
  ] as const)("%s %j", (dialect, body, status, text) => {
    const plan = readPlan(dialect, body, limits);
    expect(plan).toMatchObject({ refusal: { status, body: expect.stringContaining(text) } });
  });

  test.each([
    [{}, "must be provided"],
    [{ input: "" }, "Input content cannot be empty"],
    [{ input: ["a", ""] }, "Input content cannot be empty"],
    [{ input: [] }, "must not be empty"],
    [{ input: { a: 1 } }, "input: "],
    [{ input: "a", encoding_format: "hex" }, "float or base64"],
    [{ input: "x".repeat(400) }, "exceeds the available context size"],
  ])("embeddings %j", (body, text) => {
    expect(readInput(body, limits)).toMatchObject({ refusal: { status: 400, body: expect.stringContaining(text) } });
  });
});

test.each([
  [{ messages: [{ role: "user", content: "hello" }] }, 3],
  [{ messages: [{ role: "user", content: [{ type: "text", text: "hello" }, { type: "image_url" }] }] }, 3],
  [{ messages: [{ role: "assistant", content: null }] }, 3],
  [{ messages, n: 3 }, 3],
  [{ prompt: "hello" }, 2],
  [{ prompt: ["hello", [1, 2, 3]] }, 5],
  [{ input: ["hello", "you"] }, 3],
  [{ input: [1, 2, 3] }, 3],
  [{}, null],
])("the prompt of %j counts %j tokens", (body, count) => expect(promptTokens(body)).toBe(count));
