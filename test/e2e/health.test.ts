// Sick engines behind the whole product: what a client notices of each illness, and what the sick engine still gets.
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ConnectorStatus } from "../../connector/status.ts";
import { freePorts } from "../../dev/bench/ports.ts";
import { Engines, until, useStack } from "../support/stack.ts";

const [metricsPort] = await freePorts(1);
const KEY = "test-master-key";
const stack = useStack({
  // Half of the chat engines are the pool that is asked here.
  fleet: ["--chat", "0x8", "--embed", "0x1", "--tokens-per-second", "500", "--first-token-ms", "1", "--slots", "4"],
  edge: { AUTH_MODE: "master-key", MASTER_KEY: KEY },
  config: `timeouts: { connect_ms: 1000, first_byte_s: 2, whole_s: 2, idle_s: 2, total_s: 30 }
metrics: { listen: "127.0.0.1:${metricsPort}" }
`,
});

let engines: Engines;
/** The one that falls ill. */
let sick: number;
beforeAll(async () => {
  engines = new Engines(stack().chatPorts.slice(0, 4), stack().embedPorts[0]);
  sick = engines.ports[0]!;
  await allUp();
});

async function states(): Promise<string[]> {
  const status = (await (await fetch(`http://127.0.0.1:${metricsPort}/status`)).json()) as ConnectorStatus;
  const pool = status.pools.find(({ model }) => model === "heartcode-chat-sfw")!;
  return engines.ports.map((port) => pool.upstreams.find(({ url }) => url.endsWith(`:${port}`))!.state);
}
const allUp = () => until(async () => (await states()).every((state) => state === "up"));

afterEach(async () => {
  // Who was ejected comes back at once as another process, and only after half a minute as the same.
  const ejected = (await states()).flatMap((state, i) => (state === "ejected" ? [engines.ports[i]!] : []));
  await engines.fault({});
  if (ejected.length > 0) {
    await engines.fault({ loading: true }, ejected);
    await until(async () => !(await states()).includes("ejected"));
    await engines.fault({}, ejected);
  }
  await allUp();
});

/** When each question was asked, ms. */
const askedAt: number[] = [];
interface Answer {
  readonly status: number;
  readonly body: string;
}

/** A prompt of its own, so that affinity spreads them. */
async function ask(body: object = {}): Promise<Answer> {
  askedAt.push(Date.now());
  const response = await fetch(`${stack().url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${KEY}` },
    body: JSON.stringify({
      model: "heartcode-sfw",
      max_tokens: 4,
      messages: [{ role: "user", content: `question ${askedAt.length}` }],
      ...body,
    }),
  });
  return { status: response.status, body: await response.text() };
}

async function askMany(count: number, body: object = {}): Promise<number[]> {
  const statuses: number[] = [];
  for (let i = 0; i < count; i += 1) statuses.push((await ask(body)).status);
  return statuses;
}
const all = (count: number, status = 200) => new Array<number>(count).fill(status);

/** How many generation requests each engine has had. */
const seen = async () => (await engines.states()).map(({ requests }) => requests);

/** Asks until the sick engine has met one more request than before; all must be answered. */
async function askUntilSick(body: object = {}): Promise<Answer[]> {
  const [before] = await seen();
  const answers: Answer[] = [];
  while ((await seen())[0] === before) {
    answers.push(await ask(body));
    if (answers.length > 60) throw new Error("the sick engine is not asked");
  }
  return answers;
}

