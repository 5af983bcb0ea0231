import { describe, expect, onTestFinished, test } from "vitest";
import { Backend, type BackendConfig } from "../../../connector/upstream/backend.ts";
import type { UpstreamRequest } from "../../../connector/upstream/request.ts";
import { VERIFY_KEY } from "../../../shared/openai.ts";
import { turn } from "./pool-fixture.ts";
import { deadUrl, Reader, TestEngine } from "./test-engine.ts";
import { VirtualClock } from "./virtual-clock.ts";

async function site(given: Partial<BackendConfig> = {}) {
  const clock = new VirtualClock();
  const server = await TestEngine.start();
  const config: BackendConfig = {
    url: server.url,
    timeoutS: 10,
    headers: {},
    verifyPath: "/api/v1/api-keys/verify",
    healthPath: "/api/v1/health",
    ...given,
  };
  const backend = new Backend(config, clock);
  onTestFinished(async () => {
    await backend.close();
    await server.stop();
  });
  const serve = (request: Partial<UpstreamRequest> = {}, reader = new Reader()) => {
    const running = backend.serve(
      {
        ...VERIFY_KEY,
        headers: [["content-type", "application/json"]],
        body: Buffer.from('{"api_key":"k"}'),
        tier: "",
        tenant: "",
        deadline: clock.now() + 60_000,
        ...request,
      },
      reader,
    );
    return { reader, running };
  };
  return { clock, server, backend, serve };
}

describe("a lookup", () => {
  test("goes to the configured place with the configured headers", async () => {
    const { server, serve } = await site({
      headers: { Authorization: "Bearer t", "Content-Type": "application/vnd.keys+json" },
    });
    const { reader } = serve({
      headers: [
        ["content-type", "application/json"],
        ["cookie", "no"],
        ["accept", "*/*"],
      ],
    });
    const call = await server.next();
    expect([call.request.method, call.request.url, call.body]).toEqual([
      "POST",
      "/api/v1/api-keys/verify",
      '{"api_key":"k"}',
    ]);
    expect(call.request.headers).toMatchObject({
      authorization: "Bearer t",
      "content-type": "application/vnd.keys+json",
      accept: "*/*",
    });
    expect(call.request.headers.cookie).toBeUndefined();
    call.answer(200, '{"valid":false}');
    expect(await reader.outcome()).toBe("end");
    expect(reader.text).toBe('{"valid":false}');
  });

  test.each([
    ["", "/verify", "/verify"],
    ["/", "/verify", "/verify"],
    ["/base", "/verify", "/base/verify"],
    ["/base/", "/verify?v=1", "/base/verify?v=1"],
  ])("under %j at %j asks for %j", async (base, verifyPath, path) => {
    const server = await TestEngine.start();
    const { serve } = await site({ url: server.url + base, verifyPath });
    serve();
    const call = await server.next();
    expect(call.request.url).toBe(path);
    call.answer();
    await server.stop();
  });

  test.each([200, 401, 404, 500, 503])("that gets a %i has an answer, whatever it means", async (status) => {
    const { server, serve } = await site();
    const { reader } = serve();
    (await server.next()).answer(status, "{}");
    expect(await reader.outcome()).toBe("end");
    expect(reader.heads[0]?.status).toBe(status);
    expect(reader.starts).toHaveLength(1);
  });

  test.each<[Partial<UpstreamRequest>]>([
    [{ path: "/api/v1/users" }],
    [{ method: "GET" }],
    [{ path: "/api/v1/api-keys/verify" }],
  ])("is all that may be asked: %j may not", async (request) => {
    const { server, serve } = await site();
    const { reader, running } = serve(request);
    running.abort();
    running.resume();
    expect(await reader.outcome()).toBe("not_found");
    expect(server.connections).toBe(0);
  });
});

describe("a backend that", () => {
  test("refuses connections is an upstream_error, tried once", async () => {
    const { serve } = await site({ url: await deadUrl() });
    const { reader } = serve();
    expect(await reader.outcome()).toBe("upstream_error");
    expect(reader.starts).toHaveLength(1);
  });

  test("breaks a fresh connection is an upstream_error, tried once", async () => {
    const { server, serve } = await site();
    const { reader } = serve();
    (await server.next()).reset();
    expect(await reader.outcome()).toBe("upstream_error");
    expect(reader.starts).toHaveLength(1);
  });

  test.each([
    ["answers then", "end"],
    ["closes the next one too", "upstream_error"],
  ])("was closing the kept connection is asked once more, and %s: %s", async (then, outcome) => {
    const { server, serve } = await site();
    const warm = serve();
    (await server.next()).answer();
    await warm.reader.ended;
    await turn();
    const { reader } = serve();
    (await server.next()).reset();
    const second = await server.next();
    if (then === "answers then") second.answer();
    else second.reset();
    expect(await reader.outcome()).toBe(outcome);
    expect(reader.starts).toHaveLength(2);
    expect(server.connections).toBe(2);
  });

  test("does not answer in time is an upstream_timeout", async () => {
    const { clock, server, serve } = await site();
    const { reader } = serve();
    const call = await server.next();
    clock.pass(9_999);
    expect(reader.endings).toEqual([]);
    clock.pass(1);
    expect(await reader.outcome()).toBe("upstream_timeout");
    await call.closed;
    expect(clock.pending).toBe(0);
  });

  test("drips is an upstream_timeout all the same", async () => {
    const { clock, server, serve } = await site();
    const { reader } = serve();
    const call = await server.next();
    call.begin();
    for (let i = 0; i < 5; i += 1) {
      await reader.nextData();
      clock.pass(2_000);
      call.response.write(".");
    }
    expect(await reader.outcome()).toBe("upstream_timeout");
    expect(reader.endings).toHaveLength(1);
  });

  test("is slower than the caller waits is an upstream_timeout at the deadline", async () => {
    const { clock, server, serve } = await site();
    const { reader } = serve({ deadline: clock.now() + 3_000 });
    await server.next();
    clock.pass(3_000);
    expect(await reader.outcome()).toBe("upstream_timeout");
  });

  test("nobody waits for any more sees the connection closed", async () => {
    const { clock, server, serve } = await site();
    const { reader, running } = serve();
    const call = await server.next();
    running.abort();
    await call.closed;
    clock.pass(20_000);
    expect(reader.endings).toEqual([]);
    expect(clock.pending).toBe(0);
  });
});

describe("the health of the backend", () => {
  test("is the status it answers", async () => {
    const { server, backend } = await site({ headers: { authorization: "Bearer t" } });
    const asked = backend.health();
    const call = await server.next();
    expect([call.request.method, call.request.url, call.request.headers.authorization]).toEqual([
      "GET",
      "/api/v1/health",
      "Bearer t",
    ]);
    call.answer(503);
    expect(await asked).toEqual({ status: 503, error: null });
  });

  test("is the reason why there is none", async () => {
    const { backend } = await site({ url: await deadUrl() });
    expect(await backend.health()).toEqual({ status: null, error: expect.stringContaining("ECONNREFUSED") });
  });
});
