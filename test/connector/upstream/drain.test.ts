import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DrainRate } from "../../../connector/upstream/drain.ts";

function rateOf(...heldMs: number[]): DrainRate {
  const rate = new DrainRate();
  for (const ms of heldMs) rate.record(ms);
  return rate;
}

describe("the drain rate", () => {
  const steady = rateOf(4_000, 4_000, 4_000, 4_000);

  test.each([
    ["one place, one slot", 1, 1, 4_000],
    ["one place, four slots", 1, 4, 1_000],
    ["ten places, four slots", 10, 4, 10_000],
  ])("tells the wait for %s", (_, places, slots, ms) => {
    expect(steady.waitMs(places, slots)).toBe(ms);
    expect(steady.retryAfterMs(places, slots)).toBe(ms);
  });

  test("tells nothing before it has seen enough, and guesses then", () => {
    const young = rateOf(9_000, 9_000, 9_000);
    expect(young.waitMs(1, 1)).toBeNull();
    expect(young.retryAfterMs(50, 1)).toBe(2_000);
    expect(steady.waitMs(1, 0)).toBeNull();
  });

  test("is the plain mean at first and follows a change then", () => {
    expect(rateOf(1_000, 2_000, 3_000, 6_000).waitMs(1, 1)).toBeCloseTo(3_000, 6);
    const changed = rateOf(...new Array<number>(50).fill(1_000), ...new Array<number>(50).fill(9_000));
    expect(changed.waitMs(1, 1)).toBeGreaterThan(8_900);
  });

  test.each([
    ["no less than a second", 1, 64, 0, 1_000],
    ["no more than a minute", 100, 1, 0, 60_000],
    ["the present, where it is slower than the past", 1, 1, 9_000, 9_000],
    ["the past, where it is slower than the present", 1, 1, 3_000, 4_000],
  ])("tells %s", (_, places, slots, stillMs, ms) => {
    expect(steady.retryAfterMs(places, slots, stillMs)).toBe(ms);
  });

  test("never sends anybody away for less than a second or more than a minute", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 600_000 })),
        fc.nat({ max: 1_000 }),
        fc.nat({ max: 64 }),
        (held, places, slots) => {
          const ms = rateOf(...held).retryAfterMs(places, slots);
          expect(ms).toBeGreaterThanOrEqual(1_000);
          expect(ms).toBeLessThanOrEqual(60_000);
        },
      ),
    );
  });
});
