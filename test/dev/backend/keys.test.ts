import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { digestOf, readKeys, type StoredKey, verdict } from "../../../dev/backend/keys.ts";

const DEMO = readFileSync(join(import.meta.dirname, "../../../dev/backend/demo-keys.json"), "utf8");
const good = { api_key: "hc-sk-test", tier: "free" };

describe("a keys file", () => {
  test.each([
    ["{", "not JSON"],
    ["{}", "keys: "],
    [{ keys: [{ ...good, tier: "gold" }] }, "keys.0.tier: "],
    [{ keys: [good, { tier: "free" }] }, "keys.1.api_key: "],
    [{ keys: [{ ...good, api_key: "sk-test" }] }, "keys.0.api_key: must be hc-sk-"],
    [{ keys: [{ ...good, age_verifed: true }] }, 'keys.0: Unrecognized key: "age_verifed"'],
    [{ keys: [{ ...good, age_verified: "yes" }] }, "keys.0.age_verified: "],
    [{ keys: [{ ...good, expires_at: "tomorrow" }] }, "keys.0.expires_at: "],
    [{ keys: [{ ...good, limits: { rpm: "many" } }] }, "keys.0.limits.rpm: "],
    [{ keys: [good, good] }, "keys.1.api_key: stands there twice"],
    [
      {
        keys: [
          { ...good, key_id: "a" },
          { ...good, api_key: "hc-sk-other", key_id: "a" },
        ],
      },
      "keys.1.key_id: ",
    ],
    [{ keys: [], more: 1 }, "Unrecognized key"],
    [[{ ...good, tier: "gold" }], "0.tier: "],
  ])("%j is refused by name", (file, text) => {
    expect(() => readKeys(typeof file === "string" ? file : JSON.stringify(file))).toThrow(text);
  });

  test("may be the bare list", () => {
    expect(readKeys(JSON.stringify([good]))).toEqual(readKeys(JSON.stringify({ keys: [good] })));
  });

  test("becomes digests that hold no key", () => {
    const [key] = readKeys(JSON.stringify([good]));
    expect(key?.digest).toBe(digestOf("hc-sk-test"));
    expect(JSON.stringify(key)).not.toContain("hc-sk-test");
  });

  test("of the demo has the five demo keys", () => {
    const keys = new Map(readKeys(DEMO).map((key) => [key.digest, key]));
    const said = (name: string) => {
      const answer = verdict(keys.get(digestOf(`hc-sk-demo-${name}`)) ?? null, 0);
      return answer.valid ? [answer.tier, answer.age_verified] : answer.valid;
    };
    expect(["free", "premium", "adult", "admin", "revoked"].map(said)).toEqual([
      ["free", false],
      ["premium", false],
      ["premium", true],
      ["admin", true],
      false,
    ]);
    expect(keys.size).toBe(5);
  });
});

describe("a verdict", () => {
  const key: StoredKey = {
    digest: "d",
    keyId: "k",
    userId: "u",
    tier: "free",
    ageVerified: false,
    expiresAt: null,
    revoked: false,
    limits: null,
  };
  const expiresAt = "2026-11-24T12:00:00+01:00";
  const at = Date.UTC(2026, 10, 24, 11);

  test("says what is known of the key, in this order", () => {
    expect(JSON.stringify(verdict({ ...key, limits: { rpm: 3 } }, 0))).toBe(
      '{"valid":true,"key_id":"k","user_id":"u","tier":"free","age_verified":false,"expires_at":null,"limits":{"rpm":3}}',
    );
    expect(verdict(key, 0)).not.toHaveProperty("limits");
  });

  test.each([
    ["unknown", null, 0, false],
    ["revoked", { ...key, revoked: true }, 0, false],
    ["just before it expires", { ...key, expiresAt }, at - 1, true],
    ["when it expires", { ...key, expiresAt }, at, false],
  ])("%s", (_name, given, now, valid) => expect(verdict(given, now).valid).toBe(valid));
});
