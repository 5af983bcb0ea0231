// OPENs that share a message: among few none waits, among many none waits for ever.
import { beforeEach, expect, test } from "vitest";
import type { Exchange } from "../../../edge/hub/exchange.ts";
import type { Switchboard } from "../../../edge/hub/switchboard.ts";
import { FrameType } from "../../../shared/wire/frames.ts";
import { Spool } from "../../../shared/wire/spool.ts";
import { newBoard, newReader, ORDER, Socket } from "../../support/hub-side.ts";

const NOW = 1_000_000;
/** Exchanges of which each OPEN leaves at once. */
const FEW = 2;

let board: Switchboard;
let socket: Socket;
let due: (() => void)[];
beforeEach(() => {
  ({ board } = newBoard());
  due = [];
  socket = new Socket(board, NOW, 0, "onprem-1", { soon: (work) => due.push(work) }).hello(NOW);
  socket.messages.length = 0;
});

function open(count: number): Exchange[] {
  return Array.from({ length: count }, (_, i) =>
    board.open({ ...ORDER, exchange: `x${i}` }, new Spool(), newReader(), NOW),
  );
}

test("among few each leaves at once", () => {
  open(FEW);
  expect([socket.messages, due.length]).toEqual([[1, 1], 0]);
});

test("among many they leave in messages of six, and the last ones together a moment later", () => {
  open(FEW + 6 + 2);
  expect([socket.messages, due.length]).toEqual([[1, 1, 6], 1]);
  due.shift()!();
  expect(socket.messages).toEqual([1, 1, 6, 2]);
});

test("one that waits leaves with whatever else leaves, and is not sent twice", () => {
  const [first] = open(FEW + 1);
  board.cancel(first!);
  expect(socket.types.slice(-2).toSorted()).toEqual([FrameType.OPEN, FrameType.RESET].toSorted());
  due.shift()!();
  expect(socket.messages).toEqual([1, 1, 2]);
});

test("one that is cancelled while it waits is opened and reset in one message", () => {
  const last = open(FEW + 1).at(-1)!;
  board.cancel(last);
  expect(socket.types.slice(-2)).toEqual([FrameType.OPEN, FrameType.RESET]);
  expect(socket.messages).toEqual([1, 1, 2]);
});
