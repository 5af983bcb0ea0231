// Every row of shared/errors.ts, provoked over the network with real processes: what a client gets in each case.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Crew } from "../../dev/crew.ts";
import { ERRORS, type ErrorCode, type ErrorRow, errorHead } from "../../shared/errors.ts";
import { ADMIN_TOKEN, Engines, until, useStack } from "../support/stack.ts";

const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "200", "--first-token-ms", "0", "--context", "600"],
  slots: 1,
  config: "queue: { size: 1 }\ntimeouts: { first_byte_s: 1, whole_s: 1, idle_s: 1 }",
  edge: { HEARTCODE_BACKEND_TIMEOUT: "0.5" },
});
const ADMIN = "hc-sk-demo-admin";
const MESSAGES = [{ role: "user", content: "hi" }];
/** None of it may be read by a client. */
const INTERNAL = /heartcode-chat-|127\.0\.0\.1|localhost|hc-sk-|\bat \w+ \(|\.ts\b|simulated/;

interface Told {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: string;
}

const provoked = new Set<ErrorCode>();
let sfw: Engines;

beforeAll(() => {
  // The first half of the chat engines serve this model.
  sfw = new Engines(stack().chatPorts.slice(0, 1));
});
afterEach(async () => {
  await sfw.fault({});
  await backend("faults", {});
});

async function backend(path: string, body: object): Promise<void> {
  const url = `http://127.0.0.1:${stack().backendPort}/sim/${path}`;
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  expect((await fetch(url, init)).ok).toBe(true);
}

let keys = 0;
/** A key of its own, so that no test meets the limits or the cached answers of another. */
async function newKey(more: object = {}): Promise<string> {
  keys += 1;
  const key = `hc-sk-errors-${keys}`;
  await backend("keys", { add: { api_key: key, tier: "admin", ...more } });
  return key;
}

async function ask(key: string | null, body: object = {}, path = "/v1/chat/completions", more: RequestInit = {}) {
  return fetch(`${stack().url}${path}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
    },
    body: JSON.stringify({ model: "heartcode-default", max_tokens: 4, messages: MESSAGES, ...body }),
    ...more,
  });
}

/** The error of an answer, which is the row `code` but for what is given to differ. */
async function isRow(
  answer: Response,
  code: ErrorCode,
  but: { status?: number; type?: string; param?: string | null; retryAfterMs?: "exact" } = {},
): Promise<Told> {
  const text = await answer.text();
  expect(text).not.toMatch(INTERNAL);
  const { error } = JSON.parse(text) as { error: Told };
  const row: ErrorRow = ERRORS[code];
  expect([answer.status, error.code, error.type, error.param]).toEqual([
    but.status ?? row.status,
    code,
    but.type ?? row.type,
    but.param ?? null,
  ]);
  expect(answer.headers.get("content-type")).toContain("application/json");
  expect(answer.headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
  const { headers } = errorHead({ code });
  expect(answer.headers.get("x-should-retry")).toBe(headers["x-should-retry"] ?? null);
  const afterMs = answer.headers.get("retry-after-ms");
  const after = answer.headers.get("retry-after");
  if (but.retryAfterMs === "exact") {
    expect(Number(afterMs)).toBeGreaterThan(0);
    expect(Number(after)).toBe(Math.ceil(Number(afterMs) / 1_000));
  } else {
    expect([after, afterMs]).toEqual([headers["retry-after"] ?? null, headers["retry-after-ms"] ?? null]);
  }
  provoked.add(code);
  return error;
}

describe("who is asking", () => {
  test.each([
    ["none", null],
    ["malformed", "sk-x"],
    ["unknown", "hc-sk-nobody-has-this"],
    ["revoked", "hc-sk-demo-revoked"],
  ])("invalid_api_key: a key that is %s", async (_what, key) => {
    await isRow(await ask(key), "invalid_api_key");
  });

  test("invalid_api_key: a key that has expired", async () => {
    await isRow(await ask(await newKey({ expires_at: "2020-01-01T00:00:00Z" })), "invalid_api_key");
  });

  test("age_verification_required: the restricted model without it", async () => {
    await isRow(await ask(await newKey(), { model: "heartcode-nsfw" }), "age_verification_required", {
      param: "model",
    });
  });

  test.each([
    ["fails", { status: 500 }],
    ["answers nonsense", { garbage: true }],
  ])("auth_unavailable: the backend %s", async (_what, faults) => {
    const key = await newKey();
    await backend("faults", faults);
    await isRow(await ask(key), "auth_unavailable");
  });

  test("auth_timeout: the backend is silent", async () => {
    const key = await newKey();
    await backend("faults", { hang: true });
    await isRow(await ask(key), "auth_timeout");
  });
});

describe("how much is asked for", () => {
  const headersOf = (answer: Response) => [...answer.headers.keys()].filter((name) => name.startsWith("x-ratelimit-"));

  test("rate_limit_exceeded: requests of the minute", async () => {
    const key = await newKey({ limits: { rpm: 1 } });
    expect((await ask(key)).status).toBe(200);
    const answer = await ask(key);
    expect(headersOf(answer)).toHaveLength(9);
    const told = await isRow(answer, "rate_limit_exceeded", { retryAfterMs: "exact" });
    expect(told.message).toMatch(/requests per min \(RPM\): Limit 1, Used 1, Requested 1/);
  });

  test("rate_limit_exceeded: tokens of the minute", async () => {
    const key = await newKey({ limits: { tpm: 200 } });
    expect((await ask(key, { max_tokens: 150 })).status).toBe(200);
    const told = await isRow(await ask(key, { max_tokens: 150 }), "rate_limit_exceeded", {
      type: "tokens",
      retryAfterMs: "exact",
    });
    expect(told.message).toMatch(/tokens per min \(TPM\): Limit 200, Used \d+, Requested \d+/);
  });

  test("daily_token_limit_exceeded: tokens of the day", async () => {
    const key = await newKey({ limits: { tokens_per_day: 100 } });
    expect((await ask(key, { max_tokens: 60 })).status).toBe(200);
    const told = await isRow(await ask(key, { max_tokens: 60 }), "daily_token_limit_exceeded", {
      retryAfterMs: "exact",
    });
    expect(told.message).toContain("00:00 UTC");
  });

  test("request_too_large: tokens that no minute holds", async () => {
    const answer = await ask(await newKey({ limits: { tpm: 200 } }), { max_tokens: 300 });
    const told = await isRow(answer, "request_too_large", { status: 429, type: "tokens" });
    expect(told.message).toMatch(/^Request too large for heartcode-default: Limit 200, Requested \d+/);
  });

  test("request_too_large: a body over the cap", async () => {
    await isRow(await ask(ADMIN, { x: "x".repeat(8 * 1024 * 1024) }), "request_too_large");
  });
});

describe("what is asked", () => {
  test("model_not_found: a name that is none", async () => {
    await isRow(await ask(ADMIN, { model: "gpt-9" }), "model_not_found", { param: "model" });
    await isRow(await ask(ADMIN, { model: "heartcode-chat-sfw" }), "model_not_found", { param: "model" });
  });

  test("invalid_request: a member that is wrong", async () => {
    await isRow(await ask(ADMIN, { n: 0 }), "invalid_request", { param: "n" });
  });

  test("invalid_request: what only the engine can know", async () => {
    const content = "word ".repeat(700);
    const told = await isRow(await ask(ADMIN, { messages: [{ role: "user", content }] }), "invalid_request");
    expect(told.message).toMatch(/maximum context length is 600 tokens/);
  });

  test("invalid_request: an engine's own status of 4xx", async () => {
    await sfw.fault({ status: 422, count: 1 });
    const answer = await ask(ADMIN);
    expect(answer.status).toBe(422);
    expect(((await answer.json()) as { error: Told }).error.code).toBe("invalid_request");
  });

  test.each(["/v1/images/generations", "/v1/responses"])(
    "not_found: at %s nothing is served, but elsewhere",
    async (path) => {
      const told = await isRow(await ask(ADMIN, {}, path), "not_found");
      for (const served of ["/v1/chat/completions", "/v1/embeddings"]) expect(told.message).toContain(`\`${served}\``);
    },
  );

  test.each([
    ["/chat/completions", "/v1/chat/completions"],
    ["/v1/v1/chat/completions", "/v1/chat/completions"],
    ["/v1//chat/completions", "/v1/chat/completions"],
    ["/v1/embeddings/", "/v1/embeddings"],
    ["/models", "/v1/models"],
  ])("not_found: %s names %s, which was meant", async (path, meant) => {
    const told = await isRow(await ask(ADMIN, {}, path), "not_found");
    expect(told.message).toContain(`\`${meant}\``);
  });

  test("method_not_allowed: the wrong method", async () => {
    const answer = await fetch(`${stack().url}/v1/chat/completions`);
    expect(answer.headers.get("allow")).toBe("POST");
    await isRow(answer, "method_not_allowed");
  });

  test("unsupported_media_type: no JSON", async () => {
    const headers = { authorization: `Bearer ${ADMIN}`, "content-type": "text/plain" };
    await isRow(await ask(ADMIN, {}, "/v1/embeddings", { headers }), "unsupported_media_type");
  });
});

