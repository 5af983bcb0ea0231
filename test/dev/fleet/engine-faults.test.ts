// An engine under faults: what the client sees, and what the engine's own account says of it.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Faults } from "../../../dev/fleet/faults.ts";
import { type Fleet, startFleet } from "../../../dev/fleet/fleet.ts";
import { answerTokens } from "../../../dev/fleet/script.ts";
import { ask, deltas, events, open, received } from "./raw.ts";

const CHAT = "/v1/chat/completions";
const body = { messages: [{ role: "user", content: "hello" }], max_tokens: 10 };
const streamed = { ...body, stream: true };
const tokens = answerTokens("user: hello", 10);

let fleet: Fleet;
beforeEach(async () => {
  fleet = await startFleet({ chat: [0], embed: [0], pace: { tokensPerSecond: 0, firstTokenMs: 0, slots: 2 } });
});
afterEach(() => fleet.close());

const chat = () => fleet.chat[0] ?? 0;
const embed = () => fleet.embed[0] ?? 0;
const engineAt = (port: number) => fleet.engine(port)!;
const ledger = (port = chat()) => engineAt(port).account.entries();

async function setFaults(faults: Faults, port = chat()): Promise<void> {
  const answer = await ask(port, { path: "/sim/faults", body: faults });
  expect([answer.status, JSON.parse(answer.body)]).toEqual([200, faults]);
}

describe("faults in a stream", () => {
  const DONE = "[DONE]";
  test.each([
    [{ truncate_after_tokens: 4 }, "complete"],
    [{ cut_after_tokens: 4 }, "closed"],
    [{ error_event_after_tokens: 4 }, "complete"],
  ] as const)("%j lets the tokens before it through and nothing after", async (faults, ending) => {
    await setFaults(faults);
    const answer = await ask(chat(), { path: CHAT, body: streamed });
    expect([answer.status, answer.ending]).toEqual([200, ending]);
    expect(deltas(answer.body)).toEqual(tokens.slice(0, 4));
    expect(events(answer.body)).not.toContain(DONE);
    expect(ledger()).toMatchObject([{ completion_tokens: 4, outcome: "failed" }]);
    const last = JSON.parse(events(answer.body).at(-1) ?? "");
    expect("error" in last).toBe("error_event_after_tokens" in faults);
  });

  test("reset_after_tokens resets the connection", async () => {
    await setFaults({ reset_after_tokens: 4 });
    const answer = await ask(chat(), { path: CHAT, body: streamed });
    expect(answer.ending).toBe("reset");
    expect(tokens.slice(0, 4)).toEqual(expect.arrayContaining(deltas(answer.body)));
    expect(ledger()).toMatchObject([{ completion_tokens: 4, outcome: "failed" }]);
  });

  test("a fault after the last token still prevents the end", async () => {
    await setFaults({ truncate_after_tokens: 10 });
    const answer = await ask(chat(), { path: CHAT, body: streamed });
    expect(deltas(answer.body)).toEqual(tokens);
    expect(answer.body).not.toContain('"finish_reason":"length"');
  });

  test("a fault that the answer never reaches does nothing", async () => {
    await setFaults({ reset_after_tokens: 11 });
    expect(events((await ask(chat(), { path: CHAT, body: streamed })).body)).toContain(DONE);
  });

  test.each([{ hang_after_tokens: 4 }, { hang_before_head: true }])("%j hangs until it is cleared", async (faults) => {
    await setFaults(faults);
    const answer = ask(chat(), { path: CHAT, body: streamed });
    await vi.waitFor(() => expect(engineAt(chat()).slots.busy).toBe(1));
    await setFaults({});
    expect(deltas((await answer).body)).toEqual(tokens);
  });

  test("slow_ms_per_token takes the place of the pace", async () => {
    await setFaults({ slow_ms_per_token: 3_600_000 });
    const socket = open(chat(), { path: CHAT, body: streamed });
    await received(socket, JSON.stringify(tokens[0]));
    expect(engineAt(chat()).account.completionTokens).toBe(1);
    socket.destroy();
    await vi.waitFor(() => expect(ledger()).toMatchObject([{ completion_tokens: 1, outcome: "cancelled" }]));
  });
});

test("open_after_done leaves a stream open behind its end", async () => {
  await setFaults({ open_after_done: true });
  const socket = open(chat(), { path: CHAT, body: streamed });
  let seen = "";
  socket.on("data", (chunk) => {
    seen += chunk;
  });
  await vi.waitFor(() => expect(seen).toContain("[DONE]\n\n"));
  expect(ledger()).toMatchObject([{ outcome: "complete" }]);
  // Its slot is free, and the next answer comes: nothing else was under way.
  await setFaults({});
  expect((await ask(chat(), { path: CHAT, body: streamed })).ending).toBe("complete");
  expect(seen.endsWith("\n\n\r\n")).toBe(true);
  socket.destroy();
});

