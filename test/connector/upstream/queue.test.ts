import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FairQueue, TIER_WEIGHTS, type Ticket } from "../../../connector/upstream/queue.ts";

interface Guest extends Ticket {
  readonly name: string;
}

const FOREVER = Number.POSITIVE_INFINITY;
const guest = (name: string, tier = "free", tenant = name[0] ?? "", deadline = FOREVER): Guest => ({
  name,
  tier,
  tenant,
  deadline,
});

function filled(limit: number, guests: readonly Guest[]): FairQueue<Guest> {
  const queue = new FairQueue<Guest>(limit);
  for (const one of guests) expect(queue.push(one).isAdmitted).toBe(true);
  return queue;
}

/** Names in the order of their service. */
function served(queue: FairQueue<Guest>, times = Number.POSITIVE_INFINITY): string[] {
  const names: string[] = [];
  while (names.length < times) {
    const { next } = queue.pop(0);
    if (next === null) break;
    names.push(next.name);
  }
  return names;
}

describe("the queue", () => {
  test("serves one tenant in the order of coming", () => {
    expect(served(filled(9, [guest("a1"), guest("a2"), guest("a3")]))).toEqual(["a1", "a2", "a3"]);
  });

  test("serves the tenants of a tier in turn", () => {
    const queue = filled(
      9,
      ["a1", "a2", "a3", "b1", "b2", "c1"].map((name) => guest(name)),
    );
    expect(served(queue)).toEqual(["a1", "b1", "c1", "a2", "b2", "a3"]);
  });

  test("serves tiers by their weight", () => {
    const many = (tier: string) => Array.from({ length: 26 }, () => guest(tier, tier));
    const queue = filled(99, [...many("free"), ...many("premium"), ...many("admin")]);
    const first = served(queue, 26);
    const count = (tier: string) => first.filter((name) => name === tier).length;
    expect([count("admin"), count("premium"), count("free")]).toEqual([16, 8, 2]);
    expect(first[0]).toBe("admin");
  });

  test("does not make up for the time that a tier was not there", () => {
    const queue = filled(
      99,
      Array.from({ length: 60 }, () => guest("p", "premium")),
    );
    served(queue, 40);
    for (let i = 0; i < 20; i += 1) queue.push(guest("f", "free"));
    expect(served(queue, 10).filter((name) => name === "f")).toHaveLength(2);
  });

  test("lets a tier that it does not know wait with the free one", () => {
    expect(served(filled(9, [guest("x", "gold"), guest("p", "premium")]))).toEqual(["p", "x"]);
  });

  test("is bounded", () => {
    const queue = filled(2, [guest("a"), guest("b")]);
    expect(queue.push(guest("c"))).toEqual({ isAdmitted: false });
    expect(queue.size).toBe(2);
    expect(new FairQueue<Guest>(0).push(guest("a"))).toEqual({ isAdmitted: false });
  });

  test.each<[name: string, waiting: Guest[], newcomer: Guest, displaced: string | null]>([
    ["another tenant displaces the youngest of a flood", [guest("a1"), guest("a2"), guest("a3")], guest("b"), "a3"],
    ["the flood itself displaces nobody", [guest("a1"), guest("a2"), guest("b1")], guest("a3"), null],
    ["an equal displaces nobody", [guest("a1"), guest("b1"), guest("c1")], guest("d1"), null],
    ["a heavier tier displaces one of less", [guest("a1"), guest("b1"), guest("c1")], guest("p", "premium"), "a1"],
    [
      "a lighter tier displaces nobody who waits less for his weight",
      [guest("p1", "premium"), guest("p2", "premium"), guest("p3", "premium")],
      guest("a"),
      null,
    ],
  ])("when full: %s", (_, waiting, newcomer, displaced) => {
    const queue = filled(3, waiting);
    const admission = queue.push(newcomer);
    expect(admission.isAdmitted ? admission.displaced?.name : null).toBe(displaced);
    const names = served(queue);
    expect(names).toHaveLength(3);
    expect(names.includes(newcomer.name)).toBe(displaced !== null);
  });

  test("takes out those who are too late on the way to the next", () => {
    const queue = filled(9, [guest("a", "free", "a", 10), guest("b", "free", "b", 11), guest("c", "free", "c", 10)]);
    const { next, expired } = queue.pop(10);
    expect(next?.name).toBe("b");
    expect(expired.map(({ name }) => name)).toEqual(["a"]);
    expect(queue.pop(10)).toMatchObject({ next: null, expired: [{ name: "c" }] });
    expect(queue.size).toBe(0);
  });

  test("forgets who leaves, once", () => {
    const leaver = guest("a2");
    const queue = filled(9, [guest("a1"), leaver, guest("a3")]);
    expect([queue.remove(leaver), queue.remove(leaver), queue.remove(guest("a1"))]).toEqual([true, false, false]);
    expect(queue.size).toBe(2);
    expect(served(queue)).toEqual(["a1", "a3"]);
  });

  test("is empty when it is cleared, and good as new", () => {
    const queue = filled(3, [guest("a"), guest("p", "premium")]);
    expect(queue.clear().map(({ name }) => name)).toEqual(["p", "a"]);
    expect([queue.size, queue.pop(0).next]).toEqual([0, null]);
    queue.push(guest("b"));
    expect(served(queue)).toEqual(["b"]);
  });

  test.each<[tier: string, tenant: string, ahead: number]>([
    ["free", "new", 2 + 12],
    ["free", "a", 4 + 12],
    ["premium", "new", 2 + 0 + 1],
    ["admin", "new", 1 + 1],
  ])("knows who comes before one of %s, tenant %s", (tier, tenant, ahead) => {
    const premium = Array.from({ length: 6 }, (_, i) => guest(`${"pq"[i % 2]}${i}`, "premium"));
    const queue = filled(99, [
      guest("a1"),
      guest("a2"),
      guest("b1"),
      guest("b2"),
      ...premium,
      ...premium.map((p) => ({ ...p })),
    ]);
    expect(queue.ahead(tier, tenant)).toBe(ahead);
  });
});

