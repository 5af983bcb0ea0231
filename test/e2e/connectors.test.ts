// Two connectors: what one of them loses, without having begun to answer it, the other one serves.
import { afterAll, beforeAll, expect, test } from "vitest";
import { FaultProxy } from "../support/fault-proxy.ts";
import { ADMIN_TOKEN, Engines, until, useStack } from "../support/stack.ts";

const roads = new Map<string, FaultProxy>();
const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "100", "--slots", "64"],
  slots: 64,
  connectors: ["onprem-1", "onprem-2"],
  edge: { HUB_SHARDS: "1" },
  uplinkPort: async (edgePort, connector) => {
    const road = await FaultProxy.to(edgePort);
    roads.set(connector, road);
    return road.port;
  },
});
let engines: Engines;
beforeAll(() => {
  engines = new Engines([...stack().chatPorts, ...stack().embedPorts]);
});
afterAll(async () => {
  for (const road of roads.values()) await road.close();
});

const chat = () =>
  fetch(`${stack().url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: "Bearer hc-sk-demo-admin", "content-type": "application/json" },
    body: JSON.stringify({ model: "heartcode-default", max_tokens: 5, messages: [{ role: "user", content: "hi" }] }),
  });
const links = async () => {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const answer = await fetch(`${stack().url}/admin/status`, { headers });
  const { shards } = (await answer.json()) as {
    shards: { links: { connector: string; live: boolean; running: number }[] }[];
  };
  return shards[0]!.links;
};
const areBothUp = async () => (await links()).filter((link) => link.live).length === 2;

/** Twenty requests that the engines hold back, shared by the two; then the harm; then the engines go on. */
async function survive(harm: () => void, isFound: () => Promise<boolean>): Promise<void> {
  await until(areBothUp, 60_000);
  await engines.fault({ hang_before_head: true });
  const answers = Array.from({ length: 20 }, chat);
  await until(async () => (await links()).every((link) => link.running === 10));
  harm();
  await engines.fault({});
  // These find out that one does not accept any more; none of them may fail for it.
  const more = Array.from({ length: 10 }, chat);
  await until(isFound, 30_000);
  const statuses = (await Promise.all([...answers, ...more])).map((answer) => answer.status);
  expect(statuses.filter((status) => status !== 200)).toEqual([]);
}

const isOneLeft = async () => (await links()).length === 1;

test("share the load, and SIGKILL of one loses nothing that had not begun", async () => {
  const [victim] = stack().connectors;
  await survive(() => victim!.kill("SIGKILL"), isOneLeft);
  stack().connectors[0] = await stack().startConnector(0);
}, 120_000);

test("SIGSTOP of one loses nothing that had not begun, and it is back when it goes on", async () => {
  const victim = stack().connectors[1]!;
  await survive(() => process.kill(victim.pid, "SIGSTOP"), isOneLeft);
  process.kill(victim.pid, "SIGCONT");
  await until(areBothUp, 60_000);
}, 120_000);

test("a cable that is pulled out of one loses nothing that had not begun, and it is back when the cable is", async () => {
  const road = roads.get("onprem-1")!;
  await survive(() => road.blackHole(), isOneLeft);
  road.heal();
  await until(areBothUp, 60_000);
}, 150_000);

test("the switch that aborts a hub is not there without DEV_FAULTS", async () => {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" };
  const url = `${stack().url}/admin/dev/abort-hub`;
  expect((await fetch(url, { method: "POST", headers, body: '{"shard":0}' })).status).toBe(404);
});

test("an edge that restarts with its state has both connectors back, and its key still works", async () => {
  await until(areBothUp, 60_000);
  stack().parts.edge.kill("SIGTERM");
  await stack().parts.edge.exited;
  await stack().startEdge();
  const from = performance.now();
  // Asked at once: whoever comes before the connectors waits for them.
  const statuses = (await Promise.all(Array.from({ length: 10 }, chat))).map((answer) => answer.status);
  expect(statuses).toEqual(Array(10).fill(200));
  await until(areBothUp, 60_000);
  console.log(`both connectors were back ${Math.round(performance.now() - from)} ms after the edge`);
}, 120_000);
