// The line of a pool in a world of its own: slots that come free as the clock says, requests of all tiers, floods.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Line, type Waiter } from "../../../connector/upstream/line.ts";
import { TIER_WEIGHTS } from "../../../connector/upstream/queue.ts";
import { Failure } from "../../../shared/errors.ts";
import { turn } from "./pool-fixture.ts";
import { VirtualClock } from "./virtual-clock.ts";

class Guest implements Waiter {
  readonly tier: string;
  readonly tenant: string;
  readonly deadline: number;
  readonly cameAt: number;
  servedAt: number | null = null;
  /** Guests that got a slot while it waited. */
  overtaken = 0;
  failure: Failure | null = null;

  constructor(tier: string, tenant: string, cameAt: number, deadline = Number.POSITIVE_INFINITY) {
    this.tier = tier;
    this.tenant = tenant;
    this.cameAt = cameAt;
    this.deadline = deadline;
  }

  fail(failure: Failure): void {
    if (this.failure !== null || this.servedAt !== null) throw new Error("it is over twice");
    this.failure = failure;
  }
}

/** A pool of `slots`, all alike, each request of which takes `ms`. */
class Site {
  readonly clock = new VirtualClock();
  readonly line: Line<Guest>;
  readonly served: Guest[] = [];
  readonly #slots: number;
  readonly #ms: number;
  #busy = 0;

  constructor(slots: number, ms: number, limit: number) {
    this.#slots = slots;
    this.#ms = ms;
    this.line = new Line<Guest>(limit, {
      now: this.clock.now,
      slots: () => slots,
      hasRoom: () => this.#busy < slots,
      hasPlace: () => true,
      place: (guest) => this.#place(guest),
    });
  }

  come(tier: string, tenant = tier, waitMs = Number.POSITIVE_INFINITY): Guest {
    const now = this.clock.now();
    const guest = new Guest(tier, tenant, now, now + waitMs);
    const failure = this.line.admit(guest);
    if (failure !== null) guest.fail(failure);
    return guest;
  }

