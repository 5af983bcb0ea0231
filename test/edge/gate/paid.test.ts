// What was paid lately is remembered, and the memory does not grow.
import { expect, test } from "vitest";
import { Paid } from "../../../edge/gate/paid.ts";

const KEPT_MS = 60_000;

test("each is remembered for its time, whenever in a generation it came", () => {
  const paid = new Paid(KEPT_MS);
  for (let at = 0; at < 4 * KEPT_MS; at += 1_000) {
    paid.add(`x${at}`, at);
    for (let before = Math.max(0, at - KEPT_MS + 1_000); before <= at; before += 1_000)
      expect(paid.has(`x${before}`)).toBe(true);
  }
  expect(paid.has("x0")).toBe(false);
});

test("another life knows what this one knew, and nothing that is older", () => {
  const paid = new Paid(KEPT_MS);
  paid.add("old", 0);
  paid.add("new", KEPT_MS - 1);
  const next = new Paid(KEPT_MS, paid.rest(KEPT_MS));
  expect([next.has("old"), next.has("new")]).toEqual([false, true]);
  next.add("later", 2 * KEPT_MS - 2);
  expect(next.has("new")).toBe(true);
});

test("of many in a short time the latest ten thousand are remembered, and never more than twice as many", () => {
  const paid = new Paid(KEPT_MS);
  for (let i = 0; i < 45_000; i++) {
    paid.add(`x${i}`, 1);
    if (i >= 9_999) expect(paid.has(`x${i - 9_999}`)).toBe(true);
  }
  expect(paid.rest(1).length).toBeLessThanOrEqual(20_000);
});
