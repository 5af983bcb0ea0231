import fc from "fast-check";
import { expect, test } from "vitest";
import { afterLoss, BRIEF_MS, DIALS_PER_STEP, delayOf, HEALTHY_MS, RESTED } from "../../../connector/uplink/backoff.ts";

const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("the first redial after a loss is due within 500 ms", () => {
  fc.assert(
    fc.property(chance, fc.nat(100_000), (dice, lived) => {
      expect(delayOf(afterLoss(RESTED, lived), dice)).toBeLessThan(500);
    }),
  );
});

test("the range doubles with every fourth dial that leads nowhere, up to 30 s, and is used from its very beginning", () => {
  let backoff = RESTED;
  const ranges = [];
  for (let i = 0; i < 8 * DIALS_PER_STEP; i += 1) {
    ranges.push(Math.round(delayOf(backoff, 0.9999999)));
    expect(delayOf(backoff, 0)).toBe(0);
    backoff = afterLoss(backoff, 0);
  }
  const steps = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000];
  expect(ranges).toEqual(steps.flatMap((step) => Array(DIALS_PER_STEP).fill(step)));
});

test("a socket that lived is dialled anew at once, however often the road was cut; one that did not live waits longer", () => {
  const tried = Array<number>(20).fill(0).reduce(afterLoss, RESTED);
  expect(delayOf(afterLoss(tried, BRIEF_MS), 0.9999)).toBeLessThan(500);
  expect(delayOf(afterLoss(tried, BRIEF_MS - 1), 0.9999)).toBeGreaterThan(10_000);
});

test("only a socket that was healthy for ten seconds makes the next loss a first one", () => {
  const tried = [0, 0, 0, 0].reduce(afterLoss, RESTED);
  expect(afterLoss(tried, HEALTHY_MS - 1).failures).toBe(4);
  expect(afterLoss(tried, HEALTHY_MS).failures).toBe(0);
});
