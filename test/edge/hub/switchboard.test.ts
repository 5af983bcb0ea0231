// What becomes of an exchange when sockets come, go and cross each other (spec.md §3, §4, §7).
import { beforeEach, describe, expect, test } from "vitest";
import type { Exchange } from "../../../edge/hub/exchange.ts";
import { newLinkState } from "../../../edge/hub/link.ts";
import { ACCEPT_WITHIN_MS, MOVE_AFTER_MS, OVERTIME_MS, REATTACH_WITHIN_MS } from "../../../edge/hub/patience.ts";
import { byOpening, openingBehind } from "../../../edge/hub/place.ts";
import { receive } from "../../../edge/hub/receive.ts";
import type { Switchboard } from "../../../edge/hub/switchboard.ts";
import { EMPTY, encode } from "../../../shared/wire/codec.ts";
import { CloseCode, FrameType } from "../../../shared/wire/frames.ts";
import { readOpen } from "../../../shared/wire/hot.ts";
import {
  acceptFrame,
  jsonFrame,
  pongFrame,
  Reset,
  Resume,
  readJson,
  readSettled,
} from "../../../shared/wire/messages.ts";
import { Spool } from "../../../shared/wire/spool.ts";
import { MODEL, newBoard, newReader, ORDER, Socket, type Told } from "../../support/hub-side.ts";

const NOW = 1_000_000;
const PING = { type: FrameType.PING, channel: 0, payload: EMPTY };

let board: Switchboard;
let told: Told;
beforeEach(() => {
  ({ board, told } = newBoard());
});

