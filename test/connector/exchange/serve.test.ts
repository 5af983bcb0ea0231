// What an exchange makes of an engine that goes on behind its own end, or behind what is no answer any more.
import { describe, expect, test } from "vitest";
import type { Engine } from "../../../connector/exchange/engine.ts";
import { Exchange } from "../../../connector/exchange/exchange.ts";
import { KEEP_ALIVE_MS, Serving } from "../../../connector/exchange/serve.ts";
import { STANDSTILL_MS } from "../../../connector/exchange/standstill.ts";
import { Translations } from "../../../connector/translations.ts";
import { Failure } from "../../../shared/errors.ts";
import type { Open } from "../../../shared/wire/messages.ts";

const OPEN: Open = {
  exchange: "x1",
  attempt: 1,
  target: "internal",
  method: "POST",
  path: "/v1/chat/completions",
  headers: [],
  length: 2,
  limit: 0,
  deadline_ms: 1_000,
  tier: "free",
  tenant: "t",
  dialect: { model: "public", stream: true, usage: false },
};

const bytes = (words: string): Uint8Array => new TextEncoder().encode(words);
const TOKEN = bytes('data: {"choices":[{"delta":{"content":"a"}}]}\n\n');
const broke = new Failure("upstream_error", { detail: "the answer broke off" });

/** @param changes of OPEN. */
function begin(type: string | null = "text/event-stream", changes: Partial<Open> = {}) {
  const open = { ...OPEN, ...changes };
  let aborts = 0;
  let endings = 0;
  let resumes = 0;
  let now = 5_000;
  let handler: Parameters<Engine["serve"]>[1] | undefined;
  let request: Parameters<Engine["serve"]>[0] | undefined;
  const engine: Engine = {
    serve: (asked, given) => {
      request = asked;
      handler = given;
      return {
        abort: () => {
          aborts += 1;
        },
        resume: () => {
          resumes += 1;
        },
        letEnd: () => {
          endings += 1;
        },
      };
    },
  };
  const exchange = new Exchange(open, () => {});
  const translation = new Translations(["internal"]).of(open);
  const serving = new Serving({ exchange, engine, translation, now: () => now });
  exchange.serveBy(serving);
  exchange.body(bytes("{}"));
  if (type !== null) handler!.onHead(200, [["content-type", type]]);
  const wait = (ms: number) => {
    now += ms;
    serving.tick();
  };
  const text = () => new TextDecoder().decode(exchange.answerBytes(0, exchange.answer.end));
  const counts = { aborts: () => aborts, endings: () => endings, resumes: () => resumes };
  return { exchange, request: request!, handler: handler!, text, wait, ...counts };
}

