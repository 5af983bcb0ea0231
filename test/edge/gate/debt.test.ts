import fc from "fast-check";
import { expect, test } from "vitest";
import { MAX_LIMIT } from "../../../edge/gate/bucket.ts";
import { type Debt, readDebt, writeDebt } from "../../../edge/gate/debt.ts";
import { MAX_LEASE_LENGTH } from "../../../shared/wire/messages.ts";

const limit = fc.integer({ min: 1, max: MAX_LIMIT });
const count = fc.oneof(fc.nat(), fc.maxSafeNat());
const debts: fc.Arbitrary<Debt> = fc
  .record({
    digest: fc.stringMatching(/^[0-9a-f]{64}$/),
    label: fc.tuple(
      count,
      count.map((number) => Math.max(1, number)),
    ),
    at: count,
    tokens: count,
    prompt: count,
    likely: count,
    rates: fc.record({ rpm: limit, tpm: limit, tokensPerDay: fc.integer({ min: 1, max: 1e12 }) }),
  })
  .map((debt) => ({ ...debt, prompt: Math.min(debt.prompt, debt.tokens) }));

const EXAMPLE: Debt = {
  digest: "0123456789abcdef".repeat(4),
  label: [1_800_000_000_000, 7],
  at: 1_800_000_000_123,
  tokens: 74,
  prompt: 24,
  likely: 20,
  rates: { rpm: 10, tpm: 1_000, tokensPerDay: 10_000 },
};

test("a debt is this word", () => {
  expect(writeDebt(EXAMPLE)).toBe(`1.${EXAMPLE.digest}.1800000000000.7.1800000000123.74.24.20.10.1000.10000`);
});

test("is read back as it was written, and fits into the wire", () => {
  fc.assert(
    fc.property(debts, (debt) => {
      const word = writeDebt(debt);
      expect(word.length).toBeLessThanOrEqual(MAX_LEASE_LENGTH);
      expect(readDebt(word)).toEqual(debt);
    }),
  );
});

test("what is not a debt is none, and nothing is thrown: whatever is read would be written so", () => {
  let read = 0;
  const word = writeDebt(EXAMPLE);
  const mutated = fc
    .tuple(
      fc.nat(word.length - 1),
      fc.constantFrom("", ".", "-", "0", "z", "Z", "g", " ", "99999999999"),
      fc.nat({ max: 2 }),
    )
    .map(([at, by, length]) => word.slice(0, at) + by + word.slice(at + length));
  fc.assert(
    fc.property(fc.oneof({ weight: 5, arbitrary: mutated }, fc.string()), (text) => {
      const debt = readDebt(text);
      if (debt === null) return;
      read += 1;
      expect(writeDebt(debt)).toBe(text);
    }),
    { numRuns: 3_000 },
  );
  expect(read).toBeGreaterThan(100);
});
