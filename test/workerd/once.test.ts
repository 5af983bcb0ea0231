// A hub is lost, and what it let in is asked for once more: each exchange is admitted and paid for once, whichever of its
// END and its Worker comes to the next hub first.
import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { Gate } from "../../edge/gate/gate.ts";
import { Store } from "../../edge/gate/store.ts";
import { DEFAULT_TIERS } from "../../edge/gate/tiers.ts";
import type { End } from "../../shared/wire/messages.ts";
import { askedOf } from "../support/asked.ts";

const NOW = 1_800_000_000_000;
const VERDICT = '{"valid":true,"key_id":"k","user_id":"u","tier":"free","age_verified":false,"expires_at":null}';
const ASKED = askedOf("req_1", { credentials: { mode: "backend", key: "hc-sk-1", digest: "d".repeat(64) } });
const AGAIN = { ...ASKED, attempts: 50 };

function end(attempt: number, tokens: number): End {
  const usage = { prompt_tokens: 10, completion_tokens: tokens, source: "engine" } as const;
  const timings = { queue_ms: 0, first_byte_ms: null, total_ms: 0 };
  return { exchange: "req_1", attempt, outcome: "complete", bytes: 1, usage, timings, failure: null };
}

/** A hub's next life: it knows what was written down. */
function newGate(sql: SqlStorage): Gate {
  return new Gate({
    ask: async () => ({ status: 200, body: new TextEncoder().encode(VERDICT) }),
    store: new Store(sql),
    tiers: DEFAULT_TIERS,
    timeoutMs: 1,
    exchangeMs: 600_000,
    now: () => NOW,
    newId: () => "id",
  });
}

/** In the storage of a hub of its own. */
function within(name: string, work: (sql: SqlStorage) => Promise<void>): Promise<void> {
  const stub = env.HUB.get(env.HUB.idFromName(name));
  return runInDurableObject(stub, (_, state) => work(state.storage.sql));
}

async function standing(gate: Gate): Promise<{ requests: number; day: number }> {
  const { standing } = await gate.usage(ASKED.credentials);
  const { requests, day } = standing!;
  return { requests: requests.limit - requests.remaining, day: day.limit - day.remaining };
}

test.each([
  ["before", true],
  ["after", false],
])("its END comes %s its Worker", (when, isFirst) =>
  within(`once-${when}`, async (sql) => {
    const first = newGate(sql);
    await first.admit(ASKED);
    first.accepted("req_1");
    first.commit();
    const next = newGate(sql);
    if (isFirst) next.settle(end(1, 20));
    expect(await next.admit(AGAIN)).toMatchObject({ tier: "free" });
    next.reopened("req_1", 51);
    next.settle(end(1, 20));
    next.settle(end(51, 20));
    expect(await standing(next)).toEqual({ requests: 1, day: 30 });
  }),
);

test("its END was written down, and then the hub was lost before the answer left", () =>
  within("once-written", async (sql) => {
    const first = newGate(sql);
    await first.admit(ASKED);
    first.settle(end(1, 20));
    first.commit();
    const next = newGate(sql);
    expect(await next.admit(AGAIN)).toMatchObject({ tier: "free" });
    next.settle(end(51, 20));
    expect(await standing(next)).toEqual({ requests: 1, day: 30 });
  }));

test("what was given back, because nobody served it, is admitted anew", () =>
  within("once-unserved", async (sql) => {
    const gate = newGate(sql);
    await gate.admit(ASKED);
    gate.unserved("req_1");
    await gate.admit(AGAIN);
    gate.settle(end(51, 20));
    expect(await standing(gate)).toEqual({ requests: 2, day: 30 });
  }));
