import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ENGINE_CONTROLS, isEngineControl } from "../../../connector/dialect/controls.ts";
import { NotJson } from "../../../connector/dialect/json.ts";
import { type EngineWish, engineRequest } from "../../../connector/dialect/request.ts";
import { anyObjectText } from "./arbitraries.ts";

const text = new TextEncoder();
const decoder = new TextDecoder();
const rewritten = (source: string, want: EngineWish) => decoder.decode(engineRequest(text.encode(source), want));

/** A value as one text, whatever the order of its keys; `__proto__` is a key like any other. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? { "": Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)) }
      : part,
  );
}
const fromEntries = (entries: Map<string, unknown>): object => {
  const object: object = {};
  for (const [key, value] of entries) {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  }
  return object;
};

/** The same by way of values: what the splicing must come to. */
function expected(source: string, want: EngineWish): object {
  const given = new Map<string, unknown>(Object.entries(JSON.parse(source) as object));
  for (const key of [...given.keys()]) if (isEngineControl(key)) given.delete(key);
  given.set("model", want.model);
  const without = (value: object, ...keys: string[]) =>
    new Map(Object.entries(value).filter(([key]) => !keys.includes(key)));
  const isObject = (value: unknown): value is object =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  if (want.stream) {
    const options = given.get("stream_options");
    const kept = isObject(options) ? without(options, "include_usage") : new Map<string, unknown>();
    given.set("stream_options", fromEntries(kept.set("include_usage", true)));
  }
  const says = (key: string) => (given.get(key) ?? null) !== null;
  if (want.maxTokens !== undefined && !says("max_tokens") && !says("max_completion_tokens")) {
    given.set("max_tokens", want.maxTokens);
  }
  const template = given.get("chat_template_kwargs");
  if (isObject(template)) {
    given.set("chat_template_kwargs", fromEntries(without(template, "chat_template", "tokenize")));
  }
  return fromEntries(given);
}

const wish: fc.Arbitrary<EngineWish> = fc
  .record(
    { model: fc.string({ unit: "binary" }), stream: fc.boolean(), maxTokens: fc.nat() },
    { requiredKeys: ["model", "stream"] },
  )
  .map((want) => want as EngineWish);

describe("a request on its way to an engine", () => {
  const object = anyObjectText(
    "model",
    "stream",
    "stream_options",
    "include_usage",
    "max_tokens",
    "max_completion_tokens",
    "chat_template_kwargs",
    "tokenize",
    "__proto__",
    "n_predict",
    "id_slot",
    "speculative.n_max",
    "constructor",
  );
  test("means the same as the client's, but for what the engine must see differently", () => {
    fc.assert(
      fc.property(object, wish, (source, want) => {
        expect(canonical(JSON.parse(rewritten(source, want)))).toBe(canonical(expected(source, want)));
      }),
      { numRuns: 1_000 },
    );
  });

  const rows: [name: string, source: string, want: EngineWish, result: string][] = [
    [
      "keeps bytes and spaces of the rest",
      '{ "model" : "a", "x":\t[1.0, 1e2,"\\u00e9"] }',
      { model: "b", stream: false },
      '{ "model" : "b", "x":\t[1.0, 1e2,"\\u00e9"] }',
    ],
    ["names the model where the client named none", '{"x":1}', { model: "b", stream: false }, '{"x":1,"model":"b"}'],
    [
      "asks for usage",
      '{"model":"a"}',
      { model: "b", stream: true },
      '{"model":"b","stream_options":{"include_usage":true}}',
    ],
    [
      "overrules a refusal of usage",
      '{"model":"a","stream_options":{"x":1,"include_usage":false}}',
      { model: "b", stream: true },
      '{"model":"b","stream_options":{"x":1,"include_usage":true}}',
    ],
    [
      "keeps what only the top level may not hold",
      '{"model":"a","stream_options":{"verbose":1,"continuous_usage_stats":true}}',
      { model: "b", stream: true },
      '{"model":"b","stream_options":{"verbose":1,"continuous_usage_stats":true,"include_usage":true}}',
    ],
    [
      "replaces options that are none",
      '{"model":"a","stream_options":null}',
      { model: "b", stream: true },
      '{"model":"b","stream_options":{"include_usage":true}}',
    ],
    [
      "leaves options of an answer in one piece alone",
      '{"model":"a","stream_options":{}}',
      { model: "b", stream: false },
      '{"model":"b","stream_options":{}}',
    ],
    [
      "sets a limit where there is none",
      '{"model":"a"}',
      { model: "b", stream: false, maxTokens: 7 },
      '{"model":"b","max_tokens":7}',
    ],
    [
      "sets a limit where it is null",
      '{"max_tokens":null,"model":"a"}',
      { model: "b", stream: false, maxTokens: 7 },
      '{"max_tokens":7,"model":"b"}',
    ],
    [
      "leaves the client's limit",
      '{"max_tokens":9,"model":"a"}',
      { model: "b", stream: false, maxTokens: 7 },
      '{"max_tokens":9,"model":"b"}',
    ],
    [
      "leaves the client's limit by its other name",
      '{"max_completion_tokens":9,"model":"a"}',
      { model: "b", stream: false, maxTokens: 7 },
      '{"max_completion_tokens":9,"model":"b"}',
    ],
    [
      "lets the last of two limits count",
      '{"max_tokens":9,"max_tokens":null,"model":"a"}',
      { model: "b", stream: false, maxTokens: 7 },
      '{"max_tokens":7,"model":"b"}',
    ],
    [
      "drops earlier doubles",
      '{"model":"x","n":9,"model":"a","n":1}',
      { model: "b", stream: false },
      '{"model":"b","n":1}',
    ],
    [
      "sees through escapes in keys",
      '{"\\u006eodel":1,"mode\\u006c":"a","n_predic\\u0074":-1}',
      { model: "b", stream: false },
      '{"\\u006eodel":1,"mode\\u006c":"b"}',
    ],
    [
      "cuts programs out of template arguments",
      '{"chat_template_kwargs":{"chat_template":"{{x}}","enable_thinking":false},"model":"a"}',
      { model: "b", stream: false },
      '{"chat_template_kwargs":{"enable_thinking":false},"model":"b"}',
    ],
    [
      "keeps what only looks dangerous further down",
      '{"model":"a","metadata":{"id_slot":1}}',
      { model: "b", stream: false },
      '{"model":"b","metadata":{"id_slot":1}}',
    ],
  ];
  test.each(rows)("%s", (_, source, want, result) => {
    expect(rewritten(source, want)).toBe(result);
  });

  test.each([...Object.keys(ENGINE_CONTROLS), "speculative.n_max", "speculative.type"])("does not carry %s", (key) => {
    expect(rewritten(`{"${key}":1,"model":"a","seed":1}`, { model: "b", stream: false })).toBe(
      '{"model":"b","seed":1}',
    );
  });

  test.each([
    "model",
    "messages",
    "n",
    "max_tokens",
    "grammar",
    "top_k",
    "min_p",
    "response_format",
    "toString",
    "__proto__",
  ])("takes %s for no control", (key) => expect(isEngineControl(key)).toBe(false));

  test("is refused if it is not one object", () => {
    for (const source of ["[]", "", "{", '{"model":"a"}{}', "null"]) {
      expect(() => rewritten(source, { model: "b", stream: false })).toThrow(NotJson);
    }
  });

  test("leaves the client's bytes as they were", () => {
    const body = text.encode('{"model":"a","id_slot":1,"messages":[]}');
    const before = body.slice();
    engineRequest(body, { model: "b", stream: true, maxTokens: 1 });
    expect(body).toEqual(before);
  });
});
