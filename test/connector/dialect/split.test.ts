// A split request's merged answer is the answer to the whole request, whatever engine, cuts and inputs there are.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { splitInputs } from "../../../connector/dialect/split.ts";
import { cutAt, cuts, singly, valueText } from "./arbitraries.ts";
import { captured } from "./captures.ts";

const text = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** How an engine words its answers. */
interface Style {
  readonly base64: boolean;
  readonly usageFirst: boolean;
  readonly indexFirst: boolean;
  readonly space: string;
  /** Values of members that no contract names. */
  readonly extra: string;
}

/** What an engine answers to inputs, each of them as JSON. */
function answer(inputs: readonly string[], { base64, usageFirst, indexFirst, space, extra }: Style): string {
  const rows = inputs.map((input, index) => {
    const seed = [...input].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 9973, 7);
    const vector = base64 ? `"${btoa(`${seed}${input.length}`)}"` : `[${space}${seed}e-4,-0.0,1.50${space}]`;
    const members = [`"embedding"${space}:${vector}`, `"index":${space}${index}`, `"object":"embedding"`];
    if (indexFirst) members.reverse();
    return `{${members.join(`,${space}`)}${space}}`;
  });
  const tokens = inputs.reduce((sum, input) => sum + input.length, 0);
  const usage = `"usage"${space}:{"prompt_tokens":${tokens},"total_tokens":${tokens},"details":{"cached":${inputs.length},"x":null}}`;
  const data = `"data":${space}[${space}${rows.join(`${space},`)}${space}]`;
  const others = ['"object":"list"', '"model":"m"', `"extra":${extra}`];
  return `${space}{${(usageFirst ? [...others, usage, data] : [data, usage, ...others]).join(",")}}${space}`;
}

const style: fc.Arbitrary<Style> = fc.record({
  base64: fc.boolean(),
  usageFirst: fc.boolean(),
  indexFirst: fc.boolean(),
  space: fc.constantFrom("", "", " ", "\n\t"),
  extra: valueText,
});
const tokenArray = fc.array(fc.nat({ max: 200_000 }), { minLength: 1, maxLength: 30 });
const inputs = fc.oneof(
  fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 200 }),
  fc.array(fc.string({ unit: "binary", minLength: 1, maxLength: 1_000 }), { minLength: 1, maxLength: 60 }),
  fc.array(tokenArray, { minLength: 1, maxLength: 120 }),
);
const bodyOf = (input: unknown) =>
  text.encode(JSON.stringify({ model: "m", input, encoding_format: "float", user: "u" }));
const inputsOf = (body: Uint8Array): string[] => {
  const { input } = JSON.parse(decoder.decode(body)) as { input: unknown[] };
  return input.map((one) => JSON.stringify(one));
};

describe("the parts of a request", () => {
  test("hold all inputs once, in order, and everything else each", () => {
    fc.assert(
      fc.property(inputs, fc.integer({ min: 2, max: 9 }), (input, most) => {
        const split = splitInputs(bodyOf(input), most);
        if (split === null) return;
        expect(split.bodies.length).toBeLessThanOrEqual(most);
        const parts = split.bodies.map((body) => JSON.parse(decoder.decode(body)) as { input: unknown[] });
        for (const { input: some, ...rest } of parts) {
          expect(some.length).toBeGreaterThan(0);
          expect(rest).toEqual({ model: "m", encoding_format: "float", user: "u" });
        }
        expect(parts.flatMap((part) => part.input)).toEqual(input);
      }),
    );
  });

  test("are about as heavy as each other", () => {
    const texts = (count: number, letters: (i: number) => number) =>
      Array.from({ length: count }, (_, i) => "x".repeat(letters(i)));
    const sizes = (input: string[], most: number) =>
      splitInputs(bodyOf(input), most)?.bodies.map((body) => body.length);
    const counts = (input: string[], most: number) =>
      splitInputs(bodyOf(input), most)?.bodies.map((body) => inputsOf(body).length);
    expect(
      counts(
        texts(1_024, () => 40),
        8,
      ),
    ).toEqual(new Array(8).fill(128));
    expect(
      counts(
        texts(100, () => 40),
        3,
      ),
    ).toEqual([33, 34, 33]);
    // One document like twenty lines, at either end.
    const lines = sizes(
      texts(41, (i) => (i === 0 ? 20_000 : 1_000)),
      3,
    )!;
    expect(Math.max(...lines) / Math.min(...lines)).toBeLessThan(1.3);
    expect(
      counts(
        texts(2, () => 50_000),
        8,
      ),
    ).toEqual([1, 1]);
    expect(
      counts(
        texts(3, (i) => (i === 2 ? 90_000 : 1)),
        3,
      ),
    ).toEqual([1, 1, 1]);
  });

  const whole: [name: string, input: unknown][] = [
    ["one text, however long", "x".repeat(1e6)],
    ["one array of tokens, however long", Array.from({ length: 20_000 }, (_, i) => i)],
    ["one text in a list", ["x".repeat(1e6)]],
    ["a few short texts", Array.from({ length: 31 }, (_, i) => `text ${i}`)],
    ["no inputs", []],
    ["an object", { a: 1 }],
    ["null", null],
  ];
  test.each(whole)("are not made of %s", (_, input) => {
    expect(splitInputs(bodyOf(input), 8)).toBeNull();
  });

  test.each(["", "[]", "{", '{"input":[', '{"model":"m"}'])("are not made of %j", (body) => {
    expect(splitInputs(text.encode(body), 8)).toBeNull();
  });

  test("are never more than asked for", () => {
    expect(splitInputs(bodyOf(new Array(2_048).fill("text")), 1)).toBeNull();
    expect(splitInputs(bodyOf(new Array(2_048).fill("text")), 2)?.bodies).toHaveLength(2);
  });
});

