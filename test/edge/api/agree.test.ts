import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkAgreement } from "../../../edge/api/agree.ts";
import { checkShape, type ShapeLimits } from "../../../edge/api/scan.ts";
import type { JsonObject } from "../../../edge/api/schema.ts";
import { Failure } from "../../../shared/errors.ts";
import { objectText, valueText } from "../../connector/dialect/arbitraries.ts";

const LIMITS: ShapeLimits = { depth: 32, values: 100_000, nodes: 100_000 };

/** What is told of a text: null if all readers agree on it. */
function told(text: string): { param: string | undefined; message: string | undefined } | null {
  try {
    const nodes = checkShape(new TextEncoder().encode(text), LIMITS);
    checkAgreement(text, JSON.parse(text) as JsonObject, nodes);
    return null;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    expect(error.code).toBe("invalid_request");
    return { param: error.public.param, message: error.public.message };
  }
}

describe("a body", () => {
  const twice: readonly [text: string, param: string][] = [
    ['{"model":"a","model":"b"}', "model"],
    ['{"max_tokens":1,"x":2,"max_tokens":1}', "max_tokens"],
    ['{"x":{"y":[0,{"z":1,"z":2}]}}', "x.y.1.z"],
    ['{"x":["{",",",{"a":"}"}],"y":{},"x":0}', "x"],
    ['{"__proto__":1,"__proto__":2}', "__proto__"],
    ['{"messages":[{"role":"user","content":"a","content":"b"}]}', "messages.0.content"],
    ['{"":1 , "" : 2}', ""],
    ['{"\\u00e9":1,"é":2}', "é"],
    ['{"a\\"b":1,"a\\u0022b":2}', 'a"b'],
    [`{"a"${" ".repeat(200)}:1,"a":2}`, "a"],
  ];
  test.each(twice)("that gives a member twice is refused: %s", (text, param) => {
    expect(told(text)).toMatchObject({ param, message: expect.stringContaining("once") });
  });

  const odd: readonly [text: string, param: string][] = [
    ['{"seed":1e400}', "seed"],
    ['{"x":[0,{"y":-1e999}]}', "x.1.y"],
    ['{"x":"\\ud800"}', "x"],
    ['{"x":["\\ud83d\\ude00","\\uDE00\\ud83d"]}', "x.1"],
    ['{"a":{"\\udfff":1}}', "a.\ufffd"],
  ];
  test.each(odd)("with a value that engines read differently is refused: %s", (text, param) => {
    expect(told(text)).toMatchObject({ param });
  });

  test.each([
    "{}",
    '{"a":{"b":1},"b":{"b":1}}',
    '{"__proto__":{"a":1},"constructor":{"prototype":{}},"toString":0}',
    '{"x":[1e308,-0,9007199254740993,0.1e-400],"y":"\\\\ud800 \\ud83d\\ude00"}',
    '{"a":1,"\\"a\\"":2,"a ":3,"A":4}',
    '{"<":1,"\\u003e":2,"\\u00fc":3,"\\/":4}',
  ])("that all read alike is accepted: %s", (text) => expect(told(text)).toBeNull());

  const disguises = [
    '{"mode\\u006c":1}',
    '{"x":{"\\u0075rl":"http://x"}}',
    '{"max\\u005Ftokens":1}',
    '{"\\u0030" : 1}',
  ];
  test.each(disguises)("that writes letters of a name as escapes is refused: %s", (text) => {
    expect(told(text)?.message).toContain("escapes");
  });

  test("whose names some parsers mistake for each other is refused, in the same text and in a later one", () => {
    expect(told('{"q":1,"\\\\u006dax_t":1}')).toBeNull();
    expect(told('{"q":1,"\\u006dax_tokens":1000}')?.message).toContain("escapes");
  });

  test("that is all colons costs no more than its length", () => {
    const text = `{"${"a".repeat(4_000_000)}"${":".repeat(90_000)}`;
    expect(checkShape(new TextEncoder().encode(text), LIMITS)).toBe(90_001);
  });

  test("is refused exactly if a reader by another road finds a name twice", () => {
    const seen = { refused: 0, accepted: 0 };
    const name = fc.constantFrom('"a"', '"b"', '"c"', '"url"', '"__proto__"', '"ü"', '"\\u00fc"', '"a b"');
    const inner = objectText(name, valueText, 5);
    fc.assert(
      fc.property(objectText(name, fc.oneof(valueText, inner, inner), 4), (text) => {
        const answer = told(text);
        if (answer?.message?.includes("escapes") || answer?.message?.includes("surrogate")) return;
        expect(answer !== null).toBe(hasDouble(text));
        if (answer === null) seen.accepted += 1;
        else seen.refused += 1;
      }),
      { numRuns: 2_000 },
    );
    expect(seen.refused).toBeGreaterThan(50);
    expect(seen.accepted).toBeGreaterThan(50);
  });
});

/** By recursive descent, each name decoded by itself. */
function hasDouble(text: string): boolean {
  let i = 0;
  let found = false;
  const skip = () => {
    while (" \t\n\r".includes(text[i]!)) i += 1;
  };
  const string = (): string => {
    const start = i;
    for (i += 1; text[i] !== '"'; i += 1) if (text[i] === "\\") i += 1;
    i += 1;
    return JSON.parse(text.slice(start, i)) as string;
  };
  const value = (): void => {
    skip();
    const opening = text[i];
    if (opening === '"') return void string();
    if (opening !== "{" && opening !== "[") {
      while (i < text.length && !",]} \t\n\r".includes(text[i]!)) i += 1;
      return;
    }
    const names = new Set<string>();
    i += 1;
    skip();
    while (text[i] !== "}" && text[i] !== "]") {
      if (text[i] === ",") i += 1;
      skip();
      if (opening === "{") {
        const name = string();
        found ||= names.has(name);
        names.add(name);
        skip();
        i += 1;
      }
      value();
      skip();
    }
    i += 1;
  };
  value();
  return found;
}
