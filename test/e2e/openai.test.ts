// The official SDK against the whole product.
import OpenAI, {
  type APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  PermissionDeniedError,
} from "openai";
import { beforeAll, describe, expect, test } from "vitest";
import { Engines, until, useStack } from "../support/stack.ts";

const stack = useStack({
  fleet: ["--chat", "0x4", "--embed", "0x2", "--tokens-per-second", "500", "--first-token-ms", "5"],
});

let client: OpenAI;
let chat: Engines;
const as = (key: string, options = {}) => new OpenAI({ apiKey: key, baseURL: `${stack().url}/v1`, ...options });
const hello = [{ role: "user" as const, content: "Say hello." }];

beforeAll(() => {
  client = as("hc-sk-demo-adult");
  chat = new Engines(stack().chatPorts);
});

describe("chat completions", () => {
  test("answer whole, under the name that was asked for, with usage and a request id", async () => {
    const { data, response, request_id } = await client.chat.completions
      .create({ model: "heartcode-default", messages: hello, max_tokens: 12 })
      .withResponse();
    expect(data.model).toBe("heartcode-default");
    expect(data.object).toBe("chat.completion");
    expect(data.choices[0]?.message.content?.length).toBeGreaterThan(0);
    expect(data.usage?.completion_tokens).toBe(12);
    expect(request_id).toMatch(/^req_[0-9a-f]{32}$/);
    expect(response.headers.get("content-type")).toContain("application/json");
    expect([...response.headers.keys()].filter((name) => name.startsWith("x-heartcode"))).toEqual([]);
  });

  test("stream the same text that the plain answer has", async () => {
    const asked = { model: "heartcode-nsfw", messages: hello, max_tokens: 40, seed: 7 } as const;
    const plain = await client.chat.completions.create(asked);
    const stream = await client.chat.completions.create({ ...asked, stream: true });
    let text = "";
    let finish: string | null = null;
    for await (const chunk of stream) {
      expect(chunk.model).toBe("heartcode-nsfw");
      expect(chunk.choices).toHaveLength(1);
      expect(chunk.usage ?? null).toBeNull();
      text += chunk.choices[0]?.delta.content ?? "";
      finish = chunk.choices[0]?.finish_reason ?? finish;
    }
    expect(text).toBe(plain.choices[0]?.message.content);
    expect(finish).toBe(plain.choices[0]?.finish_reason);
  });

  test("carry usage in the stream for one who asks, in a last chunk without choices", async () => {
    const stream = await client.chat.completions.create({
      model: "heartcode-sfw",
      messages: hello,
      max_tokens: 9,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.at(-1)).toMatchObject({ choices: [], model: "heartcode-sfw", usage: { completion_tokens: 9 } });
  });

  test("are stopped at the engine when the SDK aborts the stream", async () => {
    const before = await chat.sum("cancelled");
    const stream = await client.chat.completions.create({
      model: "heartcode-default",
      messages: hello,
      max_tokens: 5_000,
      stream: true,
    });
    let seen = 0;
    for await (const _ of stream) {
      seen += 1;
      if (seen === 5) break;
    }
    await until(async () => (await chat.sum("slots_busy")) === 0);
    expect(await chat.sum("cancelled")).toBe(before + 1);
  });

  test("reject with the SDK's own abort error", async () => {
    const aborter = new AbortController();
    const stream = await client.chat.completions.create(
      { model: "heartcode-default", messages: hello, max_tokens: 5_000, stream: true },
      { signal: aborter.signal },
    );
    aborter.abort();
    const rest = (async () => {
      for await (const _ of stream);
    })();
    // The SDK ends an aborted stream quietly or with its abort error, depending on where the abort meets it.
    await rest.catch((error: unknown) => expect(error).toBeInstanceOf(APIUserAbortError));
    await until(async () => (await chat.sum("slots_busy")) === 0);
  });
});

describe("other endpoints", () => {
  test("completions answer, stream and not", async () => {
    const asked = { model: "heartcode-default", prompt: "Once upon a time", max_tokens: 10 } as const;
    const plain = await client.completions.create(asked);
    expect(plain).toMatchObject({ object: "text_completion", model: "heartcode-default" });
    expect(plain.usage?.completion_tokens).toBe(10);
    let text = "";
    for await (const chunk of await client.completions.create({ ...asked, stream: true })) {
      expect(chunk.model).toBe("heartcode-default");
      expect(chunk.usage ?? null).toBeNull();
      text += chunk.choices[0]?.text ?? "";
    }
    expect(text).toBe(plain.choices[0]?.text);
  });

  test("embeddings come as floats and as base64, in the order of the inputs", async () => {
    const input = ["one", "two", "three"];
    const floats = await client.embeddings.create({ model: "heartcode-embed", input, encoding_format: "float" });
    expect(floats.model).toBe("heartcode-embed");
    expect(floats.data.map((row) => row.index)).toEqual([0, 1, 2]);
    expect(floats.usage.prompt_tokens).toBeGreaterThan(0);
    // Without a format the SDK asks for base64 and decodes it.
    const decoded = await client.embeddings.create({ model: "heartcode-embed", input });
    for (const [i, row] of decoded.data.entries()) {
      expect(row.embedding).toHaveLength(floats.data[i]!.embedding.length);
      expect(row.embedding[0]).toBeCloseTo(floats.data[i]!.embedding[0]!, 5);
    }
  });

  test("models are listed and described; the restricted one is hidden from those who are not age-verified", async () => {
    const names = async (key: string) => (await as(key).models.list()).data.map((model) => model.id);
    expect(await names("hc-sk-demo-adult")).toEqual([
      "heartcode-default",
      "heartcode-sfw",
      "heartcode-nsfw",
      "heartcode-embed",
    ]);
    expect(await names("hc-sk-demo-premium")).toEqual(["heartcode-default", "heartcode-sfw", "heartcode-embed"]);
    expect(await client.models.retrieve("heartcode-sfw")).toMatchObject({ id: "heartcode-sfw", object: "model" });
    await expect(client.models.retrieve("heartcode-chat-sfw")).rejects.toBeInstanceOf(NotFoundError);
  });
});

describe("errors", () => {
  const rows: [
    what: string,
    key: string,
    body: object,
    error: new (...given: never[]) => APIError,
    code: string,
    param: string | null,
  ][] = [
    ["an unknown key", "hc-sk-nobody-knows-me", {}, AuthenticationError, "invalid_api_key", null],
    ["a malformed key", "sk-wrong", {}, AuthenticationError, "invalid_api_key", null],
    ["a revoked key", "hc-sk-demo-revoked", {}, AuthenticationError, "invalid_api_key", null],
    [
      "a restricted model without age verification",
      "hc-sk-demo-premium",
      { model: "heartcode-nsfw" },
      PermissionDeniedError,
      "age_verification_required",
      "model",
    ],
    ["an unknown model", "hc-sk-demo-adult", { model: "gpt-9" }, NotFoundError, "model_not_found", "model"],
    [
      "an internal model name",
      "hc-sk-demo-adult",
      { model: "heartcode-chat-sfw" },
      NotFoundError,
      "model_not_found",
      "model",
    ],
    ["no messages", "hc-sk-demo-adult", { messages: [] }, BadRequestError, "invalid_request", "messages"],
    [
      "a prompt over the context",
      "hc-sk-demo-adult",
      { messages: [{ role: "user", content: "long ".repeat(20_000) }] },
      BadRequestError,
      "invalid_request",
      null,
    ],
  ];
  test.each(rows)("%s is the SDK's class for it", async (_what, key, body, error, code, param) => {
    const asked = as(key, { maxRetries: 0 }).chat.completions.create({
      model: "heartcode-default",
      messages: hello,
      ...body,
    });
    const thrown = await asked.then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(thrown).toBeInstanceOf(error);
    expect(thrown).toMatchObject({ code, param });
    expect((thrown as APIError).requestID).toMatch(/^req_/);
    expect(String(thrown)).not.toMatch(/127\.0\.0\.1|heartcode-chat-|hc-sk-/);
  });

  test("an engine's failure is retried elsewhere, and when all fail the SDK retries it and then throws its class", async () => {
    await chat.fault({ status: 500 });
    const before = await chat.sum("requests");
    const asked = as("hc-sk-demo-adult", { maxRetries: 1 }).chat.completions.create({
      model: "heartcode-default",
      messages: hello,
    });
    await expect(asked).rejects.toBeInstanceOf(InternalServerError);
    expect(await chat.sum("requests")).toBeGreaterThan(before + 1);
    await chat.fault({});
  });

  test("a stream that the engine cuts short is an error in the stream, never an invented end", async () => {
    await chat.fault({ truncate_after_tokens: 5 });
    const stream = await client.chat.completions.create({
      model: "heartcode-default",
      messages: hello,
      max_tokens: 50,
      stream: true,
    });
    const finishes: (string | null | undefined)[] = [];
    const read = (async () => {
      for await (const chunk of stream) finishes.push(chunk.choices[0]?.finish_reason);
    })();
    await expect(read).rejects.toMatchObject({ code: "stream_interrupted" });
    expect(finishes.length).toBeGreaterThan(2);
    expect(finishes.filter((finish) => finish !== null)).toEqual([]);
    await chat.fault({});
  });
});
