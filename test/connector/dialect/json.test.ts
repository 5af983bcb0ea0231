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
});
