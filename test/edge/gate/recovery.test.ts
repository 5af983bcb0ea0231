// A hub is lost with admissions that were not on disk yet: what ran is charged once, by what END brings back.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Gate } from "../../../edge/gate/gate.ts";
import { DAY_MS } from "../../../edge/gate/ledger.ts";
import { DEFAULT_TIERS } from "../../../edge/gate/tiers.ts";
import type { End } from "../../../shared/wire/messages.ts";
import { askedOf } from "../../support/asked.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const T0 = 20_800 * DAY_MS;
const EXCHANGE_MS = 600_000;
const LATE_MS = 60_000;
const DIGEST = "d".repeat(64);
const credentials = { mode: "backend", key: "hc-sk-1", digest: DIGEST } as const;
/** A Worker does not ask for longer. */
const ASKS_FOR_MS = 10_000;
const ATTEMPTS_OF_A_HUB = 50;

const requestOf = (id: string, attempts?: number) =>
  askedOf(id, { credentials, ...(attempts === undefined ? {} : { attempts }) });

/** What a connector has of an exchange. */
interface Run {
  attempt: number;
  lease: string | undefined;
}

interface Client {
  asks: number;
  answered: boolean;
  /** It waits in the hub, and this is what its OPEN would be. */
  held: Run | null;
  /** The last attempt that left in this life of the hub, and of which it has heard nothing; 0: none. */
  unheard: number;
  /** ms; when its hub was lost before it answered. */
  lostAt: number | null;
}

/** A hub, its disk, two connectors, and clients. */
class Shard {
  now: number;
  readonly store = new MemoryStore();
  gate: Gate;
  readonly runs = [new Map<number, Run>(), new Map<number, Run>()] as const;
  readonly clients = new Map<number, Client>();

  constructor(now = T0) {
    this.now = now;
    const account = { keyId: "k", userId: "u", tier: "admin", ageVerified: true, expiresAt: null } as const;
    const limits = { rpm: 1e6, tpm: 1e9, tokens_per_day: 1e12, max_tokens: 1e6 };
    this.store.keep(DIGEST, { account: { ...account, limits }, verifiedAt: now });
    this.gate = this.#begin();
  }

  /** One number for each exchange: in base 4, where a second charge is another digit. */
  static tokensOf(exchange: number): number {
    return 4 ** exchange;
  }

  /** Its Worker asks. The hub has no place for it yet: its OPEN may leave later, or never. */
  ask(exchange: number): void {
    const client = this.clients.get(exchange) ?? { asks: 0, answered: false, lostAt: null };
    const { asks, answered, lostAt } = client;
    if (answered || (asks > 0 && (lostAt === null || this.now - lostAt > ASKS_FOR_MS))) return;
    const attempts = asks * ATTEMPTS_OF_A_HUB;
    const admission = this.gate.admit(requestOf(`x${exchange}`, asks === 0 ? undefined : attempts));
    if (admission instanceof Promise || "failure" in admission) throw new Error("the account is known");
    const held = { attempt: attempts + 1, lease: admission.lease };
    this.clients.set(exchange, { answered, asks: asks + 1, held, unheard: 0, lostAt: null });
  }

  /** Its OPEN leaves. @param isAccepted otherwise the socket is lost behind it, and the hub looks for another place. */
  open(exchange: number, connector: 0 | 1, isAccepted: boolean): void {
    const client = this.clients.get(exchange);
    if (client === undefined || client.held === null) return;
    const { held } = client;
    client.held = isAccepted ? null : { ...held, attempt: held.attempt + 1 };
    if (held.attempt > 1) {
      this.gate.reopened(`x${exchange}`, held.attempt);
      this.gate.commit();
    }
    // A connector that knows the id goes on with the run that it has.
    this.runs[connector].set(exchange, held);
    if (isAccepted) this.gate.accepted(`x${exchange}`);
    else client.unheard = held.attempt;
  }

  run(exchange: number, connector: 0 | 1): void {
    this.ask(exchange);
    this.open(exchange, connector, true);
  }

  /** It has waited long enough, and no connector takes it. @param isRefused one was asked, and refused. */
  refuse(exchange: number, isRefused: boolean): void {
    const client = this.clients.get(exchange);
    if (client === undefined || client.held === null) return;
    if (isRefused && client.held.attempt > 1) this.gate.reopened(`x${exchange}`, client.held.attempt);
    this.gate.unserved(`x${exchange}`, client.unheard);
    this.gate.commit();
    Object.assign(client, { answered: true, held: null });
  }

