import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { plainSlice } from "../../../edge/api/plain.ts";
import { type JsonObject, SLICES } from "../../../edge/api/schema.ts";

const value = fc.oneof(
  fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    false,
    "",
    "m",
    [],
    {},
    0,
    1,
    8,
    9,
    -1,
    0.5,
    2,
    2.1,
    1e6,
    1e6 + 1,
    2 ** 53,
  ),
  fc.constantFrom("m".repeat(256), "m".repeat(257)),
  fc.double(),
);
const rest = fc.constantFrom("user", "stream_options", "best_of", "logprobs", "top_logprobs", "messages", "unknown");
const usual = fc.record(
  {
    stream: fc.boolean(),
    max_tokens: fc.integer({ min: 1, max: 1_000_000 }),
    n: fc.integer({ min: 1, max: 8 }),
    temperature: fc.double({ min: 0, max: 2, noNaN: true }),
    top_p: fc.double({ min: 0, max: 1, noNaN: true }),
  },
  { requiredKeys: [] },
);
const name = fc.oneof(
  rest,
  fc.constantFrom("model", "stream", "max_tokens", "max_completion_tokens", "n", "temperature", "top_p"),
);
const body = fc
  .tuple(usual, fc.dictionary(name, value, { maxKeys: 2, noNullPrototype: true }))
  .map(([members, odd]): JsonObject => ({ model: "m", ...members, ...odd }));

describe("plainSlice", () => {
  test.each(["messages", "prompt"] as const)("sees in %s what the schema sees, or nothing", (input) => {
    let seen = 0;
    let left = 0;
    fc.assert(
      fc.property(body, (given) => {
        const slice = plainSlice(given);
        if (slice === null) left += 1;
        else {
          seen += 1;
          const { success, data } = SLICES[input].safeParse(given);
          expect(success).toBe(true);
          expect(slice).toEqual(data);
        }
      }),
      { numRuns: 2_000 },
    );
    expect(Math.min(seen, left)).toBeGreaterThan(100);
  });
});
