// What an exchange costs where the END that counts never comes.
import { describe, expect, test } from "vitest";
import { Gate } from "../../../edge/gate/gate.ts";
import { DAY_MS } from "../../../edge/gate/ledger.ts";
import { DEFAULT_TIERS } from "../../../edge/gate/tiers.ts";
import type { End } from "../../../shared/wire/messages.ts";
import { askedOf } from "../../support/asked.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const T0 = 20_800 * DAY_MS;
const DIGEST = "d".repeat(64);
const credentials = { mode: "backend", key: "hc-sk-1", digest: DIGEST } as const;
const ORPHAN_MS = 60_000;
/** 24 of them for the prompt. */
const RESERVED = 74;

const REQUEST = askedOf("x", { credentials });

function endOf(attempt: number, tokens: number): End {
  const usage = { prompt_tokens: 10, completion_tokens: tokens - 10, source: "engine" } as const;
  const timings = { queue_ms: 0, first_byte_ms: null, total_ms: 0 };
  return { exchange: "x", attempt, outcome: "complete", bytes: 1, usage, timings, failure: null };
}

class Hub {
  now = T0;
  readonly store = new MemoryStore();
  gate: Gate;

  constructor() {
    const account = { keyId: "k", userId: "u", tier: "admin", ageVerified: true, expiresAt: null } as const;
    this.store.keep(DIGEST, { account, verifiedAt: T0 });
    this.gate = this.#begin();
    void this.gate.admit(REQUEST);
  }

  /** With all that is written down by now. */
  die(): void {
    this.gate.commit();
    this.now += 1;
    this.gate = this.#begin();
  }

  /** Without a tick: it only woke, and slept again. */
  sleep(ms: number): void {
    this.now += ms;
    this.gate = this.#begin();
  }

  opened(attempt: number): void {
    this.gate.reopened("x", attempt);
  }

  async used(): Promise<number> {
    const { day } = (await this.gate.usage(credentials)).standing!;
    return day.limit - day.remaining;
  }

  #begin(): Gate {
    return new Gate({
      ask: () => Promise.reject(new Error("nobody is asked")),
      store: this.store,
      tiers: DEFAULT_TIERS,
      timeoutMs: 1,
      exchangeMs: 600_000,
      now: () => this.now,
      newId: () => "id",
    });
  }
}

describe("an exchange that was run, and that no connector takes when it is asked for again, costs that run", () => {
  test("where its END comes first", async () => {
    const hub = new Hub();
    hub.die();
    hub.opened(51);
    expect(hub.gate.settle(endOf(1, 30))).toBeNull();
    expect(await hub.used()).toBe(RESERVED);
    // Acknowledged, and so never said again.
    hub.die();
    hub.opened(101);
    hub.gate.settle(endOf(51, 20));
    expect(hub.gate.unserved("x")).toMatchObject({ tokens: 20, told: { attempt: 51, outcome: "complete" } });
    expect(await hub.used()).toBe(20);
    expect(hub.gate.status(hub.now)).toMatchObject({ settled: 1, prompt_tokens: 10, completion_tokens: 10 });
  });

  test.each([
    ["in one life of the hub", false],
    ["in the next one", true],
  ])("where its END comes later, %s", async (_, isLost) => {
    const hub = new Hub();
    if (isLost) hub.die();
    else hub.gate.accepted("x");
    hub.opened(51);
    expect(hub.gate.unserved("x")).toBeNull();
    expect(await hub.used()).toBe(RESERVED);
    hub.die();
    expect(hub.gate.settle(endOf(1, 30))).toBe(30);
    expect(hub.gate.settle(endOf(1, 30))).toBeNull();
    expect(await hub.used()).toBe(30);
  });

  test("and nothing where nobody says within a minute that it ran, or nobody can have run it", async () => {
    const silent = new Hub();
    silent.gate.accepted("x");
    silent.opened(2);
    silent.gate.unserved("x");
    expect(silent.gate.tick(T0 + ORPHAN_MS - 1, true)).toEqual([]);
    expect(silent.gate.tick(T0 + ORPHAN_MS, true)).toMatchObject([{ tokens: 0, told: null, ageMs: ORPHAN_MS }]);
    const refused = new Hub();
    refused.opened(2);
    expect(refused.gate.unserved("x")).toMatchObject({ tokens: 0, told: null });
    expect([await silent.used(), await refused.used()]).toEqual([0, 0]);
  });
});

