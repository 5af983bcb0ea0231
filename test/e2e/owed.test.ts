// The edge is killed right behind its OPENs: what its engines ran for is paid, to the token, by its key, whether an admission was on
// disk or not. Which of them were nobody can choose here; that those which were not are brought back is tested without a clock
// (edge/gate/recovery.test.ts, workerd/charges.test.ts).
import { expect, test } from "vitest";
import { World } from "../support/client.ts";
import { Engines, until, useStack } from "../support/stack.ts";

const TOGETHER = 12;
const TOKENS = 30;

const stack = useStack({
  // An answer of 30 tokens takes 3 s: longer than the edge is away, and shorter than its connector waits for anybody.
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "10", "--first-token-ms", "5", "--slots", "32"],
  slots: 32,
  edge: { HUB_SHARDS: "1" },
});
const world = new World(stack);

async function ran(): Promise<number> {
  const states = await new Engines(stack().chatPorts).states();
  return states.reduce((sum, one) => sum + one.prompt_tokens_total + one.completion_tokens_total, 0);
}
const isAtRest = async () => (await new Engines(stack().chatPorts).sum("slots_busy")) === 0;

test("what ran when the edge was killed behind its OPENs costs what its engines say", async () => {
  const key = await world.newKey("admin");
  expect((await world.chat(key, { max_tokens: 1 })).status).toBe(200);
  await until(async () => (await world.leases()) === 0);
  const engines = new Engines(stack().chatPorts);
  let { edge, workerdPid } = { edge: stack().parts.edge, workerdPid: stack().workerdPid };
  const used = async () => (await world.usage(key)).tokens_per_day.used;
  // The only key that anybody has used.
  expect(await used()).toBe(await ran());

  for (let round = 0; round < 2; round += 1) {
    const asked = Array.from({ length: TOGETHER }, (_, i) =>
      world
        .chat(key, { max_tokens: TOKENS, messages: [{ role: "user", content: "word ".repeat(i + 1) }] })
        .catch(() => null),
    );
    await until(async () => (await engines.sum("slots_busy")) === TOGETHER);
    process.kill(workerdPid, "SIGKILL");
    edge.kill("SIGKILL");
    await edge.exited;
    expect(await Promise.all(asked)).toEqual(new Array(TOGETHER).fill(null));
    ({ edge, workerdPid } = await stack().startEdge());
    await until(async () => (await fetch(`${world.url}/health/ready`)).ok);
    await until(isAtRest, 30_000);
    // The last END may be on its way.
    await until(async () => (await used()) >= (await ran()) && (await world.leases()) === 0);
    expect(await used()).toBe(await ran());
  }
}, 120_000);
