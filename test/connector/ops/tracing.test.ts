// Traces against collectors that take them, refuse them, hang and drip. Exchanges are made by hand, sockets are real.
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { Observed } from "../../../connector/observe.ts";
import { Tracing } from "../../../connector/ops/tracing.ts";
import type { End, Open } from "../../../shared/wire/messages.ts";
import { Collector } from "../../support/collector.ts";
import { until } from "../../support/stack.ts";

const OPEN: Open = {
  exchange: "x1",
  attempt: 1,
  target: "heartcode-chat-sfw",
  method: "POST",
  path: "/v1/chat/completions",
  headers: [],
  length: 2,
  limit: 0,
  deadline_ms: 1_000,
  tier: "free",
  tenant: "0123456789abcdef",
  dialect: { model: "heartcode-default", stream: false, usage: false },
};
const END: End = {
  exchange: "x1",
  attempt: 1,
  outcome: "complete",
  bytes: 0,
  usage: { prompt_tokens: 3, completion_tokens: 4, source: "engine" },
  timings: { queue_ms: 0, first_byte_ms: null, total_ms: 0 },
  failure: null,
};
/** Spans of one exchange here: itself, its wait, one attempt. */
const SPANS = 3;

let collector: Collector;
beforeEach(async () => {
  collector = await Collector.start();
});
afterEach(() => collector.stop());

function begin(settings: { sample?: number; content?: boolean; chance?: () => number } = {}) {
  const logged: { level: string; fields: Record<string, unknown> }[] = [];
  const clock = { now: Date.now() };
  const tracing = new Tracing({
    config: {
      sample: settings.sample ?? 1,
      langfuse: undefined,
      otlp: { endpoint: `${collector.url}/v1/traces`, headers: { "x-team": "t" }, content: settings.content ?? false },
    },
    version: "0.0.0",
    instance: "i",
    now: () => clock.now,
    chance: settings.chance ?? (() => 0.5),
    log: {
      info: (fields) => void logged.push({ level: "info", fields: { ...fields } }),
      warn: (fields) => void logged.push({ level: "warn", fields: { ...fields } }),
    },
  });
  onTestFinished(() => tracing.close());
  let count = 0;
  const exchange = (changes: Partial<Observed> = {}, end: Partial<End> = {}, body = "{}"): Observed => {
    count += 1;
    const run: Observed = {
      open: { ...OPEN, exchange: `x${count}` },
      openedAt: clock.now,
      startedAt: clock.now + 5,
      firstByteAt: clock.now + 10,
      firstChunkAt: clock.now + 11,
      attempts: 1,
      upstream: "http://10.0.0.1:8080",
      status: 200,
      detail: undefined,
      isWithdrawn: false,
      answerBytes: () => new Uint8Array(0),
      ...changes,
    };
    tracing.opened(run);
    tracing.begun(run, new TextEncoder().encode(body));
    if (run.startedAt !== null) {
      tracing.sending(run, run.startedAt);
      tracing.answering(run, 200);
    }
    tracing.ended(run, { ...END, ...end }, clock.now + 50);
    return run;
  };
  return { tracing, exchange, logged, clock, status: () => tracing.status()[0]! };
}

