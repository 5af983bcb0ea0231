// What a name with a slip of the hand in it was meant to be.
import fc from "fast-check";
import { expect, test } from "vitest";
import { nearestOf } from "../../connector/nearest.ts";

const KNOWN = ["MASTER_KEY", "ADMIN_TOKEN", "EDGE_TLS_CERT", "EDGE_TLS_KEY", "HUB_SHARDS", "EDGE_HOST"];

test.each([
  ["MASTER_KEYS", "MASTER_KEY"],
  ["MASTERKEY", "MASTER_KEY"],
  ["MATSER_KEY", "MASTER_KEY"],
  ["EDGE_TLS_KEX", "EDGE_TLS_KEY"],
  ["edge_tls_cert", "EDGE_TLS_CERT"],
  ["PATH", null],
  ["REDIS_HOST", null],
  ["EDGE_PORT", null],
  ["", null],
])("%s is near to %s", (name, meant) => expect(nearestOf(name, KNOWN)).toBe(meant));

test.each([
  ["ENGINE_1_URL", "ENGINE_2_URL"],
  ["METRICS_HOST", "METRICS_PORT"],
])("%s is not meant for %s", (name, other) => expect(nearestOf(name, [other])).toBeNull());

test("a name is nearest to itself, and one slip never leads to another word than one that is as near", () => {
  const word = fc.string({ unit: fc.constantFrom(..."ABC"), minLength: 4, maxLength: 6 });
  const name = fc.array(word, { minLength: 1, maxLength: 3 }).map((words) => words.join("_"));
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 6 }), fc.nat(), fc.nat(), (known, which, where) => {
      const one = known[which % known.length]!;
      expect(nearestOf(one, known)).toBe(one);
      const at = where % one.length;
      const slip = one.slice(0, at) + one.slice(at + 1);
      const near = nearestOf(slip, known);
      expect(near).not.toBeNull();
      // One letter was lost: whatever was found is no further away.
      expect(Math.abs(near!.length - slip.length)).toBeLessThanOrEqual(1);
    }),
  );
});
