// Long runs of clients that take all they can get, against the gate's own books.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clientsFor, simulate } from "../../dev/limits/simulate.ts";
import { use, worstInterval, worstMinute } from "../../dev/limits/verdict.ts";
import { DEFAULT_TIERS } from "../../edge/gate/tiers.ts";
import { TIERS } from "../../shared/hop.ts";

describe.each(TIERS)("a saturated key of the tier %s", (tier) => {
  const limits = { ...DEFAULT_TIERS[tier], tokensPerDay: 1e12 };
  const rows = [
    ["tokens", "never", null],
    ["tokens", "each second", 1_000],
    ["requests", "never", null],
    ["requests", "each second", 1_000],
  ] as const;
  test.each(rows)("gets all of its %s and no more, with its hub lost %s", (load, _often, resetEveryMs) => {
    const clients = clientsFor(limits, load);
    for (const seed of [1, 2]) {
      const run = simulate({ limits, seed, ms: 30 * 60_000, clients, load, resetEveryMs });
      expect(run.worstTokens).toBeLessThanOrEqual(1);
      expect(run.worstRequests).toBeLessThanOrEqual(1);
      expect(load === "tokens" ? run.worstTokens : run.worstRequests).toBeGreaterThan(0.95);
      expect(run.use).toBeGreaterThanOrEqual(0.99);
      // It did run out.
      expect(run.denied).toBeGreaterThan(100);
      expect([run.wrong, run.undue]).toEqual([0, 0]);
      if (resetEveryMs !== null) expect(run.resets).toBeGreaterThan(1_000);
    }
  });
});

describe("the verdict", () => {
  const list = fc
    .array(fc.tuple(fc.nat({ max: 20_000 }), fc.nat({ max: 500 })), { maxLength: 40, size: "max" })
    .map((steps) => {
      let at = 0;
      return steps.map(([pause, amount]) => {
        at += pause;
        return { at, amount };
      });
    });

  test("on the worst interval is that of all pairs", () => {
    fc.assert(
      fc.property(list, fc.integer({ min: 1, max: 1_000 }), (admitted, limit) => {
        let worst = 0;
        for (let to = 0; to < admitted.length; to += 1) {
          let sum = 0;
          for (let from = to; from >= 0; from -= 1) {
            sum += admitted[from]!.amount;
            worst = Math.max(worst, (sum * 60_000) / (limit * (60_000 + admitted[to]!.at - admitted[from]!.at)));
          }
        }
        expect(worstInterval(admitted, limit)).toBeCloseTo(worst, 12);
      }),
    );
  });

  test("on a minute and on use counts what it should", () => {
    const admitted = [0, 30_000, 59_999, 60_000].map((at) => ({ at, amount: 10 }));
    expect(worstMinute(admitted, 10)).toBe(3);
    expect(use(admitted, 10, 180_000)).toBe(1);
  });
});
