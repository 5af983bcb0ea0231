import { describe, expect, test } from "vitest";
import type { Observed } from "../../../connector/observe.ts";
import { type ExchangeLevel, type ExchangeLog, levelOf, logExchanges } from "../../../connector/ops/exchange-log.ts";
import type { End, Open } from "../../../shared/wire/messages.ts";

const OPEN: Open = {
  exchange: "x1",
  attempt: 1,
  target: "heartcode-chat-sfw",
  method: "POST",
  path: "/v1/chat/completions",
  headers: [["traceparent", "the client's"]],
  length: 120,
  limit: 0,
  deadline_ms: 600_000,
  tier: "premium",
  tenant: "0123456789abcdef",
  dialect: { model: "heartcode-default", stream: true, usage: false },
};
const runOf = (changes: Partial<Observed> = {}): Observed => ({
  open: OPEN,
  openedAt: 1_000,
  startedAt: 1_010,
  firstByteAt: 1_050,
  firstChunkAt: 1_060,
  attempts: 2,
  upstream: "http://10.0.0.1:8080",
  status: 200,
  detail: undefined,
  isWithdrawn: false,
  answerBytes: () => new Uint8Array(0),
  ...changes,
});
const endOf = (changes: Partial<End> = {}): End => ({
  exchange: "x1",
  attempt: 1,
  outcome: "complete",
  bytes: 3_000,
  usage: { prompt_tokens: 11, completion_tokens: 22, source: "engine" },
  timings: { queue_ms: 10, first_byte_ms: 50, total_ms: 400 },
  failure: null,
  ...changes,
});

class Lines implements ExchangeLog {
  readonly lines: [ExchangeLevel, object, string][] = [];
  least: ExchangeLevel = "debug";
  debug = (fields: object, words: string) => void this.lines.push(["debug", fields, words]);
  info = (fields: object, words: string) => void this.lines.push(["info", fields, words]);
  warn = (fields: object, words: string) => void this.lines.push(["warn", fields, words]);
  error = (fields: object, words: string) => void this.lines.push(["error", fields, words]);
  isLevelEnabled = (level: ExchangeLevel) => level !== "debug" || this.least === "debug";
}

describe("the line of an exchange", () => {
  test("says who, where, how long and how much", () => {
    const log = new Lines();
    logExchanges(log).ended?.(runOf(), endOf(), 1_400);
    expect(log.lines).toEqual([
      [
        "info",
        {
          request_id: "x1",
          tenant: "0123456789abcdef",
          tier: "premium",
          model: "heartcode-default",
          pool: "heartcode-chat-sfw",
          path: "/v1/chat/completions",
          stream: true,
          upstream: "http://10.0.0.1:8080",
          attempts: 2,
          outcome: "complete",
          status: 200,
          code: null,
          queue_ms: 10,
          first_byte_ms: 50,
          first_chunk_ms: 60,
          total_ms: 400,
          prompt_tokens: 11,
          completion_tokens: 22,
          usage_source: "engine",
          request_bytes: 120,
          answer_bytes: 3_000,
        },
        "exchange",
      ],
    ]);
  });

  test("repeats neither an engine's words nor a code that is not in the table", () => {
    const log = new Lines();
    const failure = { code: "your prompt", message: "your prompt", param: "your prompt", status: 400 };
    logExchanges(log).ended?.(runOf({ status: 400 }), endOf({ outcome: "failed", failure }), 1_400);
    expect(log.lines[0]?.[1]).toMatchObject({ status: 400, code: "upstream_error" });
    expect(JSON.stringify(log.lines)).not.toContain("your prompt");
  });

  test("of a lookup has no tenant and no size, and is there at debug only", () => {
    const log = new Lines();
    const lookup = runOf({ open: { ...OPEN, target: "backend", dialect: null, path: "/api-keys/verify" } });
    logExchanges(log).ended?.(lookup, endOf({ usage: null }), 1_400);
    expect(log.lines[0]?.[0]).toBe("debug");
    expect(log.lines[0]?.[2]).toBe("lookup");
    expect(Object.keys(log.lines[0]?.[1] ?? {})).not.toEqual(expect.arrayContaining(["tenant"]));
    expect(Object.keys(log.lines[0]?.[1] ?? {})).not.toEqual(expect.arrayContaining(["request_bytes"]));
    log.least = "info";
    logExchanges(log).ended?.(lookup, endOf({ usage: null }), 1_400);
    expect(log.lines).toHaveLength(1);
  });

  test("names the trace that shows it", () => {
    const log = new Lines();
    logExchanges(log, () => "t1").ended?.(runOf(), endOf(), 1_400);
    expect(log.lines[0]?.[1]).toMatchObject({ trace_id: "t1" });
  });
});

describe("the level of an exchange", () => {
  const LOOKUP: Open = { ...OPEN, target: "backend", dialect: null };
  test.each<[string, ExchangeLevel, Partial<Observed>, Partial<End>]>([
    ["that is complete", "info", {}, {}],
    ["whose client left", "info", { status: null }, { outcome: "cancelled" }],
    ["that the engine refused", "info", { status: 400 }, { outcome: "failed", failure: { code: "invalid_request" } }],
    ["that found no room", "warn", { status: 503 }, { outcome: "failed", failure: { code: "queue_full" } }],
    ["that broke in its stream", "warn", { status: 200 }, { outcome: "failed", failure: { code: "upstream_error" } }],
    ["that was cut short", "warn", { status: 200 }, { outcome: "truncated" }],
    ["with a defect", "error", { status: 500 }, { outcome: "failed", failure: { code: "internal_error" } }],
    ["that was opened elsewhere", "debug", { isWithdrawn: true, status: null }, { outcome: "cancelled" }],
    ["with the backend", "debug", { open: LOOKUP, status: 401 }, {}],
    ["with a backend that is ill", "warn", { open: LOOKUP, status: 500 }, {}],
    [
      "with a backend that is away",
      "warn",
      { open: LOOKUP, status: 502 },
      { outcome: "failed", failure: { code: "upstream_error" } },
    ],
  ])("%s is %s", (_, level, run, end) => {
    expect(levelOf(runOf(run), endOf(end))).toBe(level);
  });
});
