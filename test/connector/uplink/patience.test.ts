// When a refusal is the last word.
import { expect, test } from "vitest";
import { GUEST_MS, Patience, STRANGER_MS } from "../../../connector/uplink/patience.ts";

test("a process that was never welcomed stops soon, one that was gives the edge an hour", () => {
  const rows = [
    [false, STRANGER_MS],
    [true, GUEST_MS],
  ] as const;
  for (const [isGuest, ms] of rows) {
    const patience = new Patience();
    expect([0, ms - 1, ms].map((later) => patience.refused(isGuest, 7_000 + later))).toEqual([false, false, true]);
  }
});

test("only refusals that follow each other count", () => {
  const patience = new Patience();
  patience.refused(false, 0);
  patience.restore();
  expect(patience.refused(false, STRANGER_MS)).toBe(false);
  expect(patience.refused(false, 2 * STRANGER_MS)).toBe(true);
});
