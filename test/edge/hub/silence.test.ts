// A socket that is asked and does not answer: when it is doubted, when it is given up, and that nothing goes there then (spec.md §8).
import { beforeEach, expect, test } from "vitest";
import { ACCEPT_WITHIN_MS } from "../../../edge/hub/patience.ts";
import type { Switchboard } from "../../../edge/hub/switchboard.ts";
import { CloseCode, type Frame, FrameType } from "../../../shared/wire/frames.ts";
import { Spool } from "../../../shared/wire/spool.ts";
import { newBoard, newReader, ORDER, Socket } from "../../support/hub-side.ts";

const NOW = 1_000_000;
const PONG: Frame = { type: FrameType.PONG, channel: 0, payload: new Uint8Array(0) };

let board: Switchboard;
beforeEach(() => {
  ({ board } = newBoard());
});

const ask = (id: string, now: number) => board.open({ ...ORDER, exchange: id }, new Spool(), newReader(), now);
const opens = (socket: Socket) => socket.types.filter((type) => type === FrameType.OPEN).length;

test("one that missed an ACCEPT gets nothing new until it is heard again", () => {
  const socket = new Socket(board, NOW).hello(NOW);
  ask("x1", NOW);
  expect(opens(socket)).toBe(1);
  const late = NOW + ACCEPT_WITHIN_MS;
  board.tick(late);
  expect(socket.types.slice(-2)).toEqual(expect.arrayContaining([FrameType.RESET, FrameType.PING]));
  ask("x2", late);
  expect(opens(socket)).toBe(1);
  // The sign of life: both that wait are opened there.
  socket.says(late + 1_000, PONG);
  expect([opens(socket), socket.closes]).toEqual([3, []]);
});

test("one that missed two is closed, and nothing is ever sent there again, whatever it says", () => {
  const socket = new Socket(board, NOW).hello(NOW);
  const exchange = ask("x1", NOW);
  board.tick(NOW + ACCEPT_WITHIN_MS);
  socket.says(NOW + ACCEPT_WITHIN_MS + 1, PONG);
  expect([opens(socket), exchange.state]).toEqual([2, "opened"]);
  const second = NOW + 2 * ACCEPT_WITHIN_MS + 1;
  board.tick(second);
  expect([socket.closes, board.links.has(socket.link)]).toEqual([[CloseCode.SILENT], false]);
  const before = socket.heard.length;
  socket.says(second + 1, PONG);
  ask("x2", second + 2);
  board.tick(second + 3);
  expect([socket.heard.length, exchange.state]).toEqual([before, "waiting"]);
  // Its next socket gets what waits.
  const again = new Socket(board, second + 400).hello(second + 400);
  expect(opens(again)).toBe(2);
});

test("one that says nothing for two seconds more is closed after the first", () => {
  const socket = new Socket(board, NOW).hello(NOW);
  ask("x1", NOW);
  board.tick(NOW + ACCEPT_WITHIN_MS);
  board.tick(NOW + ACCEPT_WITHIN_MS + 1_999);
  expect(socket.closes).toEqual([]);
  board.tick(NOW + ACCEPT_WITHIN_MS + 2_000);
  expect(socket.closes).toEqual([CloseCode.SILENT]);
});
