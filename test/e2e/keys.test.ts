// Who may: revoked keys, a backend that is away, restricted models, and floods of keys that nobody knows.
import { describe, expect, test } from "vitest";
import { SHIELD_LIMIT } from "../../edge/gate/shield.ts";
import { CHAT, codeOf, digestOf, errorOf, someKey, World } from "../support/client.ts";
import { ADMIN_TOKEN, until, useStack } from "../support/stack.ts";

const FLEET = ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "0", "--first-token-ms", "0", "--slots", "64"];
const NSFW = { model: "heartcode-nsfw" };

describe("keys", () => {
  const world = new World(useStack({ fleet: FLEET, slots: 64, edge: { HEARTCODE_BACKEND_TIMEOUT: "0.5", TIERS: "" } }));

  test("a purged key that is revoked is refused with the next request", async () => {
    const key = await world.newKey();
    expect((await world.chat(key)).status).toBe(200);
    await world.backend("keys", { revoke: key });
    // Nobody has told the edge.
    expect((await world.chat(key)).status).toBe(200);
    const purgedAt = Date.now();
    expect((await world.purge(key)).status).toBe(200);
    const refused = await world.chat(key);
    expect([refused.status, await codeOf(refused)]).toEqual([401, "invalid_api_key"]);
    expect(Date.now() - purgedAt).toBeLessThan(1_000);
    expect((await world.get("/v1/models", key)).status).toBe(401);
    expect((await world.get("/v1/usage", key)).status).toBe(401);
  });

  test("an answer that was on its way when its key was purged lets nobody in", async () => {
    const key = await world.newKey();
    // The backend has looked it up as good, and says so only when it is revoked.
    await world.backend("faults", { delay_ms: 300, count: 1 });
    const early = world.chat(key);
    await until(async () => (await world.backend("state")).waiting === 1);
    await world.backend("keys", { revoke: key });
    await world.purge(key);
    expect((await world.chat(key)).status).toBe(401);
    expect((await early).status).toBe(401);
    expect((await world.chat(key)).status).toBe(401);
  });

  test("a purge is the operator's alone, and names a digest", async () => {
    const key = await world.newKey();
    const body = { key_sha256: digestOf(key) };
    for (const token of [null, key, `${ADMIN_TOKEN}x`]) {
      expect((await world.post("/admin/keys/purge", token, body)).status).toBe(401);
    }
    for (const wrong of [{}, { key_sha256: key }, { key_sha256: digestOf(key).toUpperCase() }, [], null, "x"]) {
      const answer = await world.post("/admin/keys/purge", ADMIN_TOKEN, wrong);
      expect(answer.status).toBe(400);
      expect(await errorOf(answer)).toMatchObject({ code: "invalid_request", param: "key_sha256" });
    }
    // Of a key that is good it only means to ask again.
    expect((await world.purge(key)).status).toBe(200);
    expect((await world.chat(key)).status).toBe(200);
  });

  test("an operator sees a key by the beginning of its digest alone", async () => {
    const key = await world.newKey();
    expect((await world.chat(key)).status).toBe(200);
    const digest = digestOf(key);
    const status = await (await world.get("/admin/status", ADMIN_TOKEN)).text();
    expect(status).toContain(`"key":"${digest.slice(0, 16)}"`);
    const metrics = await (await world.get("/admin/metrics", ADMIN_TOKEN)).text();
    expect(metrics).toContain("heartcode_edge_settled_total");
    expect(metrics).not.toContain(digest.slice(0, 16));
    for (const page of [status, metrics]) {
      expect(page).not.toContain(digest.slice(0, 17));
      expect(page).not.toMatch(/hc-sk-|[0-9a-f]{64}/);
    }
  });

  test("a restricted model is served to age-verified accounts, and hidden from others", async () => {
    const verified = await world.newKey("free", undefined, { age_verified: true });
    const other = await world.newKey("admin");
    const models = async (key: string) =>
      ((await (await world.get("/v1/models", key)).json()) as { data: { id: string }[] }).data.map(({ id }) => id);
    expect(await models(verified)).toContain("heartcode-nsfw");
    expect(await models(other)).not.toContain("heartcode-nsfw");
    expect((await world.get("/v1/models/heartcode-nsfw", verified)).status).toBe(200);
    expect((await world.get("/v1/models/heartcode-nsfw", other)).status).toBe(404);
    expect((await world.chat(verified, NSFW)).status).toBe(200);
    const refused = await world.chat(other, NSFW);
    expect([refused.status, await codeOf(refused)]).toEqual([403, "age_verification_required"]);
    expect((await world.usage(other)).requests_per_minute.used).toBe(0);
  });

  test("an account expires by the clock, also while the backend's word on it is fresh", async () => {
    const expires_at = new Date(Date.now() + 1_500).toISOString();
    const key = await world.newKey("free", undefined, { expires_at });
    expect((await world.chat(key)).status).toBe(200);
    await until(() => Date.now() > Date.parse(expires_at));
    const { verify_calls } = await world.backend("state");
    expect((await world.chat(key)).status).toBe(401);
    expect((await world.backend("state")).verify_calls).toBe(verify_calls);
  });

  test("a client that leaves while its key is looked up leaves nothing behind", async () => {
    const key = await world.newKey();
    await world.backend("faults", { delay_ms: 300, count: 1 });
    const { verify_calls } = await world.backend("state");
    const left = world.byHand("/v1/chat/completions", key, { ...CHAT, max_tokens: 500 });
    await until(async () => (await world.backend("state")).waiting === 1);
    left.socket.resetAndDestroy();
    // Asked for while that lookup runs, so answered after what waits for it too.
    expect((await world.get("/v1/usage", key)).status).toBe(200);
    expect((await world.backend("state")).verify_calls).toBe(verify_calls + 1);
    expect(await world.leases()).toBe(0);
    expect((await world.usage(key)).tokens_per_day.used).toBe(0);
  });
});

