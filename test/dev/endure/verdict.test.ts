// What an enduring run calls a violation: a verdict that accepts everything would prove nothing.
import { describe, expect, test } from "vitest";
import { type Account, type Asked, billOf } from "../../../dev/endure/verdict.ts";

const asked = (id: string | null, more: Partial<Asked> = {}): Asked => ({
  ...{ what: "chat", key: "k", kind: "whole", detail: "", tokens: 10, startedAt: 0, endedAt: 1 },
  id,
  ...more,
});
const row = (request_id: string | null, more = {}) => ({
  ...{ request_id, prompt_tokens: 3, completion_tokens: 7, outcome: "complete" },
  ...more,
});
const account = (more: Partial<Account>): Account => ({
  ...{ asked: [asked("a")], rows: [row("a")], chargedBy: new Map([["k", 10]]), leaving: new Set<string>() },
  written: () => [10],
  ...more,
});

describe("a bill", () => {
  test("of one answer that one engine gave and one charge is right", () => {
    expect(billOf(account({}))).toMatchObject({ owed: 10, counted: 10, ranAgain: 0, violations: [] });
  });

  test("counts once what two engines ran", () => {
    const rows = [row("a"), row("a", { completion_tokens: 2, outcome: "cancelled" })];
    expect(billOf(account({ rows }))).toMatchObject({ owed: 10, counted: 15, ranAgain: 1, violations: [] });
  });

  const wrong: [what: string, more: Partial<Account>, said: RegExp][] = [
    ["a double charge", { chargedBy: new Map([["k", 20]]) }, /10 tokens more/],
    ["a missing charge", { chargedBy: new Map([["k", 0]]) }, /10 tokens less/],
    [
      "a charge of a key that got nothing",
      {
        chargedBy: new Map([
          ["k", 10],
          ["other", 1],
        ]),
      },
      /other was charged 1/,
    ],
    ["a cost that is written otherwise", { written: () => [10, 9] }, /cost 10, then 9; its answer is 10/],
    ["a cost that is not written", { written: () => [] }, /cost nothing; its answer is 10/],
    ["an answer that no engine gave", { rows: [] }, /engines counted 0 of 10/],
    ["an answer that no engine ended", { rows: [row("a", { outcome: "cancelled" })] }, /engines counted 0 of 10/],
    ["a run that nobody asked for", { rows: [row("a"), row("b")] }, /engines ran 1 exchanges of 0/],
    ["an id that two requests got", { asked: [asked("a"), asked("a", { kind: "refused" })] }, /two requests/],
    [
      "a client that left and paid for more than was generated",
      { asked: [asked("a", { kind: "left" })], leaving: new Set(["k"]), chargedBy: new Map([["k", 11]]) },
      /1 tokens too much/,
    ],
  ];
  test.each(wrong)("tells %s", (_, more, said) => {
    expect(billOf(account(more)).violations).toEqual([expect.stringMatching(said)]);
  });

  test("leaves to the engine's pace what a client pays that left, also one that never learned its id", () => {
    const bill = billOf(
      account({
        asked: [asked("a", { kind: "left" }), asked(null, { kind: "left" })],
        rows: [row("a", { completion_tokens: 1, outcome: "cancelled" }), row("b")],
        chargedBy: new Map([["k", 6]]),
        leaving: new Set(["k"]),
      }),
    );
    expect(bill).toMatchObject({ owed: 0, left: { charged: 6, counted: 14 }, violations: [] });
  });
});
