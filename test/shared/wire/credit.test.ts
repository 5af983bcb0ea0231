// Credit, fairness and order of one socket (spec.md §5, §6).
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decode } from "../../../shared/wire/codec.ts";
import {
  CloseCode,
  EXCHANGE_WINDOW_BYTES,
  FrameType,
  MAX_DATA_BYTES,
  SOCKET_WINDOW_BYTES,
} from "../../../shared/wire/frames.ts";
import { Inbox } from "../../../shared/wire/inbox.ts";
import { acceptFrame, readCredit } from "../../../shared/wire/messages.ts";
import { Outbox } from "../../../shared/wire/outbox.ts";
import { Spool } from "../../../shared/wire/spool.ts";
import { firstWindow, growth, isFull, LEAST_WINDOW_BYTES } from "../../../shared/wire/windows.ts";

const END = { type: FrameType.END, channel: 0, payload: new Uint8Array(0) };

function filled(bytes: number): Spool {
  const spool = new Spool();
  spool.append(new Uint8Array(bytes));
  return spool;
}

function drain(outbox: Outbox) {
  const messages = [];
  for (let message = outbox.take(); message !== null; message = outbox.take()) messages.push(decode(message));
  return messages;
}

describe("the outbox", () => {
  test("sends nothing beyond the limit of a channel, and the rest when it rises", () => {
    const outbox = new Outbox(FrameType.DATA, { bytes: 0, limit: 1_000 });
    outbox.open(1, filled(100), 0, 60);
    expect(
      drain(outbox)
        .flat()
        .map((frame) => frame.payload.byteLength),
    ).toEqual([60]);
    expect(outbox.stalls).toBe(1);
    outbox.credit(1, 50);
    expect(outbox.take()).toBeNull();
    outbox.credit(1, 90);
    outbox.credit(1, 200);
    expect(
      drain(outbox)
        .flat()
        .map((frame) => frame.payload.byteLength),
    ).toEqual([40]);
  });

  test("sends nothing beyond the limit of the socket, whatever the channels may", () => {
    const outbox = new Outbox(FrameType.DATA, { bytes: 0, limit: 150 });
    outbox.open(1, filled(100), 0, 1_000);
    outbox.open(2, filled(100), 0, 1_000);
    const sent = drain(outbox).flat();
    expect(sent.reduce((sum, frame) => sum + frame.payload.byteLength, 0)).toBe(150);
    outbox.credit(0, 200);
    expect(
      drain(outbox)
        .flat()
        .reduce((sum, frame) => sum + frame.payload.byteLength, 0),
    ).toBe(50);
  });

  test("puts the trailer behind the last byte, and behind nothing if there is none", () => {
    const outbox = new Outbox(FrameType.DATA, { bytes: 0, limit: 1_000 });
    outbox.open(1, filled(10), 0, 5);
    outbox.finish(1, { ...END, channel: 1 });
    expect(
      drain(outbox)
        .flat()
        .map((frame) => frame.type),
    ).toEqual([FrameType.DATA]);
    outbox.credit(1, 10);
    expect(
      drain(outbox)
        .flat()
        .map((frame) => frame.type),
    ).toEqual([FrameType.DATA, FrameType.END]);
    outbox.open(2, new Spool(), 0, 0);
    outbox.finish(2, { ...END, channel: 2 });
    expect(
      drain(outbox)
        .flat()
        .map((frame) => frame.type),
    ).toEqual([FrameType.END]);
    expect(outbox.lanes).toBe(0);
  });

  test("lets control frames overtake the data of all channels", () => {
    const outbox = new Outbox(FrameType.DATA, { bytes: 0, limit: 10_000_000 });
    outbox.open(1, filled(5_000_000), 0, 5_000_000);
    outbox.take();
    outbox.control(acceptFrame(9));
    expect(decode(outbox.take()!)[0]).toMatchObject({ type: FrameType.ACCEPT, channel: 9 });
  });

  test("gives every channel its turn: a token waits behind one quantum of each bulk, not behind the bulk", () => {
    const outbox = new Outbox(FrameType.DATA, { bytes: 0, limit: 100_000_000 });
    for (let channel = 1; channel <= 3; channel += 1) outbox.open(channel, filled(2_000_000), 0, 2_000_000);
    outbox.take();
    outbox.open(7, filled(300), 0, 300);
    const order = drain(outbox)
      .flat()
      .map((frame) => frame.channel);
    expect(order.indexOf(7)).toBeLessThanOrEqual(3);
  });

  test("coalesces what came in one turn into one message", () => {
    const outbox = new Outbox(FrameType.DATA, { bytes: 0, limit: 1_000_000 });
    for (let channel = 1; channel <= 100; channel += 1) {
      outbox.control(acceptFrame(channel));
      outbox.open(channel, filled(300), 0, 300);
      outbox.finish(channel, { ...END, channel });
    }
    const messages = drain(outbox);
    expect(messages).toHaveLength(1);
    expect(messages[0]).toHaveLength(300);
  });

  test("forgets what a dropped channel had still to send", () => {
    const outbox = new Outbox(FrameType.DATA, { bytes: 0, limit: 1_000_000 });
    outbox.open(1, filled(100), 0, 100);
    outbox.drop(1);
    expect(outbox.take()).toBeNull();
  });
});

