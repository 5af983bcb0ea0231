// What the official SDK makes of our answers: what it sends again and when, which class it throws, which ids it shows.
// The pauses are the ones that it asks a timer for, not what a clock says afterwards.
import OpenAI, {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
  RateLimitError,
  UnprocessableEntityError,
} from "openai";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { Engines, until, useStack } from "../support/stack.ts";

const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "0", "--first-token-ms", "0", "--context", "9000"],
  config: "timeouts: { first_byte_s: 1, whole_s: 1, idle_s: 1 }",
  edge: { HEARTCODE_BACKEND_TIMEOUT: "0.5" },
});
const MESSAGES = [{ role: "user" as const, content: "hi" }];

interface Call {
  readonly status: number;
  readonly headers: Headers;
  /** ms that timers were asked for between this answer and the next call. */
  readonly pauses: number[];
}

let sfw: Engines;
let calls: Call[] = [];
let pauses: number[] = [];

beforeAll(() => {
  sfw = new Engines(stack().chatPorts.slice(0, 1));
  const timer = globalThis.setTimeout;
  vi.spyOn(globalThis, "setTimeout").mockImplementation(((work: () => void, ms = 0, ...more: []) => {
    pauses.push(ms);
    return timer(work, ms, ...more);
  }) as typeof setTimeout);
});
afterAll(() => {
  vi.restoreAllMocks();
});
beforeEach(() => {
  calls = [];
});
afterEach(async () => {
  await sfw.fault({});
  await backend("faults", {});
});

const recorded: typeof fetch = async (input, init) => {
  pauses = [];
  const answer = await fetch(input, init);
  pauses = [];
  calls.push({ status: answer.status, headers: answer.headers, pauses });
  return answer;
};

const as = (key: string, maxRetries = 2) =>
  new OpenAI({ apiKey: key, baseURL: `${stack().url}/v1`, maxRetries, fetch: recorded });

async function backend(path: string, body: object): Promise<void> {
  const init = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  expect((await fetch(`http://127.0.0.1:${stack().backendPort}/sim/${path}`, init)).ok).toBe(true);
}

let keys = 0;
async function newKey(more: object = {}): Promise<string> {
  keys += 1;
  const key = `hc-sk-sdk-${keys}`;
  await backend("keys", { add: { api_key: key, tier: "admin", age_verified: true, ...more } });
  return key;
}

type Body = Partial<OpenAI.ChatCompletionCreateParamsNonStreaming>;
const chat = (client: OpenAI, body: Body = {}) =>
  client.chat.completions.create({ model: "heartcode-default", max_tokens: 4, messages: MESSAGES, ...body });

async function thrownBy(asked: Promise<unknown>): Promise<APIError> {
  const thrown = await asked.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(APIError);
  return thrown as APIError;
}

describe("what is sent again", () => {
  test("a rate limit: once, exactly when the answer says, and then it fits", async () => {
    const client = as(await newKey({ limits: { tpm: 6_000 } }));
    // All of the minute's tokens but a few: the next request has to wait for about a second's refill.
    await chat(client, { max_tokens: 5_900 });
    const answer = await chat(client, { max_tokens: 150 });
    expect(answer.usage?.completion_tokens).toBe(150);
    expect(calls.map(({ status }) => status)).toEqual([200, 429, 200]);
    expect(calls[1]?.pauses).toContain(Number(calls[1]?.headers.get("retry-after-ms")));
  });

  test("a failure with a time: at that time, as often as the client allows", async () => {
    const key = await newKey();
    await backend("faults", { status: 500 });
    const error = await thrownBy(chat(as(key, 1)));
    expect(error).toMatchObject({ status: 503, code: "auth_unavailable" });
    expect(calls.map(({ status }) => status)).toEqual([503, 503]);
    expect(calls[0]?.headers.get("retry-after-ms")).toBe("2000");
    expect(calls[0]?.pauses).toContain(2_000);
  });

  test("a failure without one: after pauses of its own, and each call reaches the engines", async () => {
    await sfw.fault({ status: 500 });
    const before = await sfw.sum("requests");
    const error = await thrownBy(chat(as(await newKey())));
    expect(error).toMatchObject({ status: 502, code: "upstream_error" });
    expect(calls.map(({ status }) => status)).toEqual([502, 502, 502]);
    expect(await sfw.sum("requests")).toBeGreaterThanOrEqual(before + 3);
    // Half a second and twice that, less a quarter at most.
    expect(calls[0]?.pauses.some((ms) => ms >= 375 && ms <= 500)).toBe(true);
    expect(calls[1]?.pauses.some((ms) => ms >= 750 && ms <= 1_000)).toBe(true);
  });

  test("a failure that is over by then: the caller sees nothing of it", async () => {
    await sfw.fault({ reset_before_head: true });
    const client = as(await newKey());
    const asked = chat(client);
    await until(() => calls.length === 1);
    await sfw.fault({});
    expect((await asked).choices).toHaveLength(1);
    expect(calls.map(({ status }) => status)).toEqual([502, 200]);
  });
});

