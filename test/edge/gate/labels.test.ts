import { expect, test } from "vitest";
import { Labels } from "../../../edge/gate/labels.ts";

test("what a life has reached is on disk, and all before it; the rest of it is lost with it", () => {
  const first = new Labels();
  first.begin(1_000);
  const [a, b, c] = [first.next(), first.next(), first.next()];
  const next = new Labels();
  next.reached(b);
  next.begin(2_000);
  expect([a, b, c].map((label) => next.isLost(label))).toEqual([false, false, true]);
  const own = next.next();
  next.reached(own);
  expect(next.isLost(own)).toBe(false);
});

test("of a life that reached nothing all is lost", () => {
  const labels = new Labels();
  labels.begin(2_000);
  expect(labels.isLost([1_000, 1])).toBe(true);
});

test("a life is later than all that are on disk, also where the clock went back", () => {
  const labels = new Labels({ forgotten: 3_000, highest: [[5_000, 9]] });
  labels.begin(1_000);
  expect(labels.next()).toEqual([5_001, 1]);
});

test("are the same again from disk", () => {
  const labels = new Labels();
  for (let life = 1; life <= 70; life += 1) labels.reached([life, 2]);
  const again = new Labels(JSON.parse(JSON.stringify(labels.rest())));
  expect(again.rest()).toEqual(labels.rest());
  expect(labels.rest().highest).toHaveLength(64);
});

test("of a life that is forgotten nobody can claim anything: it may have been paid", () => {
  const labels = new Labels();
  for (let life = 1; life <= 65; life += 1) labels.reached([life, 2]);
  labels.begin(1_000);
  expect(labels.isLost([1, 3])).toBe(false);
  expect(labels.isLost([2, 3])).toBe(true);
  labels.reached([1, 9]);
  expect(labels.rest().highest).toHaveLength(64);
});