describe("the inbox", () => {
  test("grants nothing on receipt, and a new window at half of the old one on consumption", () => {
    const inbox = new Inbox(1_000_000);
    inbox.open(1, 0, 1_000, 0);
    inbox.receive(1, 1_000);
    expect(inbox.socketCredit()).toBeNull();
    expect(inbox.consume(1, 499, SOCKET_WINDOW_BYTES, 0)).toBeNull();
    const credit = inbox.consume(1, 1, SOCKET_WINDOW_BYTES, 0);
    expect(credit && readCredit(credit)).toBe(2_500);
  });

  test.each([
    ["channel", 1_000, 1_001],
    ["socket", 2_000_000, 1_000_001],
  ])("answers a byte beyond the limit of the %s with 4413", (_which, limit, bytes) => {
    const inbox = new Inbox(1_000_000);
    inbox.open(1, 0, limit, 0);
    expect(() => inbox.receive(1, bytes)).toThrow(expect.objectContaining({ closeCode: CloseCode.FLOW_CONTROL }));
  });

  test("counts bytes of a channel that is gone as consumed, so that they are never owed", () => {
    const inbox = new Inbox(1_000);
    inbox.open(1, 0, 1_000, 0);
    inbox.receive(1, 400);
    inbox.close(1);
    expect(inbox.receive(1, 300)).toBe(false);
    expect(inbox.held).toBe(0);
    const credit = inbox.socketCredit();
    expect(credit && readCredit(credit)).toBe(1_700);
  });

  test("goes on with the numbers it rested with", () => {
    const inbox = new Inbox(1_000);
    inbox.open(1, 0, 500, 0);
    inbox.receive(1, 500);
    inbox.close(1);
    const woken = new Inbox(1_000, inbox.rest());
    woken.open(2, 0, 500, 0);
    woken.receive(2, 500);
    expect(() => woken.receive(3, 1)).toThrow();
    expect(readCredit(new Inbox(1_000, inbox.rest()).socketCredit()!)).toBe(1_500);
  });
});

