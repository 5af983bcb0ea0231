import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { elements, findElement, members, valueAt } from "../../../connector/dialect/items.ts";
import { NotJson } from "../../../connector/dialect/json.ts";
import { anyArrayText, anyObjectText } from "./arbitraries.ts";

const text = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const of = (bytes: Uint8Array, { start, end }: { start: number; end: number }) =>
  decoder.decode(bytes.subarray(start, end));

describe("members", () => {
  test("names every key and every value of any object, in order", () => {
    fc.assert(
      fc.property(anyObjectText("model", "__proto__", "a"), (source) => {
        const body = text.encode(source);
        const found = members(body);
        // Doubles made apart, JSON.parse sees as many members as there are.
        let rebuilt = "";
        for (const [i, { name, value }] of found.entries()) {
          rebuilt += `${i === 0 ? "" : ","}[${of(body, name)},${of(body, value)}]`;
        }
        const pairs = JSON.parse(`[${rebuilt}]`) as [string, unknown][];
        expect(found.map(({ key }) => key)).toEqual(pairs.map(([key]) => key));
        const last = new Map(pairs);
        const whole = JSON.parse(source) as object;
        expect([...last.keys()].sort()).toEqual(Object.keys(whole).sort());
        for (const [key, value] of last) {
          expect(JSON.stringify(value)).toBe(JSON.stringify(Object.getOwnPropertyDescriptor(whole, key)?.value));
        }
      }),
      { numRuns: 500 },
    );
  });

  const refused = [
    "",
    "  ",
    "null",
    "[]",
    '"a"',
    "{",
    "}",
    "{}}",
    "{} {}",
    "{},",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{,"a":1}',
    '{"a":1 "b":2}',
    '{"a" 1}',
    "{a:1}",
    "{'a':1}",
    '{"a":tru}',
    '{"a":01}',
    '{"a":1.}',
    '{"a":+1}',
    '{"a":-}',
    '{"a":NaN}',
    '{"a":1-2}',
    '{"a":"b}',
    '{"a":"b\\"}',
    '{"a":[1}',
    '{"a":{"b":1}',
    '{"\\u00":1}',
    '{"\\x":1}',
    '{"a\nb":1}',
    '\ufeff{"a":1}',
    '{"a":1}\u0000',
  ];
  test.each(refused)("refuses %j", (source) => {
    expect(() => members(text.encode(source))).toThrow(NotJson);
  });

  test("refuses every beginning of an object that is not all of it", () => {
    fc.assert(
      fc.property(anyObjectText("a"), fc.nat(), (source, at) => {
        const body = text.encode(source.trimEnd());
        expect(() => members(body.subarray(0, at % body.length))).toThrow(NotJson);
      }),
    );
  });

  test("throws nothing but NotJson, whatever the bytes", () => {
    const jsonish = fc.array(fc.constantFrom(...'{}[]",:\\ \n0ate-.'.split("")), { maxLength: 60 });
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      jsonish.map((letters) => text.encode(letters.join(""))),
      jsonish.map((letters) => text.encode(`{"a":${letters.join("")}`)),
    );
    fc.assert(
      fc.property(bytes, (body) => {
        try {
          members(body);
        } catch (error) {
          expect(error).toBeInstanceOf(NotJson);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("steps over what is nested a million deep", () => {
    const deep = `{"a":${"[".repeat(1e6)}${"]".repeat(1e6)},"b":1}`;
    expect(members(text.encode(deep)).map(({ key }) => key)).toEqual(["a", "b"]);
    expect(() => members(text.encode(`{"a":${"[".repeat(1e6)}`))).toThrow(NotJson);
  });

  test("reads a long key and a long string with escapes all over", () => {
    const key = '"\\é'.repeat(100);
    const value = '\\"'.repeat(1000) + "x".repeat(500) + "\\".repeat(333);
    const body = text.encode(JSON.stringify({ [key]: value, b: 1 }));
    const [first, second] = members(body);
    expect(first?.key).toBe(key);
    expect(JSON.parse(of(body, first!.value))).toBe(value);
    expect(second?.key).toBe("b");
  });
});

describe("elements", () => {
  test("spans every element of any array", () => {
    fc.assert(
      fc.property(anyArrayText, (source) => {
        const body = text.encode(`{"input": ${source} }`);
        const [input] = members(body);
        const found = elements(body, input!.value).map((span) => JSON.stringify(JSON.parse(of(body, span))));
        expect(found).toEqual((JSON.parse(source) as unknown[]).map((element) => JSON.stringify(element)));
      }),
    );
  });

  test.each(["{}", "1", '"a"', "[1,]", "[,1]", "[1 2]", "[1", "[foo]", "[1]]"])("refuses %j", (source) => {
    const body = text.encode(source);
    expect(() => elements(body, { start: 0, end: body.length })).toThrow(NotJson);
  });
});

describe("a look for one thing", () => {
  test("finds the first value of a key where the members are, or none", () => {
    fc.assert(
      fc.property(anyObjectText("model", "a"), fc.constantFrom("model", "a", "b"), (source, key) => {
        const body = text.encode(source);
        const first = members(body).find((member) => member.key === key);
        expect(valueAt(body, 0, key)).toBe(first?.value.start ?? null);
      }),
    );
  });

  test("finds the first element that is wanted, or none", () => {
    fc.assert(
      fc.property(anyArrayText, fc.nat({ max: 5 }), (source, wanted) => {
        const body = text.encode(source);
        const all = elements(body, { start: 0, end: body.length });
        let seen = 0;
        expect(findElement(body, 0, () => seen++ === wanted)).toEqual(all[wanted] ?? null);
      }),
    );
  });

  test("does not read on", () => {
    expect(valueAt(text.encode('{"a":1,"b":[2, and then anything'), 0, "b")).toBe(11);
    expect(findElement(text.encode("[1,2 and then anything"), 0, () => true)).toEqual({ start: 1, end: 2 });
  });
});
