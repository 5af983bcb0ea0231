// What a Langfuse and a collector of the operator's own get of the exchanges of real clients, by the real connector.
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Collector, type TakenSpan } from "../support/collector.ts";
import { Engines, until, useStack } from "../support/stack.ts";

const KEY = "hc-sk-demo-adult";
const PROMPT = "Tell me of the quick brown fox.";

let langfuse: Collector;
let operators: Collector;
// Before the stack: its configuration names them.
beforeAll(async () => {
  langfuse = await Collector.start();
  operators = await Collector.start();
});
afterAll(async () => {
  await langfuse.stop();
  await operators.stop();
});

const stack = useStack({
  fleet: ["--chat", "0x4", "--embed", "0x2", "--tokens-per-second", "200", "--first-token-ms", "20", "--slots", "1"],
  slots: 1,
  config: () => `queue: { size: 0 }
tracing:
  langfuse: { host: "${langfuse.url}/", public_key: pk-1, secret_key: sk-1 }
  otlp: { endpoint: "${operators.url}/v1/traces", headers: { x-team: t }, content: true }
`,
});

const ask = (body: object, headers: Record<string, string> = {}, signal: AbortSignal | null = null) =>
  fetch(`${stack().url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: "heartcode-default", messages: [{ role: "user", content: PROMPT }], ...body }),
    signal,
  });
const idOf = (response: Response): string => response.headers.get("x-request-id")!;
const kindsOf = (spans: TakenSpan[]) => spans.map(({ kind }) => kind);
const wordsOf = (span: TakenSpan, way: "input" | "output"): string =>
  JSON.parse(span.attributes[`gen_ai.${way}.messages`] as string)[0].parts[0].content;

describe("an answer", () => {
  test("is one trace: the exchange, its wait and its attempt, with the engine's figures", async () => {
    const before = Date.now();
    const response = await ask({ max_tokens: 12 });
    const answer = (await response.json()) as OpenAI.ChatCompletion;
    const spans = await operators.traceOf(idOf(response));
    expect(kindsOf(spans)).toEqual(["server", "internal", "client"]);
    const [exchange, queue, attempt] = spans as [TakenSpan, TakenSpan, TakenSpan];
    expect(exchange).toMatchObject({ name: "chat heartcode-default", status: "unset", parentSpanId: undefined });
    expect(exchange.attributes).toMatchObject({
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "heartcode",
      "gen_ai.request.model": "heartcode-default",
      "gen_ai.response.model": "heartcode-chat-sfw",
      "gen_ai.request.stream": false,
      "gen_ai.usage.input_tokens": answer.usage!.prompt_tokens,
      "gen_ai.usage.output_tokens": 12,
      "gen_ai.response.finish_reasons": [answer.choices[0]!.finish_reason],
      "heartcode.outcome": "complete",
      "heartcode.tier": "premium",
      "heartcode.tenant": expect.stringMatching(/^[0-9a-f]{16}$/),
      "http.response.status_code": 200,
    });
    expect(wordsOf(exchange, "input")).toBe(PROMPT);
    expect(wordsOf(exchange, "output")).toBe(answer.choices[0]!.message.content);
    for (const child of [queue, attempt]) {
      expect(child).toMatchObject({ traceId: exchange.traceId, parentSpanId: exchange.spanId });
      expect(child.start).toBeGreaterThanOrEqual(exchange.start);
      expect(child.end).toBeLessThanOrEqual(exchange.end);
    }
    expect(exchange.start).toBeGreaterThanOrEqual(before);
    expect(stack().chatPorts).toContain(attempt.attributes["server.port"]);
    expect(attempt.attributes).toMatchObject({ "http.response.status_code": 200, "server.address": "127.0.0.1" });
    expect(operators.requests.at(-1)?.headers["x-team"]).toBe("t");
  });

  test("is at Langfuse with its owner on every span, and without prompt, answer and addresses", async () => {
    const response = await ask({ max_tokens: 5 });
    const answer = (await response.json()) as OpenAI.ChatCompletion;
    const spans = await langfuse.traceOf(idOf(response));
    expect(langfuse.requests[0]).toMatchObject({
      path: "/api/public/otel/v1/traces",
      headers: {
        authorization: `Basic ${btoa("pk-1:sk-1")}`,
        "x-langfuse-ingestion-version": "4",
        "content-type": "application/json",
      },
    });
    const owner = spans[0]!.attributes["heartcode.tenant"];
    expect(owner).toMatch(/^[0-9a-f]{16}$/);
    for (const { attributes } of spans) {
      expect(attributes).toMatchObject({
        "langfuse.user.id": owner,
        "langfuse.trace.name": "chat heartcode-default",
        "langfuse.trace.tags": ["premium"],
      });
    }
    const all = langfuse.requests.map(({ text }) => text).join();
    const hidden = ["brown fox", answer.choices[0]!.message.content!, "server.address", KEY, "127.0.0.1"];
    for (const words of hidden) expect(all).not.toContain(words);
    expect(operators.requests.map(({ text }) => text).join()).not.toContain("langfuse.");
  });

  test("in a stream has the time of its first piece, and its text put together", async () => {
    const response = await ask({ stream: true, max_tokens: 20 });
    const text = [...(await response.text()).matchAll(/"content":"((?:[^"\\]|\\.)*)"/g)]
      .map(([, piece]) => JSON.parse(`"${piece}"`))
      .join("");
    const [exchange] = (await operators.traceOf(idOf(response))) as [TakenSpan];
    expect(exchange.attributes).toMatchObject({ "gen_ai.request.stream": true, "gen_ai.usage.output_tokens": 20 });
    expect(exchange.attributes["gen_ai.response.finish_reasons"]).toEqual(["length"]);
    const seconds = exchange.attributes["gen_ai.response.time_to_first_chunk"] as number;
    expect(seconds).toBeGreaterThanOrEqual(0.02);
    expect(seconds).toBeLessThanOrEqual((exchange.end - exchange.start) / 1000);
    expect(wordsOf(exchange, "output")).toBe(text);
    const [same] = (await langfuse.traceOf(idOf(response))) as [TakenSpan];
    const first = Date.parse(same.attributes["langfuse.observation.completion_start_time"] as string);
    expect(first).toBe(exchange.start + Math.round(seconds * 1000));
  });

  test("belongs to the trace of the client, and the engine's work to its attempt", async () => {
    const [traceId, spanId] = ["0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"];
    const engines = new Engines(stack().chatPorts);
    const response = await ask({ max_tokens: 3 }, { traceparent: `00-${traceId}-${spanId}-00` });
    await response.text();
    const spans = await operators.traceOf(idOf(response));
    expect(spans.map((span) => span.traceId)).toEqual([traceId, traceId, traceId]);
    expect(spans[0]!.parentSpanId).toBe(spanId);
    const told = (await engines.states())
      .flatMap(({ last_requests }) => last_requests)
      .map(({ headers }) => headers.traceparent);
    expect(told).toContain(`00-${traceId}-${spans[2]!.spanId}-01`);
  });
});

describe("what goes wrong", () => {
  test("a client who leaves is no error, and pays for what there was", async () => {
    const leave = new AbortController();
    const response = await ask({ stream: true, max_tokens: 900 }, {}, leave.signal);
    await response.body!.getReader().read();
    leave.abort();
    const [exchange, , attempt] = (await operators.traceOf(idOf(response))) as [TakenSpan, TakenSpan, TakenSpan];
    expect(exchange).toMatchObject({ status: "unset", attributes: { "heartcode.outcome": "cancelled" } });
    expect(exchange.attributes).not.toHaveProperty("error.type");
    expect(exchange.attributes["gen_ai.usage.output_tokens"]).toBeGreaterThan(0);
    expect(exchange.attributes["gen_ai.usage.output_tokens"]).toBeLessThan(900);
    expect(attempt.status).toBe("unset");
  });

  test("a request that the engine refuses is an error with the client's own status", async () => {
    const response = await ask({ messages: [{ role: "user", content: "word ".repeat(30_000) }], max_tokens: 5 });
    expect(response.status).toBe(400);
    const [exchange, , attempt] = (await operators.traceOf(idOf(response))) as [TakenSpan, TakenSpan, TakenSpan];
    expect(exchange).toMatchObject({ status: "error", statusMessage: "invalid_request" });
    expect(exchange.attributes).toMatchObject({
      "error.type": "invalid_request",
      "http.response.status_code": 400,
      "heartcode.input.cut": true,
    });
    expect((exchange.attributes["gen_ai.input.messages"] as string).length).toBeLessThan(40_000);
    expect(attempt.attributes["http.response.status_code"]).toBe(400);
  });

  test("a request for which there is no room has no attempt", async () => {
    const running = [ask({ stream: true, max_tokens: 900 }), ask({ stream: true, max_tokens: 900 })];
    const [one, two] = await Promise.all(running);
    const response = await ask({ max_tokens: 1 });
    expect(response.status).toBe(503);
    const spans = await operators.traceOf(idOf(response), 2);
    expect(kindsOf(spans)).toEqual(["server", "internal"]);
    for (const span of spans) expect(span).toMatchObject({ status: "error", statusMessage: "queue_full" });
    await Promise.all([one!.body!.cancel(), two!.body!.cancel()]);
    await until(async () => (await new Engines(stack().chatPorts).sum("slots_busy")) === 0);
  });

  test("an attempt that is lost and one that follows are two, with two spans for the engines to go on with", async () => {
    const lame = stack().chatPorts[0]!;
    await new Engines([lame]).fault({ status: 500, count: 1 });
    let spans: TakenSpan[] = [];
    // Which of two idle engines is first is not ours to say.
    for (let turn = 0; turn < 20 && spans.length !== 4; turn += 1) {
      const response = await ask({ messages: [{ role: "user", content: `question ${turn}` }], max_tokens: 1 });
      await response.text();
      spans = await operators.traceOf(idOf(response));
    }
    expect(kindsOf(spans)).toEqual(["server", "internal", "client", "client"]);
    const [exchange, , lost, good] = spans as [TakenSpan, TakenSpan, TakenSpan, TakenSpan];
    expect(exchange.status).toBe("unset");
    expect(lost).toMatchObject({ status: "error", attributes: { "server.port": lame, "error.type": "error" } });
    expect(good).toMatchObject({ status: "unset", attributes: { "http.request.resend_count": 1 } });
    expect(good.start).toBeGreaterThanOrEqual(lost.end);
  });

  test("an engine that fails in its stream is an error of the exchange and of its attempt", async () => {
    await new Engines(stack().chatPorts).fault({ error_event_after_tokens: 3, count: 1 });
    const response = await ask({ stream: true, max_tokens: 20 });
    await response.text();
    await new Engines(stack().chatPorts).fault({});
    const [exchange, , attempt] = (await operators.traceOf(idOf(response))) as [TakenSpan, TakenSpan, TakenSpan];
    for (const span of [exchange, attempt])
      expect(span).toMatchObject({ status: "error", statusMessage: "upstream_error" });
    expect(exchange.attributes["http.response.status_code"]).toBe(200);
  });
});

test("an embedding is traced by its tokens, without its vectors", async () => {
  const client = new OpenAI({ apiKey: KEY, baseURL: `${stack().url}/v1` });
  const { request_id, data } = await client.embeddings
    .create({ model: "heartcode-embed", input: ["one", "two"] })
    .withResponse();
  const [exchange] = (await operators.traceOf(request_id!)) as [TakenSpan];
  expect(exchange.name).toBe("embeddings heartcode-embed");
  expect(exchange.attributes["gen_ai.usage.input_tokens"]).toBe(data.usage.prompt_tokens);
  expect(exchange.attributes).not.toHaveProperty("gen_ai.output.messages");
});

test("an embedding that is split has a span for each part", async () => {
  const client = new OpenAI({ apiKey: KEY, baseURL: `${stack().url}/v1` });
  const input = Array.from({ length: 100 }, (_, i) => `text ${i}`);
  const { request_id } = await client.embeddings.create({ model: "heartcode-embed", input }).withResponse();
  const spans = await operators.traceOf(request_id!, 4);
  expect(kindsOf(spans)).toEqual(["server", "internal", "client", "client"]);
  const parts = spans.slice(2);
  expect(parts.map(({ attributes }) => attributes["server.port"]).toSorted()).toEqual(stack().embedPorts.toSorted());
  for (const part of parts) {
    expect(part).toMatchObject({ status: "unset", parentSpanId: spans[0]!.spanId });
    expect(part.attributes).toMatchObject({ "http.response.status_code": 200 });
    expect(part.attributes).not.toHaveProperty("http.request.resend_count");
  }
  const told = (await new Engines(stack().embedPorts).states())
    .flatMap(({ last_requests }) => last_requests)
    .map(({ headers }) => headers.traceparent);
  for (const { traceId, spanId } of parts) expect(told).toContain(`00-${traceId}-${spanId}-01`);
});

test("collectors that hang cost no answer, and hold up neither the exchanges nor the end", async () => {
  langfuse.manner = "hang";
  operators.manner = { status: 500 };
  const statuses = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const response = await fetch(`${stack().url}/v1/embeddings`, {
        method: "POST",
        headers: { authorization: "Bearer hc-sk-demo-admin", "content-type": "application/json" },
        body: JSON.stringify({ model: "heartcode-embed", input: "x" }),
      });
      await response.text();
      return response.status;
    }),
  );
  await until(() => langfuse.held > 0);
  expect(statuses.filter((status) => status !== 200 && status !== 503)).toEqual([]);
  expect(statuses).toContain(200);
  const [connector] = stack().connectors;
  connector!.kill("SIGTERM");
  expect(await connector!.exited).toBe(0);
});
