import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ChoiceSizes } from "../../../connector/dialect/choices.ts";
import { rewritePlain } from "../../../connector/dialect/plain.ts";

const text = new TextEncoder();
const choice = (content: string, index: number) => ({
  finish_reason: "length",
  index,
  message: { role: "assistant", content },
});
const answer = (contents: readonly string[], completion: number, more: object = {}) =>
  text.encode(
    JSON.stringify({
      choices: contents.map(choice),
      model: "m",
      usage: { completion_tokens: completion, prompt_tokens: 9, total_tokens: 9 + completion },
      ...more,
    }),
  );
const TIMINGS = { timings: { prompt_n: 9, predicted_n: 10 } };

function usageOf(bytes: Uint8Array, pieces = 1) {
  const rewriter = rewritePlain({ model: "public", scrub: (said) => said });
  const step = Math.ceil(bytes.length / pieces);
  for (let at = 0; at < bytes.length; at += step) rewriter.push(bytes.subarray(at, at + step));
  expect(rewriter.finish().outcome).toBe("complete");
  return rewriter.usage();
}

describe("several choices of a plain answer", () => {
  const said = ["a sentence of so many words", "a sentence of so many words", "half a sentence"];

  test("cost what llama.cpp says of the first, and the others by their length", () => {
    const usage = usageOf(answer(said, 10, TIMINGS));
    expect(usage).toMatchObject({ prompt_tokens: 9, source: "counted" });
    expect(usage?.completion_tokens).toBeGreaterThanOrEqual(24);
    expect(usage?.completion_tokens).toBeLessThanOrEqual(28);
    expect(usageOf(answer(said, 10, TIMINGS), 50)).toEqual(usage);
  });

  test("cost what an engine says that counts them all", () => {
    expect(usageOf(answer(said, 26))).toEqual({ prompt_tokens: 9, completion_tokens: 26, source: "engine" });
  });

  test("that are one cost what the engine says", () => {
    expect(usageOf(answer(said.slice(0, 1), 10, TIMINGS))).toMatchObject({ completion_tokens: 10, source: "engine" });
  });

  test("are told apart whatever they say", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" }), { minLength: 1, maxLength: 8 }), (contents) => {
        const sizes = new ChoiceSizes();
        sizes.add(text.encode(JSON.stringify(contents.map(choice))));
        expect(sizes.count).toBe(contents.length);
        const all = sizes.total(1_000);
        expect(all).toBeGreaterThanOrEqual(1_000);
        const same = new ChoiceSizes();
        same.add(text.encode(JSON.stringify(contents.map((_, i) => choice(`x${contents[0]}`, i)))));
        const rounding = same.total(1_000) - 1_000 * contents.length;
        expect(rounding).toBeGreaterThanOrEqual(0);
        expect(rounding).toBeLessThan(contents.length);
      }),
    );
  });
});
