// The backend under requests and under faults, over real sockets.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readKeys } from "../../../dev/backend/keys.ts";
import { type Backend, startBackend } from "../../../dev/backend/server.ts";
import { KeyStore } from "../../../dev/backend/store.ts";
import { type Answer, type Ask, ask, open } from "../fleet/raw.ts";

const VERIFY = "/api/v1/api-keys/verify";
const KEYS = JSON.stringify([
  { api_key: "hc-sk-free", key_id: "free", user_id: "ann", tier: "free", limits: { rpm: 5 } },
  { api_key: "hc-sk-brief", key_id: "brief", tier: "premium", expires_at: "2026-01-01T00:00:00Z" },
  { api_key: "hc-sk-revoked", key_id: "revoked", tier: "free", revoked: true },
]);

let store: KeyStore;
let backend: Backend;
let now: number;
const start = (token: string | null) => startBackend({ store, host: "127.0.0.1", port: 0, token, now: () => now });

beforeEach(async () => {
  now = Date.UTC(2025, 0);
  store = new KeyStore(":memory:");
  for (const key of readKeys(KEYS)) store.put(key);
  backend = await start(null);
});
afterEach(async () => {
  await backend.close();
  store.close();
});

const call = (request: Ask): Promise<Answer> => ask(backend.port, request);
const verify = (key: string): Promise<Answer> => call({ path: VERIFY, body: { api_key: key } });
const isValid = async (key: string): Promise<unknown> => JSON.parse((await verify(key)).body).valid;
const setFaults = (body: unknown) => call({ path: "/sim/faults", body });
const state = async () => JSON.parse((await call({ path: "/sim/state" })).body);

describe("a lookup", () => {
  test("says whose key it is", async () => {
    expect(await verify("hc-sk-free")).toMatchObject({
      status: 200,
      body: '{"valid":true,"key_id":"free","user_id":"ann","tier":"free","age_verified":false,"expires_at":null,"limits":{"rpm":5}}',
    });
  });

  test.each(["hc-sk-revoked", "hc-sk-nobody", "", "x".repeat(4_000)])(
    "of %j is not valid, and no more is said",
    async (key) => {
      expect(await verify(key)).toMatchObject({ status: 200, body: '{"valid":false}' });
    },
  );

  test("ends when the key expires", async () => {
    expect(await isValid("hc-sk-brief")).toBe(true);
    now = Date.UTC(2026, 0);
    expect(await isValid("hc-sk-brief")).toBe(false);
  });

  test("is counted, by key", async () => {
    for (const key of ["hc-sk-free", "hc-sk-free", "hc-sk-revoked", "hc-sk-nobody"]) await verify(key);
    expect(await state()).toMatchObject({ verify_calls: 4, calls_by_key_id: { free: 2, revoked: 1 }, unknown_keys: 1 });
  });

  test("asks for its token where there is one", async () => {
    const guarded = await start("secret");
    const given = async (headers: Record<string, string>) =>
      (await ask(guarded.port, { path: VERIFY, body: { api_key: "hc-sk-free" }, headers })).status;
    expect(await given({ authorization: "Bearer secret" })).toBe(200);
    for (const authorization of ["Bearer secre", "secret", "Bearer secret2", ""])
      expect(await given({ authorization })).toBe(401);
    expect((await ask(guarded.port, { path: "/api/v1/health" })).status).toBe(200);
    await guarded.close();
  });
});

