// A plain answer whose head is known and of which nothing has come: what its client gets when no more of it ever comes.
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { errorOf, World } from "../support/client.ts";
import { ADMIN_TOKEN, Engines, until, useStack } from "../support/stack.ts";

let edgeSaid = "";
const stack = useStack({
  heard: (part, text) => {
    if (part === "edge") edgeSaid += text;
  },
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "500"],
  edge: { DEV_FAULTS: "1", HUB_SHARDS: "1" },
  // Longer than the other tests need.
  config: "timeouts: { first_byte_s: 8, whole_s: 8, idle_s: 8 }\n",
});
const world = new World(stack);
let engines: Engines;
beforeAll(() => {
  engines = new Engines(stack().chatPorts);
});
afterEach(async () => {
  if (isDown) await startAgain();
  await engines.fault({});
  await until(async () => (await engines.sum("slots_busy")) === 0);
  await until(async () => (await fetch(`${stack().url}/health/ready`)).ok, 30_000);
});

const KEY = "hc-sk-demo-premium";
const BYTES = 2_000_000;
const HANGS = { hang_after_head: true, answer_bytes: BYTES };
const isRunning = async () => (await world.shards())[0]!.links.some(({ running }) => running === 1);
const abortHub = () => world.post("/admin/dev/abort-hub", ADMIN_TOKEN, { shard: 0 });

let isDown = false;
async function stop(how: "SIGKILL" | "twice"): Promise<void> {
  const [connector] = stack().connectors;
  isDown = true;
  if (how === "twice") {
    connector!.kill("SIGTERM");
    await until(() => connector!.tail().includes("running exchanges may finish"));
  }
  connector!.kill(how === "twice" ? "SIGTERM" : how);
  await connector!.exited;
}
async function startAgain(): Promise<void> {
  stack().connectors[0] = await stack().startConnector(0);
  isDown = false;
}

const embed = () => world.post("/v1/embeddings", KEY, { model: "heartcode-embed", input: "hi" });

/** An answer whose head has come to the hub, and nothing else. */
async function begun(): Promise<{ readonly answer: Promise<Response> }> {
  await engines.fault(HANGS);
  const before = await engines.sum("completion_tokens_total");
  const answer = world.chat(KEY);
  // Looked at by each test; one that fails before must not leave it unheard.
  answer.catch(() => {});
  // An engine counts the tokens of a plain answer just before it sends the head; what comes behind that on the same way shows
  // that the head is through.
  await until(async () => (await engines.sum("completion_tokens_total")) > before);
  expect((await embed()).status).toBe(200);
  return { answer };
}

/** The answer is the row of the table with all that belongs to it, and the edge has said the same of it, once. */
async function expectRow(answer: Response, status: number, code: string): Promise<void> {
  expect([answer.status, (await errorOf(answer)).code]).toEqual([status, code]);
  expect(answer.headers.get("x-ratelimit-limit-requests")).not.toBeNull();
  const id = answer.headers.get("x-request-id")!;
  const lines = () => edgeSaid.split("\n").filter((line) => line.includes(id) && line.includes('"msg":"request"'));
  await until(() => lines().length > 0);
  expect(lines().map((line) => JSON.parse(line))).toMatchObject([{ status, code, path: "/v1/chat/completions" }]);
}

describe("a plain answer that breaks before its first byte is a failure with a status", () => {
  test("where its connector was killed and the next one does not know it", async () => {
    const { answer } = await begun();
    await stop("SIGKILL");
    await startAgain();
    await expectRow(await answer, 502, "upstream_error");
  });

  test("where its connector was forced to stop", async () => {
    const { answer } = await begun();
    await stop("twice");
    await expectRow(await answer, 502, "upstream_error");
  });

  test("where its engine says no more, and the code tells that it was waited for", async () => {
    const { answer } = await begun();
    await expectRow(await answer, 504, "upstream_timeout");
  });

  test("where its hub was lost, and then its connector", async () => {
    const { answer } = await begun();
    expect((await abortHub()).status).toBe(200);
    await until(isRunning);
    await stop("SIGKILL");
    await startAgain();
    const failed = await answer;
    expect([failed.status, (await errorOf(failed)).code]).toEqual([502, "upstream_error"]);
    expect(failed.headers.get("x-ratelimit-limit-requests")).not.toBeNull();
  });
});

test("whose hub is lost before its first byte goes on, and is whole", async () => {
  const { answer } = await begun();
  expect((await abortHub()).status).toBe(200);
  await until(isRunning);
  await engines.fault({});
  const whole = await answer;
  expect([whole.status, (await whole.arrayBuffer()).byteLength]).toEqual([200, expect.any(Number)]);
});

test("whose client leaves before its first byte frees its engine at once", async () => {
  await engines.fault(HANGS);
  const { socket, received } = world.byHand("/v1/chat/completions", KEY, {
    model: "heartcode-default",
    max_tokens: 2,
    messages: [{ role: "user", content: "hi" }],
  });
  await until(isRunning);
  await until(async () => (await engines.sum("slots_busy")) === 1);
  const from = performance.now();
  socket.resetAndDestroy();
  await until(async () => (await engines.sum("slots_busy")) === 0);
  expect([received(), performance.now() - from < 2_000]).toEqual(["", true]);
});

test("a large plain answer begins long before it ends, and its reader holds back its engine", async () => {
  await engines.fault({ answer_bytes: 60_000_000 });
  const answer = await world.chat(KEY);
  const reader = answer.body!.getReader();
  expect((await reader.read()).value!.byteLength).toBeGreaterThan(0);
  expect(await engines.sum("slots_busy")).toBe(1);
  let bytes = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) bytes += part.value.byteLength;
  expect(bytes).toBeGreaterThan(50_000_000);
}, 60_000);
