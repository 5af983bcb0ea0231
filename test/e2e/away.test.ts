// What must not keep a connector away from its edge for ever, and how it leaves where it has to.
import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import WebSocket from "ws";
import { loadIdentity } from "../../connector/uplink/key.ts";
import { encode } from "../../shared/wire/codec.ts";
import { SUBPROTOCOL } from "../../shared/wire/frames.ts";
import { hello } from "../support/edge.ts";
import { until, useStack } from "../support/stack.ts";

const stack = useStack({ fleet: ["--chat", "0x2", "--embed", "0x1"], edge: { HUB_SHARDS: "2" } });
const log = () => readFile(stack().connectorLogs[0]!, "utf8");
const isReady = async () => (await fetch(`${stack().url}/health/ready`).catch(() => null))?.ok === true;

test("an edge that comes back without a connector's key, and then with it, has the connector back by itself", async () => {
  const file = join(dirname(stack().configs[0]!), "connectors.json");
  const keys = await readFile(file, "utf8");
  await writeFile(file, '{"keys":[]}');
  stack().parts.edge.kill("SIGKILL");
  await stack().parts.edge.exited;
  const { edge } = await stack().startEdge();
  await until(async () => (await log()).split("the edge refuses this connector; it is dialled again").length > 3);
  await writeFile(file, keys);
  edge.kill("SIGKILL");
  await edge.exited;
  await stack().startEdge();
  await until(isReady, 40_000);
  expect(await log()).not.toContain("for good");
}, 90_000);

test("a connector that another process has put out on one shard leaves the others, too, and exits with 4", async () => {
  const url = `ws://127.0.0.1:${stack().port}/uplink`;
  const { token } = await loadIdentity("onprem-1", stack().configs[0]!.replace(/yaml$/, "key"));
  const authorization = `Bearer ${await token({ url, shard: 0, slot: 0 }, Date.now())}`;
  const socket = new WebSocket(url, SUBPROTOCOL, { headers: { authorization } });
  socket.on("open", () => socket.send(encode([hello()])));
  expect(await stack().connectors[0]!.exited).toBe(4);
  expect(await log()).toContain("another process of this connector is at the edge");
  socket.terminate();
}, 90_000);

test("a second process of one id takes the place of the first, which exits with 4, and goes on", async () => {
  const first = await stack().startConnector(0);
  const second = await stack().startConnector(0);
  expect(await first.exited).toBe(4);
  await until(isReady);
  second.kill("SIGTERM");
  expect(await second.exited).toBe(0);
}, 90_000);
