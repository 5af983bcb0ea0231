import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ValueSkip } from "../../../connector/dialect/json.ts";
import { cutAt, cuts, valueText } from "./arbitraries.ts";

const text = new TextEncoder();

describe("a skip over one value", () => {
  test("ends at the same byte however the value is cut", () => {
    const nested = valueText.filter((source) => /^["[{]/.test(source));
    fc.assert(
      fc.property(nested, cuts, (source, fractions) => {
        const value = text.encode(source);
        const skip = new ValueSkip();
        let at = 0;
        let end = -1;
        for (const chunk of cutAt(text.encode(`${source},"[{ more`), fractions)) {
          end = skip.skip(chunk, 0);
          if (end !== -1) break;
          at += chunk.length;
        }
        expect(at + end).toBe(value.length);
      }),
      { numRuns: 500 },
    );
  });

  test("finds what is far away, value after value in one chunk", () => {
    const numbers = fc
      .array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 60 })
      .map((list) => list.join(","));
    const value = fc.oneof(
      numbers.map((list) => `[${list}]`),
      fc.tuple(numbers, valueText).map(([list, other]) => `{"a":[${list}],"b":[${other},[${list}]]}`),
      fc.tuple(numbers, fc.string()).map(([list, string]) => JSON.stringify([string, `[${list}`, `\\"${list}`])),
    );
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 6 }), cuts, (values, fractions) => {
        const skip = new ValueSkip();
        const ends: number[] = [];
        let at = 0;
        for (const chunk of cutAt(text.encode(values.join("")), fractions)) {
          for (let i = 0; i < chunk.length; ) {
            const end = skip.skip(chunk, i);
            if (end === -1) break;
            ends.push(at + end);
            i = end;
          }
          at += chunk.length;
        }
        let end = 0;
        expect(ends).toEqual(values.map((one) => (end += text.encode(one).length)));
      }),
      { numRuns: 500 },
    );
  });
});