  /** The line works between two turns of the event loop, so time passes in steps. */
  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 1) {
      this.clock.pass(1);
      await Promise.resolve();
    }
  }

  #place(guest: Guest): boolean {
    if (this.#busy >= this.#slots) return false;
    if (guest.deadline <= this.clock.now()) throw new Error("it is sent too late");
    this.#busy += 1;
    guest.servedAt = this.clock.now();
    this.served.push(guest);
    this.clock.setTimeout(() => {
      this.#busy -= 1;
      this.line.freed(this.#ms);
      this.line.pumpSoon();
    }, this.#ms);
    return true;
  }
}

describe("under a flood of Free", () => {
  const scene = fc.record({
    slots: fc.integer({ min: 1, max: 6 }),
    ms: fc.integer({ min: 4, max: 40 }),
    tenants: fc.integer({ min: 1, max: 40 }),
    gaps: fc.array(fc.nat({ max: 40 }), { minLength: 5, maxLength: 25 }),
  });

  test("a Premium request that comes alone waits for the next slot or the one after, however many wait", async () => {
    await fc.assert(
      fc.asyncProperty(scene, async ({ slots, ms, tenants, gaps }) => {
        const site = new Site(slots, ms, 64);
        for (let i = 0; i < 100; i += 1) site.come("free", `${i % tenants}`);
        for (const gap of gaps) {
          await site.pass(gap);
          const before = site.served.length;
          const one = site.come("premium");
          expect(one.failure).toBeNull();
          // The flood goes on.
          for (let i = 0; i < 3; i += 1) site.come("free", `${i % tenants}`);
          while (one.servedAt === null) await site.pass(1);
          expect(site.served.indexOf(one) - before).toBeLessThanOrEqual(slots);
          expect(one.servedAt - one.cameAt).toBeLessThanOrEqual(2 * ms);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("Premium gets its share of the slots while it asks for it, and Free gets its own", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 20 }), async (slots, tenants) => {
        const ms = 10;
        const site = new Site(slots, ms, 60);
        const fill = () => {
          for (let i = 0; i < 30; i += 1) {
            site.come("free", `f${i % tenants}`);
            site.come("premium", `p${i % 3}`);
          }
        };
        fill();
        const begun = site.served.length;
        for (let round = 0; round < 60; round += 1) {
          fill();
          await site.pass(ms);
        }
        const rest = site.served.slice(begun);
        const share = rest.filter(({ tier }) => tier === "premium").length / rest.length;
        const due = TIER_WEIGHTS["premium"]! / (TIER_WEIGHTS["premium"]! + TIER_WEIGHTS["free"]!);
        expect(Math.abs(share - due)).toBeLessThan(0.1);
      }),
      { numRuns: 25 },
    );
  });
});

describe("whoever is turned away", () => {
  test("is told a time after which there is room for him, if the others do not come again either", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 20, max: 400 }),
        fc.integer({ min: 1, max: 40 }),
        async (slots, ms, limit) => {
          const site = new Site(slots, ms, limit);
          // The rate is known: some have been served.
          for (let i = 0; i < 6; i += 1) {
            site.come("free");
            await site.pass(ms + 1);
          }
          for (let i = 0; i < slots + limit; i += 1) site.come("free");
          const away = site.come("free");
          const { code, retryAfterMs } = away.failure!.public;
          expect(code).toBe("queue_full");
          const honest = ((limit + 1) * ms) / slots;
          expect(retryAfterMs).toBeGreaterThanOrEqual(Math.min(60_000, Math.max(1_000, Math.floor(honest))));
          expect(retryAfterMs).toBeLessThanOrEqual(Math.max(1_000, Math.ceil(honest)));
          await site.pass(retryAfterMs!);
          expect(site.come("free").failure).toBeNull();
        },
      ),
      { numRuns: 20 },
    );
  });

  test("is told of the present where it is slower than the past", async () => {
    const site = new Site(1, 50, 1);
    for (let i = 0; i < 6; i += 1) {
      site.come("free");
      await site.pass(51);
    }
    // The only slot comes free no more.
    const stuck = new Line<Guest>(1, {
      now: site.clock.now,
      slots: () => 1,
      hasRoom: () => false,
      hasPlace: () => true,
      place: () => false,
    });
    for (let i = 0; i < 4; i += 1) stuck.freed(50);
    const guest = () => new Guest("free", "t", site.clock.now());
    expect(stuck.admit(guest())).toBeNull();
    expect(stuck.admit(guest())?.public.retryAfterMs).toBe(1_000);
    site.clock.pass(30_000);
    expect(stuck.admit(guest())?.public.retryAfterMs).toBe(30_000);
    // One that comes free after all is news.
    stuck.freed(50);
    expect(stuck.admit(guest())?.public.retryAfterMs).toBe(1_000);
  });

  test("is told of no wait where nobody waits: the pool was idle, and its time was over when it came", () => {
    const site = new Site(1, 50, 1);
    for (let i = 0; i < 4; i += 1) site.line.freed(50);
    site.clock.pass(50_000);
    expect(site.come("free", "t", 0).failure?.public.retryAfterMs).toBe(1_000);
  });
});

describe("a deadline", () => {
  const scene = fc.record({
    slots: fc.integer({ min: 1, max: 4 }),
    ms: fc.integer({ min: 5, max: 30 }),
    steps: fc.array(
      fc.record({
        tier: fc.constantFrom(...Object.keys(TIER_WEIGHTS)),
        tenant: fc.constantFrom("a", "b", "c"),
        wait: fc.nat({ max: 300 }),
        gap: fc.nat({ max: 6 }),
      }),
      { minLength: 10, maxLength: 80 },
    ),
  });

  test("that would pass in the line is told at once, and nobody is sent too late", async () => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(scene, async ({ slots, ms, steps }) => {
        const site = new Site(slots, ms, 1_000);
        for (let i = 0; i < 4; i += 1) site.come("free");
        await site.pass(ms * 5);
        const guests: Guest[] = [];
        for (const { tier, tenant, wait, gap } of steps) {
          const before = site.line.waiting;
          const guest = site.come(tier, tenant, wait);
          guests.push(guest);
          if (guest.failure !== null) {
            refused += 1;
            expect(site.line.waiting).toBe(before);
            expect(guest.failure.code).toBe("queue_full");
          }
          await site.pass(gap);
        }
        await site.pass(ms * (steps.length + 2));
        await turn();
        // Everybody is over, one way or the other.
        for (const { servedAt, failure } of guests) expect(servedAt === null).toBe(failure !== null);
        expect(site.line.waiting).toBe(0);
      }),
      { numRuns: 60 },
    );
    expect(refused).toBeGreaterThan(0);
  });

  test("that is far is no reason to turn anybody away", async () => {
    const site = new Site(2, 10, 100);
    for (let i = 0; i < 6; i += 1) site.come("free");
    await site.pass(60);
    const guests = Array.from({ length: 60 }, (_, i) => site.come("free", `${i % 5}`, 10_000));
    expect(guests.filter(({ failure }) => failure !== null)).toEqual([]);
    await site.pass(400);
    expect(guests.every(({ servedAt }) => servedAt !== null)).toBe(true);
  });
});

