// Many streams at once: each is byte for byte what its engine sent, apart from the name of the model.
import { beforeAll, expect, test } from "vitest";
import { read } from "../support/read.ts";
import { Engines, until, useStack } from "../support/stack.ts";

const STREAMS = 100;
const TOKENS = 200;

const stack = useStack({
  fleet: ["--chat", "0x4", "--embed", "0x1", "--tokens-per-second", "400", "--slots", "64"],
  slots: 64,
});
let engines: Engines;
beforeAll(() => {
  engines = new Engines(stack().chatPorts);
});

const bodyOf = (i: number, model: string) =>
  JSON.stringify({
    model,
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: TOKENS,
    messages: [{ role: "user", content: `stream ${i}: ${"word ".repeat(i % 30)}` }],
  });

/** What must be equal: everything but what an engine makes up anew for each request, and the renamed model. */
const comparable = (text: string): string =>
  text
    .replace(/"(id|system_fingerprint)":"[^"]*"/g, '"$1":""')
    .replace(/"created":\d+/g, '"created":0')
    .replace(/"timings":\{[^}]*\}/g, '"timings":{}')
    .replace(/"cached_tokens":\d+/g, '"cached_tokens":0')
    .replace(/"model":"[^"]*"/g, '"model":""');

test(`${STREAMS} streams of ${TOKENS} tokens arrive whole, unmixed and unchanged`, async () => {
  const numbers = Array.from({ length: STREAMS }, (_, i) => i);
  const models = ["heartcode-default", "heartcode-nsfw", "heartcode-sfw"];
  const answers = await Promise.all(
    numbers.map((i) =>
      read(`${stack().url}/v1/chat/completions`, bodyOf(i, models[i % 3]!), {
        authorization: "Bearer hc-sk-demo-admin",
      }),
    ),
  );
  await until(async () => (await engines.sum("slots_busy")) === 0);
  expect(await engines.sum("completion_tokens_total")).toBe(STREAMS * TOKENS);
  const engine = `http://127.0.0.1:${stack().chatPorts[0]}/v1/chat/completions`;
  const direct = await Promise.all(numbers.map((i) => read(engine, bodyOf(i, "heartcode-chat-sfw"))));
  for (const i of numbers) {
    expect(answers[i]).toContain(`"model":"${models[i % 3]}"`);
    expect(answers[i]).not.toContain("heartcode-chat-");
    expect(comparable(answers[i]!)).toBe(comparable(direct[i]!));
  }
});

test("a stream whose engine keeps its connection open behind [DONE] is over with that, and holds no slot", async () => {
  await engines.fault({ open_after_done: true });
  const ask = () =>
    read(`${stack().url}/v1/chat/completions`, bodyOf(0, "heartcode-default"), {
      authorization: "Bearer hc-sk-demo-admin",
    });
  // Twice as many as the pool has slots, in turns of as many as may wait for one: long before `idle_s` is over.
  for (let turn = 0; turn < 4; turn += 1) {
    const answers = await Promise.all(Array.from({ length: 64 }, ask));
    expect(answers.filter((text) => text.endsWith("data: [DONE]\n\n"))).toHaveLength(64);
  }
  await engines.fault({});
}, 40_000);
