// What the pool's tests do not reach: the words of one attempt on one connection.
import { describe, expect, onTestFinished, test } from "vitest";
import { type BreakKind, Origin, type SendHandler } from "../../../connector/upstream/send.ts";
import type { HeaderPairs } from "../../../shared/headers.ts";
import { turn } from "./pool-fixture.ts";
import { deadUrl, TestEngine } from "./test-engine.ts";
import { VirtualClock } from "./virtual-clock.ts";

const TIMEOUTS = { connectMs: 2_000, firstByteMs: 10_000, idleMs: 5_000 };
const OUTGOING = { method: "POST", path: "/", headers: [], body: Buffer.from("x") };

class Notes implements SendHandler {
  readonly said: string[] = [];
  headers: HeaderPairs = [];
  cause: Error | null = null;
  readonly over: Promise<void>;
  #onOver: () => void = () => {};

  constructor() {
    this.over = new Promise((resolve) => {
      this.#onOver = resolve;
    });
  }

  onHead(status: number, headers: HeaderPairs): void {
    this.said.push(`head ${status}`);
    this.headers = headers;
  }

  onData(chunk: Uint8Array): boolean {
    this.said.push(`data ${Buffer.from(chunk)}`);
    return true;
  }

  onEnd(): void {
    this.said.push("end");
    this.#onOver();
  }

  onBreak(kind: BreakKind, cause: Error | null): void {
    this.said.push(kind);
    this.cause = cause;
    this.#onOver();
  }
}

async function site(url?: string) {
  const clock = new VirtualClock();
  const engine = await TestEngine.start();
  const origin = new Origin(url ?? engine.url, TIMEOUTS, clock);
  onTestFinished(async () => {
    await origin.destroy();
    await engine.stop();
  });
  return { clock, engine, origin, notes: new Notes() };
}

describe("an attempt", () => {
  test("does not take a 1xx for the answer", async () => {
    const { engine, origin, notes } = await site();
    origin.send(OUTGOING, notes);
    const call = await engine.next();
    call.response.writeProcessing();
    call.response.writeEarlyHints({ link: "</x>; rel=preload" });
    call.answer(200, "yes");
    await notes.over;
    expect(notes.said).toEqual(["head 200", "data yes", "end"]);
  });

  test("tells of a header that comes twice twice", async () => {
    const { engine, origin, notes } = await site();
    origin.send(OUTGOING, notes);
    const { response } = await engine.next();
    response.writeHead(200, { "set-cookie": ["a", "b"] }).end();
    await notes.over;
    expect(notes.headers.filter(([name]) => name === "set-cookie")).toEqual([
      ["set-cookie", "a"],
      ["set-cookie", "b"],
    ]);
  });

  test("sends a body that is part of a larger buffer, and one that is empty", async () => {
    const { engine, origin } = await site();
    origin.send({ ...OUTGOING, body: new Uint8Array(Buffer.from("abcdef")).subarray(2, 4) }, new Notes());
    expect((await engine.next()).body).toBe("cd");
    origin.send({ ...OUTGOING, body: new Uint8Array(Buffer.from("abcdef")).subarray(3, 3) }, new Notes());
    const empty = await engine.next();
    expect([empty.body, empty.request.headers["content-length"]]).toEqual(["", "0"]);
  });

  test("that gets no connection says so, with the reason", async () => {
    const { origin, notes } = await site(await deadUrl());
    origin.send(OUTGOING, notes);
    await notes.over;
    expect(notes.said).toEqual(["connect"]);
    expect(notes.cause).toMatchObject({ code: "ECONNREFUSED" });
  });

  test("that is not connected in time is over at that time", async () => {
    const { clock, engine, origin, notes } = await site();
    origin.send(OUTGOING, notes);
    clock.pass(1_999);
    expect(notes.said).toEqual([]);
    clock.pass(1);
    expect(notes.said).toEqual(["connect"]);
    await turn();
    expect(engine.waiting).toBe(0);
  });

  test("that has been aborted says nothing, whenever it was", async () => {
    const { clock, engine, origin, notes } = await site();
    const early = origin.send(OUTGOING, notes);
    early.abort();
    const late = origin.send(OUTGOING, notes);
    const call = await engine.next();
    late.abort();
    late.abort();
    await call.closed;
    clock.pass(60_000);
    await turn();
    expect(notes.said).toEqual([]);
    expect([early.isOver, late.isOver, engine.connections, clock.pending]).toEqual([true, true, 1, 0]);
  });

  test.each<[name: string, said: string, at: number]>([
    ["no head", "first_byte", 10_000],
    ["a head and no body", "idle", 10_000],
    ["a late head and no body", "idle", 14_000],
    ["a beginning", "idle", 9_000],
  ])("with %s ends as %s after %i ms", async (name, said, at) => {
    const { clock, engine, origin, notes } = await site();
    origin.send(OUTGOING, notes);
    const call = await engine.next();
    const headAt = name === "a late head and no body" ? 9_000 : name === "no head" ? null : 4_000;
    if (headAt !== null) {
      clock.pass(headAt);
      call.begin(name === "a beginning" ? "x" : "");
      while (notes.said.length < (name === "a beginning" ? 2 : 1)) await turn();
    }
    clock.pass(at - (headAt ?? 0) - 1);
    expect(notes.said).not.toContain(said);
    clock.pass(1);
    expect(notes.said.at(-1)).toBe(said);
    expect(notes.cause).toBeNull();
    await call.closed;
  });
});

describe("connections", () => {
  test("are as many as the requests that run at once", async () => {
    const { engine, origin } = await site();
    for (let i = 0; i < 5; i += 1) origin.send(OUTGOING, new Notes());
    for (let i = 0; i < 5; i += 1) await engine.next();
    expect(engine.connections).toBe(5);
  });

  test("are not pipelined: a request behind a slow one takes another", async () => {
    const { engine, origin, notes } = await site();
    origin.send(OUTGOING, new Notes());
    const slow = await engine.next();
    slow.begin();
    origin.send(OUTGOING, notes);
    (await engine.next()).answer();
    await notes.over;
    expect(notes.said.at(-1)).toBe("end");
    expect(engine.connections).toBe(2);
  });

  test("that are fresh are not taken for kept ones", async () => {
    const { engine, origin, notes } = await site();
    const warm = new Notes();
    origin.send(OUTGOING, warm);
    const first = await engine.next();
    first.answer();
    await warm.over;
    first.request.socket.end();
    await first.closed;
    await turn();
    origin.send(OUTGOING, notes);
    (await engine.next()).reset();
    await notes.over;
    expect(notes.said).toEqual(["reset"]);
    expect(engine.connections).toBe(2);
  });

  test("are broken by destroy, and their requests say so", async () => {
    const { engine, origin, notes } = await site();
    origin.send(OUTGOING, notes);
    const call = await engine.next();
    await origin.destroy();
    await call.closed;
    expect(notes.said).toEqual(["reset"]);
    const after = new Notes();
    origin.send(OUTGOING, after);
    await after.over;
    expect(after.said).toEqual(["connect"]);
  });
});
