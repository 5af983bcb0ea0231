// What both sides write of the exchanges of real clients.
import { readFile } from "node:fs/promises";
import OpenAI from "openai";
import { expect, test } from "vitest";
import { Engines, until, useStack } from "../support/stack.ts";

let edgeSaid = "";
const stack = useStack({
  heard: (part, text) => {
    if (part === "edge") edgeSaid += text;
  },
  fleet: ["--chat", "0x4", "--embed", "0x1", "--tokens-per-second", "200", "--first-token-ms", "5"],
  connectorArgs: ["--log-level", "debug"],
});

const KEY = "hc-sk-demo-premium";
const PROMPT = "the quick brown prompt jumps over the lazy dog";
const client = () => new OpenAI({ apiKey: KEY, baseURL: `${stack().url}/v1`, maxRetries: 0 });
const messages = [{ role: "user" as const, content: PROMPT }];

interface Line {
  readonly [field: string]: unknown;
}

async function text(): Promise<string> {
  return readFile(stack().connectorLogs[0]!, "utf8");
}

/** The line of one exchange, as soon as it is there; it must be the only one. */
async function lineOf(requestId: string): Promise<Line> {
  let found: Line[] = [];
  await until(async () => {
    const whole = (await text()).split("\n").slice(0, -1);
    found = whole.map((line): Line => JSON.parse(line)).filter((line) => line.request_id === requestId);
    return found.length > 0;
  });
  expect(found).toHaveLength(1);
  return found[0]!;
}

/** Lines of the edge, as soon as one tells what the exchange has cost. */
async function edgeLinesOf(requestId: string): Promise<Line[]> {
  let found: Line[] = [];
  await until(async () => {
    const whole = edgeSaid.split("\n").slice(0, -1);
    const lines = whole.filter((line) => line.startsWith("{")).map((line): Line => JSON.parse(line));
    found = lines.filter((line) => line.request_id === requestId);
    return found.some(({ charged }) => typeof charged === "number");
  });
  return found;
}

const fetched = (body: object, signal: AbortSignal | null = null) =>
  fetch(`${stack().url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "heartcode-default", messages, ...body }),
    signal,
  });

test("an answer is a line with its owner, its way, its times and its tokens", async () => {
  const { data, request_id } = await client()
    .chat.completions.create({ model: "heartcode-default", messages, max_tokens: 12 })
    .withResponse();
  expect(await lineOf(request_id!)).toMatchObject({
    level: "info",
    msg: "exchange",
    tenant: expect.stringMatching(/^[0-9a-f]{16}$/),
    tier: "premium",
    model: "heartcode-default",
    pool: "heartcode-chat-sfw",
    stream: false,
    upstream: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    attempts: 1,
    outcome: "complete",
    status: 200,
    code: null,
    queue_ms: expect.any(Number),
    first_byte_ms: expect.any(Number),
    total_ms: expect.any(Number),
    prompt_tokens: data.usage?.prompt_tokens,
    completion_tokens: 12,
    usage_source: "engine",
  });
});

test("a client who leaves is an exchange that was cancelled, with what had been generated", async () => {
  const leave = new AbortController();
  const response = await fetched({ stream: true, max_tokens: 900 }, leave.signal);
  await response.body!.getReader().read();
  leave.abort();
  const line = await lineOf(response.headers.get("x-request-id")!);
  expect(line).toMatchObject({ level: "info", outcome: "cancelled", status: 200, stream: true });
  expect(line.completion_tokens).toBeGreaterThan(0);
  expect(line.completion_tokens).toBeLessThan(900);
});

test("the edge's line of an answer tells what it cost", async () => {
  const { data, request_id } = await client()
    .chat.completions.create({ model: "heartcode-default", messages, max_tokens: 9 })
    .withResponse();
  const { prompt_tokens, completion_tokens, total_tokens } = data.usage!;
  const usage = { prompt_tokens, completion_tokens, usage_source: "engine" };
  expect(await edgeLinesOf(request_id!)).toMatchObject([{ msg: "request", ...usage, charged: total_tokens }]);
});

test("what a client who left has used is told by the edge when its connector has said it", async () => {
  const leave = new AbortController();
  const response = await fetched({ stream: true, max_tokens: 900 }, leave.signal);
  await response.body!.getReader().read();
  leave.abort();
  const id = response.headers.get("x-request-id")!;
  const [request, settled] = await edgeLinesOf(id);
  expect(request).toMatchObject({ msg: "request", outcome: "cancelled", charged: null });
  const { completion_tokens } = await lineOf(id);
  expect(settled).toMatchObject({ msg: "settled", outcome: "cancelled", completion_tokens, prompt_tokens: 0 });
  // No engine has said how long the prompt is: its estimate is paid.
  const prompt = (settled!["charged"] as number) - (completion_tokens as number);
  expect(prompt).toBeGreaterThan(8);
  expect(prompt).toBeLessThan(PROMPT.length);
});

test("an attempt that was lost is counted", async () => {
  const lame = stack().chatPorts[0]!;
  await new Engines([lame]).fault({ status: 500, count: 1 });
  const attempts: unknown[] = [];
  // Which of the two idle engines is first is not ours to say.
  for (let turn = 0; turn < 20 && !attempts.includes(2); turn += 1) {
    const ask = [{ role: "user", content: `question ${turn}` }];
    const response = await fetched({ messages: ask, max_tokens: 1 });
    expect(response.status).toBe(200);
    await response.text();
    const line = await lineOf(response.headers.get("x-request-id")!);
    attempts.push(line.attempts);
    if (line.attempts === 2) expect(line.upstream).not.toBe(`http://127.0.0.1:${lame}`);
  }
  expect(attempts).toContain(2);
});

