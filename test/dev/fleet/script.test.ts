import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { answerText, answerTokens, countTokens, seedOf, tokensFrom, VOCABULARY } from "../../../dev/fleet/script.ts";

describe("the script", () => {
  test("says these words to this prompt for ever", () => {
    const said = ["\u{1f469}\u200d\u{1f680}", "\u0003", "\u2028", ".", " night", " lanterns"];
    expect(answerTokens("user: hi", 6)).toEqual(said);
  });

  test("goes on from any shorter answer", () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(200), fc.nat(200), (prompt, a, b) => {
        const [short, long] = [Math.min(a, b), Math.max(a, b)];
        expect(answerTokens(prompt, long).slice(0, short)).toEqual(answerTokens(prompt, short));
      }),
    );
  });

  test("differs by prompt, by seed and by choice", () => {
    const texts = [
      answerText("one", 20),
      answerText("two", 20),
      answerText("one", 20, { seed: 1 }),
      answerText("one", 20, { seed: 0 }),
      answerText("one", 20, { index: 1 }),
      answerText("one", 20, { index: 2, seed: 1 }),
    ];
    expect(new Set(texts).size).toBe(texts.length);
  });

  test("uses its whole vocabulary", () => {
    expect(new Set(tokensFrom(seedOf("anything"), 2_000)).size).toBe(VOCABULARY.length);
  });

  test("has halves of characters, characters of several bytes, and nothing that ends a stream", () => {
    expect(VOCABULARY).toContain("\ufffd");
    expect(VOCABULARY.some((word) => Buffer.byteLength(word) > word.length)).toBe(true);
    expect(VOCABULARY.filter((word) => word.includes("[DONE]") || word === "" || !word.isWellFormed())).toEqual([]);
  });

  test.each([
    ["", 1],
    ["a", 1],
    ["abcd", 1],
    ["abcde", 2],
    ["x".repeat(400), 100],
  ])("counts %j as %i tokens", (text, count) => expect(countTokens(text)).toBe(count));
});
