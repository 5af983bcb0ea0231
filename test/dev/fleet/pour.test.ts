import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FILL, GROWS, pad, paddedLength, pour } from "../../../dev/fleet/pour.ts";

const BODIES = [
  ["text", `{"a":"caf\u00e9${GROWS}","b":1}`],
  ["base64", `{"a":"AAAA${GROWS}","b":1}`],
  ["floats", `{"a":[0.1${GROWS}],"b":1}`],
] as const;

/** Takes what it is given, and is full after every write. */
function slowReader() {
  const taken: string[] = [];
  return {
    taken,
    sink: {
      write(chunk: string | Uint8Array) {
        taken.push(chunk.toString());
        return false;
      },
      end: (chunk: string) => taken.push(chunk),
    },
  };
}

describe("padding", () => {
  test.each(BODIES)("of %s is JSON of exactly the size", async (fill, body) => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: Buffer.byteLength(body), max: 300_000 }), async (bytes) => {
        const padded = pad(body, FILL[fill], bytes);
        const { taken, sink } = slowReader();
        await pour(padded, sink, async () => true);
        const text = taken.join("");
        expect([Buffer.byteLength(text), paddedLength(padded)]).toEqual([bytes, bytes]);
        expect(JSON.parse(text).b).toBe(1);
      }),
      { numRuns: 25 },
    );
  });

  test("never cuts what was there", () => {
    expect(paddedLength(pad(`{"a":"${GROWS}"}`, FILL.text, 1))).toBe('{"a":""}'.length);
  });
});

describe("pouring", () => {
  test("writes a gigabyte block by block, and only when there is room", async () => {
    let isFull = false;
    let written = 0;
    let blocks = 0;
    const sink = {
      write(chunk: string | Uint8Array) {
        expect(isFull).toBe(false);
        isFull = true;
        blocks += 1;
        written += chunk.length;
        return false;
      },
      end: (chunk: string) => (written += chunk.length),
    };
    const whole = await pour(pad(`{"a":"${GROWS}"}`, FILL.text, 1e9), sink, async () => {
      isFull = false;
      return true;
    });
    expect([whole, written]).toEqual([true, 1e9]);
    expect(written / blocks).toBeLessThan(128 * 1024);
  });

  test("stops when nobody reads any more", async () => {
    const { taken, sink } = slowReader();
    const whole = await pour(pad(`{"a":"${GROWS}"}`, FILL.text, 1e9), sink, async () => false);
    expect([whole, taken.length]).toEqual([false, 1]);
  });
});
