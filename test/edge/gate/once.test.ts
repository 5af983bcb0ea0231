// A hub is lost, and what it let in is asked for once more: each exchange is admitted and paid for once, whichever of its
// END and its Worker comes to the next hub first.
import { beforeEach, expect, test } from "vitest";
import type { Entry } from "../../../edge/gate/books.ts";
import { Gate } from "../../../edge/gate/gate.ts";
import type { Store } from "../../../edge/gate/store.ts";
import { DEFAULT_TIERS } from "../../../edge/gate/tiers.ts";
import type { ExchangeRequest } from "../../../shared/hop.ts";
import type { End } from "../../../shared/wire/messages.ts";

const NOW = 1_800_000_000_000;
const account = { keyId: "k", userId: "u", tier: "free", ageVerified: false, expiresAt: null } as const;
const ASKED: ExchangeRequest = {
  id: "req_1",
  credentials: { mode: "backend", key: "hc-sk-1", digest: "d".repeat(64) },
  method: "POST",
  path: "/v1/chat/completions",
  target: "m",
  ageRestricted: false,
  headers: [],
  dialect: { model: "m", stream: false, usage: false },
  demand: { promptBytes: 40, generates: true, maxTokens: 50, choices: 1 },
};
const AGAIN = { ...ASKED, attempts: 50 };

function end(attempt: number, tokens: number): End {
  const usage = { prompt_tokens: 10, completion_tokens: tokens, source: "engine" } as const;
  const timings = { queue_ms: 0, first_byte_ms: null, total_ms: 0 };
  return { exchange: "req_1", attempt, outcome: "complete", bytes: 1, usage, timings, failure: null };
}

let journal: Entry[];
/** A hub's next life: it knows what was written down. */
function newGate(): Gate {
  const store = {
    load: () => ({ account, verifiedAt: NOW }),
    keep: () => {},
    drop: () => {},
    ledger: () => null,
    leased: () => [],
    journal: () => [...journal],
    append: (entries: readonly Entry[]) => journal.push(...entries),
    estimates: () => ({}),
  };
  return new Gate({
    ask: () => Promise.reject(new Error("not asked")),
    store: store as unknown as Store,
    tiers: DEFAULT_TIERS,
    timeoutMs: 1,
    exchangeMs: 600_000,
    now: () => NOW,
    newId: () => "id",
  });
}

async function standing(gate: Gate): Promise<{ requests: number; day: number }> {
  const { standing } = await gate.usage(ASKED.credentials);
  const { requests, day } = standing!;
  return { requests: requests.limit - requests.remaining, day: day.limit - day.remaining };
}

beforeEach(() => {
  journal = [];
});

test.each([
  ["before", true],
  ["after", false],
])("its END comes %s its Worker", async (_, isFirst) => {
  const first = newGate();
  first.admit(ASKED);
  first.accepted("req_1");
  first.commit();
  const next = newGate();
  if (isFirst) next.settle(end(1, 20));
  expect(next.admit(AGAIN)).toMatchObject({ tier: "free" });
  next.reopened("req_1", 51);
  next.settle(end(1, 20));
  next.settle(end(51, 20));
  expect(await standing(next)).toEqual({ requests: 1, day: 30 });
});

test("its END was written down, and then the hub was lost before the answer left", async () => {
  const first = newGate();
  first.admit(ASKED);
  first.settle(end(1, 20));
  first.commit();
  const next = newGate();
  expect(next.admit(AGAIN)).toMatchObject({ tier: "free" });
  next.settle(end(51, 20));
  expect(await standing(next)).toEqual({ requests: 1, day: 30 });
});

test("what was given back, because nobody served it, is admitted anew", async () => {
  const gate = newGate();
  gate.admit(ASKED);
  gate.unserved("req_1");
  gate.admit(AGAIN);
  gate.settle(end(1, 20));
  expect(await standing(gate)).toEqual({ requests: 2, day: 30 });
});
