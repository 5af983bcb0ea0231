import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decode, encode } from "../../../shared/wire/codec.ts";
import {
  CloseCode,
  type Frame,
  FrameType,
  MAX_JSON_BYTES,
  MAX_MESSAGE_BYTES,
  WireViolation,
} from "../../../shared/wire/frames.ts";
import {
  acceptFrame,
  creditFrame,
  End,
  GoAway,
  Head,
  Hello,
  jsonFrame,
  Open,
  pongFrame,
  Report,
  Reset,
  Resume,
  readCredit,
  readJson,
  readSettled,
  settledFrame,
  Welcome,
} from "../../../shared/wire/messages.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));
const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Golden bytes: these are the wire. A change here is a new version. */
const GOLDEN: readonly [name: string, frame: Frame, wire: string][] = [
  ["ACCEPT", acceptFrame(1), "05000000" + "00000001"],
  ["BODY", { type: FrameType.BODY, channel: 0x10001, payload: ascii("hi") }, "04000002" + "00010001" + "6869"],
  ["DATA", { type: FrameType.DATA, channel: 0xffffffff, payload: ascii("x") }, "07000001" + "ffffffff" + "78"],
  ["CREDIT of a channel", creditFrame(2, 262_144), "0a000008" + "00000002" + "0000000000040000"],
  ["CREDIT of the socket", creditFrame(0, 2 ** 53 - 1), "0a000008" + "00000000" + "001fffffffffffff"],
  ["SETTLED", settledFrame(3, "req_1", null), "0c000005" + "00000003" + "7265715f31"],
  ["SETTLED of an attempt", settledFrame(3, "req_1", 12), "0c000008" + "00000003" + "7265715f310a3132"],
  ["PING", { type: FrameType.PING, channel: 0, payload: bytes("0102") }, "0d000002" + "00000000" + "0102"],
  ["PONG", pongFrame({ type: FrameType.PING, channel: 0, payload: bytes("0102") }), "0e000002" + "00000000" + "0102"],
  [
    "RESET",
    jsonFrame(FrameType.RESET, 4, { code: "x", retryable: true }),
    `0900001d00000004${hex(ascii('{"code":"x","retryable":true}'))}`,
  ],
];

describe("the codec", () => {
  test.each(GOLDEN)("writes and reads %s as the golden bytes", (_name, frame, wire) => {
    expect(hex(encode([frame]))).toBe(wire);
    expect(decode(bytes(wire))).toEqual([{ ...frame, payload: Uint8Array.from(frame.payload) }]);
  });

  test("the numbers of the frame types and close codes are these", () => {
    expect(Object.entries(FrameType).map(([name, type]) => `${type.toString(16)} ${name}`)).toEqual([
      "1 HELLO",
      "2 WELCOME",
      "3 OPEN",
      "4 BODY",
      "5 ACCEPT",
      "6 HEAD",
      "7 DATA",
      "8 END",
      "9 RESET",
      "a CREDIT",
      "b RESUME",
      "c SETTLED",
      "d PING",
      "e PONG",
      "f GOAWAY",
      "10 REPORT",
    ]);
    expect(CloseCode).toEqual({
      NORMAL: 1000,
      INTERNAL: 1011,
      MALFORMED: 4400,
      VERSION: 4406,
      SILENT: 4408,
      SUPERSEDED: 4409,
      REPLACED: 4410,
      FLOW_CONTROL: 4413,
    });
  });

  test("reads back any list of frames, in order, from one message", () => {
    const frame = fc.record({
      type: fc.integer({ min: 0, max: 255 }),
      channel: fc.integer({ min: 0, max: 0xffffffff }),
      payload: fc.uint8Array({ maxLength: 500 }),
    });
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 50 }), (frames) => {
        expect(decode(encode(frames)).map((one) => ({ ...one, payload: Uint8Array.from(one.payload) }))).toEqual(
          frames,
        );
      }),
    );
  });

  const hostile: [what: string, message: Uint8Array][] = [
    ["an empty message", new Uint8Array(0)],
    ["a header cut short", bytes("05000000000000")],
    ["a payload cut short", bytes("0700000200000001" + "78")],
    ["a second frame cut short", bytes("0500000000000001" + "05")],
    ["a length beyond everything", bytes("07ffffff00000001")],
    ["a message over the limit", new Uint8Array(MAX_MESSAGE_BYTES + 1)],
  ];
  test.each(hostile)("answers %s with 4400", (_what, message) => {
    expect(() => decode(message)).toThrow(WireViolation);
    expect(() => decode(message)).toThrow(expect.objectContaining({ closeCode: CloseCode.MALFORMED }));
  });

  test("refuses to write a message over the limit", () => {
    const payload = new Uint8Array(MAX_MESSAGE_BYTES);
    expect(() => encode([{ type: FrameType.DATA, channel: 1, payload }])).toThrow(RangeError);
  });

  test("throws nothing but a violation on mutated bytes", () => {
    const seed = encode(GOLDEN.map(([, frame]) => frame));
    const mutation = fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(mutation, fc.nat(seed.length), (changes, length) => {
        const message = seed.slice(0, length);
        for (const [at, value] of changes) if (at < length) message[at] = value;
        readEverything(message);
      }),
      { numRuns: 5_000 },
    );
  });
});

