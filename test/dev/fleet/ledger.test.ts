import fc from "fast-check";
import { expect, test } from "vitest";
import { Account, Ring } from "../../../dev/fleet/ledger.ts";

test("a ring keeps the last items, oldest first", () => {
  fc.assert(
    fc.property(fc.array(fc.nat()), fc.integer({ min: 1, max: 9 }), (items, capacity) => {
      const ring = new Ring<number>(capacity);
      for (const item of items) ring.push(item);
      expect(ring.list()).toEqual(items.slice(-capacity));
    }),
  );
});

test("the account is bounded, and its sums are not", () => {
  const account = new Account();
  for (let i = 0; i < 10_100; i++) {
    account.arrived({ method: "POST", path: "/", headers: {}, body_bytes: 0, id: String(i) });
    account.settle({ request_id: String(i), prompt_tokens: 2, completion_tokens: 3, outcome: "complete" });
  }
  expect([account.arrivals().length, account.entries().length]).toEqual([50, 10_000]);
  expect([account.arrivals().at(-1)?.id, account.entries()[0]?.request_id]).toEqual(["10099", "100"]);
  expect([account.requests, account.promptTokens, account.longest]).toEqual([10_100, 20_200, 5]);
});
