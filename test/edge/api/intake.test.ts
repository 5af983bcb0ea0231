import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { INTAKE_CAPS, type IntakeCaps, readIntake } from "../../../edge/api/intake.ts";
import { errorHead, Failure } from "../../../shared/errors.ts";
import { ENDPOINTS, type Endpoint } from "../../../shared/openai.ts";

const [CHAT, COMPLETIONS, EMBEDDINGS] = ENDPOINTS;
const CHAT_TEXT = '{"model":"heartcode-sfw","messages":[{"role":"user","content":"hi"}]}';
const JSON_TYPE = { "content-type": "application/json" };
const SMALL: IntakeCaps = { ...INTAKE_CAPS, bytes: 100, dropped: 250 };

const encode = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text);

function post(body: string | Uint8Array<ArrayBuffer> | null, headers: Record<string, string> = JSON_TYPE): Request {
  return new Request("http://edge/v1", {
    method: "POST",
    headers,
    body: typeof body === "string" ? encode(body) : body,
  });
}

interface Source {
  pull(controller: ReadableStreamDefaultController<Uint8Array>): void;
  cancel?(): Promise<void> | void;
}

function stream(source: Source, headers: Record<string, string> = JSON_TYPE): Request {
  const body = new ReadableStream(source, { highWaterMark: 0 });
  return new Request("http://edge/v1", { method: "POST", headers, body, duplex: "half" });
}

function inChunks(bytes: Uint8Array, size: (i: number) => number): Request {
  let at = 0;
  let i = 0;
  return stream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      const end = at + Math.max(1, size(i++));
      controller.enqueue(bytes.slice(at, end));
      at = end;
    },
  });
}