describe("a collector that takes traces", () => {
  test("gets the whole trace of an exchange, with the operator's headers", async () => {
    const { exchange, status } = begin();
    exchange();
    const [server, queue, client] = await collector.traceOf("x1");
    expect(collector.requests[0]).toMatchObject({ path: "/v1/traces", headers: { "x-team": "t" } });
    expect(server).toMatchObject({ name: "chat heartcode-default", kind: "server", status: "unset" });
    expect(server!.parentSpanId).toBeUndefined();
    expect(server!.resource).toMatchObject({ "service.name": "heartcode-connector", "service.instance.id": "i" });
    expect(queue).toMatchObject({ name: "queue", parentSpanId: server!.spanId, traceId: server!.traceId });
    expect(queue!.end - queue!.start).toBe(5);
    expect(client).toMatchObject({ kind: "client", parentSpanId: server!.spanId, traceId: server!.traceId });
    expect(client!.attributes).toMatchObject({ "server.address": "10.0.0.1", "server.port": 8080 });
    await until(() => status().sent === SPANS);
    expect(status()).toEqual({ name: "otlp", sent: SPANS, failed: 0, dropped: 0, queued: 0 });
  });

  test("gets what waits when the connector leaves", async () => {
    const { tracing, exchange } = begin();
    exchange();
    await tracing.close();
    expect(collector.spans).toHaveLength(SPANS);
  });

  test("gets the share that the operator has set, and the engine is told of no other trace", () => {
    const chances = [0.1, 0.3, 0.2, 0.9];
    const { tracing } = begin({ sample: 0.25, chance: () => chances.shift()! });
    const told = [0, 1, 2, 3].map((i) => {
      const run = { open: OPEN, attempts: 1, upstream: "http://a", i } as unknown as Observed;
      tracing.opened(run);
      return tracing.sending(run, 0) !== undefined;
    });
    expect(told).toEqual([true, false, true, false]);
  });

  test("gets no lookups and no runs that were withdrawn", async () => {
    const { tracing, exchange } = begin();
    exchange({ open: { ...OPEN, target: "backend", dialect: null } });
    exchange({ isWithdrawn: true }, { outcome: "cancelled" });
    await tracing.close();
    expect(collector.spans).toEqual([]);
  });

  test("gets an exchange that never left the queue, as an error of the queue", async () => {
    const { exchange } = begin();
    const never = { startedAt: null, firstByteAt: null, firstChunkAt: null, upstream: null, attempts: 0, status: 503 };
    exchange(never, { outcome: "failed", usage: null, failure: { code: "queue_full" } });
    const [server, queue] = await collector.traceOf("x1", 2);
    for (const span of [server, queue]) expect(span).toMatchObject({ status: "error", statusMessage: "queue_full" });
    expect(server!.attributes).toMatchObject({ "error.type": "queue_full", "http.response.status_code": 503 });
    expect(server!.attributes).not.toHaveProperty("gen_ai.response.model");
  });
});

describe("a trace of a client", () => {
  const parent = `00-${"a".repeat(32)}-${"b".repeat(16)}-00`;
  const told = (headers: Open["headers"]) => {
    const { tracing } = begin();
    const run = { open: { ...OPEN, headers }, attempts: 1, upstream: "http://a" } as unknown as Observed;
    tracing.opened(run);
    return { trace: tracing.traceOf(run), headers: Object.fromEntries(tracing.sending(run, 0) ?? []) };
  };

  test("is gone on with, whatever its flags say of sampling", () => {
    const { trace, headers } = told([
      ["traceparent", parent],
      ["tracestate", "vendor=1"],
    ]);
    expect(trace).toBe("a".repeat(32));
    expect(headers.traceparent).toMatch(new RegExp(`^00-${trace}-(?!b{16})[0-9a-f]{16}-01$`));
    expect(headers).not.toHaveProperty("tracestate");
  });

  test("that is not valid is not gone on with, and neither is its state", () => {
    const { trace, headers } = told([
      ["traceparent", parent.slice(1)],
      ["tracestate", "vendor=1"],
    ]);
    expect(trace).toMatch(/^[0-9a-f]{32}$/);
    expect(trace).not.toBe("a".repeat(32));
    expect(headers.traceparent).toContain(trace);
    expect(headers.tracestate).toBe("");
  });
});