test("an answer that had begun costs what was reserved, where its hub was lost before it noted who answers, and then its connector", async () => {
  const hub = new Hub();
  hub.die();
  hub.gate.resumed("x");
  hub.gate.orphaned("x");
  hub.now += ORPHAN_MS;
  expect(hub.gate.tick(hub.now, true)).toMatchObject([{ tokens: RESERVED, told: null }]);
  expect(await hub.used()).toBe(RESERVED);
});

describe("an exchange that was moved, and whose last attempt says nothing,", () => {
  test.each([
    ["costs the attempt that was told, where the last one was never accepted", false, 30],
    ["costs what was reserved, where it was", true, RESERVED],
  ])("%s", async (_, isAccepted, cost) => {
    const hub = new Hub();
    hub.gate.accepted("x");
    hub.opened(2);
    if (isAccepted) hub.gate.accepted("x");
    // The OPEN of a hub that is lost may never have left it.
    hub.die();
    hub.gate.settle(endOf(1, 30));
    hub.now += ORPHAN_MS;
    expect(hub.gate.tick(hub.now, true)).toMatchObject([{ tokens: cost }]);
    expect(await hub.used()).toBe(cost);
  });

  test("costs what the last one says, if that comes in time", async () => {
    const hub = new Hub();
    hub.gate.accepted("x");
    hub.opened(2);
    hub.gate.settle(endOf(1, 30));
    expect(hub.gate.settle(endOf(2, 40))).toBe(40);
    expect(await hub.used()).toBe(40);
  });
});

describe("a lease that nobody goes on with", () => {
  test("is given up a minute after its hub was lost, however often the next ones are lost", () => {
    const hub = new Hub();
    hub.gate.accepted("x");
    hub.die();
    const lostAt = hub.now;
    while (hub.now < lostAt + ORPHAN_MS) {
      expect(hub.gate.tick(hub.now, false)).toEqual([]);
      hub.now += 20_000;
      hub.die();
    }
    expect(hub.gate.nextExpiry()).toBe(lostAt + ORPHAN_MS);
    expect(hub.gate.tick(hub.now, true)).toMatchObject([{ tokens: RESERVED, told: null }]);
  });

  test("is given up a minute after its hub was lost, also where the next ones write nothing down of their own", () => {
    const hub = new Hub();
    hub.gate.accepted("x");
    hub.die();
    const lostAt = hub.now;
    const rows = [...hub.store.journal()].length;
    for (let lives = 0; lives < 3; lives += 1) {
      hub.sleep(20_000);
      expect(hub.gate.nextExpiry()).toBe(lostAt + ORPHAN_MS);
    }
    expect([...hub.store.journal()]).toHaveLength(rows);
    expect(hub.gate.tick(hub.now, true)).toMatchObject([{ tokens: RESERVED, told: null }]);
  });

  test.each([
    ["has run on long behind its minute: a version that knows no such minute kept it", 2 * ORPHAN_MS + 1],
    ["is of a time to come: the clock was set back", -ORPHAN_MS],
  ])("has its minute again where what was noted of its loss %s", (_, ms) => {
    const hub = new Hub();
    hub.die();
    hub.sleep(ms);
    expect(hub.gate.nextExpiry()).toBe(hub.now + ORPHAN_MS);
  });

  test("has its minute again when somebody has gone on with it meanwhile", () => {
    for (const claim of [(gate: Gate) => gate.resumed("x"), (gate: Gate) => gate.reopened("x", 51)]) {
      const hub = new Hub();
      hub.die();
      claim(hub.gate);
      expect(hub.gate.nextExpiry()).toBeGreaterThan(hub.now + ORPHAN_MS);
      hub.now += 50_000;
      hub.die();
      expect(hub.gate.nextExpiry()).toBe(hub.now + ORPHAN_MS);
    }
  });
});
