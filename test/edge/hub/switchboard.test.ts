// What becomes of an exchange when sockets come, go and cross each other (spec.md §3, §4, §7).
import { beforeEach, describe, expect, test } from "vitest";
import { REATTACH_WITHIN_MS } from "../../../edge/hub/patience.ts";
import type { Switchboard } from "../../../edge/hub/switchboard.ts";
import { CloseCode, FrameType } from "../../../shared/wire/frames.ts";
import { acceptFrame, Reset, Resume, readJson } from "../../../shared/wire/messages.ts";
import { Spool } from "../../../shared/wire/spool.ts";
import { MODEL, newBoard, newReader, ORDER, Socket, type Told } from "../../support/hub-side.ts";

const NOW = 1_000_000;

let board: Switchboard;
let told: Told;
beforeEach(() => {
  ({ board, told } = newBoard());
});

describe("two sockets of one place", () => {
  test("the one that was opened later supersedes the other", () => {
    const first = new Socket(board, NOW).hello(NOW);
    new Socket(board, NOW + 1).hello(NOW + 1);
    expect(first.closes).toEqual([CloseCode.SUPERSEDED]);
  });

  // A road that was cut brings what was said into it long ago. The connector never redials a superseded socket.
  test("a HELLO that comes late on the earlier one does not supersede the later one", () => {
    const early = new Socket(board, NOW);
    const late = new Socket(board, NOW + 1);
    early.hello(NOW + 2);
    late.hello(NOW + 3);
    expect([late.closes, board.links.has(late.link)]).toEqual([[], true]);
    expect([early.closes, board.links.has(early.link)]).toEqual([[CloseCode.SUPERSEDED], false]);
    expect(early.types).not.toContain(FrameType.WELCOME);
  });

  test("of two that were opened in the same millisecond the second is the later one", () => {
    const early = new Socket(board, NOW);
    const late = new Socket(board, NOW);
    early.hello(NOW + 1);
    late.hello(NOW + 1);
    expect([early.closes, late.closes]).toEqual([[CloseCode.SUPERSEDED], []]);
  });

  test("nothing that comes on a socket after it was closed is heard", () => {
    const early = new Socket(board, NOW);
    const late = new Socket(board, NOW + 1).hello(NOW + 1);
    expect(early.closes).toEqual([CloseCode.SUPERSEDED]);
    early.hello(NOW + 2);
    expect([late.closes, early.closes, early.heard]).toEqual([[], [CloseCode.SUPERSEDED], []]);
  });
});

describe("an exchange that no socket carries", () => {
  test("whose client leaves is cancelled at its connector as soon as that is back", () => {
    const exchange = board.open(ORDER, new Spool(), newReader(), NOW);
    const first = new Socket(board, NOW).hello(NOW);
    const { channel } = exchange;
    first.says(NOW, acceptFrame(channel), first.head(channel), first.data(channel, 3));
    board.lost(first.link, NOW);
    board.cancel(exchange);
    const again = new Socket(board, NOW + 400).hello(NOW + 400);
    expect(again.types).toEqual([FrameType.WELCOME, FrameType.RESUME, FrameType.RESET]);
    const [, resume, reset] = again.heard;
    expect(readJson(Resume, resume!)).toMatchObject({ exchange: "x1", offset: 3, head: false });
    expect([reset!.channel, readJson(Reset, reset!)]).toEqual([
      resume!.channel,
      { code: "cancelled", retryable: false },
    ]);
    // Its END settles the lease, and what else comes is nobody's.
    again.says(NOW + 500, acceptFrame(resume!.channel), again.end(resume!.channel, 3, { outcome: "cancelled" }));
    expect([told.ends, again.closes, board.running]).toMatchObject([[{ exchange: "x1" }], [], 0]);
  });

  test("is not asked for at another process, nor when its connector has given it up by itself", () => {
    const leave = (): void => {
      const exchange = board.open(ORDER, new Spool(), newReader(), NOW);
      const socket = new Socket(board, NOW).hello(NOW);
      socket.accepts(exchange.channel, NOW);
      board.lost(socket.link, NOW);
      board.cancel(exchange);
    };
    leave();
    const other = new Socket(board, NOW + 1).hello(NOW + 1, { instance: "restarted" });
    expect(other.types).toEqual([FrameType.WELCOME]);
    board.lost(other.link, NOW + 1);
    leave();
    const late = new Socket(board, NOW + REATTACH_WITHIN_MS).hello(NOW + REATTACH_WITHIN_MS);
    expect(late.types).toEqual([FrameType.WELCOME]);
  });

  test("and has broken off for good is not asked for again by a resume", () => {
    const exchange = board.open(ORDER, new Spool(), newReader(), NOW);
    const socket = new Socket(board, NOW).hello(NOW);
    const { channel } = exchange;
    socket.says(NOW, acceptFrame(channel), socket.head(channel), socket.data(channel, 3));
    socket.says(NOW, socket.end(channel, 3, { outcome: "truncated" }));
    const before = socket.heard.length;
    const resumed = newReader();
    const from = { id: "x1", target: MODEL, connector: "onprem-1", instance: "running", offset: 3, head: false };
    board.resume({ ...from, stream: false }, resumed, NOW);
    expect(resumed.failures).toMatchObject([{ code: "stream_interrupted" }]);
    expect([socket.types.slice(before).includes(FrameType.RESUME), board.running]).toEqual([false, 0]);
  });
});
