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

/** @param bytes cut into so many pieces. */
function rewritten(bytes: Uint8Array, pieces = 1) {
  const rewriter = rewritePlain({ model: "public", scrub: (said) => said });
  const step = Math.max(1, Math.ceil(bytes.length / pieces));
  const out: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += step) out.push(rewriter.push(bytes.subarray(at, at + step)).slice());
  const { tail, outcome } = rewriter.finish();
  return { text: Buffer.concat([...out, tail]).toString(), outcome, usage: rewriter.usage() };
}

function usageOf(bytes: Uint8Array, pieces = 1) {
  const { outcome, usage } = rewritten(bytes, pieces);
  expect(outcome).toBe("complete");
  return usage;
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

  test.each([1, 2, 7, 50, 1_000])(
    "are shown as they are counted, and nothing else is changed (%i pieces)",
    (pieces) => {
      const bytes = answer(said, 10, { id: "x", ...TIMINGS });
      const { text: shown, usage } = rewritten(bytes, pieces);
      const completion = usage!.completion_tokens;
      expect(completion).toBeGreaterThan(10);
      const counted = `"completion_tokens":${completion},"prompt_tokens":9,"total_tokens":${9 + completion}`;
      const source = Buffer.from(bytes).toString().replace('"model":"m"', '"model":"public"');
      expect(shown).toBe(source.replace('"completion_tokens":10,"prompt_tokens":9,"total_tokens":19', () => counted));
    },
  );

  const asTheyAre: [name: string, bytes: Uint8Array][] = [
    ["an engine that counts them all", answer(said, 26, { id: "x" })],
    ["a single one", answer(said.slice(0, 1), 10, TIMINGS)],
    ["usage that is none", text.encode(JSON.stringify({ choices: said.map(choice), usage: null, ...TIMINGS }))],
    ["usage before them", text.encode(JSON.stringify({ usage: { completion_tokens: 1 }, choices: said.map(choice) }))],
    ["more behind usage than any engine sends", answer(said, 10, { id: "x".repeat(10_000), ...TIMINGS })],
    ["usage that is larger than any", answer(said, 10, { usage: { completion_tokens: 1, x: "x".repeat(10_000) } })],
    ["an answer that breaks off behind usage", answer(said, 10, { id: "x", ...TIMINGS }).subarray(0, -3)],
    ["an answer that breaks off in usage", answer(said, 10).subarray(0, -9)],
  ];
  test.each(asTheyAre)("pass as they are: %s", (_, bytes) => {
    const source = Buffer.from(bytes).toString().replace('"model":"m"', '"model":"public"');
    fc.assert(
      fc.property(fc.integer({ min: 1, max: bytes.length }), (pieces) => {
        expect(rewritten(bytes, pieces).text).toBe(source);
      }),
      { numRuns: 20 },
    );
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
