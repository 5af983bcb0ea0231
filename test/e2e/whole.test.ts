// Engines that need longer than an answer may take to begin: a plain answer has its own time, a stream has not.
import { beforeAll, expect, test } from "vitest";
import type { ConnectorStatus } from "../../connector/status.ts";
import { freePorts } from "../../dev/bench/ports.ts";
import { codeOf, World } from "../support/client.ts";
import { Engines, until, useStack } from "../support/stack.ts";

const [metricsPort] = await freePorts(1);
const KEY = "hc-sk-demo-admin";
const FIRST_TOKEN_MS = 2_500;
const stack = useStack({
  // Half of the chat engines are the pool that is asked here.
  fleet: ["--chat", "0x4", "--embed", "0x1", "--tokens-per-second", "0", "--first-token-ms", String(FIRST_TOKEN_MS)],
  config: `timeouts: { first_byte_s: 1 }\nmetrics: { listen: "127.0.0.1:${metricsPort}" }\n`,
});
const world = new World(stack);
let engines: Engines;
beforeAll(() => {
  engines = new Engines(stack().chatPorts.slice(0, 2));
});

async function pool() {
  const status = (await (await fetch(`http://127.0.0.1:${metricsPort}/status`)).json()) as ConnectorStatus;
  const { retries, ejections, upstreams } = status.pools.find(({ model }) => model === "heartcode-chat-sfw")!;
  return { retries, ejections, states: upstreams.map(({ state }) => state) };
}
const WELL = { retries: 0, ejections: 0, states: ["up", "up"] };

test("a plain answer that takes longer comes, its engine is asked once, and nobody is ejected", async () => {
  await until(async () => (await pool()).states.every((state) => state === "up"));
  const from = performance.now();
  // More at each engine than failures in a row eject.
  const chats = Array.from({ length: 12 }, (_, i) =>
    world.chat(KEY, { messages: [{ role: "user", content: `question ${i}` }] }),
  );
  const text = world.post("/v1/completions", KEY, { model: "heartcode-default", max_tokens: 2, prompt: "hi" });
  const answers = await Promise.all([...chats, text]);
  expect(performance.now() - from).toBeGreaterThanOrEqual(FIRST_TOKEN_MS);
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  for (const answer of answers) expect(await answer.json()).toMatchObject({ usage: { completion_tokens: 2 } });
  expect(await engines.sum("requests")).toBe(answers.length);
  expect(await engines.sum("cancelled")).toBe(0);
  expect(await pool()).toEqual(WELL);
});

test("a stream whose first token takes longer fails as before: after one more try, and no engine is let finish", async () => {
  const [before, cancelled] = [await engines.sum("requests"), await engines.sum("cancelled")];
  const answer = await world.chat(KEY, { stream: true });
  expect([answer.status, await codeOf(answer)]).toEqual([504, "upstream_timeout"]);
  // Each was given up before its first token.
  await until(async () => (await engines.sum("cancelled")) === cancelled + 2);
  expect(await engines.sum("requests")).toBe(before + 2);
  expect(await pool()).toMatchObject({ retries: 1, ejections: 0 });
});
