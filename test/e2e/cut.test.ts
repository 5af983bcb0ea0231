// An answer in flight survives a cut uplink: the client sees one stream, byte for byte.
import { afterAll, beforeAll, expect, test } from "vitest";
import { FaultProxy } from "../support/fault-proxy.ts";
import { read } from "../support/read.ts";
import { ADMIN_TOKEN, Engines, until, useStack } from "../support/stack.ts";

let relay: FaultProxy;
const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "100", "--slots", "64"],
  slots: 64,
  uplinkPort: async (edgePort) => {
    relay = await FaultProxy.to(edgePort);
    return relay.port;
  },
});
let engines: Engines;
beforeAll(() => {
  engines = new Engines(stack().chatPorts);
});
afterAll(() => relay.close());

const TOKENS = 300;
const bodyOf = (i: number, model: string) =>
  JSON.stringify({ model, stream: true, max_tokens: TOKENS, messages: [{ role: "user", content: `stream ${i}` }] });
const textOf = (events: string): string =>
  events
    .split("\n\n")
    .filter((event) => event.startsWith("data: {"))
    .map((event) => (JSON.parse(event.slice(6)).choices[0]?.delta?.content ?? "") as string)
    .join("");

test("thirty streams run on while their uplink is cut again and again", async () => {
  const numbers = Array.from({ length: 30 }, (_, i) => i);
  const running = numbers.map((i) =>
    read(`${stack().url}/v1/chat/completions`, bodyOf(i, "heartcode-default"), {
      authorization: "Bearer hc-sk-demo-admin",
    }),
  );
  const tokens = () => engines.sum("completion_tokens_total");
  for (const share of [0.15, 0.4, 0.7]) {
    await until(async () => (await tokens()) > share * numbers.length * TOKENS);
    relay.cut();
  }
  const answers = await Promise.all(running);
  expect(relay.cuts).toBe(3);
  const engine = `http://127.0.0.1:${stack().chatPorts[0]}/v1/chat/completions`;
  const direct = await Promise.all(numbers.map((i) => read(engine, bodyOf(i, "heartcode-chat-sfw"))));
  for (const i of numbers) {
    expect(answers[i]!.trimEnd().endsWith("data: [DONE]")).toBe(true);
    expect(textOf(answers[i]!)).toBe(textOf(direct[i]!));
  }
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const status = (await (await fetch(`${stack().url}/admin/status`, { headers })).json()) as {
    shards: { resumed: number; violations: number; exchanges: number }[];
  };
  expect(status.shards.reduce((sum, shard) => sum + shard.resumed, 0)).toBeGreaterThanOrEqual(numbers.length);
  expect(status.shards.map(({ violations, exchanges }) => [violations, exchanges])).toEqual([
    [0, 0],
    [0, 0],
  ]);
}, 60_000);
