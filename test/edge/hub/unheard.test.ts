// An OPEN has left, and its socket is lost before anybody has accepted or refused it: it may run, and is waited for.
import { beforeEach, describe, expect, test } from "vitest";
import { Gate } from "../../../edge/gate/gate.ts";
import { DAY_MS } from "../../../edge/gate/ledger.ts";
import { DEFAULT_TIERS } from "../../../edge/gate/tiers.ts";
import { ACCEPT_WITHIN_MS, HOLD_MS } from "../../../edge/hub/patience.ts";
import { Switchboard } from "../../../edge/hub/switchboard.ts";
import { FrameType } from "../../../shared/wire/frames.ts";
import { jsonFrame } from "../../../shared/wire/messages.ts";
import { Spool } from "../../../shared/wire/spool.ts";
import { askedOf } from "../../support/asked.ts";
import { newBoard, newReader, ORDER, POOL, Socket, type Told } from "../../support/hub-side.ts";
import { MemoryStore } from "../../support/memory-store.ts";

const NOW = 20_800 * DAY_MS;

describe("what is over and nobody answers for", () => {
  let board: Switchboard;
  let told: Told;
  beforeEach(() => {
    ({ board, told } = newBoard());
  });
  const open = () => board.open(ORDER, new Spool(), newReader(), NOW);
  const refusal = (channel: number) => jsonFrame(FrameType.RESET, channel, { code: "queue_full", retryable: true });

  test("was never opened: nobody is waited for", () => {
    open();
    board.tick(NOW + HOLD_MS);
    expect(told.unserved).toEqual([["x1", 0]]);
  });

  test("was refused: nobody is waited for", () => {
    const socket = new Socket(board, NOW).hello(NOW);
    const { channel } = open();
    socket.says(NOW, refusal(channel));
    board.tick(NOW + HOLD_MS);
    expect(told.unserved).toEqual([["x1", 0]]);
  });

  test("was opened on a socket that was lost: that attempt may run, also if another one is refused behind it", () => {
    const socket = new Socket(board, NOW).hello(NOW);
    const exchange = open();
    board.lost(socket.link, NOW);
    const other = new Socket(board, NOW).hello(NOW, { instance: "another" });
    expect(exchange.attempts).toBe(2);
    other.says(NOW, refusal(exchange.channel));
    board.tick(NOW + HOLD_MS);
    expect(told.unserved).toEqual([["x1", 1]]);
  });

  test("was opened on a socket that is silent: that attempt may run", () => {
    new Socket(board, NOW).hello(NOW);
    const exchange = open();
    board.tick(NOW + ACCEPT_WITHIN_MS);
    expect(exchange.link).toBeNull();
    board.cancel(exchange);
    expect(told.unserved).toEqual([["x1", 1]]);
  });
});

describe("what an exchange costs that is opened more than once in one life of the hub", () => {
  const digest = "d".repeat(64);
  const credentials = { mode: "backend", key: "hc-sk-1", digest } as const;
  const asked = askedOf(ORDER.exchange, { credentials });
  const usage = { prompt_tokens: 10, completion_tokens: 20, source: "engine" } as const;
  let now: number;
  let gate: Gate;
  let board: Switchboard;
  const used = async (): Promise<number> => {
    const { day } = (await gate.usage(credentials)).standing!;
    return day.limit - day.remaining;
  };

  beforeEach(() => {
    now = NOW;
    const store = new MemoryStore();
    const account = { keyId: "k", userId: "u", tier: "admin", ageVerified: true, expiresAt: null } as const;
    store.keep(digest, { account, verifiedAt: NOW });
    gate = new Gate({
      ask: () => Promise.reject(new Error("nobody is asked")),
      store,
      tiers: DEFAULT_TIERS,
      timeoutMs: 1,
      exchangeMs: ORDER.deadline_ms,
      now: () => now,
      newId: () => "id",
    });
    board = new Switchboard({
      shards: 1,
      events: {
        settle: (end) => gate.settle(end),
        unserved: (id, unheard) => gate.unserved(id, unheard),
        orphaned: (id) => gate.orphaned(id),
        reopened: (id, attempt) => gate.reopened(id, attempt),
        accepted: (id) => gate.accepted(id),
        commit: () => gate.commit(),
        over: () => {},
      },
    });
    void gate.admit(asked);
  });

  test("a run whose ACCEPT was lost with its socket is paid when its connector is back behind the 503", async () => {
    const reader = newReader();
    const socket = new Socket(board, now).hello(now);
    board.open(ORDER, new Spool(), reader, now);
    board.lost(socket.link, now);
    now += HOLD_MS;
    board.tick(now);
    expect(reader.failures).toMatchObject([{ code: "model_unavailable" }]);
    expect(await used()).toBeGreaterThan(0);
    const back = new Socket(board, now).hello(now);
    back.says(now, back.end(0, 1, { usage }));
    expect(await used()).toBe(30);
    expect(gate.status(now).leases).toBe(0);
  });

  test("a run that failed while the next one had no place yet does not pay for that one's answer", async () => {
    const first = new Socket(board, now).hello(now);
    const exchange = board.open(ORDER, new Spool(), newReader(), now);
    board.lost(first.link, now);
    const back = new Socket(board, now).hello(now, { pools: [{ ...POOL, healthy: 0 }] });
    back.says(now, back.end(0, 1, { outcome: "failed", usage: null }));
    expect(exchange.attempts).toBe(1);
    const other = new Socket(board, now, 1).hello(now, { instance: "another" });
    expect(exchange.attempts).toBe(2);
    other.accepts(exchange.channel, now);
    other.says(now, other.head(exchange.channel), other.data(exchange.channel, 1));
    other.says(now, other.end(exchange.channel, 1, { attempt: 2, usage }));
    expect(await used()).toBe(30);
    expect(gate.status(now).leases).toBe(0);
  });
});