describe("who answers", () => {
  test("upstream_error: the engine fails", async () => {
    await sfw.fault({ status: 500 });
    await isRow(await ask(ADMIN), "upstream_error");
  });

  test("upstream_error: the engine hangs up before it answers", async () => {
    await sfw.fault({ reset_before_head: true });
    await isRow(await ask(ADMIN), "upstream_error");
  });

  test("upstream_timeout: the engine is silent", async () => {
    await sfw.fault({ hang_before_head: true });
    await isRow(await ask(ADMIN), "upstream_timeout");
  });

  test("queue_full: slot and queue are taken", async () => {
    await sfw.fault({ slow_ms_per_token: 100 });
    const leave = new AbortController();
    const taken = [1, 2].map(() =>
      ask(ADMIN, { max_tokens: 500, stream: true }, undefined, { signal: leave.signal }).catch(() => null),
    );
    await until(async () => (await queued()) === 1);
    await isRow(await ask(ADMIN), "queue_full", { retryAfterMs: "exact" });
    leave.abort();
    await Promise.all(taken);
    await until(async () => (await sfw.sum("slots_busy")) === 0);
  });

  async function queued(): Promise<number> {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
    const answer = (await (await fetch(`${stack().url}/admin/status`, { headers })).json()) as {
      shards: { links: { pools: { model: string; queued: number }[] }[] }[];
    };
    const pools = answer.shards.flatMap(({ links }) => links.flatMap(({ pools: own }) => own));
    return Math.max(...pools.filter(({ model }) => model === "heartcode-chat-sfw").map((pool) => pool.queued));
  }

  test("stream_interrupted: the engine breaks off, and the stream says so and does not end as if it were whole", async () => {
    await sfw.fault({ truncate_after_tokens: 3 });
    const answer = await ask(ADMIN, { stream: true, max_tokens: 50 });
    expect([answer.status, answer.headers.get("x-request-id")]).toEqual([200, expect.stringMatching(/^req_/)]);
    const text = await answer.text();
    expect(text).not.toMatch(INTERNAL);
    expect(text).not.toContain("[DONE]");
    const last = text.trimEnd().split("\n\n").at(-1)!;
    const { error } = JSON.parse(last.slice("data: ".length)) as { error: Told };
    expect(error).toMatchObject({ code: "stream_interrupted", type: ERRORS.stream_interrupted.type, param: null });
    provoked.add("stream_interrupted");
  });

  test("model_unavailable: the engines load their model", async () => {
    await sfw.fault({ loading: true });
    await isRow(await ask(ADMIN), "model_unavailable");
  });

  test("model_unavailable: no connector is there", async () => {
    const [connector] = stack().connectors;
    connector!.kill("SIGKILL");
    await connector!.exited;
    await isRow(await ask(ADMIN), "model_unavailable");
    await stack().startConnector(0);
  });
});

