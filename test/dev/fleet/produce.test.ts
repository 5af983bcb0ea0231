import fc from "fast-check";
import { expect, test } from "vitest";
import { dueTokens } from "../../../dev/fleet/produce.ts";

test.each([
  ["nothing before its time", 10, 9.9, 5, 100, 0],
  ["the first one on time", 10, 10, 5, 100, 1],
  ["all that have come due since", 10, 21, 5, 100, 3],
  ["no more than allowed", 10, 1_000, 5, 7, 7],
  ["everything where there is no pace", 10, 10, 0, 100, 100],
])("%s", (_name, next, now, step, most, due) => expect(dueTokens(next, now, step, most)).toBe(due));

test("looking often gives the same tokens as looking once", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 30 }),
      fc.integer({ min: 1, max: 40 }),
      (waits, step) => {
        let now = 0;
        let next = 0;
        let seen = 0;
        for (const wait of waits) {
          now += wait;
          const due = dueTokens(next, now, step, Number.MAX_SAFE_INTEGER);
          seen += due;
          next += due * step;
        }
        expect(seen).toBe(waits.length === 0 ? 0 : dueTokens(0, now, step, Number.MAX_SAFE_INTEGER));
      },
    ),
  );
});