describe("a stream", () => {
  test("is over with its own end, whatever its connection does then: nothing behind it counts, and the engine may end by itself", () => {
    const { exchange, handler, text, aborts, endings } = begin();
    handler.onData(TOKEN);
    handler.onData(bytes('data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n'));
    expect([exchange.end, endings()]).toEqual([null, 0]);
    expect(handler.onData(bytes("data: [DONE]\n\n"))).toBe(true);
    const usage = { prompt_tokens: 7, completion_tokens: 2, source: "engine" };
    expect(exchange.end).toMatchObject({ outcome: "complete", failure: null, usage });
    expect(text().endsWith("data: [DONE]\n\n")).toBe(true);
    expect([endings(), aborts()]).toEqual([1, 0]);
  });

  test("that breaks behind its own end is complete", () => {
    const { exchange, handler, text } = begin();
    handler.onData(TOKEN);
    handler.onData(bytes("data: [DONE]\n\n"));
    handler.onFailure(broke);
    expect(exchange.end).toMatchObject({ outcome: "complete", failure: null, usage: { completion_tokens: 1 } });
    expect(text().endsWith("data: [DONE]\n\n")).toBe(true);
  });

  test("that ends before its own end is told to be interrupted", () => {
    const { exchange, handler, text } = begin("text/event-stream; charset=utf-8");
    handler.onData(TOKEN);
    handler.onEnd();
    expect(exchange.end).toMatchObject({ outcome: "truncated", failure: { code: "stream_interrupted" } });
    expect(text()).toContain('"code":"stream_interrupted"');
  });

  test("that begins after a keep-alive goes on behind it", () => {
    const { exchange, handler, text, wait } = begin(null);
    wait(KEEP_ALIVE_MS);
    handler.onHead(200, [["content-type", "text/event-stream"]]);
    handler.onData(bytes("data: [DONE]\n\n"));
    expect([text(), exchange.end?.outcome]).toEqual([": keep-alive\n\ndata: [DONE]\n\n", "complete"]);
  });

  test("that is refused slowly keeps its status: no keep-alive begins an answer", () => {
    const { exchange, handler, text, wait } = begin(null);
    handler.onHead(400, [["content-type", "application/json"]]);
    handler.onData(bytes('{"error":{"message":'));
    wait(KEEP_ALIVE_MS);
    handler.onData(bytes('"too long"}}'));
    handler.onEnd();
    expect([exchange.hasHead, text()]).toEqual([false, ""]);
    expect(exchange.end?.failure).toEqual({ code: "invalid_request", status: 400, message: "too long" });
  });

  test("that breaks before its own end has failed", () => {
    const { exchange, handler, text } = begin();
    handler.onData(TOKEN);
    handler.onFailure(broke);
    expect(exchange.end).toMatchObject({ outcome: "failed", failure: { code: "upstream_error" } });
    expect(text()).toContain('"code":"upstream_error"');
  });

  test("that breaks before its own end, and behind what it has used, shows that before the failure", () => {
    const { exchange, handler, text } = begin(undefined, { dialect: { model: "public", stream: true, usage: true } });
    handler.onData(TOKEN);
    const usage = 'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2}}\n\n';
    handler.onData(bytes(usage));
    handler.onFailure(broke);
    expect(exchange.end).toMatchObject({ outcome: "failed", usage: { prompt_tokens: 7, completion_tokens: 2 } });
    const [, shown, failure] = text().split(/(?<=\n\n)/);
    expect([shown, failure]).toEqual([usage, expect.stringContaining('"code":"upstream_error"')]);
  });

  test.each(["data: nonsense\n\n", 'data: {"error":{"message":"out of memory"}}\n\n'])(
    "that goes wrong with %j frees its engine at once and ends",
    (event) => {
      const { exchange, handler, text, aborts } = begin();
      handler.onData(TOKEN);
      handler.onData(bytes(event));
      expect(aborts()).toBe(1);
      expect(exchange.end).toMatchObject({ outcome: "failed", usage: { completion_tokens: 1 } });
      expect(text().match(/"error"/g)).toHaveLength(1);
      expect(text().endsWith("\n\n")).toBe(true);
    },
  );
});

test("a page that is no answer frees its engine at once and ends", () => {
  const { exchange, handler, aborts } = begin("text/html");
  handler.onData(bytes("<html>"));
  expect([aborts(), exchange.end?.outcome]).toEqual([1, "truncated"]);
});