describe("windows", () => {
  test("begin small, and double for a channel that moves in bulk", () => {
    const inbox = new Inbox(SOCKET_WINDOW_BYTES);
    let limit = firstWindow(inbox.free, true);
    expect(limit).toBe(8 * 1024);
    inbox.open(1, 0, limit, 0);
    const windows = [];
    for (let consumed = 0; windows.length < 7; ) {
      const bytes = limit - consumed;
      inbox.receive(1, bytes);
      consumed += bytes;
      limit = readCredit(inbox.consume(1, bytes, inbox.free, 0)!);
      const socket = inbox.socketCredit();
      if (socket !== null) expect(readCredit(socket)).toBe(consumed + SOCKET_WINDOW_BYTES);
      windows.push(limit - consumed);
    }
    expect(windows).toEqual([16, 32, 64, 128, 256, 256, 256].map((kib) => kib * 1024));
    expect(windows.at(-1)).toBe(EXCHANGE_WINDOW_BYTES);
  });

  test("do not grow for a channel that carries tokens, however long it runs", () => {
    const inbox = new Inbox(SOCKET_WINDOW_BYTES);
    inbox.open(1, 0, 8_000, 0);
    for (let token = 0; token < 1_000; token += 1) {
      inbox.receive(1, 300);
      inbox.consume(1, 300, inbox.free, token * 10);
      expect(inbox.outstanding).toBeLessThanOrEqual(8_000);
    }
  });

  test.each([
    ["streams", true, 380],
    ["plain answers", false, 1_150],
  ])("leave something for the next one when %s stand still in hundreds", (_what, isStream, most) => {
    const inbox = new Inbox(SOCKET_WINDOW_BYTES);
    for (let channel = 1; channel <= most; channel += 1) {
      const window = firstWindow(inbox.free, isStream);
      expect(window).toBeGreaterThanOrEqual(LEAST_WINDOW_BYTES);
      inbox.open(channel, 0, window, 0);
    }
    expect(isFull(inbox.free)).toBe(false);
  });

  test("of plain answers let one of embeddings pass in one go on an idle socket, and a short one behind a hundred others", () => {
    const inbox = new Inbox(SOCKET_WINDOW_BYTES);
    expect(firstWindow(inbox.free, false)).toBeGreaterThanOrEqual(40 * 1024);
    for (let channel = 1; channel <= 100; channel += 1) inbox.open(channel, 0, firstWindow(inbox.free, false), 0);
    expect(firstWindow(inbox.free, false)).toBeGreaterThanOrEqual(6 * 1024);
  });

  test("are found by whoever comes, however the others take and stand still, and all of them fit the socket's", () => {
    const step = fc.record({
      isStream: fc.boolean(),
      takes: fc.array(fc.integer({ min: 1, max: 100 }), { maxLength: 12 }),
      ends: fc.nat(3),
      after: fc.nat(100),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 50, maxLength: 400 }), (steps) => {
        const inbox = new Inbox(SOCKET_WINDOW_BYTES);
        const limits = new Map<number, { consumed: number; limit: number }>();
        const take = (channel: number, percent: number) => {
          const account = limits.get(channel);
          const bytes = Math.floor(((account?.limit ?? 0) - (account?.consumed ?? 0)) * (percent / 100));
          if (account === undefined || bytes === 0) return;
          inbox.receive(channel, bytes);
          account.consumed += bytes;
          const credit = inbox.consume(channel, bytes, inbox.free, 0);
          if (credit !== null) account.limit = readCredit(credit);
          inbox.socketCredit();
        };
        for (const [channel, { isStream, takes, ends, after }] of steps.entries()) {
          if (isFull(inbox.free)) break;
          const window = firstWindow(inbox.free, isStream);
          expect(window).toBeGreaterThanOrEqual(LEAST_WINDOW_BYTES);
          inbox.open(channel, 0, window, 0);
          limits.set(channel, { consumed: 0, limit: window });
          for (const percent of takes) take(channel, percent);
          // One of those before it goes on.
          take(channel - 1 - (after % 20), after);
          if (ends === 0) {
            inbox.close(channel);
            limits.delete(channel);
          }
          const outstanding = [...limits.values()].reduce((sum, { limit, consumed }) => sum + limit - consumed, 0);
          expect(inbox.outstanding).toBeGreaterThanOrEqual(outstanding);
          expect(inbox.outstanding).toBeLessThanOrEqual((SOCKET_WINDOW_BYTES * 3) / 4);
        }
      }),
    );
  });

  test("all fit the socket's, though hundreds take a little less than what is granted anew, and that a moment later", () => {
    const inbox = new Inbox(SOCKET_WINDOW_BYTES);
    const windows: number[] = [];
    const fill = () => {
      while (!isFull(inbox.free)) {
        const window = firstWindow(inbox.free, true);
        inbox.open(windows.push(window), 0, window, 0);
      }
    };
    const take = (index: number, bytes: number) => {
      inbox.receive(index + 1, bytes);
      inbox.consume(index + 1, bytes, inbox.free, 1e6);
    };
    fill();
    const first = windows.length;
    for (const [index, window] of windows.entries()) take(index, Math.ceil(window / 2) - 1);
    fill();
    for (let index = 0; index < first; index += 1) take(index, 1);
    expect(inbox.outstanding).toBeLessThanOrEqual((SOCKET_WINDOW_BYTES * 3) / 4);
    for (const index of windows.keys()) inbox.close(index + 1);
    expect([inbox.outstanding, inbox.held]).toEqual([0, 0]);
  });

  test.each([0, -1, -SOCKET_WINDOW_BYTES, -32 * 1024 * 1024])("do not grow where %i bytes are left", (free) => {
    for (const window of [LEAST_WINDOW_BYTES, 64 * 1024]) expect(growth(free, window)).toBe(0);
    for (const isStream of [true, false]) expect(firstWindow(free, isStream)).toBe(LEAST_WINDOW_BYTES);
  });

  test("grow large out of what they leave to others only", () => {
    const inbox = new Inbox(SOCKET_WINDOW_BYTES);
    for (let channel = 1; channel <= 50; channel += 1) {
      let limit = firstWindow(inbox.free, false);
      inbox.open(channel, 0, limit, 0);
      for (let consumed = 0; consumed < 4_000_000; ) {
        const bytes = limit - consumed;
        inbox.receive(channel, bytes);
        consumed += bytes;
        limit = readCredit(inbox.consume(channel, bytes, inbox.free, 0)!);
        inbox.socketCredit();
      }
    }
    expect(inbox.free).toBeGreaterThan(384 * 1024);
  });
});

