import { describe, expect, test } from "vitest";
import { middleOf } from "../../../dev/bench/interval.ts";
import { dice } from "../../support/dice.ts";

describe("the middle", () => {
  test.each([
    [[3, 1, 2], 2],
    [[4, 1, 3, 2], 2.5],
    [[7], 7],
  ])("of %j is %d", (values, middle) => expect(middleOf(values).middle).toBe(middle));

  test("is not moved by one wild figure among many", () => {
    const values = Array.from({ length: 40 }, (_, at) => 0.99 + at / 2_000);
    expect(Math.abs(middleOf([...values, 50]).middle - middleOf(values).middle)).toBeLessThan(0.002);
  });

  test("has an interval that holds the true one in about 95 of 100 runs, heavy tails or not", () => {
    const next = dice(7);
    let held = 0;
    const runs = 400;
    for (let run = 0; run < runs; run += 1) {
      // As far above 1 as below, now and then very far.
      const values = Array.from({ length: 60 }, () => 1 + (next() < 0.5 ? -1 : 1) / (0.05 + 3 * next()));
      const { low, high } = middleOf(values);
      if (low <= 1 && high >= 1) held += 1;
    }
    expect(held / runs).toBeGreaterThan(0.9);
    expect(held / runs).toBeLessThan(0.99);
  });
});
