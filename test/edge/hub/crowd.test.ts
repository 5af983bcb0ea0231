// One socket and many exchanges: a thousand find a place on it, readers that stand still leave room for others, and who waits for
// room is not told that nobody is there.
import { beforeEach, describe, expect, test, vi } from "vitest";
import type { Exchange } from "../../../edge/hub/exchange.ts";
import { HOLD_MS } from "../../../edge/hub/patience.ts";
import type { Switchboard } from "../../../edge/hub/switchboard.ts";
import { FrameType } from "../../../shared/wire/frames.ts";
import { readOpen } from "../../../shared/wire/hot.ts";
import { jsonFrame, readCredit } from "../../../shared/wire/messages.ts";
import { Spool } from "../../../shared/wire/spool.ts";
import { MODEL, newBoard, newReader, ORDER, Socket } from "../../support/hub-side.ts";

const NOW = 1_000_000;
const LATE = NOW + HOLD_MS;

let board: Switchboard;
let socket: Socket;
beforeEach(() => {
  ({ board } = newBoard());
  socket = new Socket(board, NOW).hello(NOW);
});

function open(exchange: string, given: Partial<typeof ORDER> = {}) {
  const reader = newReader();
  return { reader, exchange: board.open({ ...ORDER, ...given, exchange }, new Spool(), reader, NOW) };
}

/** Until one more would have to wait. */
function fill(name = "x"): Exchange[] {
  const running: Exchange[] = [];
  while (!socket.link.isFull) {
    const { exchange } = open(`${name}${running.length}`);
    socket.accepts(exchange.channel, NOW);
    running.push(exchange);
  }
  return running;
}

/** Takes what the window lets through until that is as large as it gets, and then stands still with all of it in hand. */
function standStill(exchange: Exchange): void {
  const { channel } = exchange;
  let limit = readOpen(socket.heard.findLast((frame) => frame.type === FrameType.OPEN)!).limit;
  socket.accepts(channel, NOW);
  socket.says(NOW, socket.head(channel));
  for (let sent = 0; sent < 2_000_000; ) {
    const part = Math.min(limit - sent, 32 * 1024);
    socket.says(NOW, socket.data(channel, part));
    sent += part;
    if (sent < limit) continue;
    board.take(exchange, limit, NOW);
    const credit = socket.heard.findLast((frame) => frame.type === FrameType.CREDIT && frame.channel === channel)!;
    limit = readCredit(credit);
  }
}

test("a thousand plain exchanges are opened at once, and none of them waits", () => {
  for (let i = 0; i < 1_000; i += 1) open(`x${i}`);
  expect(socket.types.filter((type) => type === FrameType.OPEN)).toHaveLength(1_000);
});

test("large answers whose readers stand still leave room for hundreds of others", () => {
  for (let i = 0; i < 60; i += 1) standStill(open(`large${i}`).exchange);
  expect(fill().length).toBeGreaterThan(300);
});

describe("who waits for two seconds", () => {
  test("for room on a socket that serves the model is told that it is full", () => {
    fill();
    const { reader } = open("late");
    board.tick(LATE);
    expect(reader.failures).toEqual([{ code: "queue_full" }]);
  });

  test("for a connector is told that there is none", () => {
    fill();
    const { reader } = open("late", { target: "another model" });
    board.tick(LATE);
    expect(reader.failures).toEqual([{ code: "model_unavailable" }]);
  });

  test("for a connector that refused it is told what that said, be it full by now or not", () => {
    const { exchange, reader } = open("refused");
    const reset = jsonFrame(FrameType.RESET, exchange.channel, { code: "model_unavailable", retryable: true });
    socket.says(NOW, reset);
    fill();
    board.tick(LATE);
    expect(reader.failures).toEqual([{ code: "model_unavailable" }]);
  });

  test("for room beside a socket that is not heard any more is told that there is none", () => {
    fill();
    socket.link.suspect = true;
    const { reader } = open("late");
    board.tick(LATE);
    expect(reader.failures).toEqual([{ code: "model_unavailable" }]);
  });
});

test("who comes later finds no room before those that wait, whatever readers have taken by then", () => {
  const [first] = fill();
  const late = open("late");
  const { channel } = first!;
  const { limit } = readOpen(socket.heard.find((frame) => frame.type === FrameType.OPEN && frame.channel === channel)!);
  // Of half a window, which is granted anew with the next byte, one is missing.
  socket.says(NOW, socket.head(channel), socket.data(channel, limit / 2 - 1));
  board.take(first!, limit, NOW);
  const later = open("later");
  expect([late.exchange.state, later.exchange.state]).toEqual(["waiting", "waiting"]);
  board.tick(LATE);
  expect(late.reader.failures).toEqual([{ code: "queue_full" }]);
});

test("room that a refusal has left is not refused to who has waited for it", () => {
  const running = fill();
  const { exchange, reader } = open("late");
  const { channel } = running[0]!;
  socket.says(NOW, jsonFrame(FrameType.RESET, channel, { code: "model_unavailable", retryable: false }));
  board.tick(LATE);
  expect([exchange.state, reader.failures]).toEqual(["opened", []]);
});

test("what ends costs no look at each of those that wait for a connector", () => {
  for (let i = 0; i < 1_000; i += 1) open(`late${i}`, { target: "another model" });
  const running = fill();
  const looked = vi.spyOn(socket.link, "pools", "get");
  for (const exchange of running) board.cancel(exchange);
  expect(looked.mock.calls.length).toBeLessThanOrEqual(running.length);
});

test("an exchange that ends makes room for as many as there is room for", () => {
  const [first] = fill();
  const waiting = [open("a"), open("b"), open("c")];
  expect(waiting.map(({ exchange }) => exchange.state)).toEqual(["waiting", "waiting", "waiting"]);
  // The first of all had the largest window.
  board.cancel(first!);
  expect(waiting.map(({ exchange }) => exchange.state)).toEqual(["opened", "opened", "opened"]);
  expect(socket.link.load(MODEL)).toBeGreaterThan(1_000);
});
