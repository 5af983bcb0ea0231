// What a pool makes of several engines, through the whole product: large embedding inputs are split over them and are one
// answer for the SDK, and a conversation stays where it was read before.
import { connect } from "node:net";
import OpenAI, { BadRequestError, InternalServerError } from "openai";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { promptTokens } from "../../dev/fleet/plan.ts";
import { Engines, until, useStack } from "../support/stack.ts";

const ENGINES = 4;
const stack = useStack({
  fleet: ["--chat", "0x8", "--embed", `0x${ENGINES}`, "--dimensions", "256", "--context", "512"],
  edge: { AUTH_MODE: "master-key", MASTER_KEY: "test-master-key" },
});

let engines: Engines;
let client: OpenAI;
beforeAll(() => {
  engines = new Engines(stack().embedPorts);
  client = new OpenAI({ apiKey: "test-master-key", baseURL: `${stack().url}/v1`, maxRetries: 0 });
});
afterEach(async () => {
  await engines.fault({});
});

const model = "heartcode-embed";
const texts = Array.from({ length: 400 }, (_, i) => `Sentence ${i}: ${"näive 🙂 ".repeat(i % 7)}`);
const tokens = Array.from({ length: 200 }, (_, i) => Array.from({ length: 1 + (i % 9) }, (_, j) => i * 31 + j));

/** How many requests each engine has had more than before. */
async function spread(work: () => Promise<unknown>): Promise<number[]> {
  const before = await engines.states();
  await work();
  return (await engines.states()).map(({ requests }, i) => requests - before[i]!.requests);
}

/** The same question to one engine, without the product. */
async function direct(body: object): Promise<{ text: string; value: OpenAI.CreateEmbeddingResponse }> {
  const response = await fetch(`http://127.0.0.1:${stack().embedPorts[0]}/v1/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  return { text, value: JSON.parse(text) as OpenAI.CreateEmbeddingResponse };
}

async function raw(body: object): Promise<string> {
  const response = await fetch(`${stack().url}/v1/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer test-master-key" },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(200);
  return response.text();
}

describe("a large input", () => {
  test.each<[name: string, input: string[] | number[][], format: "float" | "base64"]>([
    ["texts, as floats", texts, "float"],
    ["texts, as base64", texts, "base64"],
    ["tokens, as floats", tokens, "float"],
    ["tokens, as base64", tokens, "base64"],
  ])("of %s is answered by all engines as by one, byte for byte in its vectors", async (_, input, encoding_format) => {
    const body = { model, input, encoding_format };
    const whole = await direct(body);
    let told = "";
    expect(
      await spread(async () => {
        told = await raw(body);
      }),
    ).toEqual(new Array(ENGINES).fill(1));
    const data = (text: string) => /"data":(\[.*\])/s.exec(text)![1]!.replace(/\](,"usage".*)?\}?$/s, "]");
    expect(data(told)).toBe(data(whole.text));
    expect(JSON.parse(told)).toEqual(whole.value);
  });

  test("is what the SDK decodes, with the public name and all tokens", async () => {
    const answer = await client.embeddings.create({ model, input: texts });
    expect(answer.model).toBe(model);
    expect(answer.data.map(({ index }) => index)).toEqual(texts.map((_, i) => i));
    const whole = await direct({ model, input: texts });
    for (const [i, { embedding }] of answer.data.entries()) {
      expect(embedding).toHaveLength(256);
      expect(embedding[5]).toBeCloseTo(whole.value.data[i]!.embedding[5]!, 6);
    }
    expect(answer.usage.prompt_tokens).toBe(promptTokens({ input: texts }));
  });

  test("of a few texts goes to one engine", async () => {
    const work = () => client.embeddings.create({ model, input: texts.slice(0, 20) });
    expect((await spread(work)).toSorted()).toEqual([0, 0, 0, 1]);
  });

  test("of 10 MB and more of answer comes whole", async () => {
    const input = Array.from({ length: 2_048 }, (_, i) => `text ${i}`);
    const told = await raw({ model, input, encoding_format: "float" });
    expect(told.length).toBeGreaterThan(10_000_000);
    const { data } = JSON.parse(told) as OpenAI.CreateEmbeddingResponse;
    expect(data.map(({ index }) => index)).toEqual(input.map((_, i) => i));
  });
});

