import fc from "fast-check";
import { expect, test } from "vitest";
import { afterLoss, delayOf, HEALTHY_MS, RESTED } from "../../../connector/uplink/backoff.ts";

const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("the first redial after a loss is due within 500 ms", () => {
  fc.assert(
    fc.property(chance, fc.nat(100_000), (dice, lived) => {
      expect(delayOf(afterLoss(RESTED, lived), dice)).toBeLessThan(500);
    }),
  );
});

test("the range doubles with each dial that leads nowhere, up to 30 s, and is used from its very beginning", () => {
  let backoff = RESTED;
  const ranges = [];
  for (let i = 0; i < 9; i += 1) {
    backoff = afterLoss(backoff, 0);
    ranges.push(Math.round(delayOf(backoff, 0.9999999)));
    expect(delayOf(backoff, 0)).toBe(0);
  }
  expect(ranges).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
});

test("only a socket that was healthy for ten seconds makes the next loss a first one", () => {
  const tried = [0, 0, 0, 0].reduce(afterLoss, RESTED);
  expect(afterLoss(tried, HEALTHY_MS - 1).failures).toBe(5);
  expect(afterLoss(tried, HEALTHY_MS).failures).toBe(0);
});
