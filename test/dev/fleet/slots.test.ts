import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { type Seat, Slots } from "../../../dev/fleet/slots.ts";

describe("slots", () => {
  test("defer what they cannot take, and take it in order", () => {
    const slots = new Slots(2);
    const granted = vi.fn();
    const [a, , c, d] = ["a", "b", "c", "d"].map((name) => slots.enter(1, () => granted(name)));
    expect([granted.mock.calls.flat(), slots.busy, slots.deferred]).toEqual([["a", "b"], 2, 2]);
    slots.leave(a!);
    expect([granted.mock.calls.flat(), slots.busy, slots.deferred]).toEqual([["a", "b", "c"], 2, 1]);
    slots.leave(d!);
    slots.leave(c!);
    expect([slots.busy, slots.deferred]).toEqual([1, 0]);
  });

  test("are granted all together, and nobody overtakes who waits for several", () => {
    const slots = new Slots(2);
    const first = slots.enter(1, () => {});
    const pair = slots.enter(2, () => {});
    const last = slots.enter(1, () => {});
    expect([pair.slots, last.slots]).toEqual([[], []]);
    slots.leave(first);
    expect([pair.slots, last.slots]).toEqual([[0, 1], []]);
    slots.leave(pair);
    expect(last.slots).toEqual([0]);
  });

  test("never hold two requests, never lose one, and are all free in the end", () => {
    const step = fc.record({ enters: fc.boolean(), need: fc.integer({ min: 1, max: 5 }), who: fc.nat() });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (count, steps) => {
        const slots = new Slots(count);
        const here: Seat[] = [];
        for (const { enters, need, who } of steps) {
          if (enters || here.length === 0) here.push(slots.enter(need, () => {}));
          else slots.leave(here.splice(who % here.length, 1)[0]!);
          const held = here.flatMap((seat) => seat.slots);
          expect(new Set(held).size).toBe(held.length);
          expect(slots.busy).toBe(held.length);
          expect(slots.deferred).toBe(here.filter((seat) => seat.slots.length === 0).length);
        }
        for (const seat of here.splice(0)) slots.leave(seat);
        expect([slots.busy, slots.deferred]).toEqual([0, 0]);
      }),
    );
  });
});