  /** Its END, for the first time or once more. */
  end(exchange: number, connector: 0 | 1): void {
    const run = this.runs[connector].get(exchange);
    if (run !== undefined) this.gate.settle(endOf(`x${exchange}`, run, Shard.tokensOf(exchange)));
  }

  /** Its END is here, and its answer leaves. */
  answer(exchange: number, connector: 0 | 1): void {
    const client = this.clients.get(exchange);
    if (client === undefined || client.held !== null || client.lostAt !== null) return;
    if (!this.runs[connector].has(exchange)) return;
    this.end(exchange, connector);
    this.gate.commitAdmissions();
    client.answered = true;
  }

  die(): void {
    this.gate = this.#begin();
    for (const client of this.clients.values()) {
      client.held = null;
      if (!client.answered) client.lostAt ??= this.now;
    }
  }

  /** Connectors say until they are acknowledged what they have run; whom no connector takes is told so; the rest is waited for. */
  finish(): void {
    for (const connector of [0, 1] as const)
      for (const exchange of this.runs[connector].keys()) this.end(exchange, connector);
    for (const exchange of this.clients.keys()) this.refuse(exchange, false);
    this.now += LATE_MS;
    this.gate.tick(this.now, false);
  }

  async used(): Promise<{ requests: number; tokens: number }> {
    const { requests, day } = (await this.gate.usage(credentials)).standing!;
    return { requests: requests.limit - requests.remaining, tokens: day.limit - day.remaining };
  }

  #begin(): Gate {
    // No two lives begin at the same time.
    this.now += 1;
    return new Gate({
      ask: () => Promise.reject(new Error("nobody is asked")),
      store: this.store,
      tiers: DEFAULT_TIERS,
      timeoutMs: 1,
      exchangeMs: EXCHANGE_MS,
      now: () => this.now,
      newId: () => "id",
    });
  }
}

function endOf(exchange: string, run: Run, tokens: number): End {
  const usage = { prompt_tokens: 0, completion_tokens: tokens, source: "engine" } as const;
  const timings = { queue_ms: 0, first_byte_ms: null, total_ms: 0 };
  const end: End = { exchange, attempt: run.attempt, outcome: "complete", bytes: 1, usage, timings, failure: null };
  return run.lease === undefined ? end : { ...end, lease: run.lease };
}

const which = { exchange: fc.nat({ max: 9 }), connector: fc.constantFrom(0 as const, 1 as const) };
const move = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("ask" as const, "run" as const), ...which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("open" as const, "cut" as const), ...which }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("end" as const, "answer" as const), ...which }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("refuse" as const), ...which }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("die" as const, "tick" as const, "rest" as const) }) },
  // All of them together stay below the minute that is waited for who comes back.
  { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.nat({ max: 900 }) }) },
);

describe("what ran is charged once", () => {
  test("whatever the order of admissions, commits, losses of the hub and ENDs", async () => {
    let recovered = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(move, { minLength: 5, maxLength: 60, size: "max" }), async (moves) => {
        const shard = new Shard();
        for (const one of moves) {
          if (one.do === "ask") shard.ask(one.exchange);
          else if (one.do === "run") shard.run(one.exchange, one.connector);
          else if (one.do === "open") shard.open(one.exchange, one.connector, true);
          else if (one.do === "cut") shard.open(one.exchange, one.connector, false);
          else if (one.do === "end") shard.end(one.exchange, one.connector);
          else if (one.do === "answer") shard.answer(one.exchange, one.connector);
          else if (one.do === "refuse") shard.refuse(one.exchange, one.connector === 0);
          else if (one.do === "wait") shard.now += one.ms;
          else if (one.do === "die") shard.die();
          else shard.gate.tick(shard.now, one.do === "rest");
          recovered += one.do === "die" ? 0 : shard.gate.status(shard.now).recovered;
        }
        shard.finish();
        const ran = new Set(shard.runs.flatMap((runs) => [...runs.keys()]));
        const due = [...ran].reduce((sum, exchange) => sum + Shard.tokensOf(exchange), 0);
        expect(shard.gate.status(shard.now).leases).toBe(0);
        expect((await shard.used()).tokens).toBe(due);
        // And it stays so, also on disk.
        shard.gate.tick(shard.now, false);
        shard.die();
        for (const connector of [1, 0] as const)
          for (const exchange of shard.runs[connector].keys()) shard.end(exchange, connector);
        expect((await shard.used()).tokens).toBe(due);
      }),
      { numRuns: 1_200 },
    );
    expect(recovered).toBeGreaterThan(100);
  });
});

