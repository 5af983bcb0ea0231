import { describe, expect, test } from "vitest";
import {
  Accounts,
  BACKOFF_MS,
  FRESH_MS,
  type Kept,
  MAX_LOOKUPS,
  NEGATIVE_MS,
  permit,
  STALE_MS,
  UNREACHABLE_MS,
} from "../../../edge/gate/accounts.ts";
import { bearer, isKey } from "../../../edge/gate/key.ts";
import { readVerdict } from "../../../edge/gate/verify.ts";
import type { Account } from "../../../shared/hop.ts";

const ACCOUNT: Account = { keyId: "k", userId: "u", tier: "free", ageVerified: false, expiresAt: null };

function accounts(answers: (Account | null | Error)[]) {
  const clock = { now: 0 };
  const asked: string[] = [];
  const cache = new Accounts(
    async (key) => {
      asked.push(key);
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      return answer ?? null;
    },
    { load: () => null, keep: () => {}, drop: () => {} },
    () => clock.now,
  );
  return { cache, clock, asked };
}

describe("accounts", () => {
  test("are looked up once, however many wait, and refreshed behind the first request after 30 s", async () => {
    const { cache, clock, asked } = accounts([ACCOUNT, ACCOUNT]);
    const all = await Promise.all(Array.from({ length: 50 }, () => cache.find("d", "key")));
    expect(new Set(all)).toEqual(new Set([ACCOUNT]));
    expect(asked).toEqual(["key"]);
    clock.now = FRESH_MS - 1;
    expect(cache.peek("d", "key")).toBe(ACCOUNT);
    expect(asked).toEqual(["key"]);
    clock.now = FRESH_MS;
    expect(cache.peek("d", "key")).toBe(ACCOUNT);
    expect(asked).toEqual(["key", "key"]);
  });

  test("that do not exist are remembered for 10 s only", async () => {
    const { cache, clock } = accounts([null]);
    expect(await cache.find("d", "key")).toBeNull();
    clock.now = NEGATIVE_MS - 1;
    expect(cache.peek("d", "key")).toBeNull();
    clock.now = NEGATIVE_MS;
    expect(cache.peek("d", "key")).toBeUndefined();
  });

  test("whose lookup failed are not remembered at all", async () => {
    const { cache, asked } = accounts([new Error("away"), ACCOUNT]);
    await expect(cache.find("d", "key")).rejects.toThrow("away");
    expect(cache.peek("d", "key")).toBeUndefined();
    expect(await cache.find("d", "key")).toBe(ACCOUNT);
    expect(asked).toHaveLength(2);
  });

  test("are served stale for 5 min, and for an hour since the backend's last word while it is away", async () => {
    const away = () => new Error("away");
    const { cache, clock, asked } = accounts([ACCOUNT, ...Array.from({ length: 20 }, away)]);
    await cache.find("d", "key");
    clock.now = STALE_MS - 1;
    expect(cache.peek("d", "key")).toBe(ACCOUNT);
    await turn();
    expect(asked).toHaveLength(2);
    // The refresh has failed: nobody waits for the next one, and it is not asked for with each request.
    expect(cache.peek("d", "key")).toBe(ACCOUNT);
    expect(asked).toHaveLength(2);
    clock.now += BACKOFF_MS;
    expect(cache.peek("d", "key")).toBe(ACCOUNT);
    expect(asked).toHaveLength(3);
    await turn();
    clock.now = UNREACHABLE_MS - 1;
    expect(await cache.find("d", "key")).toBe(ACCOUNT);
    clock.now = UNREACHABLE_MS;
    expect(cache.peek("d", "key")).toBeUndefined();
    await expect(cache.find("d", "key")).rejects.toThrow("away");
  });

  test("older than 5 min are asked for before they are served, if the backend may be there", async () => {
    const { cache, clock } = accounts([ACCOUNT, null]);
    await cache.find("d", "key");
    clock.now = STALE_MS;
    expect(cache.peek("d", "key")).toBeUndefined();
    expect(await cache.find("d", "key")).toBeNull();
    expect(cache.peek("d", "key")).toBeNull();
  });

  test("are not brought back by an answer that was asked for before their purge", async () => {
    const answers: ((account: Account | null) => void)[] = [];
    const shelf = new Map<string, Kept>();
    const cache = new Accounts(
      () => new Promise((resolve) => answers.push(resolve)),
      {
        load: (digest) => shelf.get(digest) ?? null,
        keep: (digest, kept) => shelf.set(digest, kept),
        drop: (digest) => shelf.delete(digest),
      },
      () => 0,
    );
    const early = cache.find("d", "key");
    cache.purge("d");
    const late = cache.find("d", "key");
    expect(answers).toHaveLength(2);
    // The newer one is answered first, the older one comes last.
    answers[1]!(null);
    expect(await late).toBeNull();
    answers[0]!(ACCOUNT);
    await turn();
    // Who waited for the void one asks once more.
    answers[2]!(null);
    expect(await early).toBeNull();
    expect([cache.peek("d", "key"), shelf.size]).toEqual([null, 0]);
  });

  test("are asked for by so many lookups at once, and no more", async () => {
    const answers: (() => void)[] = [];
    const cache = new Accounts(
      () => new Promise((resolve) => answers.push(() => resolve(ACCOUNT))),
      { load: () => null, keep: () => {}, drop: () => {} },
      () => 0,
    );
    const asked = Array.from({ length: MAX_LOOKUPS }, (_, i) => cache.find(`d${i}`, `key${i}`));
    await expect(cache.find("one", "too many")).rejects.toMatchObject({ code: "auth_unavailable" });
    expect([answers.length, cache.lookups.shed]).toEqual([MAX_LOOKUPS, 1]);
    for (const answer of answers) answer();
    expect(await Promise.all(asked)).toHaveLength(MAX_LOOKUPS);
    void cache.find("one", "more");
    expect(answers).toHaveLength(MAX_LOOKUPS + 1);
  });
});

