// What an exchange makes of an engine that goes on behind its own end, or behind what is no answer any more.
import { describe, expect, test } from "vitest";
import { Exchange } from "../../../connector/exchange/exchange.ts";
import { type Engine, KEEP_ALIVE_MS, Serving } from "../../../connector/exchange/serve.ts";
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

function begin(type: string | null = "text/event-stream") {
  let aborts = 0;
  let now = 0;
  let handler: Parameters<Engine["serve"]>[1] | undefined;
  const engine: Engine = {
    serve: (_, given) => {
      handler = given;
      return {
        abort: () => {
          aborts += 1;
        },
        resume: () => {},
      };
    },
  };
  const exchange = new Exchange(OPEN, () => {});
  const translation = new Translations(["internal"]).of(OPEN);
  const serving = new Serving({ exchange, engine, translation, now: () => now });
  exchange.serveBy(serving);
  exchange.body(bytes("{}"));
  if (type !== null) handler!.onHead(200, [["content-type", type]]);
  const wait = (ms: number) => {
    now += ms;
    serving.tick();
  };
  const text = () => new TextDecoder().decode(exchange.answerBytes(0, exchange.answer.end));
  return { exchange, handler: handler!, text, wait, aborts: () => aborts };
}

describe("a stream", () => {
  test("that breaks behind its own end is complete", () => {
    const { exchange, handler, text } = begin();
    handler.onData(TOKEN);
    handler.onData(bytes("data: [DONE]\n\n"));
    handler.onFailure(broke);
    expect(exchange.end).toMatchObject({ outcome: "complete", failure: null, usage: { completion_tokens: 1 } });
    expect(text().endsWith("data: [DONE]\n\n")).toBe(true);
  });

  test("that breaks before its own end has failed", () => {
    const { exchange, handler, text } = begin();
    handler.onData(TOKEN);
    handler.onFailure(broke);
    expect(exchange.end).toMatchObject({ outcome: "failed", failure: { code: "upstream_error" } });
    expect(text()).toContain('"code":"upstream_error"');
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