describe("an END whose admission was lost", () => {
  function lost(): { shard: Shard; end: End } {
    const shard = new Shard();
    shard.run(3, 0);
    const end = endOf("x3", shard.runs[0].get(3)!, 64);
    shard.die();
    return { shard, end };
  }

  test("is paid by its key, with one request, and only once", async () => {
    const { shard, end } = lost();
    expect(shard.gate.settle(end)).toBe(64);
    expect(shard.gate.settle(end)).toBeNull();
    expect(await shard.used()).toEqual({ requests: 1, tokens: 64 });
    expect(shard.gate.status(shard.now)).toMatchObject({ settled: 1, recovered: 1, completion_tokens: 64 });
    shard.gate.commit();
    shard.die();
    expect(shard.gate.settle(end)).toBeNull();
    shard.gate.tick(shard.now, true);
    shard.die();
    expect(shard.gate.settle(end)).toBeNull();
    expect((await shard.used()).tokens).toBe(64);
  });

  test("is paid before its Worker asks again, and then not once more", async () => {
    const { shard, end } = lost();
    shard.gate.settle(end);
    shard.run(3, 0);
    shard.end(3, 0);
    expect(await shard.used()).toEqual({ requests: 1, tokens: 64 });
  });

  test("is not paid where its Worker asked again, however late it comes", async () => {
    const { shard, end } = lost();
    shard.run(3, 1);
    expect(shard.gate.settle(end)).toBeNull();
    shard.end(3, 1);
    shard.gate.tick(shard.now, true);
    shard.die();
    shard.now += 300_000;
    shard.gate.tick(shard.now, true);
    expect(shard.gate.settle(end)).toBeNull();
    expect((await shard.used()).tokens).toBe(64);
  });

  test("is not paid twice where its Worker asks again in two more lives: it comes before the next OPEN", async () => {
    const { shard, end } = lost();
    shard.run(3, 1);
    shard.die();
    shard.ask(3);
    expect(shard.gate.settle(end)).toBeNull();
    shard.gate.commit();
    // SETTLED is lost with this life.
    shard.die();
    expect(shard.gate.settle(end)).toBeNull();
    shard.ask(3);
    shard.open(3, 1, true);
    shard.end(3, 1);
    expect((await shard.used()).tokens).toBe(64);
  });

  test("costs what was counted and the prompt's likely size where the engine did not say, and what was reserved where nobody did", () => {
    const counted = { prompt_tokens: 0, completion_tokens: 5, source: "counted" } as const;
    const first = lost();
    expect(first.shard.gate.settle({ ...first.end, usage: counted, outcome: "cancelled" })).toBe(20 + 5);
    const second = lost();
    expect(second.shard.gate.settle({ ...second.end, usage: null })).toBe(24 + 50);
  });

  test.each([
    ["older than an exchange may be", EXCHANGE_MS + LATE_MS, null],
    ["as old as an exchange may be", EXCHANGE_MS + LATE_MS - 1, 64],
    ["from a clock that went back", -1_000_000, null],
  ])("that is %s costs %s", (_what, ms, cost) => {
    const { shard, end } = lost();
    shard.now += ms;
    expect(shard.gate.settle(end)).toBe(cost);
  });

  test("is of a day that is over: the tokens count for the minute, and not for the new day", async () => {
    const shard = new Shard(T0 + DAY_MS - 1_000);
    shard.run(3, 0);
    shard.die();
    shard.now += 60_000;
    expect(shard.gate.settle(endOf("x3", shard.runs[0].get(3)!, 64))).toBe(64);
    expect((await shard.used()).tokens).toBe(0);
  });

  test("brings nothing where it was on disk and is settled, or is of this life", () => {
    const shard = new Shard();
    shard.run(3, 0);
    const end = endOf("x3", shard.runs[0].get(3)!, 64);
    expect(shard.gate.settle(end)).toBe(64);
    expect(shard.gate.settle(end)).toBeNull();
    shard.gate.commit();
    shard.die();
    expect(shard.gate.settle(end)).toBeNull();
  });

  test("is ignored where its lease is of another hand", () => {
    const { shard, end } = lost();
    for (const lease of ["", "x", "1.", `${end.lease}.1`, `2${end.lease!.slice(1)}`, `${end.lease!.slice(0, -1)}-`])
      expect(shard.gate.settle({ ...end, lease })).toBeNull();
    expect(shard.gate.settle(end)).toBe(64);
  });
});