/** The whole answer of an engine that gets the parts; the parts' chunks come in turns. */
function merged(body: Uint8Array, most: number, of: Style, fractions: readonly number[]): string | null {
  const split = splitInputs(body, most);
  if (split === null) return null;
  const { merge } = split;
  const out: Uint8Array[][] = split.bodies.map(() => []);
  const chunks = split.bodies.map((part) => cutAt(text.encode(answer(inputsOf(part), of)), fractions));
  for (let turn = 0; chunks.some((own) => turn < own.length); turn += 1) {
    // Last part first: the order in time is not the order in the answer.
    for (let part = chunks.length - 1; part >= 0; part -= 1) {
      const chunk = chunks[part]![turn];
      if (chunk === undefined) continue;
      const bytes = merge.push(part, chunk);
      expect(bytes).not.toBeNull();
      // A copy: what is pushed may be written over.
      out[part]!.push(Uint8Array.from(bytes!));
    }
  }
  for (const part of chunks.keys()) expect(merge.end(part)).toBe(true);
  return decoder.decode(Buffer.concat([...out.flat(), merge.tail()]));
}

describe("the merged answer", () => {
  test("is the answer to the whole request", () => {
    fc.assert(
      fc.property(inputs, fc.integer({ min: 2, max: 9 }), style, cuts, (input, most, of, fractions) => {
        const body = bodyOf(input);
        const told = merged(body, most, of, fractions);
        if (told === null) return;
        const whole = answer(inputsOf(body), of);
        expect(JSON.parse(told)).toEqual(JSON.parse(whole));
        // The vectors byte for byte: numbers as they were written, not as they are read.
        const vectors = (from: string) => from.match(/"embedding"\s*:\s*(?:"[^"]*"|\[[^\]]*\])/g);
        expect(vectors(told)).toEqual(vectors(whole));
      }),
      { numRuns: 300 },
    );
  });

  test.each(["embeddings", "embeddings-base64"])("of llama.cpp's own bytes (%s) holds them unchanged", (name) => {
    const { body } = captured(name);
    const row = /\{"embedding".*?"object":"embedding"[^}]*\}/;
    const of = decoder.decode(body);
    const one = row.exec(of)![0];
    const { merge, bodies } = splitInputs(bodyOf(new Array(32).fill("text")), 2)!;
    const rows = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => one.replace(/"index":\d+/, `"index":${from + i}`)).join(",");
    const data = (list: string) => of.replace(/"data":\[.*\]/, () => `"data":[${list}]`);
    const out: Uint8Array[] = [];
    for (const part of bodies.keys())
      for (const byte of singly(text.encode(data(rows(0, 16))))) out.push(merge.push(part, byte)!);
    const { usage } = JSON.parse(of) as { usage: { prompt_tokens: number; total_tokens: number } };
    const told = decoder.decode(Buffer.concat([...out, merge.tail()]));
    expect(told).toContain(`"data":[${rows(0, 32)}]`);
    expect(JSON.parse(told)).toMatchObject({
      object: "list",
      model: "heartcode-embed",
      usage: { prompt_tokens: 2 * usage.prompt_tokens, total_tokens: 2 * usage.total_tokens },
    });
  });

  test("tells no usage where a part tells none", () => {
    const { merge } = splitInputs(bodyOf(new Array(32).fill("t")), 2)!;
    const data = new Array(16).fill('{"index":0}').join(",");
    merge.push(0, text.encode(`{"data":[${data}],"usage":{"prompt_tokens":5}}`));
    merge.push(1, text.encode(`{"data":[${data}]}`));
    expect([merge.end(0), merge.end(1), decoder.decode(merge.tail())]).toEqual([true, true, "]}"]);
  });

  const rows = new Array(16).fill('{"index":0,"embedding":[]}');
  const wrong: [name: string, body: string][] = [
    ["one vector too few", `{"data":[${rows.slice(1)}]}`],
    ["one vector too many", `{"data":[${[...rows, rows[0]]}]}`],
    ["no data", '{"object":"list"}'],
    ["no vectors", '{"data":[]}'],
    ["data that is no list", '{"data":{}}'],
    ["data twice", `{"data":[${rows}],"data":[${rows}]}`],
    ["vectors that are no objects", `{"data":[${rows.map(() => "1")}]}`],
    ["an index beyond its inputs", `{"data":[${rows.with(3, '{"index":16}')}]}`],
    ["an index that is no number", `{"data":[${rows.with(3, '{"index":"1"}')}]}`],
    ["an index that is none", `{"data":[${rows.with(3, '{"index":-1}')}]}`],
    ["an error", '{"error":{"message":"no"}}'],
    ["a list", `[{"data":[${rows}]}]`],
    ["an end that is missing", `{"data":[${rows}]`],
    ["more than an answer", `{"data":[${rows}]}{}`],
    ["a trailing comma", `{"data":[${rows},]}`],
    ["nothing", ""],
    ["a page", "<html></html>"],
  ];
  test.each(wrong)("is not made of %s", (_, body) => {
    for (const chunks of [[text.encode(body)], singly(text.encode(body))]) {
      const { merge } = splitInputs(bodyOf(new Array(32).fill("t")), 2)!;
      const isRead = chunks.every((chunk) => merge.push(0, chunk) !== null);
      expect(isRead && merge.end(0)).toBe(false);
    }
  });

  test("passes vectors of any length as views, and holds none of their bytes", () => {
    const { merge } = splitInputs(bodyOf(new Array(32).fill("t")), 2)!;
    merge.push(0, text.encode('{"data":[{"embedding":['));
    const chunk = text.encode("0.123456789,".repeat(5_000));
    for (let i = 0; i < 200; i += 1) expect(merge.push(0, chunk)!.buffer).toBe(chunk.buffer);
  });

  test("swallows other members of any length, and tells those that are short", () => {
    const { merge } = splitInputs(bodyOf(new Array(32).fill("t")), 2)!;
    for (const part of [0, 1]) {
      merge.push(part, text.encode(`{"data":[${rows}],"id":"x","long":"`));
      for (let i = 0; i < 50; i += 1) expect(merge.push(part, text.encode("x".repeat(10_000)))!.byteLength).toBe(0);
      merge.push(part, text.encode('"}'));
      expect(merge.end(part)).toBe(true);
    }
    expect(decoder.decode(merge.tail())).toBe('],"id":"x"}');
  });

  test("throws nothing, whatever comes", () => {
    const jsonish = fc.array(fc.constantFrom(...'{}[]",:\\ \n0-'.split(""), '"data":[{"index":', '"index":0'), {
      maxLength: 60,
    });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          jsonish.map((all) => text.encode(all.join(""))),
        ),
        cuts,
        (bytes, fractions) => {
          const { merge } = splitInputs(bodyOf(new Array(32).fill("t")), 2)!;
          for (const chunk of cutAt(bytes, fractions)) if (merge.push(0, chunk) === null) return;
          merge.end(0);
        },
      ),
      { numRuns: 500 },
    );
  });
});