describe("whoever comes and goes", () => {
  const TIERS = Object.keys(TIER_WEIGHTS);
  const step = fc.record({
    what: fc.constantFrom("push", "push", "push", "pop", "pop", "remove"),
    tier: fc.constantFrom(...TIERS, "other"),
    tenant: fc.constantFrom("a", "b", "c"),
    wait: fc.nat({ max: 60 }),
    ms: fc.nat({ max: 5 }),
    which: fc.nat(),
  });

  test("nobody is lost, nobody is served twice, nobody too late, and the limit holds", () => {
    fc.assert(
      fc.property(fc.nat({ max: 8 }), fc.array(step, { maxLength: 150 }), (limit, steps) => {
        const queue = new FairQueue<Guest>(limit);
        const waiting = new Set<Guest>();
        let now = 0;
        const leave = (one: Guest) => expect(waiting.delete(one)).toBe(true);
        const pop = () => {
          const { next, expired } = queue.pop(now);
          for (const one of expired) {
            leave(one);
            expect(one.deadline).toBeLessThanOrEqual(now);
          }
          if (next === null) return false;
          leave(next);
          expect(next.deadline).toBeGreaterThan(now);
          return true;
        };
        for (const [i, { what, tier, tenant, wait, ms, which }] of steps.entries()) {
          now += ms;
          if (what === "push") {
            const one = guest(`${i}`, tier, tenant, now + wait);
            const admission = queue.push(one);
            if (admission.isAdmitted) {
              waiting.add(one);
              if (admission.displaced !== null) leave(admission.displaced);
            } else expect(waiting.size).toBe(limit);
          } else if (what === "pop") {
            if (!pop()) expect(waiting.size).toBe(0);
          } else {
            const one = [...waiting][which % Math.max(1, waiting.size)];
            if (one !== undefined) {
              expect(queue.remove(one)).toBe(true);
              leave(one);
            }
          }
          expect(queue.size).toBe(waiting.size);
          expect(queue.size).toBeLessThanOrEqual(limit);
        }
        while (pop());
        expect(waiting.size).toBe(0);
      }),
    );
  });

  test("while all tiers wait, none is ahead of another by more than one turn of each", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...TIERS), fc.nat({ max: 9 })), { maxLength: 60 }), (before) => {
        const queue = new FairQueue<Guest>(10_000);
        // Some history first, so that the tiers do not begin level.
        for (const [tier, pops] of before) {
          queue.push(guest(tier, tier));
          for (let i = 0; i < pops; i += 1) queue.pop(0);
        }
        for (const tier of TIERS) for (let i = 0; i < 400; i += 1) queue.push(guest(tier, tier, `${i % 7}`));
        const counts = new Map(TIERS.map((tier) => [tier, 0]));
        for (let i = 0; i < 300; i += 1) {
          const tier = queue.pop(0).next!.name;
          counts.set(tier, counts.get(tier)! + 1);
          for (const a of TIERS) {
            for (const b of TIERS) {
              const [weightA, weightB] = [TIER_WEIGHTS[a]!, TIER_WEIGHTS[b]!];
              const lead = counts.get(a)! / weightA - counts.get(b)! / weightB;
              expect(lead).toBeLessThanOrEqual(1 / weightA + 1 / weightB + 1e-9);
            }
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  test("each tenant of a tier is served once before any is served twice", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: 1, maxLength: 40 }), (tenants) => {
        const queue = new FairQueue<Guest>(100);
        for (const [i, tenant] of tenants.entries()) queue.push(guest(`${i}`, "free", tenant));
        const left = new Map<string, number>();
        for (const tenant of tenants) left.set(tenant, (left.get(tenant) ?? 0) + 1);
        const got = new Map([...left.keys()].map((tenant) => [tenant, 0]));
        for (let { next } = queue.pop(0); next !== null; { next } = queue.pop(0)) {
          const { tenant } = next;
          const waiting = [...left].filter(([, count]) => count > 0).map(([name]) => got.get(name)!);
          expect(got.get(tenant)).toBe(Math.min(...waiting));
          got.set(tenant, got.get(tenant)! + 1);
          left.set(tenant, left.get(tenant)! - 1);
        }
        expect([...left.values()].every((count) => count === 0)).toBe(true);
      }),
    );
  });

  test("as many as it said come before a newcomer", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...TIERS), fc.constantFrom("a", "b", "c")), { maxLength: 40 }),
        fc.constantFrom(...TIERS),
        fc.constantFrom("a", "b", "z"),
        (waiting, tier, tenant) => {
          const queue = new FairQueue<Guest>(100);
          for (const [ofTier, ofTenant] of waiting) queue.push(guest("", ofTier, ofTenant));
          const said = queue.ahead(tier, tenant);
          const newcomer = guest("new", tier, tenant);
          queue.push(newcomer);
          let before = 0;
          while (queue.pop(0).next !== newcomer) before += 1;
          // Within a turn of the other tiers: equals go by weight.
          expect(Math.abs(before - said)).toBeLessThanOrEqual(
            TIER_WEIGHTS[tier] === 1 ? 12 : TIER_WEIGHTS[tier] === 4 ? 3 : 2,
          );
        },
      ),
    );
  });
});
