import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { members } from "../../../connector/dialect/items.ts";
import { concat, splice } from "../../../connector/dialect/splice.ts";

const text = new TextEncoder();
const decoder = new TextDecoder();

function spliced(source: string, edits: Record<string, string | null>, added: Record<string, string> = {}): string {
  const body = text.encode(source);
  const news = Object.entries(added).map(([key, value]) => [key, text.encode(value)] as const);
  const parts = splice(
    body,
    members(body),
    ({ key }) => {
      const edit = edits[key];
      return typeof edit === "string" ? text.encode(edit) : edit;
    },
    news,
  );
  return decoder.decode(concat(parts));
}

describe("splice", () => {
  const rows: [source: string, edits: Record<string, string | null>, result: string][] = [
    ["{}", {}, "{}"],
    ['{"a":1}', {}, '{"a":1}'],
    ['{"a":1}', { a: "2" }, '{"a":2}'],
    ['{ "a" : 1 , "b" : 2 }', { b: '"x"' }, '{ "a" : 1 , "b" : "x" }'],
    ['{"a":1}', { a: null }, "{}"],
    ['{ "a":1 }', { a: null }, "{  }"],
    ['{"a":1,"b":2}', { a: null }, '{"b":2}'],
    ['{"a":1,"b":2}', { b: null }, '{"a":1}'],
    ['{"a":1, "b":2, "c":3}', { b: null }, '{"a":1, "c":3}'],
    ['{"a":1, "b":2, "c":3}', { a: null, b: null }, '{"c":3}'],
    ['{"a":1, "b":2, "c":3}', { b: null, c: null }, '{"a":1}'],
    ['{"a":1, "b":2, "c":3}', { a: null, c: null }, '{"b":2}'],
    ['{"a":1, "b":2, "c":3}', { a: null, b: null, c: null }, "{}"],
    ['{"a":1,"b":2,"c":3}', { a: "10", b: null, c: "30" }, '{"a":10,"c":30}'],
    ['{"a":1,"a":2,"b":3}', { a: null }, '{"b":3}'],
  ];
  test.each(rows)("of %s with %j is %s", (source, edits, result) => {
    expect(spliced(source, edits)).toBe(result);
  });

  const additions: [source: string, edits: Record<string, string | null>, result: string][] = [
    ["{}", {}, '{"x":1,"y\\"":2}'],
    ["{ }", {}, '{"x":1,"y\\"":2 }'],
    ['{"a":1 }', {}, '{"a":1,"x":1,"y\\"":2 }'],
    ['{"a":1}', { a: null }, '{"x":1,"y\\"":2}'],
    ['{"a":1,"b":2}', { b: null }, '{"a":1,"x":1,"y\\"":2}'],
    ['{"a":1,"b":2}', { b: "3" }, '{"a":1,"b":3,"x":1,"y\\"":2}'],
  ];
  test.each(additions)("adds members to %s with %j", (source, edits, result) => {
    expect(spliced(source, edits, { x: "1", 'y"': "2" })).toBe(result);
  });

  test("leaves an object without the members that were cut, whichever they are", () => {
    const keys = ["a", "b", "c", "d", "e"];
    fc.assert(
      fc.property(fc.shuffledSubarray(keys), fc.subarray(keys), (there, cut) => {
        const source = `{ ${there.map((key) => `"${key}" : "${key}"`).join(" , ")} }`;
        const result = JSON.parse(spliced(source, Object.fromEntries(cut.map((key) => [key, null]))));
        expect(Object.keys(result)).toEqual(there.filter((key) => !cut.includes(key)));
      }),
    );
  });
});
