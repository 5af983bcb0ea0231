// A client that reads nothing while 200 MB wait for it makes nobody grow: what is on its way is bounded by the windows.

import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { beforeAll, expect, test } from "vitest";
import { EXCHANGE_WINDOW_BYTES } from "../../shared/wire/frames.ts";
import { ADMIN_TOKEN, Engines, until, useStack } from "../support/stack.ts";

const ANSWER_BYTES = 200_000_000;
const MIB = 1024 * 1024;

const stack = useStack({ fleet: ["--chat", "0x2", "--embed", "0x1"] });
let engines: Engines;
beforeAll(() => {
  engines = new Engines(stack().embedPorts);
});

/** Resident set of a process in bytes. */
async function rss(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

async function heldByHubs(): Promise<number> {
  const response = await fetch(`${stack().url}/admin/status`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
  const { shards } = (await response.json()) as { shards: { held_bytes: number }[] };
  return shards.reduce((sum, shard) => sum + shard.held_bytes, 0);
}

test("a reader that stands still holds the engine back, not memory", async () => {
  await engines.fault({ answer_bytes: ANSWER_BYTES });
  const pids = { workerd: stack().workerdPid, connector: stack().connectors[0]!.pid };
  const before = { workerd: await rss(pids.workerd), connector: await rss(pids.connector) };

  const text = JSON.stringify({ model: "heartcode-embed", input: "hi" });
  const socket = connect(stack().port, "127.0.0.1");
  socket.pause();
  socket.write(
    `POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hc-sk-demo-admin\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  // Everything that will move has moved when the hub's counter stands still over many looks.
  let last = -1;
  let still = 0;
  await until(async () => {
    const held = await heldByHubs();
    expect(held).toBeLessThanOrEqual(EXCHANGE_WINDOW_BYTES);
    still = held === last && held > 0 ? still + 1 : 0;
    last = held;
    return still > 30;
  });
  const after = { workerd: await rss(pids.workerd), connector: await rss(pids.connector) };
  // workerd and the kernel buffer about 5 MB of a response body; the rest is the garbage of two young heaps.
  expect(after.workerd - before.workerd).toBeLessThan(64 * MIB);
  expect(after.connector - before.connector).toBeLessThan(64 * MIB);

  // And the answer is still whole: read it to its end.
  let received = 0;
  const ended = new Promise<void>((done) => socket.once("close", () => done()));
  socket.on("data", (chunk: Buffer) => {
    received += chunk.byteLength;
    if (received >= ANSWER_BYTES) socket.destroy();
  });
  socket.resume();
  await ended;
  expect(received).toBeGreaterThanOrEqual(ANSWER_BYTES);
  await until(async () => (await engines.sum("slots_busy")) === 0);
});
