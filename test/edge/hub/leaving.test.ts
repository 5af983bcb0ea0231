// A connector that comes back while it leaves: its road was cut in the middle of a drain (spec.md §9).
import { expect, test } from "vitest";
import { FrameType } from "../../../shared/wire/frames.ts";
import { jsonFrame } from "../../../shared/wire/messages.ts";
import { Spool } from "../../../shared/wire/spool.ts";
import { newBoard, newReader, ORDER, Socket } from "../../support/hub-side.ts";

const NOW = 1_000_000;
const GOAWAY = jsonFrame(FrameType.GOAWAY, 0, { reason: "the connector stops", deadline_ms: 30_000, ack: false });

test("goes on with what it has, and is given nothing that waits for a connector", () => {
  const { board } = newBoard();
  const before = new Socket(board, NOW).hello(NOW);
  const running = board.open(ORDER, new Spool(), newReader(), NOW);
  before.accepts(running.channel, NOW);
  board.lost(before.link, NOW);
  const waiting = board.open({ ...ORDER, exchange: "x2" }, new Spool(), newReader(), NOW);

  const leaving = new Socket(board, NOW).hello(NOW, {}, GOAWAY);
  expect(leaving.types).toEqual([FrameType.WELCOME, FrameType.GOAWAY, FrameType.RESUME]);
  expect([running.link, waiting.link]).toEqual([leaving.link, null]);

  const staying = new Socket(board, NOW, 0, "onprem-2").hello(NOW);
  expect(staying.types).toEqual([FrameType.WELCOME, FrameType.OPEN]);
});
