import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { available, fullBucket, MAX_LIMIT, refill, UNITS, waitMs } from "../../../edge/gate/bucket.ts";

const limits = fc.oneof(fc.integer({ min: 1, max: 2_000 }), fc.integer({ min: 1, max: MAX_LIMIT }));
const T0 = 1_800_000_000_000;

describe("a bucket", () => {
  test("is full after a minute, and stays whole numbers on the way there", () => {
    fc.assert(
      fc.property(limits, fc.array(fc.nat({ max: 70_000 }), { maxLength: 20 }), (limit, steps) => {
        const bucket = fullBucket(limit, T0);
        bucket.level = 0;
        let now = T0;
        for (const step of steps) {
          now += step;
          refill(bucket, limit, now);
          expect(Number.isSafeInteger(bucket.level)).toBe(true);
          expect(bucket.level).toBe(Math.min(limit * UNITS, (now - T0) * limit));
        }
        refill(bucket, limit, T0 + 60_000 + 70_000 * 20);
        expect(bucket.level).toBe(limit * UNITS);
      }),
    );
  });

  test("tells the very millisecond: denied until then, let in at it", () => {
    fc.assert(
      fc.property(
        limits,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: -2, max: 1, noNaN: true }),
        (limit, part, fill) => {
          const tokens = Math.max(1, Math.floor(limit * part));
          const bucket = fullBucket(limit, T0);
          bucket.level = Math.floor(fill * limit * UNITS);
          const wait = waitMs(bucket, limit, tokens, T0);
          expect(Number.isSafeInteger(wait)).toBe(true);
          if (wait === 0) {
            expect(bucket.level).toBeGreaterThanOrEqual(tokens * UNITS);
            return;
          }
          const early = { ...bucket };
          refill(early, limit, T0 + wait - 1);
          expect(waitMs(early, limit, tokens, T0 + wait - 1)).toBe(1);
          refill(bucket, limit, T0 + wait);
          expect(waitMs(bucket, limit, tokens, T0 + wait)).toBe(0);
        },
      ),
    );
  });

  test("tells the wait also to a clock that goes back a little", () => {
    const bucket = fullBucket(60, T0);
    bucket.level = 0;
    const back = T0 - 5_000;
    refill(bucket, 60, back);
    expect(waitMs(bucket, 60, 1, back)).toBe(6_000);
    refill(bucket, 60, back + 5_999);
    expect(available(bucket)).toBe(0);
    refill(bucket, 60, back + 6_000);
    expect(available(bucket)).toBe(1);
  });

  test("believes a clock that was set back by more than a minute, and grants nothing for it", () => {
    const bucket = fullBucket(60, T0);
    bucket.level = 0;
    refill(bucket, 60, T0 - 3_600_000);
    expect(bucket).toEqual({ level: 0, at: T0 - 3_600_000 });
    refill(bucket, 60, T0 - 3_599_000);
    expect(available(bucket)).toBe(1);
  });

  test("that has lost capacity holds no more than it may, and one in debt shows nothing", () => {
    const bucket = fullBucket(100, T0);
    refill(bucket, 10, T0);
    expect(available(bucket)).toBe(10);
    bucket.level = -5 * UNITS;
    expect(available(bucket)).toBe(0);
    expect(waitMs(bucket, 10, 1, T0)).toBe(36_000);
  });

  test("of the greatest limit stays exact over years", () => {
    const bucket = fullBucket(MAX_LIMIT, T0);
    bucket.level = -3 * MAX_LIMIT * UNITS;
    refill(bucket, MAX_LIMIT, T0 + 1);
    expect(bucket.level).toBe(-3 * MAX_LIMIT * UNITS + MAX_LIMIT);
    refill(bucket, MAX_LIMIT, T0 * 3);
    expect(bucket.level).toBe(MAX_LIMIT * UNITS);
  });
});