describe("keys without their backend", () => {
  const edge = { HEARTCODE_BACKEND_TIMEOUT: "2", HUB_SHARDS: "1", DEV_FAULTS: "1" };
  const stack = useStack({ fleet: FLEET, slots: 64, edge });
  const world = new World(stack);

  test("are told to come back once a lookup takes longer than HEARTCODE_BACKEND_TIMEOUT", async () => {
    const known = await world.newKey();
    expect((await world.chat(known)).status).toBe(200);
    await world.backend("faults", { hang: true });
    const askedAt = performance.now();
    const late = await world.chat(someKey());
    const tookMs = performance.now() - askedAt;
    expect([late.status, await codeOf(late)]).toEqual([504, "auth_timeout"]);
    expect(tookMs).toBeGreaterThanOrEqual(1_990);
    expect(tookMs).toBeLessThan(4_000);
    expect((await world.chat(known)).status).toBe(200);
    await world.backend("faults", {});
  });

  test("known ones work on, unknown ones are told to come back and never that they are wrong", async () => {
    const known = await world.newKey();
    const revoked = "hc-sk-demo-revoked";
    expect((await world.chat(known)).status).toBe(200);
    expect((await world.chat(revoked)).status).toBe(401);
    stack().parts.backend.kill("SIGKILL");
    await stack().parts.backend.exited;
    // What the backend has said of a key stands for a while, the bad as well as the good.
    expect((await world.chat(revoked)).status).toBe(401);
    expect((await world.chat(known)).status).toBe(200);
    // A hub that is lost has it on disk, under the key's digest.
    expect((await world.post("/admin/dev/abort-hub", ADMIN_TOKEN, { shard: 0 })).status).toBe(200);
    expect((await world.chat(known)).status).toBe(200);
    for (const path of ["/v1/models", "/v1/usage"]) expect((await world.get(path, known)).status).toBe(200);
    const strange = await world.chat(someKey());
    expect([strange.status, await codeOf(strange)]).toEqual([503, "auth_unavailable"]);
    expect(Number(strange.headers.get("retry-after"))).toBeGreaterThan(0);
    // Nothing is left to ask it from: what a purge forgets is unknown.
    await world.purge(known);
    expect((await world.chat(known)).status).toBe(503);
  });
});

describe("a flood of made-up keys", () => {
  const world = new World(useStack({ fleet: FLEET, slots: 64 }));

  test("reaches the backend twenty times a minute and address, and good keys from there still pass", async () => {
    const good = await world.newKey();
    expect((await world.chat(good)).status).toBe(200);
    const before = await world.backend("state");
    for (let i = 0; i < SHIELD_LIMIT; i += 1) expect((await world.chat(someKey())).status).toBe(401);
    const stopped = await Promise.all(Array.from({ length: 30 }, () => world.chat(someKey())));
    expect(new Set(stopped.map(({ status }) => status))).toEqual(new Set([429]));
    expect(await codeOf(stopped[0]!)).toBe("rate_limit_exceeded");
    expect(Number(stopped[0]!.headers.get("retry-after"))).toBeLessThanOrEqual(60);
    for (const path of ["/v1/models", "/v1/usage"]) expect((await world.get(path, someKey())).status).toBe(429);
    expect((await world.backend("state")).unknown_keys).toBe(before.unknown_keys + SHIELD_LIMIT);
    expect((await world.chat(good)).status).toBe(200);
    expect((await world.get("/v1/usage", good)).status).toBe(200);
    // A key that was revoked is as good as made up.
    await world.backend("keys", { revoke: good });
    await world.purge(good);
    expect((await world.chat(good)).status).toBe(429);
  });
});
