import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { engineRefusal } from "../../../connector/dialect/refusal.ts";
import { makeScrub } from "../../../connector/dialect/scrub.ts";
import { ERRORS, isErrorCode } from "../../../shared/errors.ts";
import { WireFailure } from "../../../shared/wire/messages.ts";
import { captured } from "./captures.ts";

const text = new TextEncoder();
const scrub = makeScrub({ internal: ["heartcode-chat-sfw"], public: "heartcode-sfw" });
const refused = (status: number, body: unknown) => engineRefusal(status, text.encode(JSON.stringify(body)), scrub);
const asked = (message: string) => ({ code: "invalid_request", status: 400, message });

describe("an engine's refusal", () => {
  const TOO_LONG =
    "This model's maximum context length is 2048 tokens. However, your request has 20019 tokens. Please reduce its length.";
  const captures: [name: string, failure: object][] = [
    ["error-context-exceeded", asked(TOO_LONG)],
    ["error-context-exceeded-stream", asked(TOO_LONG)],
    ["error-no-messages", asked("'messages' is required")],
    [
      "error-not-json",
      asked(
        "[json.exception.parse_error.101] parse error at line 1, column 10: syntax error while parsing value - unexpected end of input; expected '[', '{', or a literal",
      ),
    ],
    ["error-not-found", { code: "upstream_error" }],
    ["error-embeddings-on-chat", { code: "upstream_error" }],
  ];
  test.each(captures)("of llama.cpp (%s) is told in the client's terms", (name, failure) => {
    const { status, body } = captured(name);
    expect(engineRefusal(status, body, scrub)).toEqual(failure);
  });

  const rows: [name: string, status: number, body: unknown, failure: object][] = [
    [
      "of vLLM keeps message and param",
      400,
      {
        error: {
          message: "temperature must be non-negative, got -1.0.",
          type: "BadRequestError",
          param: "temperature",
          code: 400,
        },
      },
      {
        code: "invalid_request",
        status: 400,
        message: "temperature must be non-negative, got -1.0.",
        param: "temperature",
      },
    ],
    [
      "of an older vLLM keeps message and param",
      400,
      {
        object: "error",
        message: "This model's maximum context length is 4096 tokens.",
        type: "BadRequestError",
        param: null,
        code: 400,
      },
      asked("This model's maximum context length is 4096 tokens."),
    ],
    [
      "of TEI keeps its message and its status",
      413,
      { error: "batch size 64 > 32", error_type: "Validation" },
      { code: "invalid_request", status: 413, message: "batch size 64 > 32" },
    ],
    [
      "of TEI's tokenizer is the client's",
      422,
      { error: "Tokenization error", error_type: "Tokenizer" },
      { code: "invalid_request", status: 422, message: "Tokenization error" },
    ],
    ["of TEI's backend is not", 424, { error: "Inference failed", error_type: "Backend" }, { code: "upstream_error" }],
    [
      "of a full TEI is a queue",
      429,
      { error: "Model is overloaded", error_type: "Overloaded" },
      { code: "queue_full" },
    ],
    ["for the time it took is a queue", 408, {}, { code: "queue_full" }],
    [
      "of FastAPI is told by its detail",
      422,
      { detail: [{ loc: ["body", "n"], msg: "Input should be less", type: "x" }] },
      { code: "invalid_request", status: 422, message: "Input should be less" },
    ],
    ["of FastAPI is told by its one detail", 400, { detail: "no" }, asked("no")],
    [
      "names no model of the site",
      400,
      { error: { message: "heartcode-chat-sfw at http://10.0.0.7:80 says no" } },
      asked("heartcode-sfw at [url] says no"),
    ],
    [
      "for our credentials is not the client's",
      401,
      { error: { message: "Invalid API Key" } },
      { code: "upstream_error" },
    ],
    ["for our rights is not the client's", 403, { error: { message: "no" } }, { code: "upstream_error" }],
    [
      "of our path is not the client's",
      404,
      { error: { message: "The model `x` does not exist." } },
      { code: "upstream_error" },
    ],
    [
      "while it loads is the model's",
      503,
      { error: { code: 503, message: "Loading model", type: "unavailable_error" } },
      { code: "model_unavailable" },
    ],
    ["by a defect is the engine's", 500, { error: { message: "CUDA error" } }, { code: "upstream_error" }],
    ["that is none is the engine's", 302, {}, { code: "upstream_error" }],
    [
      "without words is told in ours",
      400,
      { error: { message: "", code: 400 } },
      { code: "invalid_request", status: 400 },
    ],
    [
      "with figures that are none keeps its message",
      400,
      { error: { type: "exceed_context_size_error", message: "too long", n_ctx: "9" } },
      asked("too long"),
    ],
  ];
  test.each(rows)("%s", (_, status, body, failure) => {
    expect(refused(status, body)).toEqual(failure);
  });

  test.each([401, 403, 404, 405, 406, 407, 411, 415, 421, 424, 426, 500, 501, 502, 504])(
    "with status %i is not the client's",
    (status) => expect(refused(status, { error: { message: "no" } })).toEqual({ code: "upstream_error" }),
  );

  test.each([400, 402, 409, 413, 422, 451])("with status %i is the client's", (status) => {
    expect(refused(status, { error: { message: "no" } })).toEqual({ code: "invalid_request", status, message: "no" });
  });

  const silent: [name: string, body: Uint8Array][] = [
    ["nothing", new Uint8Array(0)],
    ["a page", text.encode("<html><h1>400 Bad Request</h1></html>")],
    ["garbage", new Uint8Array([0xff, 0x00, 0xfe])],
    ["half an object", text.encode('{"error":{"message":"x')],
    ["a megabyte", text.encode(JSON.stringify({ error: { message: "too long ".repeat(100_000) } }))],
    ["what is nested a thousand deep", text.encode(`${"[".repeat(30_000)}${"]".repeat(30_000)}`)],
  ];
  test.each(silent)("that says %s is told in our words", (_, body) => {
    expect(engineRefusal(400, body, scrub)).toEqual({ code: "invalid_request", status: 400 });
  });

  test.each([
    [{ n_prompt_tokens: 9, n_ctx: "lots" }, "too long"],
    [{ n_prompt_tokens: "lots", n_ctx: 9 }, "too long"],
  ])("tells no figures that are none: %j", (figures, message) => {
    expect(refused(400, { error: { type: "exceed_context_size_error", message, ...figures } })).toEqual(asked(message));
  });

  test("shows nothing of the site in the field that it names, either", () => {
    const { param } = refused(400, {
      error: { message: "no", param: "heartcode-chat-sfw at http://192.0.2.1:8081/v1" },
    });
    expect(param).toBe("heartcode-sfw at [url]");
  });

  test("is told by the first text that says something, without the space around it", () => {
    expect(refused(400, { error: { message: "  " }, detail: "\n n is too large \n" })).toEqual(asked("n is too large"));
  });

  test("fits the wire and the error table, whatever it is", () => {
    const body = fc.oneof(
      fc.uint8Array(),
      fc.json().map((json) => text.encode(json)),
      fc
        .record({
          error: fc.oneof(
            fc.string(),
            fc.record({ message: fc.jsonValue(), param: fc.jsonValue(), type: fc.string() }),
          ),
        })
        .map((value) => text.encode(JSON.stringify(value))),
      fc
        .string({ minLength: 3_000, maxLength: 4_000 })
        .map((message) => text.encode(JSON.stringify({ error: { message, param: message } }))),
    );
    fc.assert(
      fc.property(fc.integer({ min: 300, max: 599 }), body, (status, body) => {
        const failure = engineRefusal(status, body, scrub);
        expect(WireFailure.parse(failure)).toEqual(failure);
        expect(isErrorCode(failure.code)).toBe(true);
        const isClients = failure.code === "invalid_request";
        expect(failure.status).toBe(isClients ? status : undefined);
        if (!isClients && isErrorCode(failure.code)) expect(ERRORS[failure.code].status).toBeGreaterThanOrEqual(500);
      }),
    );
  });
});
