// What an engine says when all is well, and how a fleet of them begins and ends.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Fleet, startFleet } from "../../../dev/fleet/fleet.ts";
import { choiceText, promptTokens, readPlan } from "../../../dev/fleet/plan.ts";
import { ask, deltas, open } from "./raw.ts";

const CHAT = "/v1/chat/completions";
const limits = { context: 8192, slots: 2 };
const body = { messages: [{ role: "user", content: "hello" }], max_tokens: 10 };
const streamed = { ...body, stream: true };

let fleet: Fleet;
beforeEach(async () => {
  fleet = await startFleet({ chat: [0], embed: [0], pace: { tokensPerSecond: 0, firstTokenMs: 0, slots: 2 } });
});
afterEach(() => fleet.close());

const chat = () => fleet.chat[0] ?? 0;
const embed = () => fleet.embed[0] ?? 0;
const engineAt = (port: number) => fleet.engine(port)!;
const ledger = (port = chat()) => engineAt(port).account.entries();

describe("what an engine says", () => {
  test.each([
    ["one choice", { ...body }],
    ["two choices", { ...body, n: 2 }],
    ["a seed", { ...body, seed: 7 }],
    ["no limit", { messages: body.messages }],
    ["many tokens", { ...body, max_tokens: 3_000 }],
  ])("is what its plan says, streamed and whole: %s", async (_name, request) => {
    const plan = readPlan("chat", request, limits);
    if ("refusal" in plan) throw new Error(plan.refusal.body);
    const whole = JSON.parse((await ask(chat(), { path: CHAT, body: request })).body);
    const stream = (await ask(chat(), { path: CHAT, body: { ...request, stream: true } })).body;
    expect(plan.choices.length).toBeGreaterThan(0);
    for (const choice of plan.choices) {
      expect(whole.choices[choice.index].message.content).toBe(choiceText(choice));
      expect(deltas(stream, choice.index).join("")).toBe(choiceText(choice));
      expect(deltas(stream, choice.index)).toHaveLength(choice.count);
    }
    expect(whole.usage.prompt_tokens).toBe(promptTokens(request));
    const sum = plan.choices.reduce((all, { count }) => all + count, 0);
    const entry = { prompt_tokens: promptTokens(request), completion_tokens: sum, outcome: "complete" };
    expect(ledger()).toMatchObject([entry, entry]);
  });

  test.each([
    ["heartcode-chat-nsfw", "heartcode-chat-nsfw"],
    [undefined, "heartcode-chat-sfw"],
  ])("names the model that was asked for, else its own: %s", async (model, named) => {
    const answer = await ask(chat(), { path: CHAT, body: { ...body, model } });
    expect(JSON.parse(answer.body).model).toBe(named);
  });

  test("keeps what it was asked, with its request id, and does not count probes among it", async () => {
    await ask(chat(), { path: "/health" });
    await ask(chat(), { path: CHAT, body: streamed, headers: { "x-request-id": "req-1" } });
    const { account } = engineAt(chat());
    expect([account.probes, account.requests]).toEqual([1, 1]);
    const state = JSON.parse((await ask(chat(), { path: "/sim/state" })).body);
    const last = { method: "POST", path: CHAT, id: "req-1", body_bytes: JSON.stringify(streamed).length };
    expect(state.last_requests).toMatchObject([{ ...last, headers: { "x-request-id": "req-1" } }]);
    expect(state).toMatchObject({ slots: 2, slots_busy: 0, deferred: 0, completion_tokens_total: 10 });
    const entries = JSON.parse((await ask(chat(), { path: "/sim/ledger" })).body);
    expect(entries).toEqual([
      { seq: 1, request_id: "req-1", prompt_tokens: 3, completion_tokens: 10, outcome: "complete" },
    ]);
    await ask(chat(), { path: CHAT, body: streamed, headers: { "x-request-id": "req-2" } });
    const since = JSON.parse((await ask(chat(), { path: "/sim/ledger?since=1" })).body);
    expect(since).toMatchObject([{ seq: 2, request_id: "req-2" }]);
  });

  test("gives a vector for each input, whatever form the input has", async () => {
    const vectors = async (input: unknown) => {
      const answer = await ask(embed(), { path: "/v1/embeddings", body: { input } });
      return JSON.parse(answer.body).data.map((row: { embedding: number[] }) => row.embedding);
    };
    const [[one], [two], both] = [await vectors("one"), await vectors("two"), await vectors(["one", "two"])];
    expect(both).toEqual([one, two]);
    expect([await vectors([1, 2]), await vectors([[1, 2], [3]])].map((rows) => rows.length)).toEqual([1, 2]);
    expect(one).toHaveLength(384);
  });

  test("a connection ends with its 100th answer", async () => {
    const health = "GET /health HTTP/1.1\r\nhost: engine\r\n\r\n";
    const socket = open(chat(), { path: "/health" });
    let seen = "";
    socket.on("data", (chunk) => {
      seen += chunk.toString();
    });
    for (let i = 1; i < 100; i++) socket.write(health);
    await new Promise((resolve) => socket.once("close", resolve));
    expect(seen.match(/Keep-Alive: /g)).toHaveLength(99);
    expect(seen.match(/Connection: close/g)).toHaveLength(1);
  });
});

describe("a fleet", () => {
  test("serves one model on the first half of its chat engines and another on the rest", async () => {
    const four = await startFleet({ chat: [0, 0, 0, 0] });
    const models = await Promise.all(four.chat.map((port) => ask(port, { path: "/v1/models" })));
    const names = models.map((answer) => JSON.parse(answer.body).data[0].id);
    const [sfw, nsfw] = ["heartcode-chat-sfw", "heartcode-chat-nsfw"];
    expect(names).toEqual([sfw, sfw, nsfw, nsfw]);
    await four.close();
  });

  test("listens on all ports or on none", async () => {
    const other = await startFleet({ chat: [0] });
    const free = other.chat[0] ?? 0;
    await other.close();
    await expect(startFleet({ chat: [free, chat()] })).rejects.toMatchObject({ code: "EADDRINUSE", port: chat() });
    await (await startFleet({ chat: [free] })).close();
  });

  test("is loading at first if it is told to", async () => {
    const slow = await startFleet({ chat: [0], pace: { loadMs: 3_600_000 } });
    expect((await ask(slow.chat[0] ?? 0, { path: "/v1/models" })).status).toBe(503);
    await slow.close();
  });

  test("exit ends the process, after its answer", async () => {
    const exit = vi.fn();
    const mortal = await startFleet({ chat: [0], exit });
    expect((await ask(mortal.chat[0] ?? 0, { path: "/sim/faults", body: { exit: true } })).status).toBe(200);
    expect(exit).toHaveBeenCalledOnce();
    await mortal.close();
  });
});
