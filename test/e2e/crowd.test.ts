// Hundreds of plain requests at engines that take their time: one socket carries them all, and none is refused for want of room.
import { beforeAll, expect, test } from "vitest";
import { World } from "../support/client.ts";
import { Engines, until, useStack } from "../support/stack.ts";

const KEY = "hc-sk-demo-admin";
const MANY = 600;
const stack = useStack({
  // One of the two chat engines is the pool that is asked.
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "0", "--slots", String(MANY)],
  slots: MANY,
  edge: { HUB_SHARDS: "1" },
});
const world = new World(stack);
let engines: Engines;
beforeAll(() => {
  engines = new Engines(stack().chatPorts);
});

test("six hundred plain requests are at the engine at once, over one socket, and all are answered", async () => {
  await engines.fault({ hang_after_tokens: 0 });
  const answers = Array.from({ length: MANY }, () => world.chat(KEY, { max_tokens: 100 }));
  await until(async () => (await engines.sum("slots_busy")) === MANY);
  expect(stack().connectors).toHaveLength(1);
  await engines.fault({});
  const heard = await Promise.all(
    answers.map(async (pending) => {
      const answer = await pending;
      return [
        answer.status,
        ((await answer.json()) as { usage?: { completion_tokens: number } }).usage?.completion_tokens,
      ];
    }),
  );
  expect(heard).toEqual(heard.map(() => [200, 100]));
}, 60_000);
