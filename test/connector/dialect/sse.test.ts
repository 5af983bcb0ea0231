import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeScrub } from "../../../connector/dialect/scrub.ts";
import { rewriteStream, type StreamOptions } from "../../../connector/dialect/sse.ts";
import { errorEvent } from "../../../shared/errors.ts";
import { cutAt, cuts, singly } from "./arbitraries.ts";
import { captured } from "./captures.ts";

const text = new TextEncoder();
const decoder = new TextDecoder();
const scrub = makeScrub({ internal: ["heartcode-chat-sfw"], public: "heartcode-sfw" });
const hidden: StreamOptions = { model: "heartcode-sfw", usage: false, scrub };
const shown: StreamOptions = { ...hidden, usage: true };
const INTERRUPTED = errorEvent({ code: "stream_interrupted" });
const failed = (message: string) => errorEvent({ code: "upstream_error", message });
const ANY_FAILURE = failed("The model server failed while it answered.");

function rewritten(chunks: Iterable<Uint8Array>, options = hidden) {
  const rewriter = rewriteStream(options);
  const out: Uint8Array[] = [];
  for (const chunk of chunks) out.push(rewriter.push(chunk));
  const { tail, outcome, failure } = rewriter.finish();
  return { body: decoder.decode(Buffer.concat([...out, tail])), outcome, failure, usage: rewriter.usage() };
}
const whole = (source: string, options = hidden) => rewritten([text.encode(source)], options);
const data = (...events: string[]) => events.map((event) => `data: ${event}\n\n`).join("");
const engine = (prompt_tokens: number, completion_tokens: number) => {
  return { prompt_tokens, completion_tokens, source: "engine" };
};
const counted = (prompt_tokens: number, completion_tokens: number) => {
  return { prompt_tokens, completion_tokens, source: "counted" };
};