async function failureOf(request: Request, endpoint: Endpoint = CHAT, caps?: IntakeCaps): Promise<Failure> {
  try {
    await readIntake(request, endpoint, caps);
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error("it was accepted");
}

const told = ({ public: failure }: Failure) => [errorHead(failure).status, failure.code, failure.param];

describe("the head of a request", () => {
  const types: readonly [type: string, accepted: boolean][] = [
    ["application/json", true],
    ["Application/JSON", true],
    ["application/json; charset=utf-8", true],
    ['application/json;charset="UTF-8"', true],
    ["application/json ; charset=utf8", true],
    ["application/json; profile=x; charset=utf-8", true],
    ["", false],
    ["text/plain", false],
    ["text/plain; application/json", false],
    ["application/x-www-form-urlencoded", false],
    ["multipart/form-data; boundary=application/json", false],
    ["application/json+x", false],
    ["application/vnd.api+json", false],
    ["application/jsonl", false],
    ["application/json, text/plain", false],
    ["application/json; charset=latin1", false],
    ["application/json; charset=utf-16", false],
    ["application/json; charset=", false],
    ["application/json; charset=utf-8; charset=latin1", false],
  ];
  test.each(types)("content-type %j is accepted: %s", async (type, accepted) => {
    const request = post(CHAT_TEXT, { "content-type": type });
    if (accepted) await expect(readIntake(request, CHAT)).resolves.toBeDefined();
    else expect(told(await failureOf(request))).toEqual([415, "unsupported_media_type", undefined]);
  });

  test("a request that names no content type is refused", async () => {
    expect(told(await failureOf(post(CHAT_TEXT, {})))).toEqual([415, "unsupported_media_type", undefined]);
  });

  test.each(["gzip", "br", "deflate", "zstd", "identity, gzip", "x"])(
    "content-encoding %s is refused",
    async (encoding) => {
      const failure = await failureOf(post(CHAT_TEXT, { ...JSON_TYPE, "content-encoding": encoding }));
      expect(told(failure)).toEqual([415, "unsupported_media_type", undefined]);
      expect(failure.message).toContain("Content-Encoding");
    },
  );

  test.each(["identity", "Identity", ""])("content-encoding %j is accepted", async (encoding) => {
    const request = post(CHAT_TEXT, { ...JSON_TYPE, "content-encoding": encoding });
    await expect(readIntake(request, CHAT)).resolves.toBeDefined();
  });

  test("a body that is announced as far too large is refused unread", async () => {
    const pull = vi.fn();
    const headers = { ...JSON_TYPE, "content-length": String(INTAKE_CAPS.dropped + 1) };
    const failure = await failureOf(stream({ pull }, headers));
    expect(told(failure)).toEqual([413, "request_too_large", undefined]);
    expect(failure.message).toContain("8388608 bytes");
    expect(pull).not.toHaveBeenCalled();
  });

  test.each(["0", "1", "abc", "-5", ""])("content-length %j is not believed", async (length) => {
    const request = post(CHAT_TEXT, { ...JSON_TYPE, "content-length": length });
    expect((await readIntake(request, CHAT)).bytes).toEqual(encode(CHAT_TEXT));
  });
});

describe("the body of a request", () => {
  const rows: readonly [name: string, body: string | Uint8Array<ArrayBuffer> | null, says: string][] = [
    ["no body", null, "The request body is empty."],
    ["an empty body", "", "The request body is empty."],
    ["spaces", "  ", "is not valid JSON"],
    ["half a body", CHAT_TEXT.slice(0, -1), "is not valid JSON (at character 68)"],
    ["two bodies", CHAT_TEXT + CHAT_TEXT, "is not valid JSON (at character 69)"],
    ["a form", "model=x&messages=y", "is not valid JSON"],
    ["single quotes", "{'model': 'x'}", "is not valid JSON (at character 1)"],
    ["a trailing comma", '{"model":"x",}', "is not valid JSON (at character 13)"],
    ["NaN", '{"temperature":NaN}', "is not valid JSON"],
    ["a raw newline in a string", '{"model":"a\nb"}', "is not valid JSON (at character 11)"],
    ["a comment", '{/* x */"model":"x"}', "is not valid JSON (at character 1)"],
    ["a byte order mark", `\ufeff${CHAT_TEXT}`, "begins with a byte order mark"],
    ["UTF-16", Uint8Array.of(0xff, 0xfe, 0x7b, 0x00), "is not valid UTF-8"],
    ["a broken character", Uint8Array.of(0x22, 0xc3, 0x22), "is not valid UTF-8"],
    ["half a surrogate pair in bytes", Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22), "is not valid UTF-8"],
    ["an overlong character", Uint8Array.of(0x22, 0xc0, 0x80, 0x22), "is not valid UTF-8"],
    ["null", "null", "must be a JSON object"],
    ["an array", `[${CHAT_TEXT}]`, "must be a JSON object"],
    ["a string", '"hi"', "must be a JSON object"],
    ["a number", "1", "must be a JSON object"],
    ["a deep body", `${"[".repeat(33)}${"]".repeat(33)}`, "nested more than 32 levels deep"],
    ["a deep member", `{"x":${'{"x":'.repeat(32)}1${"}".repeat(32)}}`, "nested more than 32 levels deep"],
    ["a bomb of objects", `{"messages":[${"{},".repeat(100_000)}{}]}`, "holds more than 100000 values"],
    ["a bomb of members", `{${'"a":1,'.repeat(100_001)}"b":1}`, "holds more than 100000"],
  ];
  test.each(rows)("%s is refused", async (_name, body, says) => {
    const failure = await failureOf(post(body));
    expect(told(failure)).toEqual([400, "invalid_request", undefined]);
    expect(failure.message).toContain(says);
  });

  test("what the client sent is not quoted back", async () => {
    expect((await failureOf(post('{"model": secret}'))).message).not.toContain("secret");
  });

  test("is told apart by its endpoint", async () => {
    expect(told(await failureOf(post(CHAT_TEXT), COMPLETIONS))).toEqual([400, "invalid_request", "prompt"]);
    expect(told(await failureOf(post(CHAT_TEXT), EMBEDDINGS))).toEqual([400, "invalid_request", "input"]);
    expect(told(await failureOf(post('{"model":"m","input":"x","stream":true}'), EMBEDDINGS))).toEqual([
      400,
      "invalid_request",
      "stream",
    ]);
  });

  test("may hold a million tokens, but not ten thousand objects beside them", async () => {
    const million = `{"model":"m","input":[${"1,".repeat(999_000)}1]}`;
    expect((await readIntake(post(million), EMBEDDINGS)).facts.promptBytes).toBe(999_001 * 4);
    const failure = await failureOf(post(`{"model":"m","input":[${"{},".repeat(10_000)}{}]}`), EMBEDDINGS);
    expect(failure.message).toContain("more than 10000 objects, arrays and members");
  });

  test("is handed on as it came, spaces, escapes and unknown members included", async () => {
    const text = ` {"model":"b",\r\n "x":{"__proto__":1}, "messages":[{"role":"user","content":"\\u0041"}]}\n`;
    const { bytes, facts } = await readIntake(post(text), CHAT);
    expect(bytes).toEqual(encode(text));
    expect(facts.model).toBe("b");
  });

  test("is the same in whatever chunks it comes", async () => {
    const text = CHAT_TEXT.replace("hi", "é".repeat(300));
    const whole = await readIntake(post(text), CHAT);
    const sizes = fc.array(fc.nat({ max: 200 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(sizes, async (list) => {
        const read = await readIntake(
          inChunks(encode(text), (i) => list[i % list.length]!),
          CHAT,
        );
        expect(read).toEqual(whole);
      }),
    );
  });

  test("may begin with empty chunks", async () => {
    const chunks = [new Uint8Array(0), encode(CHAT_TEXT), new Uint8Array(0)];
    const request = stream({
      pull(controller) {
        const chunk = chunks.shift();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
    });
    expect((await readIntake(request, CHAT)).bytes).toEqual(encode(CHAT_TEXT));
  });

  test.each([1, 7, 100, 101])("of the cap is read, and of one byte more is refused, in chunks of %i", async (size) => {
    const fits = CHAT_TEXT.padEnd(SMALL.bytes, " ");
    const read = await readIntake(
      inChunks(encode(fits), () => size),
      CHAT,
      SMALL,
    );
    expect(read.bytes.byteLength).toBe(100);
    const over = inChunks(encode(`${fits} `), () => size);
    expect(told(await failureOf(over, CHAT, SMALL))).toEqual([413, "request_too_large", undefined]);
  });

  test("over the cap is read to its end first, as a client that still sends may read no answer", async () => {
    for (const headers of [JSON_TYPE, { ...JSON_TYPE, "content-length": "210" }]) {
      let left = 7;
      const pull = vi.fn((controller: ReadableStreamDefaultController<Uint8Array>) => {
        if (left-- === 0) controller.close();
        else controller.enqueue(new Uint8Array(30));
      });
      const cancel = vi.fn();
      const failure = await failureOf(stream({ pull, cancel }, headers), CHAT, SMALL);
      expect(told(failure)).toEqual([413, "request_too_large", undefined]);
      expect(pull).toHaveBeenCalledTimes(8);
      expect(cancel).not.toHaveBeenCalled();
    }
  });

  test("without an end is cut off and cancelled", async () => {
    const cancel = vi.fn();
    const pull = vi.fn((controller: ReadableStreamDefaultController<Uint8Array>) =>
      controller.enqueue(new Uint8Array(30)),
    );
    const failure = await failureOf(stream({ pull, cancel }), CHAT, SMALL);
    expect(told(failure)).toEqual([413, "request_too_large", undefined]);
    expect(cancel).toHaveBeenCalledOnce();
    expect(pull).toHaveBeenCalledTimes(9);
  });

  test("that cannot be cancelled is refused all the same", async () => {
    const request = stream({
      pull: (controller) => controller.enqueue(new Uint8Array(300)),
      cancel: () => Promise.reject(new Error("gone")),
    });
    expect(told(await failureOf(request, CHAT, SMALL))).toEqual([413, "request_too_large", undefined]);
  });

  test.each([0, 1])("that breaks off after %i chunks is no defect", async (whole) => {
    let sent = 0;
    const lost = new Error("Network connection lost.");
    const request = stream({
      pull(controller) {
        if (sent++ < whole) controller.enqueue(encode(CHAT_TEXT));
        else controller.error(lost);
      },
    });
    const failure = await failureOf(request);
    expect(told(failure)).toEqual([400, "invalid_request", undefined]);
    expect(failure.message).not.toContain("Network");
    expect(failure.cause).toBe(lost);
  });
});

test("several prompts in one request are refused, naming the field", async () => {
  const asked = readIntake(post('{"model":"m","prompt":["a","b"]}'), COMPLETIONS);
  await expect(asked).rejects.toMatchObject({ public: { code: "invalid_request", param: "prompt" } });
});

describe("the facts", () => {
  const chat = (members: string): string => CHAT_TEXT.replace("{", `{${members},`);
  const rows: readonly [name: string, endpoint: Endpoint, body: string, facts: object][] = [
    [
      "the least chat",
      CHAT,
      CHAT_TEXT,
      // role, user, content, hi.
      { model: "heartcode-sfw", stream: false, usage: false, maxTokens: undefined, n: 1, promptBytes: 4 + 4 + 7 + 2 },
    ],
    ["a stream", CHAT, chat('"stream":true'), { stream: true, usage: false }],
    ["no stream", CHAT, chat('"stream":null'), { stream: false, usage: false }],
    ["usage", CHAT, chat('"stream":true,"stream_options":{"include_usage":true}'), { stream: true, usage: true }],
    ["no usage", CHAT, chat('"stream":true,"stream_options":{"include_usage":false}'), { usage: false }],
    ["usage of null", CHAT, chat('"stream":true,"stream_options":null'), { usage: false }],
    ["max_tokens", CHAT, chat('"max_tokens":7'), { maxTokens: 7 }],
    ["max_completion_tokens", CHAT, chat('"max_completion_tokens":8'), { maxTokens: 8 }],
    ["the larger of two limits", CHAT, chat('"max_completion_tokens":8,"max_tokens":7'), { maxTokens: 8 }],
    [
      "the larger of two limits, the other way",
      CHAT,
      chat('"max_completion_tokens":6,"max_tokens":7'),
      { maxTokens: 7 },
    ],
    ["one limit of null", CHAT, chat('"max_completion_tokens":null,"max_tokens":7'), { maxTokens: 7 }],
    ["limits of null", CHAT, chat('"max_completion_tokens":null,"max_tokens":null'), { maxTokens: undefined }],
    ["n", CHAT, chat('"n":3'), { n: 3 }],
    ["n of null", CHAT, chat('"n":null'), { n: 1 }],
    ["n of one prompt in a list", COMPLETIONS, '{"model":"m","prompt":["a"],"n":3}', { n: 3, promptBytes: 1 }],
    ["a prompt of tokens", COMPLETIONS, '{"model":"m","prompt":[1,2,3]}', { n: 1, promptBytes: 12 }],
    [
      "an input",
      EMBEDDINGS,
      '{"model":"m","input":"abc"}',
      { stream: false, n: 1, promptBytes: 3, maxTokens: undefined },
    ],
    ["inputs of tokens", EMBEDDINGS, '{"model":"m","input":[[1,2],[3]]}', { n: 1, promptBytes: 12 }],
    ["UTF-8 of two bytes", EMBEDDINGS, '{"model":"m","input":"éßжߐ"}', { promptBytes: 8 }],
    ["UTF-8 of three bytes", EMBEDDINGS, '{"model":"m","input":"中文"}', { promptBytes: 6 }],
    ["UTF-8 of four bytes", EMBEDDINGS, '{"model":"m","input":"😀"}', { promptBytes: 4 }],
    ["UTF-8 that came escaped", EMBEDDINGS, '{"model":"m","input":"\\u4e2d\\ud83d\\ude00"}', { promptBytes: 7 }],
    [
      "an image, which is no text",
      CHAT,
      '{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,AAAAAAAAAAAAAAAA"}}]}]}',
      // role, user, content, type, image_url, and the name of the member.
      { promptBytes: 4 + 4 + 7 + 4 + 9 + 9 },
    ],
    ["tools, which the model reads", CHAT, chat('"tools":[{"type":"custom"}]'), { promptBytes: 17 + 4 + 6 }],
    ["unknown members, which it does not", CHAT, chat('"x":"aaaaaaaaaa"'), { promptBytes: 17 }],
  ];
  test.each(rows)("of %s", async (_name, endpoint, body, facts) => {
    expect((await readIntake(post(body), endpoint)).facts).toMatchObject(facts);
  });
});

describe("whatever comes", () => {
  const seeds: readonly [endpoint: Endpoint, body: string][] = [
    [CHAT, CHAT_TEXT],
    [
      CHAT,
      '{"model":"m","stream":true,"stream_options":{"include_usage":true},"n":2,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,A"}}]}]}',
    ],
    [COMPLETIONS, '{"model":"m","prompt":["a","b"],"max_tokens":5,"logprobs":1}'],
    [EMBEDDINGS, '{"model":"m","input":[[1,2],[3]],"encoding_format":"base64"}'],
    [EMBEDDINGS, ""],
  ];
  const words = [
    "{",
    "}",
    "[",
    "]",
    '"',
    "\\",
    ",",
    ":",
    "null",
    "1e999",
    "-1",
    '"url":"http://x"',
    "\ufeff",
    "\u0000",
  ];
  const piece = fc.oneof(fc.uint8Array({ maxLength: 6 }), fc.constantFrom(...words.map(encode)));
  const mutation = fc.record({ at: fc.nat(), cut: fc.nat({ max: 12 }), piece });
  const headers: fc.Arbitrary<Record<string, string>> = fc.record({
    "content-type": fc.constantFrom(
      "application/json",
      "application/json",
      "application/json; charset=utf-8",
      "text/plain",
    ),
    "content-encoding": fc.constantFrom("identity", "identity", "gzip"),
  });
  const asked = fc.record({
    seed: fc.constantFrom(...seeds),
    mutations: fc.array(mutation, { maxLength: 3 }),
    headers,
  });

  function mutated(seed: Uint8Array, mutations: readonly { at: number; cut: number; piece: Uint8Array }[]) {
    return mutations.reduce((bytes, { at, cut, piece }) => {
      const from = at % (bytes.length + 1);
      return Uint8Array.from([...bytes.subarray(0, from), ...piece, ...bytes.subarray(from + cut)]);
    }, Uint8Array.from(seed));
  }

  test("is taken in whole or refused with a Failure of 4xx", { timeout: 60_000 }, async () => {
    const seen = { accepted: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(asked, async ({ seed: [endpoint, body], mutations, headers: given }) => {
        const bytes = mutated(encode(body), mutations);
        try {
          const intake = await readIntake(post(bytes, given), endpoint);
          expect(intake.bytes).toEqual(bytes);
          expect(Number.isInteger(intake.facts.n) && intake.facts.n >= 1).toBe(true);
          expect(Number.isInteger(intake.facts.promptBytes)).toBe(true);
          seen.accepted++;
        } catch (error) {
          if (!(error instanceof Failure)) throw error;
          expect([400, 413, 415]).toContain(told(error)[0]);
          seen.refused++;
        }
      }),
      { numRuns: 10_000 },
    );
    expect(seen.accepted).toBeGreaterThan(500);
    expect(seen.refused).toBeGreaterThan(500);
  });
});