describe("two sockets of one place", () => {
  test.each([
    ["the process dials again", "running", CloseCode.REPLACED],
    ["it is of another process", "another", CloseCode.SUPERSEDED],
  ])(
    "the one that was opened later takes the place, and the code of the other tells whether %s",
    (_, instance, code) => {
      const first = new Socket(board, NOW).hello(NOW);
      const second = new Socket(board, NOW + 1).hello(NOW + 1, { instance });
      expect([first.closes, second.closes]).toEqual([[code], []]);
    },
  );

  // A dial that its connector had given up was still on its way.
  test("a later one that nobody has spoken on keeps no process away: it dials again, and its place is its own", () => {
    const living = new Socket(board, NOW);
    const ghost = new Socket(board, NOW + 1);
    living.hello(NOW + 2);
    expect([living.closes, ghost.closes]).toEqual([[CloseCode.REPLACED], []]);
    const again = new Socket(board, NOW + 3).hello(NOW + 3);
    expect([again.closes, ghost.closes, again.types]).toEqual([[], [CloseCode.REPLACED], [FrameType.WELCOME]]);
    expect([...board.links]).toEqual([again.link]);
  });

  test("a process whose HELLO finds a later one of another process is told so", () => {
    const early = new Socket(board, NOW);
    const late = new Socket(board, NOW + 1);
    // As a hub finds it that wakes with a socket that was welcomed in its former life.
    late.link.state.instance = "restarted";
    early.hello(NOW + 2);
    expect([early.closes, late.closes]).toEqual([[CloseCode.SUPERSEDED], []]);
  });

  // A road that was cut brings what was said into it long ago.
  test("a HELLO that comes late on the earlier one does not supersede the later one", () => {
    const early = new Socket(board, NOW);
    const late = new Socket(board, NOW + 1);
    early.hello(NOW + 2);
    late.hello(NOW + 3);
    expect([late.closes, board.links.has(late.link)]).toEqual([[], true]);
    expect([early.closes, board.links.has(early.link)]).toEqual([[CloseCode.REPLACED], false]);
    expect(early.types).not.toContain(FrameType.WELCOME);
  });

  test.each([0, 5_000])("the second is the later one, although the clock was set back by %d ms", (back) => {
    const early = new Socket(board, NOW);
    const late = new Socket(board, NOW - back);
    early.hello(NOW + 1);
    late.hello(NOW + 1);
    expect([early.closes, late.closes]).toEqual([[CloseCode.REPLACED], []]);
  });

  test("a hub that wakes takes them in the order of their opening; what an earlier version kept comes first", () => {
    const kept = [30, undefined, 10].map((openedAt, i) => {
      const { openedAt: _, ...state } = newLinkState("c", 0, 0, NOW);
      return [i, openedAt === undefined ? state : { ...state, openedAt }] as const;
    });
    expect([...kept, [3, null] as const].sort(byOpening).map(([i]) => i)).toEqual([1, 3, 2, 0]);
  });

  test("nothing that comes on a socket after it was closed is heard", () => {
    const early = new Socket(board, NOW);
    const late = new Socket(board, NOW + 1).hello(NOW + 1);
    expect(early.closes).toEqual([CloseCode.REPLACED]);
    early.hello(NOW + 2);
    expect([late.closes, early.closes, early.heard]).toEqual([[], [CloseCode.REPLACED], []]);
  });

  test("a socket that comes is opened behind all the others, although the clock was set back", () => {
    const early = new Socket(board, NOW);
    expect(openingBehind(board.links, NOW - 5_000)).toBe(NOW + 1);
    expect(openingBehind(board.links, NOW + 5_000)).toBe(NOW + 5_000);
    board.lost(early.link, NOW);
    expect(openingBehind(board.links, NOW - 5_000)).toBe(NOW - 5_000);
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

  test("is not cancelled where its Worker lost the hub's answer only, and asks to go on", () => {
    const exchange = board.open(ORDER, new Spool(), newReader(), NOW);
    const first = new Socket(board, NOW).hello(NOW);
    first.says(NOW, acceptFrame(exchange.channel), first.head(exchange.channel), first.data(exchange.channel, 3));
    board.lost(first.link, NOW);
    board.cancel(exchange);
    const from = { id: "x1", target: MODEL, connector: "onprem-1", instance: "running", offset: 3, head: false };
    board.resume({ ...from, stream: false }, newReader(), NOW);
    const again = new Socket(board, NOW).hello(NOW);
    expect(again.types).toEqual([FrameType.WELCOME, FrameType.RESUME]);
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

describe("an END that comes so late that its exchange is opened once more", () => {
  test.each([
    [["attempts"], { exchange: "x1", attempt: 1 }],
    [[], { exchange: "x1", attempt: null }],
  ])(
    "is acknowledged behind that OPEN, by its own attempt where the connector knows the feature: %j",
    (features, settled) => {
      const exchange = board.open(ORDER, new Spool(), newReader(), NOW);
      const socket = new Socket(board, NOW).hello(NOW, { features });
      const { channel } = exchange;
      const late = NOW + ACCEPT_WITHIN_MS;
      board.tick(late);
      socket.heard.length = 0;
      // A sign of life, and behind it what was under way.
      socket.says(late, pongFrame(PING));
      socket.says(late, acceptFrame(channel), socket.head(channel), socket.end(channel, 0));
      board.tick(late + 1);
      const [open, ack] = socket.heard.filter(({ type }) => type === FrameType.OPEN || type === FrameType.SETTLED);
      expect([readOpen(open!).attempt, readSettled(ack!)]).toEqual([2, settled]);
    },
  );
});

test("one that no connector serves does not keep those waiting for whom there is room again", () => {
  const socket = new Socket(board, NOW).hello(NOW);
  const running: Exchange[] = [];
  const open = (exchange: string, target = MODEL) =>
    board.open({ ...ORDER, exchange, target }, new Spool(), newReader(), NOW);
  while (!socket.link.isFull) {
    const exchange = open(`r${running.length}`);
    socket.accepts(exchange.channel, NOW);
    running.push(exchange);
  }
  const nobodys = open("nobody's", "another model");
  const next = open("next");
  expect([nobodys.state, next.state]).toEqual(["waiting", "waiting"]);
  for (const exchange of running) board.cancel(exchange);
  expect([nobodys.state, next.state]).toEqual(["waiting", "opened"]);
});

describe("a plain answer that breaks off behind its head", () => {
  const LATE = { outcome: "failed", failure: { code: "upstream_timeout" } } as const;
  const CUT = { outcome: "truncated" } as const;
  const from = { id: "x1", target: MODEL, connector: "onprem-1", instance: "running", head: false, stream: false };

  test.each([
    ["the connector's word where nothing was read of it", LATE, 0, "upstream_timeout"],
    ["a failure of the engine where nothing was read of it, and nobody says why", CUT, 0, "upstream_error"],
    ["an answer that broke off where some of it was read", LATE, 2, "stream_interrupted"],
  ] as const)("is %s; a resume is told the same", (_what, end, read, code) => {
    const reader = newReader();
    const exchange = board.open(ORDER, new Spool(), reader, NOW);
    const socket = new Socket(board, NOW).hello(NOW);
    const { channel } = exchange;
    socket.says(NOW, acceptFrame(channel), socket.head(channel), socket.data(channel, 3));
    board.take(exchange, read, NOW);
    socket.says(NOW, socket.end(channel, 3, end));
    const resumed = newReader();
    board.resume({ ...from, offset: read }, resumed, NOW);
    expect([reader.failures, resumed.failures]).toMatchObject([[{ code }], [{ code }]]);
  });

  const STREAM = { ...ORDER, dialect: { model: MODEL, stream: true, usage: false } };

  test("of a stream is never a status, whatever was read of it", () => {
    const reader = newReader();
    const exchange = board.open(STREAM, new Spool(), reader, NOW);
    const socket = new Socket(board, NOW).hello(NOW);
    socket.says(NOW, acceptFrame(exchange.channel), socket.head(exchange.channel, "text/event-stream"));
    socket.says(NOW, socket.end(exchange.channel, 0, { outcome: "cancelled" }));
    expect(reader.failures).toMatchObject([{ code: "stream_interrupted" }]);
  });

  test.each([0, 20])("is told as one although a stream was asked for, with %i bytes of it", (bytes) => {
    const reader = newReader();
    const exchange = board.open(STREAM, new Spool(), reader, NOW);
    const socket = new Socket(board, NOW).hello(NOW);
    const { channel } = exchange;
    socket.says(NOW, acceptFrame(channel), socket.head(channel), socket.data(channel, bytes));
    socket.says(NOW, socket.end(channel, bytes, LATE));
    expect(reader.failures).toMatchObject([{ code: "upstream_timeout" }]);
  });
});

describe("what hangs", () => {
  const END_OF_TIME = NOW + ORDER.deadline_ms + OVERTIME_MS;

  function answering(): { exchange: Exchange; socket: Socket; reader: ReturnType<typeof newReader> } {
    const reader = newReader();
    const exchange = board.open(ORDER, new Spool(), reader, NOW);
    const socket = new Socket(board, NOW).hello(NOW);
    const { channel } = exchange;
    socket.says(NOW, acceptFrame(channel), socket.head(channel), socket.data(channel, 1_000));
    return { exchange, socket, reader };
  }

  test("is given up behind its deadline: the reader that stands still, and a connector that never ends it", () => {
    const { exchange, socket, reader } = answering();
    socket.says(END_OF_TIME - 1, pongFrame(PING));
    board.tick(END_OF_TIME - 1);
    expect(board.running).toBe(1);
    socket.heard.length = 0;
    board.tick(END_OF_TIME);
    expect(reader.failures).toMatchObject([{ code: "upstream_timeout" }]);
    expect([board.running, exchange.unread, socket.types]).toEqual([0, 0, [FrameType.RESET]]);
  });

  test("is given up as an answer that broke off where its reader has taken some of it and then stands still", () => {
    const { exchange, socket, reader } = answering();
    board.take(exchange, 10, NOW);
    for (const at of [END_OF_TIME, END_OF_TIME + OVERTIME_MS]) {
      socket.says(at, pongFrame(PING));
      board.tick(at);
    }
    expect(reader.failures).toMatchObject([{ code: "stream_interrupted" }]);
  });

  test("also where its END has come", () => {
    const { exchange, socket, reader } = answering();
    socket.says(NOW, socket.end(exchange.channel, 1_000));
    board.tick(END_OF_TIME);
    expect([reader.failures.length, board.running, exchange.unread]).toEqual([1, 0, 0]);
  });

  test("but not while its reader takes something", () => {
    const { exchange, socket, reader } = answering();
    for (let at = END_OF_TIME; at < END_OF_TIME + 5 * OVERTIME_MS; at += OVERTIME_MS) {
      socket.says(at, pongFrame(PING));
      board.take(exchange, 10, at);
      board.tick(at);
    }
    expect([reader.failures, board.running]).toEqual([[], 1]);
  });

  test("and what no connector ever accepts fails in the end, however often it is opened", () => {
    const reader = newReader();
    board.open(ORDER, new Spool(), reader, NOW);
    const step = 1_000;
    for (let at = NOW; at <= END_OF_TIME; at += step) {
      // A connector that is well and drops what it is given.
      if (board.links.size === 0) new Socket(board, at).hello(at);
      for (const link of board.links) receive(board, link, encode([pongFrame(PING)]), at);
      board.tick(at);
    }
    expect(reader.failures).toMatchObject([{ code: "upstream_timeout" }]);
  });
});

describe("a socket that takes over", () => {
  test("is told how much time is left", () => {
    board.open(ORDER, new Spool(), newReader(), NOW);
    const socket = new Socket(board, NOW + 1_500).hello(NOW + 1_500);
    expect(readOpen(socket.heard[1]!).deadline_ms).toBe(ORDER.deadline_ms - 1_500);
  });

  test("gives no credit for bytes that an earlier one brought", () => {
    const exchange = board.open(ORDER, new Spool(), newReader(), NOW);
    const first = new Socket(board, NOW).hello(NOW);
    first.says(NOW, acceptFrame(exchange.channel), first.head(exchange.channel), first.data(exchange.channel, 1_000));
    board.lost(first.link, NOW);
    const second = new Socket(board, NOW).hello(NOW);
    second.says(NOW, acceptFrame(exchange.channel), second.data(exchange.channel, 100));
    const granted = second.link.inbox.outstanding;
    expect(board.take(exchange, 1_000, NOW).byteLength).toBe(1_000);
    expect([second.link.inbox.held, second.link.inbox.outstanding]).toEqual([100, granted]);
    expect(board.take(exchange, 1_000, NOW).byteLength).toBe(100);
    expect(second.link.inbox.held).toBe(0);
  });
});

test("of a head only what is on the list reaches the Worker", () => {
  const exchange = board.open(ORDER, new Spool(), newReader(), NOW);
  const socket = new Socket(board, NOW).hello(NOW);
  const headers = [
    ["content-type", "application/json"],
    ["set-cookie", "a=b"],
    ["no name", "x"],
  ];
  const head = jsonFrame(FrameType.HEAD, exchange.channel, { status: 200, headers });
  socket.says(NOW, acceptFrame(exchange.channel), head);
  expect(exchange.head?.headers).toEqual([["content-type", "application/json"]]);
});

describe("a connector that was slow to come back", () => {
  test("is told to stop what another one has taken over", () => {
    const exchange = board.open(ORDER, new Spool(), newReader(), NOW);
    const first = new Socket(board, NOW).hello(NOW);
    first.accepts(exchange.channel, NOW);
    board.lost(first.link, NOW);
    const other = new Socket(board, NOW, 0, "onprem-2").hello(NOW, { instance: "other" });
    board.tick(NOW + MOVE_AFTER_MS);
    expect(other.types).toContain(FrameType.OPEN);
    const back = new Socket(board, NOW + 1_200).hello(NOW + 1_200);
    expect(back.types).toEqual([FrameType.WELCOME, FrameType.RESUME, FrameType.RESET]);
    expect(board.running).toBe(1);
  });
});
