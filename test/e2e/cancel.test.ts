// A client that leaves frees its GPU at once, at every stage and on every route. Read from the engine's side.
// The client leaves by RST: workerd does not notice a FIN before the head or during silence (measured with 1.20261023).
import { connect, type Socket } from "node:net";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { Engines, until, useStack } from "../support/stack.ts";

const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "200", "--slots", "2"],
  slots: 2,
});

let engines: Engines;
beforeAll(() => {
  engines = new Engines([...stack().chatPorts, ...stack().embedPorts]);
});
afterEach(async () => {
  await engines.fault({});
});

const chatBody = { model: "heartcode-default", max_tokens: 5_000, messages: [{ role: "user", content: "hi" }] };
const ROUTES: [name: string, path: string, body: object][] = [
  ["chat, streamed", "/v1/chat/completions", { ...chatBody, stream: true }],
  ["chat, plain", "/v1/chat/completions", chatBody],
  [
    "completions, streamed",
    "/v1/completions",
    { model: "heartcode-default", prompt: "hi", max_tokens: 5_000, stream: true },
  ],
  ["completions, plain", "/v1/completions", { model: "heartcode-default", prompt: "hi", max_tokens: 5_000 }],
  ["embeddings", "/v1/embeddings", { model: "heartcode-embed", input: "hi" }],
];
const STREAMS = ROUTES.filter(([name]) => name.includes("streamed"));

/** A request by hand, so that the test decides how its connection ends. */
async function ask(path: string, body: object): Promise<{ socket: Socket; received: () => string }> {
  const text = JSON.stringify(body);
  const socket = connect(stack().port, "127.0.0.1");
  let received = "";
  socket.setEncoding("utf8").on("data", (piece: string) => {
    received += piece;
  });
  socket.on("error", () => {});
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${stack().port}\r\nAuthorization: Bearer hc-sk-demo-admin\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  return { socket, received: () => received };
}

const isFree = async () => (await engines.sum("slots_busy")) === 0 && (await engines.sum("deferred")) === 0;

describe("before the head", () => {
  test.each(ROUTES)("%s: the engine's request is aborted", async (_name, path, body) => {
    await engines.fault({ hang_before_head: true });
    const cancelled = await engines.sum("cancelled");
    const { socket } = await ask(path, body);
    await until(async () => (await engines.sum("slots_busy")) === 1);
    socket.resetAndDestroy();
    await until(isFree);
    expect(await engines.sum("cancelled")).toBe(cancelled + 1);
  });
});

describe("in the queue", () => {
  test.each(ROUTES)("%s: the engine never sees the request", async (_name, path, body) => {
    await engines.fault({ hang_before_head: true });
    // One engine of two slots serves each model here.
    const holders = await Promise.all([ask(path, body), ask(path, body)]);
    await until(async () => (await engines.sum("slots_busy")) === 2);
    const requests = await engines.sum("requests");
    const { socket } = await ask(path, body);
    await until(async () => (await queued()) === 1);
    socket.resetAndDestroy();
    await until(async () => (await queued()) === 0);
    for (const holder of holders) holder.socket.resetAndDestroy();
    await until(isFree);
    expect(await engines.sum("requests")).toBe(requests);
  });
});

describe("mid-stream", () => {
  test.each(STREAMS)("%s: generation stops", async (_name, path, body) => {
    const cancelled = await engines.sum("cancelled");
    const { socket, received } = await ask(path, body);
    await until(() => received().split("data: ").length > 5);
    socket.resetAndDestroy();
    await until(isFree);
    expect(await engines.sum("cancelled")).toBe(cancelled + 1);
    const tokens = await engines.sum("completion_tokens_total");
    expect(await engines.sum("completion_tokens_total")).toBe(tokens);
  });
});

describe("while the stream is silent", () => {
  test.each(STREAMS)("%s: generation stops", async (_name, path, body) => {
    await engines.fault({ hang_after_tokens: 3 });
    const { socket, received } = await ask(path, body);
    await until(() => received().split("data: ").length > 3);
    expect(await engines.sum("slots_busy")).toBe(1);
    socket.resetAndDestroy();
    await until(isFree);
  });
});

describe("while a plain answer is on its way", () => {
  test("the engine is not read on", async () => {
    await engines.fault({ answer_bytes: 200_000_000 });
    const { socket, received } = await ask("/v1/embeddings", { model: "heartcode-embed", input: "hi" });
    await until(() => received().length > 1_000_000);
    socket.resetAndDestroy();
    await until(isFree);
  });
});

async function queued(): Promise<number> {
  const response = await fetch(`${stack().url}/admin/status`, {
    headers: { authorization: "Bearer test-admin-token" },
  });
  const { shards } = (await response.json()) as { shards: { links: { pools: { queued: number }[] }[] }[] };
  const [first] = shards;
  return first!.links.flatMap((link) => link.pools).reduce((sum, pool) => sum + pool.queued, 0);
}