test("what an engine failed with is told with its code", async () => {
  const engines = new Engines(stack().chatPorts);
  await engines.fault({ error_event_after_tokens: 3, count: 1 });
  const response = await fetched({ stream: true, max_tokens: 20 });
  await response.text();
  expect(await lineOf(response.headers.get("x-request-id")!)).toMatchObject({
    level: "warn",
    outcome: "failed",
    status: 200,
    code: "upstream_error",
  });
  await engines.fault({});
});

test("a lookup of a key is a line of its own, and nothing of a key, a prompt or an answer is in any line", async () => {
  const response = await fetched({ max_tokens: 30 });
  const answer = ((await response.json()) as OpenAI.ChatCompletion).choices[0]!.message.content!;
  await lineOf(response.headers.get("x-request-id")!);
  const all = await text();
  const lookups = all.split("\n").filter((line) => line.includes('"msg":"lookup"'));
  expect(lookups.length).toBeGreaterThan(0);
  expect(JSON.parse(lookups[0]!)).toMatchObject({ level: "debug", pool: "backend", outcome: "complete", status: 200 });
  for (const secret of [KEY, "hc-sk", "quick brown", answer.slice(0, 20)]) expect(all).not.toContain(secret);
});

test("a key in a path, a query, a header or a member is in no line of the edge, and a line names the route", async () => {
  const secret = "hc-sk-written-where-it-is-not-to-be";
  const ids: string[] = [];
  const ask = async (path: string, init: RequestInit = {}) => {
    const answer = await fetch(`${stack().url}${path}`, init);
    await answer.text();
    ids.push(answer.headers.get("x-request-id")!);
    return answer.status;
  };
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json", "x-api-key": secret };
  expect(await ask(`/${secret}`)).toBe(404);
  expect(await ask(`/v1/chat/${secret}/completions`, { method: "POST" })).toBe(404);
  expect(await ask(`/v1/models/${secret}?key=${secret}`, { headers })).toBe(404);
  expect(await ask("/v1/chat/completions", { headers: { authorization: `Bearer ${secret}` } })).toBe(405);
  const body = JSON.stringify({ model: secret, user: secret, messages });
  expect(await ask("/v1/chat/completions", { method: "POST", headers, body })).toBe(404);
  expect(await ask("/v1/embeddings", { method: "POST", headers, body: `{"model":"${secret}","input":` })).toBe(400);
  await until(() => ids.every((id) => edgeSaid.includes(id)));
  expect(edgeSaid).not.toContain(secret.slice(0, 12));
  const paths = edgeSaid
    .split("\n")
    .filter((line) => ids.some((id) => line.includes(id)))
    .map((line) => (JSON.parse(line) as { path: string }).path);
  expect(paths).toEqual(["-", "-", "/v1/models/:id", "/v1/chat/completions", "/v1/chat/completions", "/v1/embeddings"]);
});
