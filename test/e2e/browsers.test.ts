// Pages of other origins call the API, over the network and with real processes: what a browser sends, and what it must be told.
import { describe, expect, test } from "vitest";
import { ADMIN_TOKEN, Engines, until, useStack } from "../support/stack.ts";

const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "200", "--first-token-ms", "0"],
  slots: 2,
});
const ORIGIN = { origin: "https://app.example" };
const KEY = "hc-sk-demo-admin";
const CHAT = { model: "heartcode-default", max_tokens: 4, messages: [{ role: "user", content: "hi" }] };

interface Call {
  readonly path: string;
  readonly key?: string;
  readonly body?: object;
}

function call({ path, key = KEY, body }: Call, more: Record<string, string>, signal?: AbortSignal): Promise<Response> {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", ...more };
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  return fetch(`${stack().url}${path}`, { headers, ...init, signal: signal ?? null });
}

const sharedWith = (answer: Response): string[] =>
  [...answer.headers.keys()].filter((name) => name.startsWith("access-control-")).sort();

const CALLS: [what: string, status: number, call: Call][] = [
  ["an answer", 200, { path: "/v1/chat/completions", body: CHAT }],
  ["a stream", 200, { path: "/v1/chat/completions", body: { ...CHAT, stream: true } }],
  ["vectors", 200, { path: "/v1/embeddings", body: { model: "heartcode-embed", input: "hi" } }],
  ["the models", 200, { path: "/v1/models" }],
  ["the use of a key", 200, { path: "/v1/usage" }],
  ["a wrong key", 401, { path: "/v1/chat/completions", key: "hc-sk-nobody-has-this", body: CHAT }],
  ["a wrong member", 400, { path: "/v1/chat/completions", body: { ...CHAT, n: 0 } }],
  ["a wrong model", 404, { path: "/v1/chat/completions", body: { ...CHAT, model: "gpt-9" } }],
  ["a wrong address", 404, { path: "/v1/images/generations", body: {} }],
  ["a wrong method", 405, { path: "/v1/chat/completions" }],
  ["a body over the cap", 413, { path: "/v1/chat/completions", body: { ...CHAT, x: "x".repeat(8 * 1024 * 1024) } }],
];

describe("what a page may read", () => {
  test.each(CALLS)("%s (%i), with its headers", async (_what, status, asked) => {
    const answer = await call(asked, ORIGIN);
    const text = await answer.text();
    expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([status, "*"]);
    const exposed = answer.headers.get("access-control-expose-headers")!.split(", ");
    expect(exposed).toContain("x-request-id");
    const limits = [...answer.headers.keys()].filter((name) => name.startsWith("x-ratelimit-"));
    if (status === 200 && asked.body !== undefined) expect(limits).toHaveLength(9);
    expect(exposed).toEqual(expect.arrayContaining(limits));
    if (asked.body !== undefined && "stream" in asked.body) expect(text).toMatch(/data: \[DONE\]\n\n$/);
    else expect(JSON.parse(text)).toBeTypeOf("object");
  });

  test.each(CALLS)("%s (%i) is as ever for who is no page", async (_what, status, asked) => {
    const answer = await call(asked, {});
    await answer.arrayBuffer();
    expect([answer.status, sharedWith(answer)]).toEqual([status, []]);
  });

  test.each(["/health", "/health/ready", "/admin/status", "/uplink"])("nothing of %s", async (path) => {
    const preflight = await fetch(`${stack().url}${path}`, {
      method: "OPTIONS",
      headers: { ...ORIGIN, "access-control-request-method": "GET" },
    });
    const answer = await call({ path, key: ADMIN_TOKEN }, ORIGIN);
    await Promise.all([preflight.arrayBuffer(), answer.arrayBuffer()]);
    expect(preflight.ok).toBe(false);
    expect([...sharedWith(preflight), ...sharedWith(answer)]).toEqual([]);
  });
});

describe("a preflight", () => {
  test.each([...new Set(CALLS.map(([, , { path }]) => path))])("of %s needs no key", async (path) => {
    const asked = "authorization,content-type,x-stainless-lang";
    const answer = await fetch(`${stack().url}${path}`, {
      method: "OPTIONS",
      headers: { ...ORIGIN, "access-control-request-method": "POST", "access-control-request-headers": asked },
    });
    expect([answer.status, await answer.text()]).toEqual([204, ""]);
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
    expect(answer.headers.get("access-control-allow-headers")).toBe(asked);
    expect(answer.headers.get("access-control-allow-methods")).toBe("GET, POST");
  });

  test("without an origin is none", async () => {
    const headers = { "access-control-request-method": "POST" };
    const answer = await fetch(`${stack().url}/v1/chat/completions`, { method: "OPTIONS", headers });
    await answer.arrayBuffer();
    expect([answer.status, answer.headers.get("allow"), sharedWith(answer)]).toEqual([405, "POST", []]);
  });
});

test("a page that leaves a stream frees its engine", async () => {
  const engines = new Engines(stack().chatPorts);
  const cancelled = await engines.sum("cancelled");
  const leave = new AbortController();
  const body = { ...CHAT, max_tokens: 5_000, stream: true };
  const answer = await call({ path: "/v1/chat/completions", body }, ORIGIN, leave.signal);
  await answer.body!.getReader().read();
  expect(await engines.sum("slots_busy")).toBe(1);
  leave.abort();
  await until(async () => (await engines.sum("slots_busy")) === 0);
  expect(await engines.sum("cancelled")).toBe(cancelled + 1);
});
