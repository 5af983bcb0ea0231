import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rewritePlain } from "../../../connector/dialect/plain.ts";
import { anyObjectText, cutAt, cuts, singly } from "./arbitraries.ts";
import { captured } from "./captures.ts";

const scrub = (said: string) => said;
const text = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

function rewritten(chunks: Iterable<Uint8Array>, model = "public") {
  const rewriter = rewritePlain({ model, scrub });
  const out: Uint8Array[] = [];
  for (const chunk of chunks) out.push(rewriter.push(chunk));
  const { tail, outcome, failure } = rewriter.finish();
  return { body: decoder.decode(Buffer.concat([...out, tail])), outcome, failure, usage: rewriter.usage() };
}
const whole = (source: string) => rewritten([text.encode(source)]);

describe("an answer in one piece", () => {
  const captures: [name: string, prompt: number, completion: number][] = [
    ["chat", 43, 6],
    ["completion", 11, 4],
    ["embeddings", 6, 0],
    ["embeddings-base64", 2, 0],
  ];
  test.each(captures)("of llama.cpp (%s) passes but for the model, and tells its usage", (name, prompt, completion) => {
    const { body } = captured(name);
    const expected = decoder.decode(body).replace(/"model":"heartcode-[a-z-]+"/, '"model":"public"');
    expect(expected).not.toBe(decoder.decode(body));
    for (const chunks of [[body], singly(body)]) {
      expect(rewritten(chunks)).toEqual({
        body: expected,
        outcome: "complete",
        failure: null,
        usage: { prompt_tokens: prompt, completion_tokens: completion, source: "engine" },
      });
    }
  });

  test("comes out the same however it is cut, whatever it holds", () => {
    fc.assert(
      fc.property(anyObjectText("model", "usage", "timings", "data"), cuts, (source, fractions) => {
        const body = text.encode(source);
        const result = rewritten(cutAt(body, fractions));
        expect(result).toEqual(whole(source));
        expect(result).toEqual(rewritten(singly(body)));
        expect(result.outcome).toBe("complete");
        const given = JSON.parse(source) as object;
        const told = JSON.parse(result.body) as object;
        expect(Object.keys(told)).toEqual(Object.keys(given));
        for (const key of Object.keys(given)) {
          const value: unknown = Object.getOwnPropertyDescriptor(told, key)?.value;
          const before: unknown = Object.getOwnPropertyDescriptor(given, key)?.value;
          expect(JSON.stringify(value)).toBe(JSON.stringify(key === "model" ? "public" : before));
        }
      }),
      { numRuns: 500 },
    );
  });

  const rows: [name: string, source: string, body: string][] = [
    ["replaces a model that is no string", '{"model": {"a":[1]} ,"x":1}', '{"model": "public" ,"x":1}'],
    ["replaces a model that is null", '{"model":null}', '{"model":"public"}'],
    ["replaces every model of the top level", '{"model":"a","model" : "b"}', '{"model":"public","model" : "public"}'],
    ["replaces a model whose key is escaped", '{"\\u006dodel":"a"}', '{"\\u006dodel":"public"}'],
    ["leaves models further down", '{"a":{"model":"b"},"c":["model"]}', '{"a":{"model":"b"},"c":["model"]}'],
    ["leaves a value that is called model", '{"a":"model","b":1}', '{"a":"model","b":1}'],
    [
      "leaves the value of a key that is too long to be known",
      `{"model":"a","${"k".repeat(5000)}":"b"}`,
      `{"model":"public","${"k".repeat(5000)}":"b"}`,
    ],
    ["adds no model", " {} \n", " {} \n"],
  ];
  test.each(rows)("%s", (_, source, body) => {
    expect(whole(source)).toMatchObject({ body, outcome: "complete" });
  });

  const figures: [name: string, source: string, usage: [number, number] | null][] = [
    ["nothing where the engine says nothing", '{"a":1}', null],
    ["nothing of usage that is null", '{"usage":null}', null],
    ["nothing of usage that is no count", '{"usage":{"prompt_tokens":-1,"completion_tokens":"9"}}', null],
    [
      "what is a count of usage that is none otherwise",
      '{"usage":{"prompt_tokens":2e12,"completion_tokens":5}}',
      [0, 5],
    ],
    ["none as a count", '{"usage":{"prompt_tokens":0,"completion_tokens":0}}', [0, 0]],
    ["nothing of timings that say half", '{"timings":{"prompt_n":9}}', null],
    ["no more than the wire can carry", '{"timings":{"cache_n":1e12,"prompt_n":1e12,"predicted_n":4}}', [1e12, 4]],
    ["nothing of usage further down", '{"a":{"usage":{"prompt_tokens":1}}}', null],
    ["the last of two", '{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2}}', [2, 0]],
    ["the last that is one", '{"usage":{"prompt_tokens":1},"usage":null}', [1, 0]],
    ["no completion as none", '{"usage":{"prompt_tokens":3,"total_tokens":3}}', [3, 0]],
    ["timings where usage is missing", '{"timings":{"cache_n":2,"prompt_n":9,"predicted_n":4}}', [11, 4]],
    [
      "usage before timings",
      '{"usage":{"prompt_tokens":1,"completion_tokens":2},"timings":{"prompt_n":9,"predicted_n":4}}',
      [1, 2],
    ],
    ["nothing of usage that is beyond all measure", `{"usage":{"prompt_tokens":1,"x":"${"y".repeat(9999)}"}}`, null],
  ];
  test.each(figures)("reads %s", (_, source, usage) => {
    const expected = usage && { prompt_tokens: usage[0], completion_tokens: usage[1], source: "engine" };
    expect(rewritten(singly(text.encode(source))).usage).toEqual(expected);
    expect(whole(source).usage).toEqual(expected);
  });

  test("tells usage as soon as it is there", () => {
    const rewriter = rewritePlain({ model: "m", scrub });
    rewriter.push(text.encode('{"usage":{"prompt_tokens":6,"total_tokens":6'));
    expect(rewriter.usage()).toBeNull();
    rewriter.push(text.encode("}"));
    expect(rewriter.usage()).toEqual({ prompt_tokens: 6, completion_tokens: 0, source: "engine" });
  });

  const cutShort = ["", "  ", "{", '{"a"', '{"a":', '{"a":1', '{"a":"', '{"a":[1,2'];
  test.each(cutShort)("passes %j, the beginning of an answer, and calls it truncated", (source) => {
    const expected = { body: source, outcome: "truncated", failure: { code: "upstream_error" }, usage: null };
    expect(whole(source)).toMatchObject(expected);
    expect(rewritten(singly(text.encode(source)))).toMatchObject(expected);
  });

  const noAnswer: [source: string, passes: string][] = [
    ["[]", ""],
    ["null", ""],
    ["oops", ""],
    ["<html>nginx at 10.0.0.3</html>", ""],
    ["  <html></html>", "  "],
    ["{a:1}", "{"],
    ['{"a":1,}', '{"a":1,'],
    ['{"a" 1}', '{"a" '],
    ['{"a":}', '{"a":'],
    ['{"a":1}}', '{"a":1}'],
    ['{"a":1} internal.host', '{"a":1} '],
  ];
  test.each(noAnswer)("of %j passes no more than could begin an answer, and is truncated", (source, passes) => {
    const expected = { body: passes, outcome: "truncated", failure: { code: "upstream_error" }, usage: null };
    expect(whole(source)).toMatchObject(expected);
    expect(rewritten(singly(text.encode(source)))).toMatchObject(expected);
  });

  test.each(['{"a":tru}', '{"a":1.}', '{"\\x":1}'])("of %j the wrong value ends it", (source) => {
    const { body, outcome } = whole(`${source} internal.host`);
    expect([source.startsWith(body), outcome]).toEqual([true, "truncated"]);
  });

  test("is truncated wherever it breaks off", () => {
    const { body } = captured("chat");
    for (let end = 0; end < body.length; end++) {
      expect(rewritten([body.subarray(0, end)]).outcome).toBe("truncated");
    }
  });

  test("keeps its name to itself even if it breaks off in the model", () => {
    expect(whole('{"model":"heartcode-chat-sf')).toMatchObject({ body: '{"model":"public"', outcome: "truncated" });
  });

  test("never throws, and passes of what is no answer a beginning at most", () => {
    const noModel = fc.uint8Array({ maxLength: 300 }).filter((bytes) => !decoder.decode(bytes).includes("model"));
    fc.assert(
      fc.property(noModel, cuts, (bytes, fractions) => {
        const rewriter = rewritePlain({ model: "m", scrub });
        const out = cutAt(bytes, fractions).map((chunk) => rewriter.push(chunk));
        const passed = Buffer.concat([...out, rewriter.finish().tail]);
        expect(passed).toEqual(Buffer.from(bytes.subarray(0, passed.byteLength)));
      }),
    );
  });

  const hostile: [name: string, start: string, filler: string][] = [
    ["a string without an end", '{"a":"', "x"],
    ["backslashes without an end", '{"a":"', "\\"],
    ["a key without an end", '{"', "k"],
    ["brackets without an end", '{"a":', "["],
    ["a number without an end", '{"a":', "1"],
    ["usage without an end", '{"usage":{"a":"', "x"],
    ["space without an end", "{", " "],
  ];
  test.each(hostile)("passes %s as it comes, copying nothing", (_, start, filler) => {
    const rewriter = rewritePlain({ model: "m", scrub });
    rewriter.push(text.encode(start));
    const chunk = text.encode(filler.repeat(64 * 1024));
    for (let i = 0; i < 64; i++) expect(rewriter.push(chunk)).toBe(chunk);
    expect(rewriter.finish().outcome).toBe("truncated");
    expect(rewriter.usage()).toBeNull();
  });

  test("swallows a model without an end", () => {
    const rewriter = rewritePlain({ model: "m", scrub });
    expect(decoder.decode(rewriter.push(text.encode('{"model":"')))).toBe('{"model":"m"');
    const chunk = text.encode("x".repeat(64 * 1024));
    for (let i = 0; i < 16; i++) expect(rewriter.push(chunk).byteLength).toBe(0);
  });
});