describe("what is not sent again, however often the client would", () => {
  test("a day that is used up: x-should-retry is false", async () => {
    const client = as(await newKey({ limits: { tokens_per_day: 100 } }), 5);
    await chat(client, { max_tokens: 60 });
    const error = await thrownBy(chat(client, { max_tokens: 60 }));
    expect(error).toBeInstanceOf(RateLimitError);
    expect(error).toMatchObject({ code: "daily_token_limit_exceeded", type: "tokens" });
    expect(calls.map(({ status }) => status)).toEqual([200, 429]);
    expect(calls[1]?.headers.get("x-should-retry")).toBe("false");
  });

  test("tokens that never fit: x-should-retry is false, and no time is given", async () => {
    const error = await thrownBy(chat(as(await newKey({ limits: { tpm: 200 } }), 5), { max_tokens: 300 }));
    expect(error).toBeInstanceOf(RateLimitError);
    expect(error.code).toBe("request_too_large");
    expect(calls.map(({ status }) => status)).toEqual([429]);
    expect(calls[0]?.headers.get("x-should-retry")).toBe("false");
    expect(calls[0]?.headers.get("retry-after")).toBeNull();
  });

  test("an engine that took too long: the next one would be held for as long, for nothing", async () => {
    await sfw.fault({ hang_before_head: true });
    const before = await sfw.sum("requests");
    const error = await thrownBy(chat(as(await newKey(), 5)));
    expect(error).toMatchObject({ status: 504, code: "upstream_timeout" });
    expect(calls.map(({ status, headers }) => [status, headers.get("x-should-retry")])).toEqual([[504, "false"]]);
    expect(await sfw.sum("requests")).toBe(before + 1);
  });

  test("a body over the cap", async () => {
    const content = "x".repeat(8 * 1024 * 1024);
    const error = await thrownBy(chat(as(await newKey(), 5), { messages: [{ role: "user", content }] }));
    expect(error).toMatchObject({ status: 413, code: "request_too_large" });
    expect(calls).toHaveLength(1);
  });

  test("a stream that breaks off: what came is delivered, then an APIError with the code of the event", async () => {
    await sfw.fault({ truncate_after_tokens: 5 });
    const client = as(await newKey(), 5);
    const stream = await client.chat.completions.create({
      model: "heartcode-default",
      messages: MESSAGES,
      max_tokens: 50,
      stream: true,
    });
    let chunks = 0;
    const read = async (): Promise<void> => {
      for await (const chunk of stream) {
        chunks += 1;
        expect(chunk.choices[0]?.finish_reason ?? null).toBeNull();
      }
    };
    const error = await thrownBy(read());
    expect(error).toMatchObject({ status: undefined, code: "stream_interrupted", type: "server_error", param: null });
    expect(chunks).toBeGreaterThan(2);
    expect(calls).toHaveLength(1);
  });
});

