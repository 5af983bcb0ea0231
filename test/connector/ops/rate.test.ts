// A minute in sixty numbers.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RATE_WINDOW_S, Rate } from "../../../connector/ops/rate.ts";

const START = 1_700_000_000_000;

describe("a rate", () => {
  test("is what was added in the seconds of the last minute, whenever it is asked", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ wait: fc.nat(150_000), amount: fc.nat(100) }), { minLength: 1, maxLength: 40 }),
        (steps) => {
          const rate = new Rate(START);
          const added: { second: number; amount: number }[] = [];
          let now = START;
          for (const { wait, amount } of steps) {
            now += wait;
            rate.add(amount, now);
            added.push({ second: Math.floor(now / 1000), amount });
          }
          const second = Math.floor(now / 1000);
          const inside = added.filter((row) => row.second > second - RATE_WINDOW_S);
          const sum = inside.reduce((all, row) => all + row.amount, 0);
          const over = Math.min(RATE_WINDOW_S, Math.max(1, (now - START) / 1000));
          expect(rate.perSecond(now)).toBeCloseTo(sum / over, 9);
        },
      ),
    );
  });

  test("is 0 a minute after the last one", () => {
    const rate = new Rate(START);
    rate.add(500, START + 1_000);
    expect(rate.perSecond(START + 2_000)).toBe(250);
    expect(rate.perSecond(START + 62_000)).toBe(0);
  });

  test("survives a clock that goes back", () => {
    const rate = new Rate(START);
    rate.add(6, START + 10_000);
    rate.add(6, START + 3_000);
    expect(rate.perSecond(START + 10_000)).toBeCloseTo(1.2);
  });
});
