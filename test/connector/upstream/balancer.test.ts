import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Balancer } from "../../../connector/upstream/balancer.ts";

const all = () => true;

/** Takes `times` slots, null where there is none. */
const take = (balancer: Balancer, times: number, choice: Partial<Parameters<Balancer["take"]>[0]> = {}) =>
  Array.from({ length: times }, () => balancer.take({ isUsable: all, ...choice }));

describe("the balancer", () => {
  test("goes round where all are equal, and stops when every slot is taken", () => {
    expect(take(new Balancer(3, 2), 7)).toEqual([0, 1, 2, 0, 1, 2, null]);
  });

  test("goes to the one with the least in flight", () => {
    const balancer = new Balancer(3, 4);
    take(balancer, 6);
    balancer.release(1);
    balancer.release(1);
    balancer.release(2);
    expect(take(balancer, 3)).toEqual([1, 2, 1]);
  });

  test("does not favour the first after a pause", () => {
    const balancer = new Balancer(3, 4);
    const order = Array.from({ length: 4 }, () => {
      const [index] = take(balancer, 1);
      balancer.release(index!);
      return index;
    });
    expect(order).toEqual([0, 1, 2, 0]);
  });

  test("counts what it has given out until it is released", () => {
    const balancer = new Balancer(2, 1);
    take(balancer, 2);
    expect([balancer.total, balancer.inFlight(0), balancer.hasRoom(all)]).toEqual([2, 1, false]);
    balancer.release(0);
    expect([balancer.total, balancer.inFlight(0), balancer.hasRoom(all)]).toEqual([1, 0, true]);
    expect(balancer.hasRoom((index) => index === 1)).toBe(false);
    expect(() => balancer.release(0)).toThrow(RangeError);
  });

  const rows: [name: string, choice: Partial<Parameters<Balancer["take"]>[0]>, chosen: number | null][] = [
    ["passes over what is not usable", { isUsable: (index) => index === 2 }, 2],
    ["passes over where the request has failed", { excluded: new Set([1]) }, 2],
    ["finds none where nothing is left", { excluded: new Set([1, 2, 3]), isUsable: (index) => index !== 0 }, null],
    ["follows a wish", { prefer: () => 3 }, 3],
    ["does not follow a wish for one without a slot", { prefer: () => 0 }, 1],
    ["does not follow a wish for one that is excluded", { prefer: () => 1, excluded: new Set([1]) }, 2],
    ["leaves it to the load without a wish", { prefer: () => null }, 1],
  ];
  test.each(rows)("%s", (_, choice, chosen) => {
    const balancer = new Balancer(4, 1);
    take(balancer, 1);
    expect(take(balancer, 1, choice)).toEqual([chosen]);
  });

  test("shows those who may wish only what can be had", () => {
    const balancer = new Balancer(3, 2);
    take(balancer, 4);
    let seen: readonly unknown[] = [];
    const prefer = (candidates: readonly unknown[]) => {
      seen = candidates;
      return null;
    };
    take(balancer, 1, { prefer });
    expect(seen).toEqual([
      { index: 1, inFlight: 1 },
      { index: 2, inFlight: 1 },
    ]);
  });

  test("never exceeds the slots, never refuses while one is free, and is never uneven by more than one", () => {
    const step = fc.record({
      take: fc.boolean(),
      which: fc.nat(),
      usable: fc.array(fc.boolean(), { minLength: 5, maxLength: 5 }),
    });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 4 }),
        fc.array(step),
        (count, slots, steps) => {
          const balancer = new Balancer(count, slots);
          const held: number[] = [];
          for (const { take: isTake, which, usable } of steps) {
            if (!isTake) {
              const [index] = held.splice(which % Math.max(1, held.length), 1);
              if (index !== undefined) balancer.release(index);
              continue;
            }
            const isUsable = (index: number) => usable[index] === true;
            const loads = Array.from({ length: count }, (_, index) => held.filter((one) => one === index).length);
            const free = loads.flatMap((load, index) => (load < slots && isUsable(index) ? [load] : []));
            expect(balancer.hasRoom(isUsable)).toBe(free.length > 0);
            const index = balancer.take({ isUsable });
            expect(index === null).toBe(free.length === 0);
            if (index === null) continue;
            expect(loads[index]).toBe(Math.min(...free));
            expect(isUsable(index)).toBe(true);
            held.push(index);
            expect(balancer.inFlight(index)).toBeLessThanOrEqual(slots);
          }
          expect(balancer.total).toBe(held.length);
        },
      ),
    );
  });
});