describe("sender and receiver together", () => {
  test("never pass a limit, never get stuck, and lose no byte", () => {
    const lanes = fc.array(fc.nat(400_000), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(lanes, fc.array(fc.tuple(fc.nat(11), fc.nat(100_000)), { maxLength: 200 }), (sizes, reads) => {
        const window = 256_000;
        const outbox = new Outbox(FrameType.DATA, { bytes: 0, limit: window });
        const inbox = new Inbox(window);
        const received = sizes.map(() => 0);
        const consumed = sizes.map(() => 0);
        for (const [i, size] of sizes.entries()) {
          const limit = firstWindow(inbox.free, i % 2 === 0);
          inbox.open(i + 1, 0, limit, 0);
          outbox.open(i + 1, filled(size), 0, limit);
        }
        const move = () => {
          for (const frame of drain(outbox).flat()) {
            expect(frame.payload.byteLength).toBeLessThanOrEqual(MAX_DATA_BYTES);
            inbox.receive(frame.channel, frame.payload.byteLength);
            received[frame.channel - 1]! += frame.payload.byteLength;
          }
          expect(inbox.free).toBeGreaterThanOrEqual(0);
          expect(inbox.held).toBeLessThanOrEqual(window);
        };
        const read = (i: number, most: number) => {
          const bytes = Math.min(most, received[i]! - consumed[i]!);
          if (bytes === 0) return;
          consumed[i]! += bytes;
          const credit = inbox.consume(i + 1, bytes, inbox.free, 0);
          if (credit !== null) outbox.credit(credit.channel, readCredit(credit));
          const socket = inbox.socketCredit();
          if (socket !== null) outbox.credit(0, readCredit(socket));
        };
        move();
        for (const [which, bytes] of reads) {
          read(which % sizes.length, bytes);
          move();
        }
        for (let round = 0; round < 10_000 && consumed.some((bytes, i) => bytes < sizes[i]!); round += 1) {
          for (const i of sizes.keys()) read(i, 1_000_000);
          move();
        }
        expect(consumed).toEqual(sizes);
      }),
    );
  });
});

describe("the spool", () => {
  test("gives back what was appended, at any offset that is still retained", () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 5_000 }), { maxLength: 30 });
    fc.assert(
      fc.property(chunks, fc.nat(200_000), fc.integer({ min: 1, max: 40_000 }), (parts, let_go, most) => {
        const spool = new Spool();
        const all = Buffer.concat(parts);
        for (const part of parts) spool.append(part);
        expect(spool.end).toBe(all.length);
        spool.release(let_go);
        expect(spool.start).toBe(Math.min(let_go, all.length));
        const back = [];
        for (let at = spool.start; at < spool.end; ) {
          const view = spool.read(at, most);
          expect(view.byteLength).toBeGreaterThan(0);
          expect(view.byteLength).toBeLessThanOrEqual(most);
          back.push(Uint8Array.from(view));
          at += view.byteLength;
        }
        expect(Buffer.concat(back).equals(all.subarray(spool.start))).toBe(true);
      }),
    );
  });

  test("does not hold the message that a chunk was a view of", () => {
    const spool = new Spool();
    const message = new Uint8Array(128 * 1024);
    spool.append(message.subarray(10, 20));
    expect(spool.read(0, 10).buffer).not.toBe(message.buffer);
  });

  test("refuses an offset that is gone or not there yet", () => {
    const spool = filled(100);
    spool.release(50);
    expect(() => spool.read(49, 1)).toThrow(RangeError);
    expect(() => spool.read(101, 1)).toThrow(RangeError);
    expect(spool.read(100, 1).byteLength).toBe(0);
  });
});