describe("prompts and answers", () => {
  test("stay here unless the operator has asked for them", async () => {
    const { exchange, tracing } = begin();
    expect(tracing.passing).toBeUndefined();
    exchange({}, { bytes: 10 }, '{"messages":[{"role":"user","content":"my secret"}]}');
    await collector.traceOf("x1");
    expect(collector.requests.map(({ text }) => text).join()).not.toContain("secret");
  });

  test("are there for the operator who has", async () => {
    const { exchange } = begin({ content: true });
    const answer = '{"choices":[{"message":{"content":"my answer"},"finish_reason":"stop"}]}';
    exchange(
      { answerBytes: () => new TextEncoder().encode(answer) },
      { bytes: answer.length },
      '{"messages":[{"role":"user","content":"my secret"}]}',
    );
    const [server] = await collector.traceOf("x1");
    expect(JSON.parse(server!.attributes["gen_ai.input.messages"] as string)[0].parts[0].content).toBe("my secret");
    expect(JSON.parse(server!.attributes["gen_ai.output.messages"] as string)[0].parts[0].content).toBe("my answer");
    expect(server!.attributes["gen_ai.response.finish_reasons"]).toEqual(["stop"]);
    expect(server!.attributes).not.toHaveProperty("heartcode.input.cut");
  });
});

describe("a collector that does not take traces", () => {
  const many = (exchange: () => void, count: number) => {
    for (let i = 0; i < count; i += 1) exchange();
  };

  test("costs memory for so many traces and no more; the rest is dropped whole and counted", async () => {
    collector.manner = "hang";
    const { exchange, status } = begin();
    many(exchange, 10_000);
    const { queued, dropped, sent, failed } = status();
    expect([sent, failed, queued % SPANS, dropped % SPANS]).toEqual([0, 0, 0, 0]);
    expect(queued).toBeLessThanOrEqual(2_048);
    expect(queued + dropped).toBe(10_000 * SPANS);
    await until(() => collector.held > 0);
  });

  test("costs memory for so much content and no more", () => {
    collector.manner = "hang";
    const { exchange, status } = begin({ content: true });
    const body = JSON.stringify({ messages: [{ role: "user", content: "x".repeat(32_000) }] });
    many(() => exchange({}, {}, body), 600);
    expect(status().queued).toBeLessThan(270 * SPANS);
    expect(status().dropped).toBeGreaterThan(0);
  });

  test.each([401, 500])("and says %i is left alone for a while, told of once, and tried again", async (refusal) => {
    collector.manner = { status: refusal };
    const { exchange, status, logged, clock } = begin();
    exchange();
    await until(() => status().failed === SPANS);
    expect(logged).toEqual([{ level: "warn", fields: { target: "otlp", reason: `status ${refusal}` } }]);
    many(exchange, 100);
    expect(status()).toMatchObject({ dropped: 100 * SPANS, queued: 0 });

    // One batch is tried, and nothing else is made meanwhile.
    clock.now += 5_000;
    many(exchange, 100);
    expect(status().queued).toBe(63);
    await until(() => status().failed === SPANS + 63);
    expect(logged).toHaveLength(1);

    clock.now += 5_000;
    collector.manner = "take";
    exchange();
    await until(() => status().sent === SPANS);
    expect(logged.at(-1)).toEqual({ level: "info", fields: { target: "otlp", lost_spans: 201 * SPANS } });
    many(exchange, 100);
    expect(status().queued).toBe(100 * SPANS);
  });

  test("delays the end by no more than a moment, though it never answers", async () => {
    collector.manner = "hang";
    const { tracing, exchange } = begin();
    exchange();
    await tracing.close();
    expect(collector.held).toBe(1);
  });

  test("and drips is cut off, and the next batch has a connection again", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    collector.manner = "drip";
    const { exchange, status, clock } = begin();
    exchange();
    await vi.advanceTimersByTimeAsync(1_000);
    await vi.waitUntil(() => collector.held === 1);
    await vi.advanceTimersByTimeAsync(11_000);
    await vi.waitUntil(() => collector.held === 0);
    expect(status()).toMatchObject({ failed: SPANS, queued: 0 });

    collector.manner = "take";
    clock.now += 5_000;
    exchange();
    await vi.advanceTimersByTimeAsync(1_000);
    await vi.waitUntil(() => status().sent === SPANS);
  });
});
