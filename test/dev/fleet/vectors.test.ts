import { describe, expect, test } from "vitest";
import { Vectors } from "../../../dev/fleet/vectors.ts";

describe.each([1, 2, 128, 384, 1024])("vectors of %i dimensions", (dimensions) => {
  const vectors = new Vectors(dimensions);

  test("have length 1 and the right number of places", () => {
    for (const text of ["", "one", "two words", "caf\u00e9"]) {
      const values = vectors.values(text);
      expect(values).toHaveLength(dimensions);
      expect(values.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(1, 4);
    }
  });

  test("are the same in every form", () => {
    for (const text of ["one", "two words"]) {
      const values = [...vectors.values(text)];
      expect(JSON.parse(`[${vectors.json(text)}]`)).toEqual(values);
      const bytes = Buffer.from(vectors.base64(text), "base64");
      expect(values.map((_, i) => bytes.readFloatLE(i * 4))).toEqual(values);
    }
  });
});

test("every text has its own vector, and always the same", () => {
  const texts = Array.from({ length: 2_000 }, (_, i) => `text ${i}`);
  const [vectors, again] = [new Vectors(384), new Vectors(384)];
  const all = new Set(texts.map((text) => vectors.json(text)));
  expect(texts.filter((text) => !all.has(again.json(text)))).toEqual([]);
  expect(all.size).toBe(texts.length);
});
