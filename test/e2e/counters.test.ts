// What Prometheus counts of an edge that has long pauses.
import { expect, test } from "vitest";
import { ADMIN_TOKEN, until, useStack } from "../support/stack.ts";

/** workerd (1.20261023) evicts an object that was idle for 10 s. */
const PAUSE_MS = 12_000;

const stack = useStack({ fleet: ["--chat", "0x2", "--embed", "0x1"], edge: { HUB_SHARDS: "1" } });
const headers = { authorization: "Bearer hc-sk-demo-admin", "content-type": "application/json" };

async function count(name: string): Promise<number> {
  const answer = await fetch(`${stack().url}/admin/metrics`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
  const rows = (await answer.text()).split("\n").filter((line) => line.startsWith(name));
  return rows.reduce((sum, row) => sum + Number(row.split(" ").at(-1)), 0);
}

test("counters go on after a pause, in which nobody scrapes either", async () => {
  const messages = [{ role: "user", content: "hi" }];
  const body = JSON.stringify({ model: "heartcode-default", max_tokens: 2, messages });
  const answer = await fetch(`${stack().url}/v1/chat/completions`, { method: "POST", headers, body });
  expect(answer.status).toBe(200);
  await until(async () => (await count("heartcode_edge_settled_total")) === 1);
  // No event tells that nothing has happened.
  const from = performance.now();
  await until(() => performance.now() - from > PAUSE_MS);
  expect(await count("heartcode_edge_settled_total")).toBe(1);
  expect(await count("heartcode_edge_exchanges_total")).toBe(1);
  expect(await count("heartcode_edge_lookups_total")).toBe(1);
}, 30_000);
