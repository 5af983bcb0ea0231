import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkShape, type ShapeLimits } from "../../../edge/api/scan.ts";
import { Failure } from "../../../shared/errors.ts";

const ample: ShapeLimits = { depth: 1e9, values: 1e9, nodes: 1e9 };
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What the failure says, or null where none is thrown. */
function refusalOf(text: string, limits: ShapeLimits): string | null {
  try {
    checkShape(encode(text), limits);
    return null;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    expect(error.code).toBe("invalid_request");
    return error.message;
  }
}

/** The same count, off the value itself. */
function shapeOf(value: unknown): ShapeLimits {
  if (typeof value !== "object" || value === null) return { depth: 0, values: 0, nodes: 0 };
  const children: unknown[] = Object.values(value);
  const below = children.map(shapeOf);
  const sum = (name: "values" | "nodes") => below.reduce((total, shape) => total + shape[name], 0);
  return {
    depth: 1 + Math.max(0, ...below.map((shape) => shape.depth)),
    values: 1 + Math.max(0, children.length - 1) + sum("values"),
    nodes: 1 + (Array.isArray(value) ? 0 : children.length) + sum("nodes"),
  };
}

const WORDS = { depth: "levels deep", values: "values", nodes: "objects, arrays and members" } as const;

describe("checkShape", () => {
  // Strings that look like structure, short and long, with runs of backslashes before quotes.
  const tricky = fc.array(fc.constantFrom("\\", '"', "{", "[", ",", ":", "]", "}", "a", "é", "\n"), { maxLength: 120 });
  const text = tricky.map((letters) => letters.join(""));
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.oneof(text, fc.integer(), fc.double(), fc.boolean(), fc.constant(null)),
      fc.array(tie("value"), { maxLength: 6 }),
      fc.dictionary(text, tie("value"), { maxKeys: 6 }),
    ),
  }));
  const written = fc.tuple(value, fc.constantFrom("", " ", "\t", "  "));

  test("counts what a walk over the value counts", () => {
    fc.assert(
      fc.property(written, ([any, indent]) => {
        const json = JSON.stringify(any, null, indent);
        const shape = shapeOf(JSON.parse(json));
        expect(refusalOf(json, shape)).toBeNull();
        for (const name of ["depth", "values", "nodes"] as const) {
          if (shape[name] === 0) continue;
          expect(refusalOf(json, { ...ample, [name]: shape[name] - 1 })).toContain(WORDS[name]);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("counts no less in a text that breaks off than a parser has built by then", () => {
    fc.assert(
      fc.property(written, fc.nat(), ([any, indent], at) => {
        const json = JSON.stringify(any, null, indent);
        const cut = at % (json.length + 1);
        const whole = shapeOf(JSON.parse(json));
        expect(refusalOf(json.slice(0, cut), whole)).toBeNull();
        expect(refusalOf(`${json}]]]}}}`, whole)).toBeNull();
        // Whatever else follows a complete value, none of it takes back what was counted.
        if (whole.nodes > 0) expect(refusalOf(`${json}]]]]{`, { ...ample, nodes: whole.nodes })).toContain("members");
      }),
    );
  });

  test("finds the end of a string of any length after any number of backslashes", () => {
    for (let length = 0; length < 100; length++) {
      for (const tail of ["", "\\", '"', "\\\\", '\\"', '""', '"a', '\\\\"', '"\\', "\\\\\\"]) {
        const json = JSON.stringify(["a".repeat(length) + tail, [","]]);
        expect([json, refusalOf(json, { depth: 2, values: 3, nodes: 2 })]).toEqual([json, null]);
        expect([json, refusalOf(json, { depth: 1, values: 3, nodes: 2 })]).not.toEqual([json, null]);
      }
    }
  });

  test("takes arbitrary bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(() => checkShape(bytes, ample)).not.toThrow();
      }),
    );
  });

  const rows: readonly [name: string, text: string, limits: Partial<ShapeLimits>, says: string | null][] = [
    ["depth at the limit", "[[[]]]", { depth: 3 }, null],
    ["depth over the limit", "[[[[]]]]", { depth: 3 }, "The request body is nested more than 3 levels deep."],
    ["siblings are not depth", "[[],[],[],[]]", { depth: 2 }, null],
    ["brackets in strings are not depth", '["[[[[[[", "{{{{\\"{{"]', { depth: 1 }, null],
    ["an escaped quote far into a string", `["${"a".repeat(100)}\\"[[[["]`, { depth: 1 }, null],
    ["an escaped backslash ends no string", `["${"a".repeat(100)}\\\\",[[[]]]]`, { depth: 3 }, "levels deep"],
    ["values over the limit", "[1,2,3]", { values: 2 }, "The request body holds more than 2 values."],
    ["values at the limit", "[1,2,3]", { values: 3 }, null],
    ["empty containers are values", "[{},{}]", { values: 3 }, "more than 3 values"],
    ["members over the limit", '{"a":1,"b":2}', { nodes: 2 }, "more than 2 objects, arrays and members."],
    ["numbers in an array are no nodes", "[1,2,3,4]", { nodes: 1 }, null],
    ["a string that does not end", '["[[[[[', { depth: 1 }, null],
    ["a string that ends in a backslash", '["a\\', { depth: 1 }, null],
    ["nothing", "", { depth: 0, values: 0, nodes: 0 }, null],
  ];
  test.each(rows)("%s", (_name, json, limits, says) => {
    const told = refusalOf(json, { ...ample, ...limits });
    if (says === null) expect(told).toBeNull();
    else expect(told).toContain(says);
  });

  test("stops at the limit and does not read on", () => {
    const bomb = new Uint8Array(1_000).fill("[".charCodeAt(0));
    let read = 0;
    const watched = new Proxy(bomb, {
      get: (target, name) => {
        if (typeof name === "string" && /^\d+$/.test(name)) read = Math.max(read, Number(name));
        return Reflect.get(target, name, target);
      },
    });
    expect(() => checkShape(watched, { ...ample, depth: 32 })).toThrow(Failure);
    expect(read).toBe(32);
  });
});
