import { describe, expect, test } from "vitest";
import { breakOf, FaultBox, Faults } from "../../../dev/fleet/faults.ts";

describe("the fault box", () => {
  test("a fault without a count comes and goes under a running request", () => {
    const box = new FaultBox();
    const running = box.draw();
    box.set({ hang_after_tokens: 3 });
    expect(running()).toEqual({ hang_after_tokens: 3 });
    box.set({});
    expect(running()).toEqual({});
  });

  test("a fault with a count meets so many requests and stays with them", () => {
    const box = new FaultBox();
    const before = box.draw();
    box.set({ status: 500, count: 2 });
    expect(before()).toEqual({});
    const drawn = [box.draw(), box.draw(), box.draw()];
    expect(drawn.map((faults) => faults().status)).toEqual([500, 500, undefined]);
    expect(box.current).toEqual({});
  });

  test.each([
    [true, [true, true, true]],
    [2, [true, true, false]],
    [false, [false, false, false]],
  ])("refuse: %j", (refuse, expected) => {
    const box = new FaultBox();
    box.set({ refuse });
    expect([box.refuses(), box.refuses(), box.refuses()]).toEqual(expected);
    box.set({});
    expect(box.refuses()).toBe(false);
  });
});

test.each([
  [{}, null],
  [{ status: 500 }, null],
  [{ hang_after_tokens: 3 }, { kind: "hang", tokens: 3 }],
  [
    { hang_after_tokens: 3, reset_after_tokens: 2 },
    { kind: "reset", tokens: 2 },
  ],
])("%j breaks at %j", (faults, expected) => expect(breakOf(faults)).toEqual(expected));

test.each([
  { unheard_of: true },
  { status: 200 },
  { status: "500" },
  { count: 1 },
  { count: 1, loading: true },
  { count: 1, hang_before_head: false },
  { answer_bytes: 1_000_000_001 },
  { hang_after_tokens: -1 },
  [],
  null,
])("%j is not a fault", (given) => expect(Faults.safeParse(given).success).toBe(false));
