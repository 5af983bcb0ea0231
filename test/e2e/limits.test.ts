// How much: requests and tokens of the minute, tokens of the day, as a client sees them.
import { afterEach, describe, expect, test } from "vitest";
import { duration } from "../../edge/gate/headers.ts";
import { errorOf, World, wait } from "../support/client.ts";
import { Engines, until, useStack } from "../support/stack.ts";

const DAY = 86_400_000;
const FIT = { default_max_tokens: 2 };

const numberIn = (answer: Response, header: string): number => Number(answer.headers.get(header));

describe("limits", () => {
  const stack = useStack({
    fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "0", "--first-token-ms", "0", "--slots", "64"],
    slots: 64,
    edge: { TIERS: "" },
  });
  const world = new World(stack);
  afterEach(async () => {
    await new Engines([...stack().chatPorts, ...stack().embedPorts]).fault({});
  });

  test("requests of the minute: told exactly, and let in as soon as told", async () => {
    const key = await world.newKey("premium", { rpm: 40 });
    const startedAt = Date.now();
    const answers = await Promise.all(Array.from({ length: 60 }, () => world.chat(key)));
    const passed = Date.now() - startedAt;
    const admitted = answers.filter(({ status }) => status === 200).length;
    expect(admitted).toBeGreaterThanOrEqual(40);
    expect(admitted).toBeLessThanOrEqual(40 + Math.floor((passed * 40) / 60_000) + 1);
    const denied = answers.find(({ status }) => status === 429)!;
    const retryAfterMs = numberIn(denied, "retry-after-ms");
    expect(retryAfterMs).toBeGreaterThan(0);
    expect(retryAfterMs).toBeLessThanOrEqual(1_500);
    expect(numberIn(denied, "retry-after")).toBe(Math.ceil(retryAfterMs / 1_000));
    expect(denied.headers.get("x-should-retry")).toBeNull();
    expect(numberIn(denied, "x-ratelimit-limit-requests")).toBe(40);
    expect(numberIn(denied, "x-ratelimit-remaining-requests")).toBe(0);
    expect(await errorOf(denied)).toEqual({
      message: `Rate limit reached for heartcode-default on requests per min (RPM): Limit 40, Used 40, Requested 1. Please try again in ${duration(retryAfterMs)}.`,
      type: "requests",
      param: null,
      code: "rate_limit_exceeded",
    });
    // What one is told, one can rely on.
    let again = await world.chat(key);
    for (let round = 0; round < 2; round += 1) {
      while (again.status === 200) again = await world.chat(key);
      await wait(numberIn(again, "retry-after-ms"));
      again = await world.chat(key);
      expect(again.status).toBe(200);
    }
  });

  test("tokens of the minute: reserved, settled by what was used, denied with the time that is missing", async () => {
    const key = await world.newKey("premium", { tpm: 6_000, rpm: 1_000, max_tokens: 6_000 });
    const first = await world.chat(key, { max_tokens: 5_000 });
    expect(first.status).toBe(200);
    const { usage } = (await first.json()) as { usage: { total_tokens: number } };
    expect(usage.total_tokens).toBeGreaterThan(5_000);
    await until(async () => (await world.leases()) === 0);
    const { tokens_per_minute, tokens_per_day } = await world.usage(key);
    expect(tokens_per_day.used).toBe(usage.total_tokens);
    expect(tokens_per_minute.used).toBeLessThanOrEqual(usage.total_tokens);

    const denied = await world.chat(key, { max_tokens: 1_200 });
    expect(denied.status).toBe(429);
    const retryAfterMs = numberIn(denied, "retry-after-ms");
    expect(retryAfterMs).toBeGreaterThan(0);
    expect(retryAfterMs).toBeLessThanOrEqual(2_500);
    expect(numberIn(denied, "x-ratelimit-limit-tokens")).toBe(6_000);
    expect(numberIn(denied, "x-ratelimit-remaining-tokens")).toBeLessThan(1_300);
    const error = await errorOf(denied);
    expect(error).toMatchObject({ code: "rate_limit_exceeded", type: "tokens", param: null });
    expect(error.message).toMatch(
      /tokens per min \(TPM\): Limit 6000, Used \d+, Requested 12\d\d\. Please try again in /,
    );
    // A denial takes nothing, of no limit.
    const after = await world.usage(key);
    expect(after.requests_per_minute.used).toBeLessThanOrEqual(1);
    await wait(retryAfterMs);
    expect((await world.chat(key, { max_tokens: 1_200 })).status).toBe(200);
  });

  test("tokens of the day: denied until midnight UTC, and a retry is called useless", async () => {
    const key = await world.newKey("premium", { tokens_per_day: 150, ...FIT });
    expect((await world.chat(key, { max_tokens: 120 })).status).toBe(200);
    await until(async () => (await world.leases()) === 0);
    const untilMidnight = DAY - (Date.now() % DAY);
    const denied = await world.chat(key, { max_tokens: 120 });
    expect(denied.status).toBe(429);
    expect(denied.headers.get("x-should-retry")).toBe("false");
    const retryAfterMs = numberIn(denied, "retry-after-ms");
    expect(Math.abs(retryAfterMs - untilMidnight)).toBeLessThan(30_000);
    expect(numberIn(denied, "retry-after")).toBe(Math.ceil(retryAfterMs / 1_000));
    expect(numberIn(denied, "x-ratelimit-limit-tokens-day")).toBe(150);
    expect(denied.headers.get("x-ratelimit-reset-tokens-day")).toMatch(/^(\d+h)?(\d+m)?[\d.]+s$/);
    expect(await errorOf(denied)).toMatchObject({ code: "daily_token_limit_exceeded", type: "tokens" });
    // What still fits today is served.
    expect((await world.chat(key, { max_tokens: 1 })).status).toBe(200);
  });

  test("what can never fit is refused at once, without a time to come back", async () => {
    const key = await world.newKey("free");
    const denied = await world.chat(key, { max_tokens: 1_500 });
    expect(denied.status).toBe(429);
    expect(denied.headers.get("retry-after")).toBeNull();
    expect(denied.headers.get("retry-after-ms")).toBeNull();
    expect(denied.headers.get("x-should-retry")).toBe("false");
    const error = await errorOf(denied);
    expect(error).toMatchObject({ code: "request_too_large", type: "tokens" });
    expect(error.message).toMatch(/^Request too large for heartcode-default: Limit 1000, Requested 15\d\d\. /);
    expect((await world.usage(key)).requests_per_minute.used).toBe(0);
  });

  test("more output than the tier allows is refused by the name of its field, and takes nothing", async () => {
    const key = await world.newKey("premium", { max_tokens: 100, ...FIT });
    const refused = await world.chat(key, { max_tokens: 101 });
    expect(refused.status).toBe(400);
    expect(await errorOf(refused)).toMatchObject({ code: "invalid_request", param: "max_tokens" });
    expect(numberIn(refused, "x-ratelimit-remaining-requests")).toBe(60);
    expect((await world.chat(key, { max_tokens: 100 })).status).toBe(200);
  });

  test("who names no limit of output gets the tier's, as far as it fits beside the prompt", async () => {
    const rows: [limits: object, least: number, most: number][] = [
      [{ default_max_tokens: 33 }, 33, 33],
      [{ tpm: 60 }, 30, 55],
    ];
    for (const [limits, least, most] of rows) {
      const key = await world.newKey("premium", limits);
      const answer = await world.chat(key, { max_tokens: undefined });
      const { usage } = (await answer.json()) as { usage: { completion_tokens: number } };
      expect(usage.completion_tokens).toBeGreaterThanOrEqual(least);
      expect(usage.completion_tokens).toBeLessThanOrEqual(most);
    }
  });

  test("each of several choices is counted, as a reservation", async () => {
    const key = await world.newKey("premium", { tpm: 1_000 });
    expect((await world.chat(key, { n: 2, max_tokens: 600 })).status).toBe(429);
    expect((await world.chat(key, { n: 2, max_tokens: 400 })).status).toBe(200);
  });

  test.each([
    ["/v1/chat/completions", false],
    ["/v1/chat/completions", true],
    ["/v1/completions", false],
    ["/v1/completions", true],
  ])("of several choices the client's usage is what was counted (%s, stream: %s)", async (path, stream) => {
    const key = await world.newKey();
    const answer = await world.post(path, key, {
      model: "heartcode-default",
      n: 3,
      max_tokens: 20,
      ...(path.includes("chat") ? { messages: [{ role: "user", content: "hi" }] } : { prompt: "hi" }),
      ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
    });
    const text = await answer.text();
    const told = [...text.matchAll(/"completion_tokens":(\d+),"prompt_tokens":(\d+),"total_tokens":(\d+)/g)];
    const [completion, prompt, total] = told.at(-1)!.slice(1).map(Number);
    expect(total).toBe(completion! + prompt!);
    // An engine's own word of a stream, a reckoning of a whole answer.
    if (stream) expect(completion).toBe(60);
    else expect(completion).toBeGreaterThan(40);
    if (path.includes("chat")) expect(told).toHaveLength(1);
    await until(async () => (await world.leases()) === 0);
    expect((await world.usage(key)).tokens_per_day.used).toBe(total);
  });

  test("embeddings cost their prompt and nothing else", async () => {
    const key = await world.newKey();
    const answer = await world.post("/v1/embeddings", key, { model: "heartcode-embed", input: ["one", "two words"] });
    const { usage } = (await answer.json()) as { usage: { total_tokens: number } };
    expect(numberIn(answer, "x-ratelimit-limit-tokens")).toBe(7_000);
    await until(async () => (await world.leases()) === 0);
    expect((await world.usage(key)).tokens_per_day.used).toBe(usage.total_tokens);
  });

  test("stand in the headers of every answer: whole, streamed, failed behind the gate, denied", async () => {
    const names = [
      "x-ratelimit-limit-requests",
      "x-ratelimit-limit-tokens",
      "x-ratelimit-remaining-requests",
      "x-ratelimit-remaining-tokens",
      "x-ratelimit-reset-requests",
      "x-ratelimit-reset-tokens",
      "x-ratelimit-limit-tokens-day",
      "x-ratelimit-remaining-tokens-day",
    ];
    const expectAll = (answer: Response, status: number) => {
      expect(answer.status).toBe(status);
      expect(answer.headers.get("x-request-id")).toMatch(/^req_/);
      for (const name of names) expect(answer.headers.get(name), name).not.toBeNull();
      expect(answer.headers.get("x-ratelimit-reset-requests")).toMatch(/^(\d+h)?(\d+m)?([\d.]+s|\d+ms)$/);
    };
    const key = await world.newKey("premium", { rpm: 3 });
    const whole = await world.chat(key);
    expectAll(whole, 200);
    expect(numberIn(whole, "x-ratelimit-remaining-requests")).toBe(2);
    expect(whole.headers.get("x-ratelimit-reset-requests")).toMatch(/^(20|19\.\d+)s$/);
    const stream = await world.chat(key, { stream: true });
    expectAll(stream, 200);
    expect(await stream.text()).toContain("data: [DONE]");
    await new Engines(stack().chatPorts).fault({ status: 500 });
    expectAll(await world.chat(key), 502);
    expectAll(await world.chat(key), 429);
  });

  test("an engine that fails before its first token costs no tokens, but the request", async () => {
    const key = await world.newKey("premium", { rpm: 10 });
    await new Engines(stack().chatPorts).fault({ status: 500 });
    expect((await world.chat(key, { max_tokens: 500 })).status).toBe(502);
    await until(async () => (await world.leases()) === 0);
    const { requests_per_minute, tokens_per_minute, tokens_per_day } = await world.usage(key);
    expect([requests_per_minute.used, tokens_per_minute.used, tokens_per_day.used]).toEqual([1, 0, 0]);
  });

  test("a key sees its own limits, use and times, and to look costs nothing", async () => {
    const key = await world.newKey("free");
    const fresh = (limit: number) => expect.objectContaining({ limit, used: 0, remaining: limit, reset_ms: 0 });
    const answer = await world.get("/v1/usage", key);
    expect(await answer.json()).toEqual({
      object: "usage",
      tier: "free",
      limits: {
        requests_per_minute: fresh(10),
        tokens_per_minute: fresh(1_000),
        tokens_per_day: fresh(10_000),
      },
    });
    for (let i = 0; i < 20; i += 1) expect((await world.get("/v1/usage", key)).status).toBe(200);
    const said = await world.chat(key, { max_tokens: 100 });
    const { usage } = (await said.json()) as { usage: { total_tokens: number } };
    await until(async () => (await world.leases()) === 0);
    const limits = await world.usage(key);
    expect(limits.requests_per_minute).toMatchObject({ limit: 10, used: 1, remaining: 9 });
    expect(limits.tokens_per_day).toMatchObject({ used: usage.total_tokens, remaining: 10_000 - usage.total_tokens });
    expect(Date.parse(limits.tokens_per_day.resets_at) % DAY).toBeLessThan(5);
    expect(limits.tokens_per_minute.reset_ms).toBeLessThanOrEqual((usage.total_tokens * 60_000) / 1_000);
    expect((await world.get("/v1/usage", "hc-sk-nobody-at-all")).status).toBe(401);
  });
});