describe("an engine", () => {
  test("that crashes is not noticed: others answer, it gets nothing more, and it comes back by a probe", async () => {
    // All of the next ones may meet it before a probe does: that many retries are a fifth of these.
    expect(await askMany(40)).toEqual(all(40));
    await engines.fault({ refuse: true }, [sick]);
    expect(await askMany(8)).toEqual(all(8));
    await until(async () => (await states())[0] === "down");
    const [before] = await seen();
    expect(await askMany(12)).toEqual(all(12));
    expect((await seen())[0]).toBe(before);
    await engines.fault({}, [sick]);
    await until(async () => (await states())[0] === "up");
    await askUntilSick();
  });

  test("that crashes before it answers costs its request nothing but time", async () => {
    await engines.fault({ reset_before_head: true, count: 1 }, [sick]);
    const answers = await askUntilSick();
    expect(answers.map(({ status }) => status)).toEqual(all(answers.length));
  });

  test("that crashes in a stream is an error in the stream, and the request goes nowhere else", async () => {
    await engines.fault({ reset_after_tokens: 10, count: 1 }, [sick]);
    const before = (await seen()).reduce((sum, one) => sum + one, 0);
    const answers = await askUntilSick({ stream: true, max_tokens: 40 });
    const last = answers.at(-1)!;
    expect(last.status).toBe(200);
    expect(last.body).toContain('"error"');
    expect(last.body).not.toContain("[DONE]");
    for (const { body } of answers.slice(0, -1)) expect(body).toContain("[DONE]");
    expect((await seen()).reduce((sum, one) => sum + one, 0)).toBe(before + answers.length);
  });

  test("that hangs before its head loses the request to another one, and its slot is free", async () => {
    await engines.fault({ hang_before_head: true, count: 1 }, [sick]);
    const cancelled = await engines.sum("cancelled");
    const answers = await askUntilSick();
    expect(answers.map(({ status }) => status)).toEqual(all(answers.length));
    expect(await engines.sum("cancelled")).toBe(cancelled + 1);
    expect(await engines.sum("slots_busy")).toBe(0);
  });

  test("that hangs in a stream is an error in the stream, its slot is free, and the request goes nowhere else", async () => {
    await engines.fault({ hang_after_tokens: 10, count: 1 }, [sick]);
    const before = (await seen()).reduce((sum, one) => sum + one, 0);
    const answers = await askUntilSick({ stream: true, max_tokens: 40 });
    const last = answers.at(-1)!;
    expect(last.status).toBe(200);
    expect(last.body).toContain('"error"');
    expect(last.body).not.toContain("[DONE]");
    await until(async () => (await engines.sum("slots_busy")) === 0);
    expect((await seen()).reduce((sum, one) => sum + one, 0)).toBe(before + answers.length);
  });

  test("that is slow gets less than the others, and nobody waits in its line", async () => {
    await engines.fault({ slow_ms_per_token: 250 }, [sick]);
    const before = await seen();
    // As many at once as the pool has slots, less those of one engine.
    const workers = Array.from({ length: 12 }, () => askMany(10));
    expect((await Promise.all(workers)).flat()).toEqual(all(120));
    const [slow, ...others] = (await seen()).map((count, i) => count - before[i]!);
    for (const other of others) expect(slow).toBeLessThan(other);
    expect((await engines.states()).map(({ deferred }) => deferred)).toEqual([0, 0, 0, 0]);
  });

  test("that fails again and again is ejected, and comes back when it was away and is well", async () => {
    // The retries of the burst are a share of these.
    expect(await askMany(40)).toEqual(all(40));
    await engines.fault({ status: 500 }, [sick]);
    const [before] = await seen();
    expect(await askMany(40)).toEqual(all(40));
    expect(await states()).toEqual(["ejected", "up", "up", "up"]);
    expect((await seen())[0]).toBe(before! + 5);
    await engines.fault({ loading: true }, [sick]);
    await until(async () => (await states())[0] === "loading");
    await engines.fault({}, [sick]);
    await until(async () => (await states())[0] === "up");
    await askUntilSick();
  });

  test("that loads its model gets nothing until it is ready", async () => {
    await engines.fault({ loading: true }, [sick]);
    expect(await askMany(12)).toEqual(all(12));
    await until(async () => (await states())[0] === "loading");
    const [before] = await seen();
    expect(await askMany(12)).toEqual(all(12));
    expect((await seen())[0]).toBe(before);
    await engines.fault({}, [sick]);
    await until(async () => (await states())[0] === "up");
    await askUntilSick();
  });
});

describe("a pool", () => {
  test("of engines that all fail is not finished off: a fifth is sent twice, and half is never ejected", async () => {
    const REQUESTS = 160;
    await engines.fault({ status: 500 });
    const before = (await seen()).reduce((sum, one) => sum + one, 0);
    const begun = Date.now();
    const recently = askedAt.filter((at) => at > begun - 10_000).length;
    const statuses = await askMany(REQUESTS);
    const windows = 1 + Math.ceil((Date.now() - begun) / 10_000);
    expect(new Set(statuses)).toEqual(new Set([502]));
    const sent = (await seen()).reduce((sum, one) => sum + one, 0) - before;
    // The budget is a fifth of any ten seconds, or three. What was asked just before counts too.
    expect(0.2 * (REQUESTS + recently) + 3 * windows).toBeLessThan(REQUESTS);
    expect(sent - REQUESTS).toBeGreaterThanOrEqual(3);
    expect(sent - REQUESTS).toBeLessThanOrEqual(0.2 * (REQUESTS + recently) + 3 * windows);
    const told = await states();
    expect(told.filter((state) => state === "ejected")).toHaveLength(2);
    expect(told.filter((state) => state === "up")).toHaveLength(2);
  });

  test("of which all engines load says that the model is unavailable, and when to come back", async () => {
    await engines.fault({ loading: true });
    await until(async () => (await states()).every((state) => state === "loading"));
    const response = await fetch(`${stack().url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${KEY}` },
      body: JSON.stringify({ model: "heartcode-sfw", messages: [{ role: "user", content: "hi" }] }),
    });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: "model_unavailable" } });
    expect(Number(response.headers.get("retry-after"))).toBeGreaterThan(0);
  });
});