describe("from where", () => {
  test("rate_limit_exceeded: many unknown keys from one address, and a good one passes", async () => {
    await until(async () => (await ask(ADMIN)).status === 200);
    let answer = await ask("hc-sk-made-up-key");
    // The ones before it have cost a look-up each.
    for (let i = 0; i < 30 && answer.status === 401; i += 1) answer = await ask(`hc-sk-made-up-key-${i}`);
    await isRow(answer, "rate_limit_exceeded", { retryAfterMs: "exact" });
    expect((await ask(ADMIN)).status).toBe(200);
  });
});

describe("a defect", () => {
  const crew = new Crew();
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "heartcode-"));
  });
  afterAll(async () => {
    await crew.dismiss();
    await rm(directory, { recursive: true, force: true });
  });

  async function startEdge(): Promise<{ url: string; stop(): Promise<void>; tail(): string }> {
    const child = crew.start({
      name: "edge",
      command: process.execPath,
      args: [fileURLToPath(new URL("../../dev/edge/main.ts", import.meta.url)), "--port", "0", "--state", directory],
      ipc: true,
    });
    const { port } = (await child.ready(60_000)) as { port: number };
    return { url: `http://127.0.0.1:${port}`, stop: () => child.stop(), tail: () => child.tail() };
  }

  test("internal_error: the hub cannot read its own storage; the log has the request id, the client has nothing else", async () => {
    const whole = await startEdge();
    const models = (url: string) => fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${ADMIN}` } });
    expect((await models(whole.url)).status).toBe(503);
    await whole.stop();
    const folder = join(directory, "do/heartcode-hub");
    const files = (await readdir(folder)).filter((file) => /^[0-9a-f]{64}\.sqlite$/.test(file));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      const database = new DatabaseSync(join(folder, file));
      database.exec("DROP TABLE journal; CREATE TABLE journal (of_another_version TEXT)");
      database.close();
    }
    const broken = await startEdge();
    const answer = await models(broken.url);
    const id = answer.headers.get("x-request-id")!;
    await isRow(answer, "internal_error");
    await until(() => broken.tail().includes(id));
  });
});

test("every row was provoked", () => {
  expect(Object.keys(ERRORS).filter((code) => !provoked.has(code as ErrorCode))).toEqual([]);
});