describe("faults of a whole answer", () => {
  test.each([
    [{ truncate_after_tokens: 4 }, 200, "closed"],
    [{ cut_after_tokens: 4 }, 200, "closed"],
    [{ error_event_after_tokens: 4 }, 500, "complete"],
    [{ reset_after_tokens: 4 }, 0, "reset"],
    [{ reset_before_head: true }, 0, "reset"],
    [{ status: 429 }, 429, "complete"],
    [{ loading: true }, 503, "complete"],
  ] as const)("%j", async (faults, status, ending) => {
    await setFaults(faults);
    const answer = await ask(chat(), { path: CHAT, body });
    expect([answer.status, answer.ending]).toEqual([status, ending]);
    expect(ledger().filter(({ outcome }) => outcome !== "failed")).toEqual([]);
    await setFaults({});
    expect((await ask(chat(), { path: CHAT, body })).status).toBe(200);
  });

  test.each([
    [{ reset_before_head: true }, 0, "reset"],
    [{ reset_after_tokens: 0 }, 0, "reset"],
    [{ cut_after_tokens: 0 }, 200, "closed"],
    [{ status: 500 }, 500, "complete"],
    [{ loading: true }, 503, "complete"],
  ] as const)("of embeddings: %j", async (faults, status, ending) => {
    await setFaults(faults, embed());
    const answer = await ask(embed(), { path: "/v1/embeddings", body: { input: "one" } });
    expect([answer.status, answer.ending]).toEqual([status, ending]);
  });

  test("with a count, the next request is well", async () => {
    await setFaults({ status: 500, count: 2 });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) statuses.push((await ask(chat(), { path: CHAT, body })).status);
    expect(statuses).toEqual([500, 500, 200]);
  });

  test("loading also answers the probes", async () => {
    await setFaults({ loading: true });
    expect(await ask(chat(), { path: "/health" })).toMatchObject({
      status: 503,
      body: '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}',
    });
  });

  test("refuse is cleared through a sibling, or by itself after a number", async () => {
    await setFaults({ refuse: true });
    expect((await ask(chat(), { path: "/health" })).status).toBe(0);
    await ask(embed(), { path: `/sim/faults?port=${chat()}`, body: { refuse: 1 } });
    expect((await ask(chat(), { path: "/health" })).status).toBe(0);
    expect((await ask(chat(), { path: "/health" })).status).toBe(200);
  });

  test("refuse ends a connection from before with its next request", async () => {
    const socket = open(chat(), { path: "/health" });
    await received(socket, '{"status":"ok"}');
    await ask(embed(), { path: `/sim/faults?port=${chat()}`, body: { refuse: true } });
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.resume();
    socket.write("GET /health HTTP/1.1\r\nhost: engine\r\n\r\n");
    await closed;
    expect(engineAt(chat()).account.probes).toBe(1);
  });

  test.each([{ unheard_of: 1 }, { status: 42 }, "{"])("%j is not accepted and changes nothing", async (faults) => {
    await setFaults({ status: 503 });
    expect((await ask(chat(), { path: "/sim/faults", body: faults })).status).toBe(400);
    expect(engineAt(chat()).faults.current).toEqual({ status: 503 });
  });
});

describe("answer_bytes", () => {
  test.each([
    ["chat", CHAT, body],
    ["embed", "/v1/embeddings", { input: ["one", "two"] }],
    ["embed", "/v1/embeddings", { input: "one", encoding_format: "base64" }],
  ] as const)("pads a whole answer: %s %s", async (kind, path, request) => {
    const port = kind === "chat" ? chat() : embed();
    await setFaults({ answer_bytes: 3_000_001 }, port);
    const answer = await ask(port, { path, body: request });
    expect([answer.ending, Buffer.byteLength(answer.body)]).toEqual(["complete", 3_000_001]);
    expect(JSON.parse(answer.body)).toHaveProperty("usage");
    expect(ledger(port)).toMatchObject([{ outcome: "complete" }]);
  });

  test("with hang_after_head sends its head and nothing more, until the fault is cleared", async () => {
    await setFaults({ answer_bytes: 1_000, hang_after_head: true });
    const socket = open(chat(), { path: CHAT, body });
    await received(socket, "HTTP/1.1 200");
    expect([ledger(), engineAt(chat()).slots.busy]).toEqual([[], 1]);
    await setFaults({});
    await vi.waitFor(() => expect(ledger()).toMatchObject([{ outcome: "complete" }]));
    socket.destroy();
  });

  test("waits for its reader and is cancelled with it", async () => {
    await setFaults({ answer_bytes: 1e9 });
    const socket = open(chat(), { path: CHAT, body });
    await received(socket, "HTTP/1.1 200");
    expect((await ask(chat(), { path: CHAT, body: streamed })).ending).toBe("complete");
    // The streamed answer is not padded; the other one is still on its way.
    expect(ledger()).toMatchObject([{ outcome: "complete" }]);
    expect(engineAt(chat()).slots.busy).toBe(1);
    socket.destroy();
    await vi.waitFor(() => expect(ledger().map(({ outcome }) => outcome)).toEqual(["complete", "cancelled"]));
    expect(engineAt(chat()).slots.busy).toBe(0);
  });
});