describe("what is not the contract", () => {
  test.each([
    [{ path: "/api/v1/health" }, 200, '{"status":"ok"}'],
    [{ path: "/nowhere" }, 404, "not_found"],
    [{ path: "/toString" }, 404, "not_found"],
    [{ path: VERIFY }, 405, "method_not_allowed"],
    [{ path: "/api/v1/health", body: {} }, 405, "method_not_allowed"],
    [{ path: VERIFY, body: "api_key=x", headers: { "content-type": "text/plain" } }, 415, "unsupported_media_type"],
    [{ path: VERIFY, body: "{}", headers: { "content-type": "application/jsonp" } }, 415, "unsupported_media_type"],
    [{ path: VERIFY, body: "{" }, 400, "invalid_json"],
    [{ path: VERIFY, body: {} }, 400, "api_key"],
    [{ path: VERIFY, body: { api_key: 3 } }, 400, "api_key"],
    [{ path: VERIFY, body: [] }, 400, "invalid_request"],
    [{ path: VERIFY, body: { api_key: "x".repeat(20_000) } }, 413, "payload_too_large"],
    [{ path: "/sim/faults", body: { hangs: true } }, 400, "hangs"],
    [{ path: "/sim/faults", body: { count: 1 } }, 400, "count"],
    [{ path: "/sim/keys", body: {} }, 400, "either add or revoke"],
    [{ path: "/sim/keys", body: { add: { api_key: "hc-sk-test", tier: "gold" } } }, 400, "add.tier"],
    [{ path: "/sim/keys", body: { revoke: "nobody" } }, 404, "not_found"],
  ] as const)("%j answers %i", async (request, status, text) => {
    const answer = await call(request);
    expect(answer.status).toBe(status);
    expect(answer.body).toContain(text);
  });

  test("a method that is not allowed is told which one is", async () => {
    expect((await call({ path: VERIFY, method: "GET" })).headers).toContainEqual(["allow", "POST"]);
  });
});

describe("keys at run time", () => {
  test.each(["hc-sk-free", "free"])("revoke %s", async (revoke) => {
    expect(await isValid("hc-sk-free")).toBe(true);
    expect((await call({ path: "/sim/keys", body: { revoke } })).status).toBe(200);
    expect(await isValid("hc-sk-free")).toBe(false);
  });

  test("add one, or change one", async () => {
    const add = { api_key: "hc-sk-new-one", key_id: "new", tier: "free" };
    expect((await call({ path: "/sim/keys", body: { add } })).body).toContain('"key_id":"new"');
    expect(JSON.parse((await verify("hc-sk-new-one")).body)).toMatchObject({ valid: true, age_verified: false });
    await call({ path: "/sim/keys", body: { add: { ...add, age_verified: true } } });
    expect(JSON.parse((await verify("hc-sk-new-one")).body)).toMatchObject({ valid: true, age_verified: true });
  });
});

describe("faults", () => {
  test("hang until they are cleared, and no longer than the client", async () => {
    await setFaults({ hang: true });
    const answer = verify("hc-sk-free");
    const socket = open(backend.port, { path: VERIFY, body: { api_key: "hc-sk-free" } });
    await vi.waitFor(async () => expect((await state()).waiting).toBe(2));
    expect((await call({ path: "/api/v1/health" })).status).toBe(200);
    socket.destroy();
    await vi.waitFor(async () => expect((await state()).waiting).toBe(1));
    await setFaults({});
    expect((await answer).status).toBe(200);
  });

  test("status, so many times", async () => {
    await setFaults({ status: 503, count: 2 });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await verify("hc-sk-free")).status);
    expect(statuses).toEqual([503, 503, 200]);
  });

  test("garbage is 200 and no JSON", async () => {
    await setFaults({ garbage: true });
    const { status, body } = await verify("hc-sk-free");
    expect(status).toBe(200);
    expect(() => JSON.parse(body)).toThrow();
  });

  test("a delayed answer is that of the time of the lookup", async () => {
    await setFaults({ delay_ms: 600_000 });
    const answer = verify("hc-sk-free");
    await vi.waitFor(async () => expect((await state()).waiting).toBe(1));
    await call({ path: "/sim/keys", body: { revoke: "free" } });
    await setFaults({});
    expect(JSON.parse((await answer).body).valid).toBe(true);
    expect(await isValid("hc-sk-free")).toBe(false);
  });

  test("a short delay passes by itself", async () => {
    await setFaults({ delay_ms: 1 });
    expect(await isValid("hc-sk-free")).toBe(true);
  });
});

test("a port that is taken is an error", async () => {
  const taken = startBackend({ store, host: "127.0.0.1", port: backend.port, token: null, now: () => now });
  await expect(taken).rejects.toMatchObject({ code: "EADDRINUSE" });
});
