// The disk of a hub is full: nothing is written, nothing is acknowledged, and nothing is lost of it.
import { beforeEach, expect, test } from "vitest";
import { Gate } from "../../../edge/gate/gate.ts";
import { DAY_MS } from "../../../edge/gate/ledger.ts";
import { DEFAULT_TIERS } from "../../../edge/gate/tiers.ts";
import { Settlement } from "../../../edge/hub/settlement.ts";
import { FrameType } from "../../../shared/wire/frames.ts";
import type { End } from "../../../shared/wire/messages.ts";
import { askedOf } from "../../support/asked.ts";
import { newBoard, Socket } from "../../support/hub-side.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const T0 = 20_800 * DAY_MS;
const EXCHANGE_MS = 600_000;
const LATE_MS = 60_000;
const credentials = { mode: "backend", key: "hc-sk-1", digest: "d".repeat(64) } as const;
const usage = { prompt_tokens: 10, completion_tokens: 20, source: "engine" } as const;
const timings = { queue_ms: 0, first_byte_ms: null, total_ms: 0 };
const end: End = { exchange: "x1", attempt: 1, outcome: "complete", bytes: 1, usage, timings, failure: null };

let now: number;
let store: MemoryStore;
const life = () =>
  new Gate({
    ask: () => Promise.reject(new Error("nobody is asked")),
    store,
    tiers: DEFAULT_TIERS,
    timeoutMs: 1,
    exchangeMs: EXCHANGE_MS,
    now: () => now,
    newId: () => "id",
  });
const used = async (gate: Gate) => {
  const { day } = (await gate.usage(credentials)).standing!;
  return day.limit - day.remaining;
};

beforeEach(() => {
  now = T0;
  store = new MemoryStore();
  const account = { keyId: "k", userId: "u", tier: "admin", ageVerified: true, expiresAt: null } as const;
  store.keep(credentials.digest, { account, verifiedAt: now });
});

test("what is settled meanwhile is written down when there is room again, and not before", async () => {
  const gate = life();
  gate.admit(askedOf("x1", { credentials }));
  gate.commitAdmissions();
  const before = [...store.journal()];
  store.isWritable = false;
  gate.accepted("x1");
  expect(gate.settle(end)).toBe(30);
  gate.commitAdmissions();
  expect(gate.commit()).toBe(false);
  expect(gate.tick(now + 1_000, true)).toEqual([]);
  expect([...store.journal()]).toEqual(before);
  // A life that ends here has acknowledged nothing: END comes again.
  store.isWritable = true;
  expect(gate.commit()).toBe(true);
  expect(await used(life())).toBe(30);
  expect(life().status(now).leases).toBe(0);
});

test("a hub that is lost with it begins without a write, and waits for an END from when it can be written", async () => {
  const first = life();
  first.admit(askedOf("x1", { credentials }));
  first.commit();
  store.isWritable = false;
  now += 1;
  const second = life();
  expect(second.status(now).leases).toBe(1);
  // However long: nothing runs out that could not be written down.
  now += EXCHANGE_MS + LATE_MS;
  expect(second.tick(now, true)).toEqual([]);
  expect(second.settle(end)).toBe(30);
  store.isWritable = true;
  second.tick(now, true);
  expect([await used(second), await used(life())]).toEqual([30, 30]);
});

test("END is acknowledged when what it settles is on disk", () => {
  let isWritten = false;
  const nothing = () => {};
  const settlement = new Settlement({
    settle: nothing,
    unserved: nothing,
    accepted: nothing,
    orphaned: nothing,
    reopened: nothing,
    over: nothing,
    commit: () => isWritten,
  });
  const { board } = newBoard();
  const socket = new Socket(board, now).hello(now);
  const settled = () => {
    socket.link.flush(true);
    return socket.types.filter((type) => type === FrameType.SETTLED).length;
  };
  settlement.ended(end, socket.link, 1);
  settlement.commit();
  expect([settled(), settlement.isOwed]).toEqual([0, true]);
  isWritten = true;
  settlement.commit();
  expect([settled(), settlement.isOwed]).toEqual([1, false]);
});