describe("a part", () => {
  test.each([{ status: 500 }, { reset_before_head: true }, { status: 503 }])(
    "whose engine has %j is answered by another one",
    async (fault) => {
      const [port] = stack().embedPorts;
      await engines.fault({ ...fault, count: 1 }, [port!]);
      const requests = await spread(async () => {
        const { data } = await client.embeddings.create({ model, input: texts, encoding_format: "float" });
        expect(data.map(({ index }) => index)).toEqual(texts.map((_, i) => i));
      });
      expect(requests.reduce((sum, one) => sum + one, 0)).toBe(ENGINES + 1);
      // Whatever the fault said of the engine, the next probe finds it well.
      await until(async () => {
        const each = await spread(() => client.embeddings.create({ model, input: texts }));
        return each.every((one) => one === 1);
      });
    },
  );

  test("that an engine refuses is the refusal of the whole, in the client's terms", async () => {
    const input = texts.with(300, "long ".repeat(1_000));
    const asked = client.embeddings.create({ model, input });
    await expect(asked).rejects.toBeInstanceOf(BadRequestError);
    await until(async () => (await engines.sum("slots_busy")) === 0);
  });

  test("that nobody can answer fails the whole before its head", async () => {
    await engines.fault({ status: 500 });
    await expect(client.embeddings.create({ model, input: texts })).rejects.toBeInstanceOf(InternalServerError);
    await until(async () => (await engines.sum("slots_busy")) === 0);
  });

  test("that breaks off after the head breaks the whole off", async () => {
    const [port] = stack().embedPorts.slice(-1);
    await engines.fault({ truncate_after_tokens: 0 }, [port!]);
    const asked = client.embeddings.create({ model, input: texts });
    await expect(asked).rejects.toThrow();
    await until(async () => (await engines.sum("slots_busy")) === 0);
  });
});

test("an answer of one engine that breaks off in its body is a failure, and not an endless one", async () => {
  await engines.fault({ truncate_after_tokens: 0 });
  for (let i = 0; i < 3; i += 1) {
    const asked = client.embeddings.create({ model, input: "hello" });
    // A row of the table where nothing had left the hub, else a broken connection: which it is, is a matter of moments.
    const failure = (await asked.catch((error: unknown) => error)) as Error & { status?: number };
    if (failure.status === undefined) expect(failure.message).toBe("terminated");
    else expect(failure).toMatchObject({ status: 502, code: "upstream_error" });
  }
  await until(async () => (await engines.sum("slots_busy")) === 0);
});

test("a client that leaves frees every engine", async () => {
  await engines.fault({ hang_before_head: true });
  const before = await engines.sum("cancelled");
  const body = JSON.stringify({ model, input: texts });
  const socket = connect(stack().port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(
    "POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer test-master-key\r\n" +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  await until(async () => (await engines.sum("slots_busy")) === ENGINES);
  // By RST: workerd does not notice a FIN before the head.
  socket.resetAndDestroy();
  await until(async () => (await engines.sum("slots_busy")) === 0);
  expect(await engines.sum("cancelled")).toBe(before + ENGINES);
});

describe("a conversation", () => {
  const user = (content: string) => ({ role: "user" as const, content });
  let chat: Engines;
  beforeAll(() => {
    chat = new Engines(stack().chatPorts.slice(0, ENGINES));
  });

  /** The engine that has been asked. */
  async function place(work: () => Promise<unknown>): Promise<number> {
    const before = await chat.states();
    await work();
    const asked = (await chat.states()).map(({ requests }, i) => requests - before[i]!.requests);
    expect(asked.toSorted()).toEqual([0, 0, 0, 1]);
    return asked.indexOf(1);
  }
  const create = (messages: OpenAI.ChatCompletionMessageParam[]) =>
    client.chat.completions.create({ model: "heartcode-default", messages, max_tokens: 4 });

  test("stays with one engine while it grows, and different ones go to different engines", async () => {
    const places = new Set<number>();
    for (let i = 0; i < 16; i += 1) {
      const messages: OpenAI.ChatCompletionMessageParam[] = [
        { role: "system", content: "Be brief." },
        user(`Topic ${i}`),
      ];
      const first = await place(() => create(messages));
      messages.push({ role: "assistant", content: "Well." }, user("Go on."));
      expect(await place(() => create(messages))).toBe(first);
      places.add(first);
    }
    // Sixteen on fewer than three of four engines: once in ten million.
    expect(places.size).toBeGreaterThan(2);
  });

  test("of a completion stays too", async () => {
    const prompt = "Once upon a time there was a lantern. ".repeat(20);
    const complete = (text: string) => () =>
      client.completions.create({ model: "heartcode-default", prompt: text, max_tokens: 4 });
    const first = await place(complete(prompt));
    expect(await place(complete(`${prompt} It went out.`))).toBe(first);
  });

  test("goes elsewhere when its engine is away", async () => {
    const messages = [user("Where are you?")];
    const first = await place(() => create(messages));
    await chat.fault({ loading: true }, [chat.ports[first]!]);
    // Its refusal is seen by nobody.
    await create(messages);
    expect(await place(() => create(messages))).not.toBe(first);
    await chat.fault({});
  });
});