describe("a stream of llama.cpp", () => {
  const captures: [name: string, usage: ReturnType<typeof engine>][] = [
    ["chat-stream", engine(43, 4)],
    ["chat-stream-usage", engine(43, 4)],
    // Each choice closes with a chunk of its own, with its own completion and with the prompt that both share.
    ["chat-stream-n2", engine(43, 6)],
    ["completion-stream", engine(11, 3)],
  ];
  const renamed = (name: string) =>
    decoder.decode(captured(name).body).replaceAll('"model":"heartcode-chat-sfw"', '"model":"heartcode-sfw"');
  const [, closing] = renamed("chat-stream-n2").match(/(data: \{"choices":\[\],.*\n\n)/)!;
  /** Of two chunks with 3 tokens each the last one is left, and tells of both. */
  const summed = (name: string) =>
    name !== "chat-stream-n2"
      ? renamed(name)
      : renamed(name)
          .replace(closing!, "")
          .replace('"completion_tokens":3,"prompt_tokens":43,"total_tokens":46', () => {
            return '"completion_tokens":6,"prompt_tokens":43,"total_tokens":49';
          });

  test.each(captures)("(%s) passes byte for byte but for the model, if usage was asked for", (name, usage) => {
    const { body } = captured(name);
    const expected = { body: summed(name), outcome: "complete", failure: null, usage };
    expect(expected.body).not.toContain("heartcode-chat-sfw");
    expect(rewritten([body], shown)).toEqual(expected);
    expect(rewritten(singly(body), shown)).toEqual(expected);
  });

  test.each(captures)("(%s) shows no usage that was not asked for", (name, usage) => {
    const { body } = captured(name);
    const expected = renamed(name)
      .replaceAll(/data: \{"choices":\[\],.*\n\n/g, "")
      .replaceAll(/"usage":\{[^{}]*\{[^{}]*\}\},/g, "");
    expect(expected).not.toContain("usage");
    expect(rewritten([body])).toEqual({ body: expected, outcome: "complete", failure: null, usage });
    expect(rewritten(singly(body)).body).toBe(expected);
  });

  test("comes out the same however it is cut", () => {
    const name = fc.constantFrom(...captures.map(([name]) => name));
    fc.assert(
      fc.property(name, fc.boolean(), cuts, (name, usage, fractions) => {
        const { body } = captured(name);
        const options = usage ? shown : hidden;
        expect(rewritten(cutAt(body, fractions), options)).toEqual(rewritten([body], options));
      }),
    );
  });

  test("is truncated wherever it breaks off, and says so in whole events", () => {
    const { body } = captured("chat-stream-usage");
    const done = decoder.decode(body).indexOf("[DONE]");
    const bytesBeforeDone = text.encode(decoder.decode(body).slice(0, done)).length;
    for (let end = 0; end < body.length; end += 7) {
      const result = rewritten([body.subarray(0, end)]);
      if (end >= bytesBeforeDone + "[DONE]".length) continue;
      expect(result).toMatchObject({ outcome: "truncated", failure: { code: "stream_interrupted" } });
      expect(result.body.endsWith(INTERRUPTED)).toBe(true);
      const events = result.body.split("\n\n").slice(0, -1);
      for (const event of events) expect(() => JSON.parse(event.replace("data: ", ""))).not.toThrow();
    }
  });
});

describe("an event", () => {
  const rows: [name: string, event: string, told: string | null][] = [
    ["loses usage between others", '{"a":1, "usage":null, "b":2}', '{"a":1, "b":2}'],
    ["loses usage at its beginning", '{"usage":{"prompt_tokens":1},"a":1}', '{"a":1}'],
    ["loses usage at its end", '{"a":1,"usage":null}', '{"a":1}'],
    ["loses usage that is all it has", '{"usage":null}', "{}"],
    ["loses usage twice", '{"usage":1,"a":1,"\\u0075sage":2}', '{"a":1}'],
    ["keeps usage further down", '{"a":{"usage":1}}', '{"a":{"usage":1}}'],
    ["is renamed beside the usage that it loses", '{"usage":null,"model":"x"}', '{"model":"heartcode-sfw"}'],
    ["is renamed where the key is escaped", '{"\\u006dodel":"x"}', '{"\\u006dodel":"heartcode-sfw"}'],
    ["goes if usage is all it is for", '{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}', null],
    ["goes also with spaces", '{"choices": [ ], "usage": {"prompt_tokens":1}}', null],
    ["stays without choices if it holds something else", '{"choices":[],"usage":null,"x":1}', '{"choices":[],"x":1}'],
    ["stays with choices", '{"choices":[{}],"usage":{"prompt_tokens":1}}', '{"choices":[{}]}'],
    ["may carry an error that is null", '{"error":null,"a":1}', '{"error":null,"a":1}'],
    [
      "is not mistaken for one by its words",
      '{"a":"\\"usage\\":null,","b":"[DONE]"}',
      '{"a":"\\"usage\\":null,","b":"[DONE]"}',
    ],
  ];
  test.each(rows)("%s", (_, event, told) => {
    const body = `${told === null ? "" : data(told)}data: [DONE]\n\n`;
    expect(whole(data(event, "[DONE]"))).toMatchObject({ body, outcome: "complete" });
    const asked = data(event.replaceAll('"x"}', '"heartcode-sfw"}'), "[DONE]");
    expect(whole(data(event, "[DONE]"), shown)).toMatchObject({ body: asked, outcome: "complete" });
  });

  const framings: [name: string, source: string, body: string][] = [
    ["keeps its name and id", 'id: 7\nevent: x\ndata: {"a":1}\n\n', 'event: x\nid: 7\ndata: {"a":1}\n\n'],
    ["leaves with line feeds", 'data:{"a":1}\r\n\r\n', 'data: {"a":1}\n\n'],
    [
      "leaves with line feeds where it came with returns",
      'data:{"a":1}\r\rdata: {"b":1}\r\r',
      data('{"a":1}', '{"b":1}'),
    ],
    ["may be of several lines", 'data: {"usage":null,\ndata: "a":\ndata:1}\n\n', 'data: {"a":\ndata: 1}\n\n'],
    ["may come after a byte order mark", '\ufeffdata: {"a":1}\n\n', data('{"a":1}')],
    ["comes without the engine's comments and times", ': ping\n\nretry: 5\ndata: {"a":1}\n\n: x\n\n', data('{"a":1}')],
    ["is nothing without data", "event: x\n\ndata: \n\n", ""],
  ];
  test.each(framings)("%s", (_, source, body) => {
    const closed = `${body}data: [DONE]\n\n`;
    expect(whole(`${source}data: [DONE]\n\n`)).toMatchObject({ body: closed, outcome: "complete" });
    expect(rewritten(singly(text.encode(`${source}data: [DONE]\n\n`)))).toMatchObject({ body: closed });
  });

  test("may be a megabyte, and no more", () => {
    const event = (length: number) => `{"a":"${"x".repeat(length - 8)}"}`;
    const limit = 1024 * 1024;
    for (const fractions of [[], [0.3, 0.5, 0.9999]]) {
      const largest = text.encode(data(event(limit), "[DONE]"));
      expect(rewritten(cutAt(largest, fractions))).toMatchObject({ outcome: "complete" });
      const larger = text.encode(data('{"b":1}', event(limit + 1), "[DONE]"));
      expect(rewritten(cutAt(larger, fractions))).toMatchObject({
        body: `${data('{"b":1}')}${ANY_FAILURE}`,
        outcome: "failed",
        failure: { code: "upstream_error" },
      });
    }
  });
});

describe("the end of a stream", () => {
  const rows: [name: string, source: string, body: string, outcome: string][] = [
    ["is the engine's [DONE]", data('{"a":1}', "[DONE]", '{"b":1}', "[DONE]"), data('{"a":1}', "[DONE]"), "complete"],
    ["counts without its blank line", `${data('{"a":1}')}data: [DONE]`, data('{"a":1}', "[DONE]"), "complete"],
    ["is missing", data('{"a":1}'), data('{"a":1}') + INTERRUPTED, "truncated"],
    ["is missing from nothing", "", INTERRUPTED, "truncated"],
    ["is missing after half an event", `${data('{"a":1}')}data: {"b":1}\n`, data('{"a":1}') + INTERRUPTED, "truncated"],
    [
      "is the engine's own failure",
      data(
        '{"a":1}',
        '{"error":{"code":500,"message":"heartcode-chat-sfw at 10.0.0.7:8080 is gone","type":"server_error"}}',
        '{"b":1}',
        "[DONE]",
      ),
      data('{"a":1}') + failed("heartcode-sfw at [address] is gone"),
      "failed",
    ],
    ["is a failure in words", data('{"error":"out of memory"}', "[DONE]"), failed("out of memory"), "failed"],
    ["is a failure without words", data('{"error":{}}', "[DONE]"), ANY_FAILURE, "failed"],
    ["is an event called error", `event: error\n${data('{"message":"no"}')}`, failed("no"), "failed"],
    ["is an event called error that is no JSON", `event: error\n${data("no")}`, failed("no"), "failed"],
    ["is an event that is no object", data('{"a":1}', "[1]", "[DONE]"), data('{"a":1}') + ANY_FAILURE, "failed"],
    ["is an event that is no JSON", data("oops", "[DONE]"), ANY_FAILURE, "failed"],
  ];
  test.each(rows)("%s", (_, source, body, outcome) => {
    for (const options of [hidden, shown]) {
      expect(whole(source, options)).toMatchObject({ body, outcome });
      expect(rewritten(singly(text.encode(source)), options)).toMatchObject({ body, outcome });
    }
  });

  test("is told with a code where it is not good", () => {
    expect(whole(data('{"a":1}')).failure).toEqual({ code: "stream_interrupted" });
    expect(whole(data('{"error":{"message":"m"}}')).failure).toEqual({ code: "upstream_error", message: "m" });
  });
});

describe("usage", () => {
  const delta = (content: string, more = "") => `{"choices":[{"index":0,"delta":${content}}]${more}}`;
  const rows: [name: string, events: string[], usage: object | null][] = [
    ["is unknown before the first event", [], null],
    [
      "is counted by events with content",
      [
        delta('{"role":"assistant","content":null}'),
        delta('{"role":"assistant","content":""}'),
        delta('{"content":"a"}'),
        delta('{"content" : "\\n"}'),
        delta('{"reasoning_content":"b"}'),
        delta('{"tool_calls":[{"index":0,"function":{"arguments":""}}]}'),
        delta('{"tool_calls":[]}'),
        '{"choices":[{"text":"m","index":0}]}',
        '{"choices":[{"text":"","index":0,"finish_reason":"stop"}]}',
        delta("{}"),
      ],
      counted(5, 5),
    ],
    ["is not counted by what content says", [delta('{"role":"x\\",\\"content\\":\\"y"}')], counted(5, 0)],
    [
      "is the engine's wherever it appears",
      [
        delta('{"content":"a"}', ',"usage":{"prompt_tokens":7,"completion_tokens":1}'),
        delta('{"content":"b"}', ',"usage":null'),
      ],
      counted(7, 2),
    ],
    [
      "is the latest of a choice (vLLM, continuous)",
      [
        delta('{"content":"a"}', ',"usage":{"prompt_tokens":7,"completion_tokens":1}'),
        delta('{"content":"b"}', ',"usage":{"prompt_tokens":7,"completion_tokens":2}'),
      ],
      engine(7, 2),
    ],
    [
      "is summed over choices while they run (vLLM, continuous)",
      [
        '{"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}',
        '{"choices":[{"index":1,"delta":{}}],"usage":{"prompt_tokens":7,"completion_tokens":2}}',
        '{"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":7,"completion_tokens":4}}',
      ],
      engine(7, 6),
    ],
    [
      "is not summed with the closing chunk that is the sum (vLLM)",
      [
        '{"choices":[{"index":0,"delta":{}}],"usage":{"prompt_tokens":7,"completion_tokens":3}}',
        '{"choices":[{"index":1,"delta":{}}],"usage":{"prompt_tokens":7,"completion_tokens":2}}',
        '{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}',
      ],
      engine(7, 5),
    ],
    [
      "is read from timings where it is missing",
      [delta("{}", ',"timings":{"cache_n":42,"prompt_n":1,"predicted_n":4}')],
      engine(43, 4),
    ],
    [
      "is read from usage before timings",
      [delta("{}", ',"usage":{"prompt_tokens":1,"completion_tokens":2},"timings":{"prompt_n":1,"predicted_n":4}')],
      engine(1, 2),
    ],
    [
      "is the engine's once all is said, also of more events than tokens",
      [
        delta('{"content":"a"}'),
        delta('{"content":"b"}'),
        '{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":1}}',
        "[DONE]",
      ],
      engine(7, 1),
    ],
    [
      "is not what is no count",
      [delta("{}", ',"usage":{"prompt_tokens":1.5,"completion_tokens":1e99}'), delta("{}", ',"usage":{')],
      counted(5, 0),
    ],
  ];
  test.each(rows)("%s", (_, events, expected) => {
    const rewriter = rewriteStream({ ...hidden, promptEstimate: 5 });
    rewriter.push(text.encode(data(...events)));
    expect(rewriter.usage()).toEqual(expected);
  });
});

describe("the usage of several choices, where it was asked for", () => {
  const riding = (index: number, figures: string) => `{"choices":[{"index":${index},"text":""}],"usage":${figures}}`;
  const rows: [name: string, events: string[], passed: string[]][] = [
    [
      "is that of all until then, where each choice has its own (completions of llama.cpp)",
      [
        riding(1, '{"completion_tokens":3,"prompt_tokens":7,"total_tokens":10,"x":{"a": 1}}'),
        riding(0, '{"completion_tokens":2,"prompt_tokens":7,"total_tokens":9,"x":{"a": 1}}'),
        "[DONE]",
      ],
      [
        riding(1, '{"completion_tokens":3,"prompt_tokens":7,"total_tokens":10,"x":{"a": 1}}'),
        riding(0, '{"completion_tokens":5,"prompt_tokens":7,"total_tokens":12,"x":{"a": 1}}'),
        "[DONE]",
      ],
    ],
    [
      "stays where one chunk tells of all (vLLM)",
      [riding(0, "null"), '{"choices":[],"usage":{"prompt_tokens":7, "completion_tokens":5}}', "[DONE]"],
      [riding(0, "null"), '{"choices":[],"usage":{"prompt_tokens":7, "completion_tokens":5}}', "[DONE]"],
    ],
    [
      "goes out behind all the choices, also those that end later",
      ['{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}', '{"choices":[{"index":0}]}', "[DONE]"],
      ['{"choices":[{"index":0}]}', '{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}', "[DONE]"],
    ],
    [
      "goes out before the failure that ends them",
      ['{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}', '{"error":{"message":"m"}}'],
      [
        '{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5}}',
        '{"error":{"message":"m","type":"server_error","param":null,"code":"upstream_error"}}',
      ],
    ],
    [
      "is left as it is where it is no object of figures",
      [riding(0, '{"prompt_tokens":1}'), riding(1, "7"), riding(1, '{"prompt_tokens":{}}'), "[DONE]"],
      [riding(0, '{"prompt_tokens":1}'), riding(1, "7"), riding(1, '{"prompt_tokens":{}}'), "[DONE]"],
    ],
  ];
  test.each(rows)("%s", (_, events, passed) => {
    expect(whole(data(...events), shown).body).toBe(data(...passed));
  });
});

describe("any stream", () => {
  interface Figures {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
  }
  interface Sent {
    readonly text: string;
    readonly value: Record<string, unknown>;
    readonly framing: { readonly event: string | null; readonly id: string | null; readonly comment: boolean };
  }
  const figures = fc.record({ prompt_tokens: fc.nat(), completion_tokens: fc.nat() });
  const value = fc.record(
    {
      id: fc.string({ unit: "binary" }),
      model: fc.string(),
      choices: fc.array(fc.record({ index: fc.nat(3), delta: fc.record({ content: fc.string({ unit: "binary" }) }) }), {
        maxLength: 2,
      }),
      usage: fc.option(figures),
      odd: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  const framing = fc.record({
    event: fc.option(fc.constantFrom("message", "chunk")),
    id: fc.option(fc.stringMatching(/^[a-z0-9]{1,5}$/)),
    comment: fc.boolean(),
  });
  const sent: fc.Arbitrary<Sent> = fc
    .tuple(value, fc.constantFrom(undefined, 1), framing)
    .map(([value, indent, framing]) => ({ text: JSON.stringify(value, null, indent), value, framing }));
  const newline = fc.constantFrom("\n", "\r\n", "\r");

  function framed({ text, framing: { event, id, comment } }: Sent): string[] {
    return [
      ...(comment ? [": comment"] : []),
      ...(event === null ? [] : [`event: ${event}`]),
      ...(id === null ? [] : [`id:${id}`]),
      ...text.split("\n").map((line) => `data: ${line}`),
      "",
    ];
  }
  /** The same by way of values: figures are those of all choices until then, and of events that only close one the last is left. */
  function told(events: readonly Sent[], usage: boolean) {
    const total = (all: readonly Figures[]) => ({
      prompt_tokens: Math.max(...all.map(({ prompt_tokens }) => prompt_tokens)),
      completion_tokens: all.reduce((sum, { completion_tokens }) => sum + completion_tokens, 0),
    });
    const riding = new Map<number, Figures>();
    const closed: Figures[] = [];
    const out: { event: string | null; id: string | null; value: unknown }[] = [];
    let last: (typeof out)[number] | undefined;
    for (const { value, framing } of events) {
      const { usage: figures, ...rest } = value as { usage?: Figures | null; choices?: { index: number }[] };
      const kept: Record<string, unknown> = usage && "usage" in value ? { ...rest, usage: figures } : rest;
      if ("model" in kept) kept.model = "heartcode-sfw";
      const isClosing = figures && rest.choices?.length === 0;
      if (figures && isClosing) closed.push(figures);
      else if (figures) riding.set(rest.choices?.[0]?.index ?? 0, figures);
      if (usage && figures) kept.usage = total(closed.length > 0 ? closed : [...riding.values()]);
      const { event, id } = framing;
      const one = { event, id, value: JSON.parse(JSON.stringify(kept)) as unknown };
      if (!isClosing) out.push(one);
      else if (usage) last = one;
    }
    return last === undefined ? out : [...out, last];
  }
  function read(body: string) {
    return body
      .split("\n\n")
      .slice(0, -1)
      .map((block) => {
        const lines = block.split("\n");
        const field = (name: string) =>
          lines.filter((line) => line.startsWith(name)).map((line) => line.slice(name.length));
        return { event: field("event: ")[0] ?? null, id: field("id: ")[0] ?? null, data: field("data: ").join("\n") };
      });
  }

  test("comes out as its values say, however it is framed and cut", () => {
    fc.assert(
      fc.property(fc.array(sent, { maxLength: 6 }), newline, fc.boolean(), cuts, (events, end, usage, fractions) => {
        const source = [...events.flatMap(framed), "data: [DONE]", "", ""].join(end);
        const options = usage ? shown : hidden;
        const result = rewritten(cutAt(text.encode(source), fractions), options);
        expect(result).toEqual(whole(source, options));
        expect(result.outcome).toBe("complete");
        const blocks = read(result.body);
        expect(blocks.pop()).toEqual({ event: null, id: null, data: "[DONE]" });
        expect(blocks.map(({ data, ...rest }) => ({ ...rest, value: JSON.parse(data) as unknown }))).toEqual(
          told(events, usage),
        );
      }),
      { numRuns: 300 },
    );
  });

  test("never throws, and ends in an event of its own unless the engine ended it", () => {
    const letters = fc.array(
      fc.constantFrom(
        "data: ",
        "data:",
        "event: error",
        "{",
        "}",
        '"',
        ":",
        ",",
        "\n",
        "\r",
        "\n\n",
        "[DONE]",
        "\\",
        '"usage"',
        '"choices":[',
        "]",
        "null",
        "é",
        "\0",
      ),
    );
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      letters.map((parts) => text.encode(parts.join(""))),
      letters.map((parts) => text.encode(`data: {"choices":[${parts.join("")}}\n\n`)),
    );
    fc.assert(
      fc.property(bytes, cuts, fc.boolean(), (bytes, fractions, usage) => {
        const { body, outcome, failure } = rewritten(cutAt(bytes, fractions), usage ? shown : hidden);
        const isError = body.split("\n\n").at(-2)?.startsWith('data: {"error":') ?? false;
        expect(isError).toBe(outcome !== "complete");
        expect(failure !== null).toBe(outcome !== "complete");
        expect(body.includes("data: [DONE]\n\n")).toBe(outcome === "complete");
      }),
      { numRuns: 1_000 },
    );
  });

  const endless: [name: string, start: string, filler: string][] = [
    ["a line", "data: ", "x"],
    ["a string", 'data: {"a":"', "\\"],
    ["brackets", 'data: {"a":', "["],
    ["lines of one event", "", `data: ${"x".repeat(100)}\n`],
    ["a name", "event: ", "x"],
  ];
  test.each(endless)("fails on %s without an end, and takes nothing more", (_, start, filler) => {
    const rewriter = rewriteStream(hidden);
    let out = decoder.decode(rewriter.push(text.encode(start)));
    const chunk = text.encode(filler.repeat(Math.floor((64 * 1024) / filler.length)));
    for (let i = 0; i < 40; i++) out += decoder.decode(rewriter.push(chunk));
    expect(out).toBe(ANY_FAILURE);
    expect(rewriter.finish()).toMatchObject({ outcome: "failed", tail: new Uint8Array(0) });
  });

  test("takes no notice of a comment without an end", () => {
    const rewriter = rewriteStream(hidden);
    rewriter.push(text.encode(": "));
    for (let i = 0; i < 40; i++) expect(rewriter.push(text.encode("x".repeat(64 * 1024))).byteLength).toBe(0);
    expect(decoder.decode(rewriter.push(text.encode(`\n\n${data("[DONE]")}`)))).toBe(data("[DONE]"));
  });

  test("takes an event that is nested half a million deep", () => {
    const deep = `{"a":${"[".repeat(5e5)}${"]".repeat(5e5)},"usage":null}`;
    const kept = deep.replace(',"usage":null', "");
    expect(whole(data(deep, "[DONE]")).body).toBe(data(kept, "[DONE]"));
  });
});
