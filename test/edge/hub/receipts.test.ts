// What an exchange has cost is told once: by its own line, or by one that follows.
import { expect, test } from "vitest";
import { Receipts } from "../../../edge/hub/receipts.ts";

test("an exchange that is over when it is written down has told its cost itself", () => {
  const receipts = new Receipts();
  receipts.note("a", 7, null);
  expect(receipts.take("a")).toBe(7);
  expect(receipts.take("a")).toBeNull();
  expect(receipts.rest()).toEqual([]);
});

test("what no line of its own has told is left to be told once", () => {
  const receipts = new Receipts();
  expect(receipts.take("late")).toBeNull();
  receipts.note("late", 0, null);
  receipts.note("settled before", null, null);
  expect(receipts.rest()).toEqual([{ id: "late", charged: 0, end: null }]);
  expect(receipts.rest()).toEqual([]);
});

test("of what nobody answers for the line tells how long its lease had lasted", () => {
  const receipts = new Receipts();
  receipts.noteUnserved(null);
  receipts.noteUnserved({ id: "a", tokens: 0, told: null, ageMs: 2_000 });
  expect(receipts.rest()).toEqual([{ id: "a", charged: 0, end: null, ageMs: 2_000 }]);
});