describe("the class of each row", () => {
  type Class = new (...given: never[]) => APIError;
  const rows: readonly [code: string, status: number, error: Class, ask: () => Promise<unknown>][] = [
    ["invalid_api_key", 401, AuthenticationError, async () => chat(as("hc-sk-nobody-has-this"))],
    [
      "age_verification_required",
      403,
      PermissionDeniedError,
      async () => chat(as(await newKey({ age_verified: false })), { model: "heartcode-nsfw" }),
    ],
    ["model_not_found", 404, NotFoundError, async () => chat(as(await newKey()), { model: "gpt-9" })],
    ["model_not_found", 404, NotFoundError, async () => as(await newKey()).models.retrieve("gpt-9")],
    ["invalid_request", 400, BadRequestError, async () => chat(as(await newKey()), { n: 0 })],
    ["not_found", 404, NotFoundError, async () => as(await newKey()).images.generate({ prompt: "x" })],
    ["method_not_allowed", 405, APIError, async () => as(await newKey()).delete("/chat/completions")],
    [
      "unsupported_media_type",
      415,
      APIError,
      async () => as(await newKey()).post("/embeddings", { body: "x", headers: { "content-type": "text/plain" } }),
    ],
  ];
  test.each(rows)("%s (%i)", async (code, status, error, ask) => {
    const thrown = await thrownBy(ask());
    expect(thrown).toBeInstanceOf(error);
    expect(thrown).toMatchObject({ status, code });
    expect(thrown.message).toMatch(/^\d{3} [A-Z]/);
    expect(calls).toHaveLength(1);
  });

  test("of an engine's own refusal is that of its status", async () => {
    await sfw.fault({ status: 422 });
    const thrown = await thrownBy(chat(as(await newKey())));
    expect(thrown).toBeInstanceOf(UnprocessableEntityError);
    expect(thrown.code).toBe("invalid_request");
  });

  const later: readonly [code: string, status: number, faults: object, at: "backend" | "engine"][] = [
    ["auth_unavailable", 503, { garbage: true }, "backend"],
    ["auth_timeout", 504, { hang: true }, "backend"],
    ["model_unavailable", 503, { status: 503 }, "engine"],
    ["queue_full", 503, { status: 429 }, "engine"],
    ["upstream_error", 502, { status: 500 }, "engine"],
    ["upstream_timeout", 504, { hang_before_head: true }, "engine"],
  ];
  test.each(later)("%s (%i)", async (code, status, faults, at) => {
    const client = as(await newKey(), 0);
    if (at === "backend") await backend("faults", faults);
    else await sfw.fault(faults);
    const thrown = await thrownBy(chat(client));
    expect(thrown).toBeInstanceOf(InternalServerError);
    expect(thrown).toMatchObject({ status, code });
  });
});

test("the id of a request is in its answer, in its error, and in the header of its stream", async () => {
  const client = as(await newKey(), 0);
  const answer = await chat(client);
  expect(answer._request_id).toMatch(/^req_[0-9a-f]{32}$/);
  expect(answer._request_id).toBe(calls[0]?.headers.get("x-request-id"));

  const thrown = await thrownBy(chat(client, { n: 0 }));
  expect(thrown.requestID).toBe(calls[1]?.headers.get("x-request-id"));
  expect(thrown.requestID).not.toBe(answer._request_id);

  const { request_id, data } = await client.chat.completions
    .create({ model: "heartcode-default", messages: MESSAGES, max_tokens: 3, stream: true })
    .withResponse();
  for await (const _ of data);
  expect(request_id).toMatch(/^req_/);
});

test("the limits of a key are in the headers of every answer, in the form that clients parse", async () => {
  const client = as(await newKey({ limits: { rpm: 10, tpm: 1_000, tokens_per_day: 10_000 } }), 0);
  const { response } = await client.embeddings.create({ model: "heartcode-embed", input: "hi" }).withResponse();
  const of = (name: string) => response.headers.get(`x-ratelimit-${name}`) ?? "";
  expect([of("limit-requests"), of("limit-tokens"), of("limit-tokens-day")]).toEqual(["10", "1000", "10000"]);
  expect(of("remaining-requests")).toBe("9");
  expect(Number(of("remaining-tokens"))).toBeLessThan(1_000);
  for (const name of ["reset-requests", "reset-tokens", "reset-tokens-day"]) {
    expect(of(name)).toMatch(/^(?:\d+ms|(?:\d+h)?(?:\d+m)?\d+(?:\.\d{1,3})?s)$/);
  }
});
