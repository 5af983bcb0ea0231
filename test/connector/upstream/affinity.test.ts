import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Affinity, affinityKey, bound, LOAD_FACTOR } from "../../../connector/upstream/affinity.ts";
import { Balancer, type Candidate } from "../../../connector/upstream/balancer.ts";

const text = new TextEncoder();
const url = (i: number) => `http://192.168.0.145:${8080 + i}`;
const urls = (count: number) => Array.from({ length: count }, (_, i) => url(i));
const affinityOf = (names: readonly string[]) => new Affinity("m", names, (body) => body);
const idle = (count: number): Candidate[] => Array.from({ length: count }, (_, index) => ({ index, inFlight: 0 }));
const keyOf = (prefix: string, tenant = "t", model = "m") => affinityKey(tenant, model, text.encode(prefix));
const keys = Array.from({ length: 4_000 }, (_, i) => keyOf(`conversation ${i}`));

describe("the order of a prefix", () => {
  test("is the same each time, and another one for another tenant, model or prefix", () => {
    expect(keyOf("hello")).toBe(keyOf("hello"));
    const different = [keyOf("hello"), keyOf("hello "), keyOf("hello", "u"), keyOf("hello", "t", "n"), keyOf("", "t")];
    expect(new Set(different).size).toBe(different.length);
    // What ends one part and what begins the next are not the same thing.
    expect(keyOf("c", "a", "b")).not.toBe(keyOf("bc", "a", ""));
  });

  test("spreads prefixes over all upstreams alike", () => {
    for (const count of [2, 3, 4, 8]) {
      const affinity = affinityOf(urls(count));
      const share = new Array<number>(count).fill(0);
      for (const key of keys) share[affinity.choose(key, idle(count))!]! += 1;
      // Four thousand prefixes: five standard deviations.
      const mean = keys.length / count;
      for (const got of share) expect(Math.abs(got - mean)).toBeLessThan(5 * Math.sqrt(mean));
    }
  });

  test("spreads the tenants of one common prefix too", () => {
    const affinity = affinityOf(urls(4));
    const places = new Set<number | null>();
    for (let i = 0; i < 40; i += 1) places.add(affinity.choose(keyOf("You are helpful.", `tenant ${i}`), idle(4)));
    expect(places.size).toBe(4);
  });

  test("moves only the share of an upstream that goes, wherever it stood in the list", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 9 }), fc.nat(), (count, any) => {
        const gone = any % count;
        const before = affinityOf(urls(count));
        const left = urls(count).filter((_, i) => i !== gone);
        const after = affinityOf(left);
        // Not usable any more, and not configured any more, are the same.
        const candidates = idle(count).filter(({ index }) => index !== gone);
        for (const key of keys.slice(0, 300)) {
          const place = before.choose(key, idle(count))!;
          const next = before.choose(key, candidates)!;
          if (place !== gone) expect(next).toBe(place);
          expect(left[after.choose(key, idle(count - 1))!]).toBe(url(next));
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe("the bound on load", () => {
  const loads = fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 12 });

  test("holds, and always leaves somebody to take the request", () => {
    fc.assert(
      fc.property(loads, fc.integer(), (given, key) => {
        const candidates = given.map((inFlight, index) => ({ index, inFlight }));
        const chosen = affinityOf(urls(given.length)).choose(key, candidates)!;
        const total = given.reduce((sum, load) => sum + load, 1);
        expect(given[chosen]! + 1).toBeLessThanOrEqual(Math.ceil((LOAD_FACTOR * total) / given.length));
      }),
    );
  });

  test("moves a prefix only where its upstream is at the bound, and back as soon as it is not", () => {
    fc.assert(
      fc.property(loads, fc.integer(), (given, key) => {
        const affinity = affinityOf(urls(given.length));
        const home = affinity.choose(key, idle(given.length))!;
        const candidates = given.map((inFlight, index) => ({ index, inFlight }));
        const isFull = given[home]! >= bound(candidates);
        expect(affinity.choose(key, candidates) === home).toBe(!isFull);
      }),
    );
  });

  test("is that of the whole pool too, though who is full is no candidate", () => {
    const step = fc.tuple(fc.nat({ max: 3 }), fc.nat({ max: 30 }));
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 6 }),
        fc.array(step),
        (count, slots, steps) => {
          const affinity = affinityOf(urls(count));
          const balancer = new Balancer(count, slots);
          const running: number[] = [];
          for (const [what, which] of steps) {
            if (what === 0 && running.length > 0) {
              balancer.release(running.splice(which % running.length, 1)[0]!);
              continue;
            }
            const index = balancer.take({
              isUsable: () => true,
              prefer: (candidates) => affinity.choose(keys[which]!, candidates),
            });
            // Work waits only while every slot is taken: as with the least loaded.
            expect(index === null).toBe(running.length === count * slots);
            if (index === null) continue;
            running.push(index);
            expect(balancer.inFlight(index)).toBeLessThanOrEqual(Math.ceil((LOAD_FACTOR * running.length) / count));
          }
        },
      ),
    );
  });
});

describe("compared with the least loaded", () => {
  /** Requests that come at their times and take their time; each waits for a slot in the order of coming. */
  function waits(requests: readonly Request[], upstreams: number, slots: number, affinity: Affinity | null): number[] {
    const balancer = new Balancer(upstreams, slots);
    const running: { readonly until: number; readonly index: number }[] = [];
    const arrivals = [...requests].sort((a, b) => a.at - b.at);
    let now = 0;
    return arrivals.map(({ at, ms, key }) => {
      now = Math.max(now, at);
      for (;;) {
        running.sort((a, b) => a.until - b.until);
        while (running[0] !== undefined && running[0].until <= now) balancer.release(running.shift()!.index);
        const prefer = affinity === null ? undefined : (all: readonly Candidate[]) => affinity.choose(keys[key]!, all);
        const index = balancer.take({ isUsable: () => true, prefer });
        if (index !== null) {
          running.push({ until: now + ms, index });
          return now - at;
        }
        now = running[0]!.until;
      }
    });
  }
  interface Request {
    readonly at: number;
    readonly ms: number;
    readonly key: number;
  }

  test("no request waits longer for its slot, however skewed the prefixes are", () => {
    const request = fc.record({
      at: fc.nat({ max: 500 }),
      ms: fc.integer({ min: 1, max: 100 }),
      key: fc.nat({ max: 4 }),
    });
    fc.assert(
      fc.property(
        fc.array(request, { maxLength: 120 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 3 }),
        (requests, upstreams, slots) => {
          const least = waits(requests, upstreams, slots, null);
          expect(waits(requests, upstreams, slots, affinityOf(urls(upstreams)))).toEqual(least);
        },
      ),
      { numRuns: 200 },
    );
  });
});
