// A client that leaves: the slot is free at once, and the account says what was generated until then.
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Faults } from "../../../dev/fleet/faults.ts";
import { type Fleet, startFleet } from "../../../dev/fleet/fleet.ts";
import { answerTokens } from "../../../dev/fleet/script.ts";
import { ask, open, received } from "./raw.ts";

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
const engineAt = (port: number) => fleet.engine(port)!;
const ledger = (port = chat()) => engineAt(port).account.entries();

async function setFaults(faults: Faults, port = chat()): Promise<void> {
  const answer = await ask(port, { path: "/sim/faults", body: faults });
  expect([answer.status, JSON.parse(answer.body)]).toEqual([200, faults]);
}

describe("a client that leaves", () => {
  const hanging = { hang_after_tokens: 4 };
  test.each([
    ["before the head", { hang_before_head: true }, body, null, 0],
    ["in the middle of a stream", hanging, streamed, JSON.stringify(tokens[3]), 4],
    ["before a whole answer", hanging, body, null, 4],
  ] as const)("frees its slot: %s", async (_name, faults, request, sign, generated) => {
    await setFaults(faults);
    const socket = open(chat(), { path: CHAT, body: request });
    const engine = engineAt(chat());
    await vi.waitFor(() => expect([engine.slots.busy, engine.account.completionTokens]).toEqual([1, generated]));
    if (sign !== null) await received(socket, sign);
    socket.destroy();
    await vi.waitFor(() => expect(engine.slots.busy).toBe(0));
    expect(ledger()).toMatchObject([{ completion_tokens: generated, outcome: "cancelled" }]);
    expect(engine.account.cancelled).toBe(1);
  });

  test("before a paced whole answer is charged what was generated until then", async () => {
    const paced = await startFleet({ chat: [0], pace: { tokensPerSecond: 1_000, firstTokenMs: 0 } });
    const engine = paced.engine(paced.chat[0] ?? 0)!;
    const socket = open(engine.port, { path: CHAT, body: { ...body, max_tokens: 8_000 } });
    await vi.waitFor(() => expect(engine.slots.busy).toBe(1));
    const startedAt = performance.now();
    while (performance.now() < startedAt + 5) await ask(engine.port, { path: "/health" });
    socket.destroy();
    await vi.waitFor(() => expect(engine.slots.busy).toBe(0));
    const [entry] = engine.account.entries();
    expect(entry?.outcome).toBe("cancelled");
    expect(entry?.completion_tokens).toBeGreaterThanOrEqual(5);
    expect(entry?.completion_tokens).toBeLessThan(8_000);
    await paced.close();
  });

  test("is not run ahead of: a stream that nobody reads stands still, and ends with its socket", async () => {
    const large = await startFleet({ chat: [0], pace: { tokensPerSecond: 0, firstTokenMs: 0, context: 1_000_000 } });
    const engine = large.engine(large.chat[0] ?? 0)!;
    const total = 300_000;
    const socket = open(engine.port, { path: CHAT, body: { ...streamed, max_tokens: total } });
    await received(socket, '"role"');
    let before = -1;
    await vi.waitFor(() => {
      const [then, now] = [before, engine.account.completionTokens];
      before = now;
      expect(now).toBe(then);
    });
    expect(before).toBeLessThan(total);
    socket.destroy();
    await vi.waitFor(() => expect(engine.slots.busy).toBe(0));
    expect(engine.account.entries()).toMatchObject([{ outcome: "cancelled" }]);
    await large.close();
  });

  test("while it is deferred, leaves the queue and is charged nothing", async () => {
    await setFaults({ hang_before_head: true });
    const engine = engineAt(chat());
    const sockets = [1, 2, 3].map(() => open(chat(), { path: CHAT, body }));
    await vi.waitFor(() => expect([engine.slots.busy, engine.slots.deferred]).toEqual([2, 1]));
    const seats = engine.slots.holders.map((seat) => seat?.task);
    sockets.at(-1)?.destroy();
    sockets[0]?.destroy();
    await vi.waitFor(() => expect(ledger()).toHaveLength(2));
    expect(seats).toEqual([0, 1]);
    expect(ledger().every((entry) => entry.completion_tokens === 0 && entry.outcome === "cancelled")).toBe(true);
    for (const socket of sockets) socket.destroy();
    await vi.waitFor(() => expect([engine.slots.busy, engine.slots.deferred]).toEqual([0, 0]));
  });

  test("lets the deferred request go on in its slot", async () => {
    await setFaults({ hang_before_head: true, count: 2 });
    const engine = engineAt(chat());
    const sockets = [1, 2].map(() => open(chat(), { path: CHAT, body }));
    await vi.waitFor(() => expect(engine.slots.busy).toBe(2));
    const answer = ask(chat(), { path: CHAT, body });
    await vi.waitFor(() => expect(engine.slots.deferred).toBe(1));
    const shown = JSON.parse((await ask(chat(), { path: "/slots" })).body);
    expect(shown).toMatchObject([
      { is_processing: true, id_task: 0 },
      { is_processing: true, id_task: 1 },
    ]);
    sockets[0]?.destroy();
    expect((await answer).status).toBe(200);
    sockets[1]?.destroy();
  });
});
