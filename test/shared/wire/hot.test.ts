import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { z } from "zod";
import { type Frame, FrameType, MAX_JSON_BYTES, WireViolation } from "../../../shared/wire/frames.ts";
import { readEnd, readHead, readOpen } from "../../../shared/wire/hot.ts";
import { End, Head, jsonFrame, Open } from "../../../shared/wire/messages.ts";

const OPEN = {
  exchange: "req_1",
  attempt: 1,
  target: "heartcode-chat-sfw",
  method: "POST",
  path: "/v1/chat/completions",
  headers: [["content-type", "application/json"]],
  length: 12,
  limit: 8192,
  deadline_ms: 600_000,
  tier: "free",
  tenant: "0123",
  dialect: { model: "heartcode-default", stream: false, usage: false, max_tokens: 5 },
  lease: "a lease",
};
const HEAD = { status: 200, headers: [["content-type", "application/json"]] };
const END = {
  exchange: "req_1",
  attempt: 1,
  outcome: "failed",
  bytes: 5,
  usage: { prompt_tokens: 1, completion_tokens: 2, source: "engine" },
  timings: { queue_ms: 0.5, first_byte_ms: 1, total_ms: 2 },
  failure: { code: "x", message: "m", param: "p", status: 400, retry_after_ms: 5 },
  lease: "a lease",
};

const CASES: readonly [name: string, example: object, schema: z.ZodType, read: (frame: Frame) => unknown][] = [
  ["OPEN", OPEN, Open, readOpen],
  ["HEAD", HEAD, Head, readHead],
  ["END", END, End, readEnd],
];

/** What may stand anywhere instead: the edges of every rule among it. */
const other = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    "",
    "engine",
    "complete",
    [],
    {},
    [[]],
    [["a", "b"]],
    [["a", "b", "c"]],
  ),
  fc.constantFrom<unknown>(
    0,
    -0,
    1,
    -1,
    0.5,
    199,
    200,
    399,
    400,
    599,
    600,
    1_000,
    1_001,
    1e12,
    1e12 + 1,
    2 ** 53 - 1,
    2 ** 53,
  ),
  fc.integer({ min: 15, max: 17 }).map((length) => "x".repeat(length)),
  fc.constantFrom(32, 64, 128, 256, 2048, 16_384).chain((at) => fc.constantFrom("x".repeat(at), "x".repeat(at + 1))),
  fc.constantFrom(64, 65).map((length) => new Array(length).fill(["a", "b"])),
  fc.jsonValue(),
);

/** Replaces, removes or adds a member, at the top or one level below. */
function changed(example: object): fc.Arbitrary<unknown> {
  return fc
    .tuple(fc.constantFrom(...Object.keys(example), "unknown"), fc.nat(), fc.boolean(), other)
    .map(([name, below, isBelow, value]) => {
      const copy = structuredClone(example) as Record<string, unknown>;
      const inner = copy[name];
      if (!isBelow || typeof inner !== "object" || inner === null) return { ...copy, [name]: value };
      const names = [...Object.keys(inner), "unknown"];
      Reflect.set(inner, names[below % names.length]!, value);
      return copy;
    });
}

describe("the payloads of every exchange", () => {
  test.each(CASES)("%s is read as its schema says", (_name, example, schema, read) => {
    expect(read(jsonFrame(FrameType.OPEN, 1, example))).toEqual(schema.parse(example));
    let refused = 0;
    let accepted = 0;
    fc.assert(
      fc.property(fc.oneof({ weight: 9, arbitrary: changed(example) }, fc.jsonValue()), (value) => {
        const frame = jsonFrame(FrameType.OPEN, 1, value);
        const said = schema.safeParse(JSON.parse(JSON.stringify(value)));
        if (said.success) {
          accepted += 1;
          expect(read(frame)).toEqual(said.data);
        } else {
          refused += 1;
          expect(() => read(frame)).toThrow(WireViolation);
        }
      }),
      { numRuns: 3_000 },
    );
    expect(Math.min(refused, accepted)).toBeGreaterThan(100);
  });

  test.each(CASES)("%s is refused as malformed where it is no JSON or too long", (_name, example, _schema, read) => {
    const long = jsonFrame(FrameType.OPEN, 1, { ...example, unknown: "x".repeat(MAX_JSON_BYTES) });
    const broken = { ...long, payload: Uint8Array.of(0x7b, 0xff) };
    for (const frame of [long, broken]) {
      expect(() => read(frame)).toThrow(expect.objectContaining({ closeCode: 4400 }));
    }
  });
});