test("who comes while another waits for an upstream that is full gets the slot that is free", async () => {
  // The first has failed on one upstream and waits for the other; the second may use either.
  const placed: Guest[] = [];
  let first: Guest | null = null;
  const line = new Line<Guest>(8, {
    now: () => 0,
    slots: () => 2,
    hasRoom: () => true,
    hasPlace: () => true,
    place: (guest) => {
      if (guest !== first) placed.push(guest);
      return guest !== first;
    },
  });
  first = new Guest("free", "a", 0);
  line.again(first, new Failure("upstream_error"));
  const second = new Guest("free", "b", 0);
  expect(line.admit(second)).toBeNull();
  await turn();
  expect(placed).toEqual([second]);
  expect(line.waiting).toBe(1);
});

describe("who waits", () => {
  const met = new Failure("upstream_error", { detail: "it was met" });

  /** A pool with no room, until the test says otherwise. */
  function full(limit: number) {
    const pool = { now: 0, slots: 2, room: 0, barred: new Set<Guest>(), lost: new Set<Guest>(), placed: [] as Guest[] };
    const line = new Line<Guest>(limit, {
      now: () => pool.now,
      slots: () => pool.slots,
      hasRoom: () => pool.room > 0,
      hasPlace: (guest) => !pool.lost.has(guest),
      place: (guest) => {
        if (pool.room === 0 || pool.barred.has(guest)) return false;
        pool.room -= 1;
        pool.placed.push(guest);
        return true;
      },
    });
    const come = (tier: string, tenant: string, deadline?: number) => {
      const guest = new Guest(tier, tenant, pool.now, deadline);
      expect(line.admit(guest)).toBeNull();
      return guest;
    };
    const pump = async () => {
      line.pumpSoon();
      await turn();
    };
    return { pool, line, come, pump };
  }

  test("is told when he has to make room for another", () => {
    const { line, come } = full(2);
    const [older, younger] = [come("free", "flood"), come("free", "flood")];
    come("premium", "other");
    expect([older.failure, younger.failure?.code, line.waiting, line.refused]).toEqual([null, "queue_full", 2, 1]);
  });

  test("is told what he has met, if his time is up after an attempt, and else that it was full", () => {
    const { line, come } = full(2);
    const again = new Guest("free", "a", 0);
    line.again(again, met);
    expect([line.tooLate(again), line.tooLate(come("free", "b")).code]).toEqual([met, "queue_full"]);
  });

  test("is not sent once he has left, also after an attempt", async () => {
    const { pool, line, come, pump } = full(2);
    const [again, queued] = [new Guest("free", "a", 0), come("free", "b")];
    line.again(again, met);
    for (const guest of [again, queued]) line.forget(guest);
    pool.room = 2;
    await pump();
    expect([line.waiting, pool.placed]).toEqual([0, []]);
  });

  test("after an attempt comes first, does not hold up the others, and is told what he has met if nothing is left to try", async () => {
    const { pool, line, come, pump } = full(4);
    const queued = come("premium", "c");
    const [stuck, next, last] = ["a", "b", "d"].map((tenant) => new Guest("free", tenant, 0)) as [Guest, Guest, Guest];
    for (const guest of [stuck, next, last]) line.again(guest, met);
    pool.barred.add(stuck);
    pool.lost.add(last);
    pool.room = 1;
    await pump();
    expect([pool.placed, last.failure, line.waiting]).toEqual([[next], met, 2]);
    pool.room = 1;
    await pump();
    expect([pool.placed, stuck.failure, line.waiting]).toEqual([[next, queued], null, 1]);
  });

  test("is not overtaken by who comes just as a slot is free", async () => {
    const { pool, come } = full(2);
    const first = come("free", "a");
    pool.room = 1;
    come("free", "b");
    await turn();
    expect(pool.placed).toEqual([first]);
  });

  test("is sent away when no upstream is left", async () => {
    const { pool, line, come, pump } = full(2);
    const guest = come("free", "a");
    pool.slots = 0;
    await pump();
    expect([guest.failure?.code, line.waiting]).toEqual(["model_unavailable", 0]);
  });

  test("is told when his time is over at his turn, and the next gets it", async () => {
    const { pool, line, come, pump } = full(2);
    const [late, next] = [come("free", "a", 100), come("free", "b")];
    pool.now = 100;
    pool.room = 1;
    await pump();
    expect([pool.placed, late.failure?.code, next.failure, line.refused]).toEqual([[next], "queue_full", null, 1]);
  });
});
