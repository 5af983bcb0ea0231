// The promise of the limits, against an adversary.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UNITS } from "../../../edge/gate/bucket.ts";
import { DAY_MS, dayOf, isScarce, Ledger, type LedgerState, type Rates } from "../../../edge/gate/ledger.ts";
import { Desk, KEY, moves, play, sizeOf, someRates, T0 } from "../../support/ledgers.ts";

const RATES: Rates = { rpm: 10, tpm: 1_000, tokensPerDay: 10_000 };
const lease = (id: string, at: number, tokens: number) => ({
  id,
  at,
  tokens,
  prompt: 0,
  promptBytes: 0,
  model: "m",
  tier: "free",
  expiresAt: at + 660_000,
});

describe("the promise", () => {
  test("holds in every interval, whatever sizes, ends, losses of the hub and jumps of the clock an adversary chooses", () => {
    let admitted = 0;
    let denied = 0;
    fc.assert(
      fc.property(someRates, moves(true), (rates, list) => {
        const desk = new Desk(rates);
        for (const move of list) play(desk, move);
        expect(desk.breach()).toBeNull();
        admitted += desk.admissions.length;
        denied += desk.denials;
      }),
      { numRuns: 500 },
    );
    expect(admitted).toBeGreaterThan(1_000);
    expect(denied).toBeGreaterThan(100);
  });

  test("nothing is denied that fits, and nothing let in that does not: a request's fate follows from the history alone", () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(someRates, moves(false), (rates, list) => {
        const desk = new Desk(rates);
        for (const move of list) {
          if (move.do !== "ask") {
            play(desk, move);
            continue;
          }
          const tokens = sizeOf(rates, move.part);
          const { tokenLevel, requestLevel, now } = desk;
          const used = desk.usedOn(dayOf(now));
          const fits =
            tokens <= rates.tpm &&
            used + tokens <= rates.tokensPerDay &&
            requestLevel >= UNITS &&
            tokenLevel >= tokens * UNITS;
          const denial = desk.ask(tokens);
          expect(denial === null).toBe(fits);
          if (denial === null) continue;
          kinds.add(denial.kind);
          if (denial.kind === "requests" || denial.kind === "tokens") {
            const forRequests = Math.ceil(Math.max(0, UNITS - requestLevel) / rates.rpm);
            const forTokens = Math.ceil(Math.max(0, tokens * UNITS - tokenLevel) / rates.tpm);
            expect(denial.retryAfterMs).toBe(Math.max(forRequests, forTokens));
          }
          if (denial.kind === "daily") expect(dayOf(now + denial.retryAfterMs!)).toBe(dayOf(now) + 1);
          if (denial.kind === "too_large") expect(denial.retryAfterMs).toBeNull();
        }
      }),
      { numRuns: 500 },
    );
    expect(kinds).toEqual(new Set(["requests", "tokens", "daily", "too_large"]));
  });

  test("who waits as long as told is let in, if nobody else comes", () => {
    fc.assert(
      fc.property(someRates, moves(false), fc.integer({ min: 1, max: 100 }), (rates, list, part) => {
        const desk = new Desk({ ...rates, tokensPerDay: 1e12 });
        for (const move of list) play(desk, move);
        const tokens = Math.floor((rates.tpm * part) / 100);
        const denial = desk.ask(tokens);
        if (denial === null) return;
        desk.step(denial.retryAfterMs! - 1);
        expect(desk.ask(tokens)).not.toBeNull();
        desk.step(1);
        expect(desk.ask(tokens)).toBeNull();
      }),
      { numRuns: 300 },
    );
  });

  test("a day of UTC takes no more than its budget and what was used beyond reservations", () => {
    fc.assert(
      fc.property(someRates, moves(false), fc.integer({ min: 1, max: 5_000 }), (rates, list, tokensPerDay) => {
        const desk = new Desk({ ...rates, rpm: 1_000_000, tpm: 100_000_000, tokensPerDay });
        for (const move of list) {
          if (move.do === "ask") desk.ask(Math.floor((tokensPerDay * move.part) / 200));
          else play(desk, move);
        }
        for (const day of new Set(desk.admissions.map(({ at }) => dayOf(at)))) {
          const excess = desk.admissions.reduce((sum, one) => sum + Math.max(0, (one.used ?? 0) - one.reserved), 0);
          expect(desk.usedOn(day)).toBeLessThanOrEqual(tokensPerDay + excess);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("a ledger", () => {
  test("that says no has changed nothing", () => {
    fc.assert(
      fc.property(someRates, moves(false), (rates, list) => {
        const desk = new Desk(rates);
        for (const move of list) {
          if (move.do !== "ask") {
            play(desk, move);
            continue;
          }
          const before = Ledger.restored(desk.state());
          before.standing(desk.now);
          if (desk.ask(sizeOf(rates, move.part)) === null) continue;
          expect(desk.state()).toEqual(JSON.parse(JSON.stringify(before.rest())));
        }
      }),
    );
  });

  test("settles an exchange once: what comes later changes nothing", () => {
    fc.assert(
      fc.property(someRates, moves(false), fc.nat(), fc.nat({ max: 3_000 }), (rates, list, which, used) => {
        const desk = new Desk(rates);
        for (const move of list) play(desk, move);
        const { leases } = desk.state();
        desk.settle(which, used);
        const settled = desk.state();
        if (leases.length > 0) expect(settled.leases).toHaveLength(leases.length - 1);
        desk.settleAgain(which, used + 1);
        desk.settleAgain(which + 1, 0);
        expect(desk.state()).toEqual(settled);
      }),
    );
  });

  test("is the same again after a loss of the hub at any point", () => {
    fc.assert(
      fc.property(someRates, moves(false), fc.boolean(), (rates, list, checkpointed) => {
        const desk = new Desk(rates);
        for (const move of list) if (move.do !== "reset") play(desk, move);
        // What was never written to is not on disk: it is full, as a new one is.
        if (desk.admissions.length === 0) return;
        if (checkpointed) desk.checkpoint();
        desk.books.standing(KEY, rates, desk.now);
        const live = desk.state();
        desk.reset();
        desk.books.standing(KEY, rates, desk.now);
        expect(desk.state()).toEqual(live);
      }),
      { numRuns: 300 },
    );
  });

  test("grants nothing to a hub that is lost again and again", () => {
    const desk = new Desk(RATES);
    for (let i = 0; i < 10; i += 1) expect(desk.ask(100)).toBeNull();
    for (let i = 0; i < 50; i += 1) {
      desk.reset();
      expect(desk.ask(1)?.kind).toBe("requests");
      if (i % 2 === 0) desk.checkpoint();
    }
  });

  test("gives back what was not used only as far as the bucket would be fuller", () => {
    const ledger = Ledger.fresh(RATES, T0);
    ledger.admit(RATES, lease("a", T0, 1_000));
    // All of it has come back by itself: to give it back as well would be twice.
    expect(ledger.check(RATES, 1_000, T0 + 60_000)).toBeNull();
    ledger.admit(RATES, lease("b", T0 + 60_000, 1_000));
    ledger.settle("a", 0, T0 + 60_000);
    expect(ledger.standing(T0 + 60_000).tokens.remaining).toBe(0);
    ledger.settle("b", 400, T0 + 60_000);
    expect(ledger.standing(T0 + 60_000).tokens.remaining).toBe(600);
  });

  test("charges what was used beyond the reservation, and makes the next request wait for it", () => {
    const ledger = Ledger.fresh(RATES, T0);
    ledger.admit(RATES, lease("a", T0, 900));
    ledger.settle("a", 1_500, T0);
    expect(ledger.standing(T0)).toMatchObject({
      tokens: { limit: 1_000, remaining: 0, resetMs: 90_000 },
      day: { limit: 10_000, remaining: 8_500, resetMs: 200_000 },
    });
    expect(ledger.check(RATES, 100, T0)).toMatchObject({ kind: "tokens", retryAfterMs: 36_000 });
  });

  test("names the limit that takes longest, and its numbers", () => {
    const ledger = Ledger.fresh(RATES, T0);
    for (let i = 0; i < 10; i += 1) ledger.admit(RATES, lease(`a${i}`, T0, 90));
    expect(ledger.check(RATES, 50, T0)).toEqual({
      kind: "requests",
      limit: 10,
      used: 10,
      requested: 1,
      retryAfterMs: 6_000,
    });
    expect(ledger.check(RATES, 400, T0)).toEqual({
      kind: "tokens",
      limit: 1_000,
      used: 900,
      requested: 400,
      retryAfterMs: 18_000,
    });
    expect(ledger.check(RATES, 1_001, T0)).toEqual({
      kind: "too_large",
      limit: 1_000,
      used: 0,
      requested: 1_001,
      retryAfterMs: null,
    });
  });

  test("opens a new day at midnight UTC, and what ran over it is on the day of its admission", () => {
    const rates = { ...RATES, tpm: 100_000 };
    const ledger = Ledger.fresh(rates, T0);
    ledger.admit(rates, lease("a", T0, 10_000));
    expect(ledger.check(rates, 1, T0 + 199_999)).toMatchObject({ kind: "daily", used: 10_000, retryAfterMs: 1 });
    expect(ledger.check(rates, 1, T0 + 200_000)).toBeNull();
    ledger.admit(rates, lease("b", T0 + 200_000, 100));
    ledger.settle("a", 0, T0 + 200_000);
    expect(ledger.standing(T0 + 200_000).day.remaining).toBe(9_900);
  });

  test("opens no new day for a clock that is set back, and is not caught on a day that came by mistake", () => {
    const rates = { ...RATES, tpm: 100_000 };
    const midnight = T0 + 200_000;
    const ledger = Ledger.fresh(rates, midnight);
    ledger.admit(rates, lease("a", midnight, 10_000));
    const denial = ledger.check(rates, 1, midnight - 1_000);
    expect(denial).toMatchObject({ kind: "daily", retryAfterMs: DAY_MS + 1_000 });
    const year = midnight + 365 * DAY_MS;
    ledger.admit(rates, lease("b", year, 10_000));
    expect(ledger.check(rates, 1, midnight)).toMatchObject({ kind: "daily", retryAfterMs: DAY_MS });
    expect(ledger.check(rates, 1, midnight + DAY_MS)).toBeNull();
  });

  test("follows limits that change: a lower one cuts what there is, a higher one has to fill", () => {
    const ledger = Ledger.fresh(RATES, T0);
    const low = { ...RATES, tpm: 100 };
    expect(ledger.check(low, 101, T0)?.kind).toBe("too_large");
    expect(ledger.standing(T0).tokens).toEqual({ limit: 100, remaining: 100, resetMs: 0 });
    expect(ledger.standing(T0, RATES).tokens).toEqual({ limit: 1_000, remaining: 100, resetMs: 54_000 });
  });

  test("never holds more than its capacity, also when limits change under running exchanges", () => {
    fc.assert(
      fc.property(fc.array(someRates, { minLength: 1, maxLength: 4 }), moves(false), (list, steps) => {
        const ledger = Ledger.fresh(list[0]!, T0);
        let now = T0;
        let ids = 0;
        const open: string[] = [];
        for (const [i, move] of steps.entries()) {
          const rates = list[i % list.length]!;
          if (move.do === "wait") now += move.ms;
          if (move.do === "settle" && open.length > 0) {
            const [id] = open.splice(move.which % open.length, 1);
            ledger.settle(id!, move.part, now);
          }
          if (move.do === "ask" && ledger.check(rates, move.part, now) === null) {
            ids += 1;
            ledger.admit(rates, lease(`x${ids}`, now, move.part));
            open.push(`x${ids}`);
          }
          const state: LedgerState = ledger.rest();
          expect(state.tokens.level).toBeLessThanOrEqual(state.rates.tpm * UNITS);
          expect(Number.isSafeInteger(state.tokens.level)).toBe(true);
        }
      }),
    );
  });
});

test("a tenth of any limit is little", () => {
  const all = { limit: 100, remaining: 100, resetMs: 0 };
  const little = { limit: 100, remaining: 9, resetMs: 1 };
  const enough = { limit: 100, remaining: 10, resetMs: 1 };
  expect(isScarce({ requests: all, tokens: all, day: enough })).toBe(false);
  expect(isScarce({ requests: little, tokens: all, day: all })).toBe(true);
  expect(isScarce({ requests: all, tokens: little, day: all })).toBe(true);
  expect(isScarce({ requests: all, tokens: all, day: little })).toBe(true);
});
