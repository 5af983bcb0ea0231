// What an observer hears of an exchange, and in which order.
import { describe, expect, test } from "vitest";
import type { Engine } from "../../../connector/exchange/engine.ts";
import { Exchange } from "../../../connector/exchange/exchange.ts";
import { Serving } from "../../../connector/exchange/serve.ts";
import type { Lane } from "../../../connector/lane.ts";
import type { Observed, Observer } from "../../../connector/observe.ts";
import { Failure } from "../../../shared/errors.ts";
import type { End, Open } from "../../../shared/wire/messages.ts";

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
  tenant: "t",
  dialect: null,
};
const LANE: Lane = {
  accept: () => {},
  head: () => {},
  start: () => {},
  wake: () => {},
  end: () => {},
  abandon: () => {},
  close: () => {},
  refuse: () => {},
  sent: () => 0,
};
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (words: string): Uint8Array => new TextEncoder().encode(words);

type Handler = Parameters<Engine["serve"]>[1];

function begin() {
  const heard: string[] = [];
  let seen: Observed | undefined;
  let last: End | undefined;
  let now = 1_000;
  const observer: Observer = {
    opened: (run) => {
      seen = run;
      heard.push("opened");
    },
    begun: (_, body) => heard.push(`begun ${text(body)}`),
    sending: (run, at) => {
      heard.push(`sending ${run.attempts} to ${run.upstream} at ${at}`);
      return [["traceparent", `attempt-${run.attempts}`]];
    },
    lost: (_, reason, at) => heard.push(`lost ${reason} at ${at}`),
    answering: (_, status, at) => heard.push(`answering ${status} at ${at}`),
    passing: (_, piece) => heard.push(`passing ${text(piece)}`),
    ended: (run, end, at) => {
      last = end;
      heard.push(`ended ${end.outcome} ${run.status} at ${at}`);
    },
  };
  let handler: Handler | undefined;
  const engine: Engine = {
    serve: (_, given) => {
      handler = given;
      return { abort: () => heard.push("aborted"), resume: () => {}, letEnd: () => {} };
    },
  };
  const exchange = new Exchange(OPEN, () => {});
  const serving = new Serving({ exchange, engine, translation: null, now: () => now, observer });
  exchange.bind(LANE, 0, true);
  exchange.serveBy(serving);
  exchange.body(bytes("{}"));
  const later = (ms: number): Handler => {
    now += ms;
    return handler!;
  };
  return { exchange, heard, later, seen: seen!, end: () => last };
}

describe("an observer", () => {
  test("hears of a wait, a lost attempt, an answer and its end, in this order and each with its time", () => {
    const { heard, later, seen } = begin();
    const sent = later(10);
    sent.onStart("http://a:1", 1);
    expect(sent.headers()).toEqual([["traceparent", "attempt-1"]]);
    later(5).onLost("refused", "http://a:1");
    later(1).onStart("http://b:1", 2);
    expect(sent.headers()).toEqual([["traceparent", "attempt-2"]]);
    later(20).onHead(200, [["content-type", "application/json"]]);
    later(3).onData(bytes("one"));
    later(4).onData(bytes("two"));
    later(1).onEnd();
    expect(heard).toEqual([
      "opened",
      "begun {}",
      "sending 1 to http://a:1 at 1010",
      "lost refused at 1015",
      "sending 2 to http://b:1 at 1016",
      "answering 200 at 1036",
      "passing one",
      "passing two",
      "ended complete 200 at 1044",
    ]);
    expect(seen).toMatchObject({
      openedAt: 1_000,
      startedAt: 1_010,
      firstByteAt: 1_036,
      firstChunkAt: 1_039,
      attempts: 2,
      upstream: "http://b:1",
      isWithdrawn: false,
    });
    expect(text(seen.answerBytes(1, 100))).toBe("netwo");
  });

  test("hears the status that the client is told, and the reason that it is not told", () => {
    const { heard, later, seen } = begin();
    later(0).onFailure(new Failure("queue_full", { detail: "no room" }));
    expect(heard.at(-1)).toBe("ended failed 503 at 1000");
    expect(seen.detail).toBe("no room");
  });

  test("hears of a cancel before anything was told as an end without a status, after the engine was let go", () => {
    const { exchange, heard, later, seen } = begin();
    later(0).onStart("http://a:1", 1);
    exchange.cancel();
    exchange.cancel();
    expect(heard.slice(2)).toEqual(["aborted", "ended cancelled null at 1000"]);
    expect(seen.isWithdrawn).toBe(false);
  });

  test("hears that a run was withdrawn", () => {
    const { exchange, heard, seen } = begin();
    exchange.withdraw();
    expect(heard.at(-1)).toBe("ended cancelled null at 1000");
    expect(seen.isWithdrawn).toBe(true);
  });
});
