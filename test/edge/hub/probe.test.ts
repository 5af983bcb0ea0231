// A socket that only looks whether it would be welcome (spec.md §3).
import { beforeEach, describe, expect, test } from "vitest";
import type { Order, Reader } from "../../../edge/hub/exchange.ts";
import { type Link, newLinkState } from "../../../edge/hub/link.ts";
import { HOLD_MS } from "../../../edge/hub/patience.ts";
import { receive } from "../../../edge/hub/receive.ts";
import { Switchboard } from "../../../edge/hub/switchboard.ts";
import { BACKEND } from "../../../shared/openai.ts";
import { decode, encode } from "../../../shared/wire/codec.ts";
import { type Frame, FrameType } from "../../../shared/wire/frames.ts";
import { acceptFrame, type Hello, jsonFrame, PROBE, readJson, Welcome } from "../../../shared/wire/messages.ts";
import { Spool } from "../../../shared/wire/spool.ts";

const NOW = 1_000_000;
const ORDER: Order = {
  exchange: "x1",
  target: BACKEND,
  method: "POST",
  path: "/api-keys/verify",
  headers: [],
  length: 0,
  deadline_ms: 10_000,
  tier: "",
  tenant: "",
  dialect: null,
};

let board: Switchboard;
beforeEach(() => {
  const nothing = () => {};
  const events = {
    settle: nothing,
    unserved: nothing,
    orphaned: nothing,
    reopened: nothing,
    commit: () => true,
    over: nothing,
    accepted: nothing,
  };
  board = new Switchboard({ shards: 1, events });
});

function reader(): Reader & { readonly failures: string[] } {
  const failures: string[] = [];
  const nothing = () => {};
  return {
    failures,
    head: nothing,
    data: nothing,
    accepted: nothing,
    room: nothing,
    again: nothing,
    fail: ({ code }) => failures.push(code),
  };
}

/** A socket of `onprem-1` and what the hub has said on it. */
function dial(slot: number, hello: Partial<Hello>): { link: Link; heard: Frame[]; closes: number[] } {
  const heard: Frame[] = [];
  const closes: number[] = [];
  const transport = {
    send: (message: Uint8Array) => heard.push(...decode(message)),
    close: (code: number) => closes.push(code),
    save: () => {},
    heardAt: () => 0,
  };
  const link = board.attach(transport, newLinkState("onprem-1", 0, slot, NOW));
  const whole: Hello = {
    versions: [1],
    features: [],
    instance: "running",
    agent: "test",
    windows: { exchange: 262_144, socket: 4_194_304 },
    pools: [],
    ...hello,
  };
  receive(board, link, encode([jsonFrame(FrameType.HELLO, 0, whole)]), NOW);
  return { link, heard, closes };
}

const types = (frames: readonly Frame[]): number[] => frames.map(({ type }) => type);
const probe = { features: [PROBE], instance: "doctor" };

describe("a probe", () => {
  test("is welcomed and told that the hub knows what it is", () => {
    const { heard } = dial(15, probe);
    expect(readJson(Welcome, heard[0]!).features).toEqual([PROBE]);
  });

  test("is never given an exchange: neither one that waits for a socket, nor a new one", () => {
    const waits = reader();
    board.open(ORDER, new Spool(), waits, NOW);
    const { heard } = dial(15, probe);
    board.open({ ...ORDER, exchange: "x2" }, new Spool(), reader(), NOW);
    expect(types(heard)).toEqual([FrameType.WELCOME]);
    board.tick(NOW + HOLD_MS);
    expect(waits.failures).toEqual(["model_unavailable"]);
  });

  test("supersedes no socket of the running connector", () => {
    const { closes } = dial(0, {});
    dial(15, probe);
    expect(closes).toEqual([]);
  });

  test("does not end an answer that waits for its own connector to come back", () => {
    const answered = reader();
    const exchange = board.open(ORDER, new Spool(), answered, NOW);
    const { link } = dial(0, {});
    receive(board, link, encode([acceptFrame(exchange.channel)]), NOW);
    board.lost(link, NOW);
    dial(15, probe);
    expect(answered.failures).toEqual([]);
    const { heard } = dial(0, {});
    expect(types(heard)).toEqual([FrameType.WELCOME, FrameType.RESUME]);
  });
});
