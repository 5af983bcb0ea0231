// Who pays: every token is charged once and to its key, whatever becomes of the exchange, the hub and the edge.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { Crew } from "../../dev/crew.ts";
import { CHAT, codeOf, World } from "../support/client.ts";
import { ADMIN_TOKEN, Engines, until, useStack } from "../support/stack.ts";

interface Entry {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly outcome: string;
}

const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "200", "--first-token-ms", "5", "--slots", "32"],
  slots: 32,
  edge: { TIERS: "" },
});
const world = new World(stack);
const engines = () => new Engines([...stack().chatPorts, ...stack().embedPorts]);
afterEach(async () => {
  await engines().fault({});
});

/** What the engines have in their own books. */
async function entries(): Promise<Entry[]> {
  const lists = await Promise.all(
    engines().ports.map(
      async (port) => (await fetch(`http://127.0.0.1:${port}/sim/ledger`)).json() as Promise<Entry[]>,
    ),
  );
  return lists.flat();
}
const sumOf = (list: readonly Entry[]) => list.reduce((sum, one) => sum + one.prompt_tokens + one.completion_tokens, 0);
const atRest = () => until(async () => (await world.leases()) === 0);
const usedOf = async (key: string) => (await world.usage(key)).tokens_per_day.used;

describe("leases", () => {
  test("a cancelled stream pays for what was generated, and gets the rest back", async () => {
    const key = await world.newKey("admin");
    const before = sumOf(await entries());
    const { socket, received } = world.byHand("/v1/chat/completions", key, {
      ...CHAT,
      max_tokens: 5_000,
      stream: true,
    });
    await until(() => received().split("data: ").length > 20);
    expect(await usedOf(key)).toBeGreaterThanOrEqual(5_000);
    socket.resetAndDestroy();
    await atRest();
    await until(async () => (await engines().sum("slots_busy")) === 0);
    const used = await usedOf(key);
    const generated = sumOf(await entries()) - before;
    expect(used).toBeGreaterThanOrEqual(18);
    expect(used).toBeLessThan(1_000);
    // What the engine sent into a socket that was just being closed nobody has seen.
    expect(Math.abs(generated - used)).toBeLessThanOrEqual(0.1 * generated + 10);
  });

  test("sums of many exchanges of all kinds are the engines' own", async () => {
    const key = await world.newKey("admin");
    const before = sumOf(await entries());
    const answers = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const max_tokens = 1 + ((i * 7) % 40);
        const prompt = "word ".repeat(i);
        if (i % 4 === 0) return world.chat(key, { max_tokens, messages: [{ role: "user", content: prompt || "hi" }] });
        if (i % 4 === 1) return world.chat(key, { max_tokens, stream: true });
        if (i % 4 === 2)
          return world.post("/v1/completions", key, {
            model: "heartcode-default",
            prompt,
            max_tokens,
            stream: i % 8 === 2,
          });
        return world.post("/v1/embeddings", key, { model: "heartcode-embed", input: [prompt, "x"] });
      }),
    );
    for (const answer of answers) {
      expect(answer.status).toBe(200);
      await answer.text();
    }
    await atRest();
    expect(await usedOf(key)).toBe(sumOf(await entries()) - before);
    const { settled, expired, forfeited_tokens } = (await world.shards()).reduce(
      (sum, { gate }) => ({
        settled: sum.settled + gate.settled,
        expired: sum.expired + gate.expired,
        forfeited_tokens: sum.forfeited_tokens + gate.forfeited_tokens,
      }),
      { settled: 0, expired: 0, forfeited_tokens: 0 },
    );
    expect(settled).toBeGreaterThanOrEqual(41);
    expect([expired, forfeited_tokens]).toEqual([0, 0]);
  });

  test("several answers in one piece cost what all of them are, although the engine tells of the first alone", async () => {
    const key = await world.newKey("admin");
    const before = sumOf(await entries());
    const answer = await world.chat(key, { n: 4, max_tokens: 100 });
    const { usage } = (await answer.json()) as { usage: { completion_tokens: number; total_tokens: number } };
    expect(usage.completion_tokens).toBeGreaterThan(300);
    await atRest();
    const generated = sumOf(await entries()) - before;
    expect(generated).toBeGreaterThan(400);
    const used = await usedOf(key);
    expect(used).toBe(usage.total_tokens);
    expect(Math.abs(used - generated)).toBeLessThan(0.2 * generated);
  });

  test("a stream that its engine breaks off pays for what came", async () => {
    const key = await world.newKey("admin");
    await engines().fault({ cut_after_tokens: 10 });
    const answer = await world.chat(key, { max_tokens: 100, stream: true });
    expect(await answer.text()).toContain("upstream_error");
    await atRest();
    const used = await usedOf(key);
    expect(used).toBeGreaterThanOrEqual(10);
    expect(used).toBeLessThan(60);
  });

  test("an exchange that no connector takes costs no tokens", async () => {
    const key = await world.newKey("premium", { rpm: 5 });
    const [connector] = stack().connectors;
    // It looks the key up while there is somebody to ask.
    expect(await usedOf(key)).toBe(0);
    connector!.kill("SIGTERM");
    await connector!.exited;
    const answer = await world.chat(key, { max_tokens: 500 });
    expect([answer.status, await codeOf(answer)]).toEqual([503, "model_unavailable"]);
    await atRest();
    const { requests_per_minute, tokens_per_day } = await world.usage(key);
    expect([requests_per_minute.used, tokens_per_day.used]).toEqual([1, 0]);
    await stack().startConnector(0);
    await until(async () => (await fetch(`${world.url}/health/ready`)).ok);
  });
});

describe("limits", () => {
  const crew = new Crew();
  afterAll(() => crew.dismiss());

  test("are the same after the edge was killed and started again, and what ran then is settled by its connector", async () => {
    const key = await world.newKey("premium", { rpm: 3 });
    for (let i = 0; i < 2; i += 1) expect((await world.chat(key)).status).toBe(200);
    await atRest();
    const used = await usedOf(key);
    expect(used).toBeGreaterThan(0);
    const running = world.byHand("/v1/chat/completions", key, { ...CHAT, max_tokens: 400, stream: true });
    await until(() => running.received().split("data: ").length > 5);
    const { edge } = stack().parts;
    edge.kill("SIGKILL");
    await edge.exited;
    running.socket.destroy();

    const directory = dirname(stack().configs[0]!);
    const again = crew.start({
      name: "edge",
      command: process.execPath,
      args: [
        fileURLToPath(new URL("../../dev/edge/main.ts", import.meta.url)),
        ...["--port", String(stack().port), "--state", join(directory, "edge")],
        ...["--connector-keys", join(directory, "connectors.json")],
      ],
      env: { ...process.env, AUTH_MODE: "backend", ADMIN_TOKEN },
      ipc: true,
    });
    await again.ready(60_000);
    await until(async () => (await fetch(`${world.url}/health/ready`)).ok);
    // Three of three: what refills in a minute is one every twenty seconds.
    const denied = await world.chat(key);
    expect([denied.status, await codeOf(denied)]).toEqual([429, "rate_limit_exceeded"]);
    expect(Number(denied.headers.get("x-ratelimit-remaining-requests"))).toBe(0);
    // Nobody resumes it: its connector gives it up after 15 s, and its END settles the lease.
    expect(await usedOf(key)).toBeGreaterThanOrEqual(used + 400);
    await until(async () => (await world.leases()) === 0, 30_000);
    const settled = await usedOf(key);
    expect(settled).toBeGreaterThan(used);
    expect(settled).toBeLessThanOrEqual(used + 450);
  });
});