/** Lets all promises that can go on do so. */
const turn = () => new Promise((done) => setImmediate(done));

describe("what an account may do", () => {
  const rows: [what: string, account: Account | null, ageRestricted: boolean, code: string | null][] = [
    ["nothing, if it does not exist", null, false, "invalid_api_key"],
    ["nothing, once it has expired", { ...ACCOUNT, expiresAt: 100 }, false, "invalid_api_key"],
    ["anything before it expires", { ...ACCOUNT, expiresAt: 101 }, false, null],
    ["nothing restricted without age verification", ACCOUNT, true, "age_verification_required"],
    ["anything restricted with it", { ...ACCOUNT, ageVerified: true }, true, null],
  ];
  test.each(rows)("is %s", (_what, account, ageRestricted, code) => {
    if (code === null) expect(permit(account, ageRestricted, 100)).toBe(account);
    else expect(() => permit(account, ageRestricted, 100)).toThrow(expect.objectContaining({ code }));
  });
});

describe("the backend's verdict", () => {
  const valid = { valid: true, key_id: "k", user_id: "u", tier: "free", age_verified: false, expires_at: null };
  const rows: [what: string, status: number, body: string, verdict: Account | null | undefined][] = [
    ["an account", 200, JSON.stringify(valid), ACCOUNT],
    ["an account with more members", 200, JSON.stringify({ ...valid, colour: "blue" }), ACCOUNT],
    [
      "an account that expires",
      200,
      JSON.stringify({ ...valid, expires_at: "1970-01-01T00:00:01Z" }),
      { ...ACCOUNT, expiresAt: 1_000 },
    ],
    ["not a key", 200, '{"valid": false}', null],
    ["not a key, by status", 401, "", null],
    ["not a key, by status", 404, "gone", null],
    ["nothing: an error", 500, JSON.stringify(valid), undefined],
    ["nothing: a redirect", 302, "", undefined],
    ["nothing: not JSON", 200, "<html>", undefined],
    ["nothing: an unknown tier", 200, JSON.stringify({ ...valid, tier: "gold" }), undefined],
    ["nothing: a date that is none", 200, JSON.stringify({ ...valid, expires_at: "soon" }), undefined],
    ["nothing: no verdict", 200, "{}", undefined],
  ];
  test.each(rows)("is %s", (_what, status, body, verdict) => {
    expect(readVerdict(status, new TextEncoder().encode(body))).toEqual(verdict);
  });
});

describe("a key", () => {
  const headers: [header: string | null, key: string | null][] = [
    ["Bearer hc-sk-abcd", "hc-sk-abcd"],
    ["bearer   hc-sk-abcd  ", "hc-sk-abcd"],
    ["Basic hc-sk-abcd", null],
    ["Bearer a b", null],
    ["Bearer ", null],
    [`Bearer ${"x".repeat(513)}`, null],
    [null, null],
  ];
  test.each(headers)("of the header %j is %j", (header, key) => expect(bearer(header)).toBe(key));

  test.each([
    ["hc-sk-demo-free", true],
    ["hc-sk-Ab_9-", true],
    ["hc-sk-abc", false],
    ["sk-abcdefgh", false],
    ["hc-sk-abcd\n", false],
    ["hc-sk-äöüß", false],
  ])("%j has the right form: %s", (text, isRight) => expect(isKey(text)).toBe(isRight));
});
