// The edge is killed in the moment between OPEN and the disk: what its engines ran for is paid, to the token, by its key.
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
const recovered = async () => (await world.shards()).reduce((sum, { gate }) => sum + gate.recovered, 0);
const isAtRest = async () => (await new Engines(stack().chatPorts).sum("slots_busy")) === 0;

test("what ran when the edge was killed before its admissions were on disk costs what its engines say", async () => {
  const key = await world.newKey("admin");
  expect((await world.chat(key, { max_tokens: 1 })).status).toBe(200);
  await until(async () => (await world.leases()) === 0);
  const engines = new Engines(stack().chatPorts);
  let { edge, workerdPid } = { edge: stack().parts.edge, workerdPid: stack().workerdPid };
  const used = async () => (await world.usage(key)).tokens_per_day.used;
  // The only key that anybody has used.
  expect(await used()).toBe(await ran());

  // The disk is a few milliseconds behind the first OPEN: it is met now and then.
  for (let round = 0, found = 0; found === 0; round += 1) {
    expect(round).toBeLessThan(20);
    const asked = Array.from({ length: TOGETHER }, (_, i) =>
      world
        .chat(key, { max_tokens: TOKENS, messages: [{ role: "user", content: "word ".repeat(i + 1) }] })
        .catch(() => null),
    );
    // Asked without a pause: between two looks of `until` the disk would be there.
    for (const end = Date.now() + 15_000; (await engines.sum("slots_busy")) === 0; )
      if (Date.now() > end) throw new Error("no engine was asked");
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
    found = await recovered();
  }
}, 150_000);
