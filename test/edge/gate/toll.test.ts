import { describe, expect, test } from "vitest";
import type { Lease } from "../../../edge/gate/lease.ts";
import { DEFAULT_TIERS } from "../../../edge/gate/tiers.ts";
import { demandOf, usedBy } from "../../../edge/gate/toll.ts";
import type { End } from "../../../shared/wire/messages.ts";

const LEASE = { tokens: 100, prompt: 30 } as Lease;
const PROMPT = { high: 40, likely: 25, low: 10 };
const usage = (prompt_tokens: number, completion_tokens: number, source: "engine" | "counted") => ({
  prompt_tokens,
  completion_tokens,
  source,
});

describe("what an ended exchange costs", () => {
  const rows: [what: string, usage: End["usage"], outcome: End["outcome"], cost: number][] = [
    ["what its engine says", usage(7, 20, "engine"), "complete", 27],
    ["what its engine says, though it is nothing", usage(0, 0, "engine"), "complete", 0],
    ["the estimated prompt and what was counted, where it was cut short", usage(0, 20, "counted"), "cancelled", 45],
    ["the prompt that the engine told, and what was counted", usage(7, 20, "counted"), "cancelled", 27],
    ["nothing, where nothing was generated", null, "cancelled", 0],
    ["nothing, where it failed", null, "failed", 0],
    ["what was reserved, where it is whole and nobody says", null, "complete", 100],
  ];
  test.each(rows)("is %s", (_what, said, outcome, cost) => {
    expect(usedBy({ usage: said, outcome }, LEASE, PROMPT)).toBe(cost);
  });
});

describe("what a request reserves", () => {
  const estimate = { high: 20, likely: 15, low: 10 };
  const { premium } = DEFAULT_TIERS;
  const demand = { promptBytes: 60, generates: true, maxTokens: 50, choices: 1 };

  test("is its prompt and what it asks for, times its choices", () => {
    expect(demandOf(demand, premium, estimate)).toMatchObject({ tokens: 70, maxTokens: undefined, refusal: null });
    expect(demandOf({ ...demand, choices: 3 }, premium, estimate).tokens).toBe(170);
  });

  test("is the tier's default where it asks for nothing, and that is sent to the engine", () => {
    const toll = demandOf({ ...demand, maxTokens: null }, premium, estimate);
    expect([toll.tokens, toll.maxTokens]).toEqual([20 + premium.defaultMaxTokens, premium.defaultMaxTokens]);
  });

  test("is its prompt alone where nothing is generated", () => {
    expect(demandOf({ ...demand, generates: false }, premium, estimate).tokens).toBe(20);
  });

  test("is refused by the name of its member where the tier allows less", () => {
    const { refusal } = demandOf({ ...demand, maxTokens: premium.maxTokens + 1 }, premium, estimate);
    expect(refusal).toMatchObject({ code: "invalid_request", param: "max_tokens" });
  });
});