describe("payloads", () => {
  const schemas = { Hello, Welcome, Open, Head, End, Reset, Resume, GoAway, Report };

  test.each(Object.entries(schemas))(
    "%s refuses what is not JSON, not UTF-8, too long or of another shape",
    (_name, schema) => {
      for (const payload of [ascii("{"), bytes("ff"), ascii("[]"), ascii("{}"), new Uint8Array(MAX_JSON_BYTES + 1)]) {
        const frame = { type: 1, channel: 0, payload };
        expect(() => readJson(schema as typeof Hello, frame)).toThrow(
          expect.objectContaining({ name: "WireViolation", closeCode: CloseCode.MALFORMED }),
        );
      }
    },
  );

  test("unknown members are ignored, so that a newer peer may say more", () => {
    const frame = jsonFrame(FrameType.RESET, 1, { code: "x", retryable: false, since: "version 2" });
    expect(readJson(Reset, frame)).toEqual({ code: "x", retryable: false });
  });

  test("CREDIT must be eight bytes and a safe integer", () => {
    for (const wire of ["", "00", "ffffffffffffffff", "0020000000000000"]) {
      expect(() => readCredit({ type: FrameType.CREDIT, channel: 0, payload: bytes(wire) })).toThrow(WireViolation);
    }
  });

  test("SETTLED reads back as it was written, with and without its attempt", () => {
    const id = fc.string({ minLength: 1, maxLength: 128, unit: "grapheme-ascii" });
    const attempt = fc.option(fc.integer({ min: 1, max: 1_000 }));
    fc.assert(
      fc.property(id, attempt, (exchange, number) => {
        expect(readSettled(settledFrame(1, exchange, number))).toEqual({ exchange, attempt: number });
      }),
    );
  });

  test("SETTLED must name an exchange and at most one attempt, PING must be short", () => {
    const wrong = [
      "",
      "\n1",
      "x\n",
      "x\n0",
      "x\n-1",
      "x\n1e2",
      "x\n10000",
      "x\n1\n2",
      "x".repeat(129),
      `x\n${"1".repeat(200)}`,
    ];
    for (const payload of [...wrong.map(ascii), bytes("ff")]) {
      expect(() => readSettled({ type: FrameType.SETTLED, channel: 0, payload })).toThrow(WireViolation);
    }
    expect(() => pongFrame({ type: FrameType.PING, channel: 0, payload: new Uint8Array(65) })).toThrow(WireViolation);
  });
});

function readEverything(message: Uint8Array): void {
  try {
    for (const frame of decode(message)) {
      for (const read of [readCredit, readSettled, pongFrame, (one: Frame) => readJson(Open, one)]) {
        try {
          read(frame);
        } catch (error) {
          if (!(error instanceof WireViolation)) throw error;
        }
      }
    }
  } catch (error) {
    if (!(error instanceof WireViolation)) throw error;
  }
}
