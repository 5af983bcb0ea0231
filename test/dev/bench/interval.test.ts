import { describe, expect, test } from "vitest";
import { medianOf } from "../../../dev/bench/interval.ts";
import { dice } from "../../support/dice.ts";

describe("the middle", () => {
  test.each([
    [[3, 1, 2], 2],
    [[4, 1, 3, 2], 2.5],
    [[7], 7],
  ])("of %j is %d", (values, middle) => expect(medianOf(values).middle).toBe(middle));

  test("has an interval that holds the true one in about 95 of 100 runs, whatever the tails are", () => {
    const next = dice(7);
    let held = 0;
    const runs = 1_000;
    for (let run = 0; run < runs; run += 1) {
      // Half of the values are above 1, some of them far above.
      const values = Array.from({ length: 60 }, () => (next() < 0.5 ? 1 - next() : 1 + 1 / (0.01 + next())));
      const { low, high } = medianOf(values);
      if (low <= 1 && high >= 1) held += 1;
    }
    expect(held / runs).toBeGreaterThan(0.92);
    expect(held / runs).toBeLessThan(0.99);
  });
});
