import fc from "fast-check";
import { expect, test } from "vitest";
import { Capture } from "../../../connector/dialect/capture.ts";
import { Gather } from "../../../connector/dialect/gather.ts";

const text = new TextEncoder();

test("pieces come out as one, in order, again and again", () => {
  const piece = fc.oneof(fc.uint8Array({ maxLength: 6_000 }), fc.string({ unit: "binary", maxLength: 2_000 }));
  fc.assert(
    fc.property(fc.array(fc.array(piece, { maxLength: 5 }), { maxLength: 4 }), (rounds) => {
      const gather = new Gather();
      const taken: Uint8Array[] = [];
      const expected = rounds.map((pieces) =>
        Buffer.concat(pieces.map((part) => (typeof part === "string" ? text.encode(part) : part))),
      );
      for (const [i, pieces] of rounds.entries()) {
        for (const part of pieces) {
          if (typeof part === "string") gather.addText(part);
          else gather.add(part);
        }
        expect(Buffer.from(gather.view())).toEqual(expected[i]);
        taken.push(gather.take());
        expect(gather.length).toBe(0);
      }
      // What was taken is not touched by what is gathered later.
      expect(taken.map((bytes) => Buffer.from(bytes))).toEqual(expected);
    }),
  );
});

test("a capture gives all that was added, or nothing of what is too much", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), (pieces) => {
      const capture = new Capture(100);
      capture.add(new Uint8Array(101));
      capture.clear();
      for (const piece of pieces) capture.add(piece);
      const all = Buffer.concat(pieces);
      const taken = capture.taken();
      expect(taken === null ? null : Buffer.from(taken)).toEqual(all.length > 100 ? null : all);
    }),
  );
});