test("an engine that answers an event stream with something else fails it by an event, once a keep-alive has gone out", () => {
  const { exchange, handler, text, wait, aborts } = begin(null);
  wait(KEEP_ALIVE_MS);
  handler.onHead(200, [["content-type", "application/json"]]);
  expect([aborts(), exchange.end?.outcome]).toEqual([1, "failed"]);
  expect(text()).toMatch(/^: keep-alive\n\ndata: \{"error".*\n\n$/);
});

const PLAIN = { dialect: { model: "public", stream: false, usage: false } } as const;

test("the comments of an engine, which no client gets, do not stand for ours", () => {
  const { handler, wait, text } = begin();
  for (let ms = 0; ms < 2 * KEEP_ALIVE_MS; ms += 1_000) {
    handler.onData(bytes(": ping\n\n"));
    wait(1_000);
  }
  expect(text()).toBe(": keep-alive\n\n".repeat(2));
});

test.each([
  '{"error":{"message":"worker at http://192.0.2.1:8081 lost internal"}}',
  '{"model":"internal","error":"out of memory"}',
])("a failure under the status of a success is nobody's answer: %s", (answer) => {
  const { exchange, handler, text, aborts } = begin("application/json", PLAIN);
  handler.onData(bytes(answer));
  expect([aborts(), exchange.end?.outcome, exchange.end?.usage]).toEqual([1, "truncated", null]);
  expect(text()).not.toMatch(/192\.0\.2\.1|internal|memory/);
});

test.each(["null", "false"])("an error that says %s is none", (value) => {
  const { exchange, handler } = begin("application/json", PLAIN);
  handler.onData(bytes(`{"error":${value},"choices":[]}`));
  handler.onEnd();
  expect(exchange.end?.outcome).toBe("complete");
});

describe("a client that leaves a plain answer before its end, where the usage is", () => {
  const leftAfter = (answer: string) => {
    const { exchange, handler } = begin("application/json", PLAIN);
    handler.onData(bytes(answer));
    exchange.cancel();
    return exchange.end?.usage;
  };

  test("pays for what it has read of an embedding", () => {
    expect(leftAfter('{"object":"list","data":[{"embedding":[0.1,0.2')).toEqual({
      prompt_tokens: 0,
      completion_tokens: 0,
      source: "counted",
    });
  });

  test("pays for the text that it has read", () => {
    const usage = leftAfter(`{"id":"x","choices":[{"message":{"content":"${"word ".repeat(100)}`);
    expect(usage?.source).toBe("counted");
    expect(usage?.completion_tokens).toBeGreaterThan(50);
  });

  test("pays what the engine says, once it has said it", () => {
    const answer = '{"choices":[{"message":{"content":"a"}}],"usage":{"prompt_tokens":7,"completion_tokens":1},';
    expect(leftAfter(answer)).toEqual({ prompt_tokens: 7, completion_tokens: 1, source: "engine" });
  });

  test("pays nothing where the answer had not begun", () => {
    expect(leftAfter('{"id":"x","object":"chat.completion",')).toBeNull();
  });
});

test("a reader that takes nothing for a minute gives the engine's slot back, and one that is slow does not", () => {
  const { exchange, handler, wait, aborts, resumes } = begin("application/json", PLAIN);
  handler.onData(bytes('{"data":["'));
  const more = bytes("x".repeat(64 * 1024));
  while (handler.onData(more));
  // What was under way.
  handler.onData(more);
  for (let ms = 0; ms < 2 * STANDSTILL_MS; ms += 1_000) {
    wait(1_000);
    exchange.drained(1 + ms / 1_000);
  }
  expect([aborts(), exchange.end]).toEqual([0, null]);
  expect(resumes()).toBe(0);
  for (let ms = 0; ms <= STANDSTILL_MS; ms += 1_000) wait(1_000);
  expect([aborts(), exchange.end?.outcome, exchange.end?.usage?.source]).toEqual([1, "failed", "counted"]);
});

test.each<[stream: boolean, isPlain: boolean]>([
  [true, false],
  [false, true],
])("an engine of which a stream is asked (%s) is told whether the answer is plain (%s)", (stream, isPlain) => {
  const { request } = begin(null, { dialect: { model: "public", stream, usage: false } });
  expect(request.isPlain).toBe(isPlain);
});

test("an engine is told whose exchange it is, behind what the client says, and has until the deadline from its opening", () => {
  const { request } = begin(null, { headers: [["x-a", "b"]] });
  expect(request.headers).toEqual([
    ["x-a", "b"],
    ["x-request-id", "x1"],
  ]);
  expect(request.deadline).toBe(5_000 + OPEN.deadline_ms);
});

test("the backend's answer is not a plain one of an engine", () => {
  expect(begin(null, { target: "backend", dialect: null }).request.isPlain).toBe(false);
});

test("the backend's answer passes as it is, whatever its status, without headers that are the connection's own", () => {
  const { exchange, handler, text } = begin(null, { target: "backend", dialect: null });
  const bound: string[] = [];
  const head = (given: object) => void bound.push(JSON.stringify(given));
  const silent = () => {};
  const lane = { accept: silent, start: silent, wake: silent, end: silent, abandon: silent, close: silent };
  exchange.bind({ ...lane, refuse: silent, sent: () => 0, head }, 0, true);
  handler.onHead(401, [
    ["content-type", "application/json"],
    ["set-cookie", "a=b"],
  ]);
  handler.onData(bytes('{"valid":false}'));
  handler.onEnd();
  expect(bound).toEqual(['{"status":401,"headers":[["content-type","application/json"]]}']);
  expect([text(), exchange.end?.outcome]).toEqual(['{"valid":false}', "complete"]);
});

test("an engine that is slow and read all the while has not been kept waiting by its reader", () => {
  const { exchange, wait, aborts } = begin("application/json", PLAIN);
  for (let ms = 0; ms <= STANDSTILL_MS; ms += 1_000) wait(1_000);
  expect([aborts(), exchange.end]).toEqual([0, null]);
});

test("a reader that has made room lets the engine be read on", () => {
  const { exchange, handler, resumes } = begin("application/json", PLAIN);
  handler.onData(bytes('{"data":["'));
  while (handler.onData(bytes("x".repeat(64 * 1024))));
  exchange.drained(exchange.answer.end);
  expect(resumes()).toBe(1);
});

test("a request that is turned away has waited all the while, and is told in whole milliseconds when to come again", () => {
  const { exchange, handler, wait } = begin(null, PLAIN);
  wait(40);
  handler.onFailure(new Failure("queue_full", { retryAfterMs: 1_234.5 }));
  expect(exchange.end).toMatchObject({
    timings: { queue_ms: 40, first_byte_ms: null, total_ms: 40 },
    failure: { code: "queue_full", retry_after_ms: 1_235 },
  });
});
