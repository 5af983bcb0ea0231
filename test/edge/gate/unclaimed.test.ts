import { expect, test } from "vitest";
import { Unclaimed } from "../../../edge/gate/unclaimed.ts";

test("leases of an earlier life are given up once, and not those that somebody has claimed", () => {
  const unclaimed = new Unclaimed(["a", "b", "c"], 60_000);
  unclaimed.claim("b");
  expect([unclaimed.next(), unclaimed.due(59_999)]).toEqual([60_000, []]);
  expect(unclaimed.due(60_000)).toEqual(["a", "c"]);
  expect([unclaimed.next(), unclaimed.due(99_999)]).toEqual([Number.POSITIVE_INFINITY, []]);
});
