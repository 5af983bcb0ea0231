// A pool against real servers on loopback. Its time is virtual: what takes long here takes no time.
import { describe, expect, test } from "vitest";
import type { UpstreamRequest } from "../../../connector/upstream/request.ts";
import { poolOf, type Served, turn } from "./pool-fixture.ts";
import { deadUrl, Reader, type TestEngine } from "./test-engine.ts";

const IDLE = { in_flight: 0, queued: 0 };

describe("a request", () => {
  test("reaches an engine as it is, and its answer comes back as it is", async () => {
    const { pool, engines, serve } = bound(await poolOf(1));
    const { reader } = serve({
      headers: [
        ["Content-Type", "application/json"],
        ["X-Conversation-Id", "keeps the engine going"],
        ["authorization", "Bearer secret"],
      ],
    });
    const call = await engines[0]!.next();
    expect([call.request.method, call.request.url, call.body]).toEqual(["POST", "/v1/chat/completions", "body"]);
    expect(Object.keys(call.request.headers).sort()).toEqual(["connection", "content-length", "content-type", "host"]);
    expect(pool.report()).toMatchObject({ in_flight: 1, queued: 0, slots: 1 });

    call.begin("one,");
    await reader.nextData();
    call.response.end("two");
    expect(await reader.outcome()).toBe("end");
    expect(reader.heads).toEqual([
      { status: 200, headers: expect.arrayContaining([["content-type", "text/event-stream"]]) },
    ]);
    expect(reader.text).toBe("one,two");
    expect(reader.starts).toEqual([{ upstream: engines[0]!.url, attempt: 1 }]);
    expect(pool.report()).toMatchObject(IDLE);
  });

  test("goes where the least is in flight", async () => {
    const { engines, serve } = bound(await poolOf(3, { slots: 2 }));
    for (let i = 0; i < 6; i += 1) serve();
    for (const engine of engines) await Promise.all([engine.next(), engine.next()]);
    expect(engines.map(({ waiting }) => waiting)).toEqual([0, 0, 0]);
  });

  test("goes where its beginning has gone before, while there is a free slot", async () => {
    const { engines, serve } = bound(await poolOf(3, { slots: 4, affinity: true }, { prefixOf: (body) => body }));
    const place = async (tenant: string) => {
      const { reader } = serve({ tenant });
      const place = engines.findIndex(({ url }) => url === reader.starts[0]?.upstream);
      (await engines[place]!.next()).answer();
      await reader.ended;
      return place;
    };
    const first = await place("a");
    for (let i = 0; i < 5; i += 1) expect(await place("a")).toBe(first);
    const places = new Set<number>();
    for (let i = 0; i < 20; i += 1) places.add(await place(`tenant-${i}`));
    expect(places.size).toBe(3);
  });

  test("goes elsewhere rather than wait where its beginning has gone", async () => {
    const { engines, serve, pool } = bound(await poolOf(3, { slots: 1, affinity: true }, { prefixOf: (body) => body }));
    const readers = [serve(), serve(), serve()].map(({ reader }) => reader.starts[0]?.upstream);
    expect(new Set(readers)).toEqual(new Set(engines.map(({ url }) => url)));
    expect(pool.report()).toMatchObject({ in_flight: 3, queued: 0 });
  });

  test.each<[Partial<UpstreamRequest>]>([[{ path: "/v1/embeddings" }], [{ path: "/slots" }], [{ method: "GET" }]])(
    "to %j reaches no engine",
    async (request) => {
      const { engines, serve } = bound(await poolOf(1));
      expect(await serve(request).reader.outcome()).toBe("not_found");
      expect(engines[0]!.connections).toBe(0);
    },
  );

  test.each([400, 404, 422, 429])("that gets a %i is not tried again: that is the answer", async (status) => {
    const { engines, serve, pool } = bound(await poolOf(2));
    const { reader } = serve();
    (await engines[0]!.next()).answer(status, "no");
    expect(await reader.outcome()).toBe("end");
    expect([reader.heads[0]?.status, reader.text]).toEqual([status, "no"]);
    expect(reader.starts).toHaveLength(1);
    expect(pool.status().retries).toBe(0);
  });

  test.each(["onHead", "onData", "onEnd"] as const)(
    "whose reader throws in %s ends all the same, and is told in the log",
    async (moment) => {
      const { engines, serve, pool, fixture } = bound(await poolOf(1));
      const reader = new Reader();
      reader[moment] = () => {
        throw new Error("defect");
      };
      serve({}, reader);
      (await engines[0]!.next()).answer();
      expect(await reader.outcome()).toBe("internal_error");
      expect(reader.endings).toHaveLength(1);
      expect(pool.report()).toMatchObject(IDLE);
      expect(fixture.logged).toMatchObject([{ level: "error", fields: { err: { message: "defect" } } }]);
    },
  );

  test("that fails is told in the log with what the client is not told", async () => {
    const { engines, serve, fixture } = bound(await poolOf(1));
    const { reader } = serve();
    (await engines[0]!.next()).answer(500);
    const ending = await reader.ended;
    const { url } = engines[0]!;
    expect(fixture.logged).toMatchObject([
      { level: "warn", fields: { code: "upstream_error", detail: `${url}: error (status 500)` } },
    ]);
    expect(JSON.stringify(ending.kind === "failure" && ending.failure.public)).not.toContain(url);
  });
});

describe("before the answer has begun", () => {
  const lost: [name: string, lose: (engine: TestEngine) => Promise<unknown>][] = [
    ...[500, 502, 503, 504].map((status): [string, (engine: TestEngine) => Promise<unknown>] => [
      `a ${status}`,
      async (engine) => (await engine.next()).answer(status),
    ]),
    ["a reset", async (engine) => (await engine.next()).reset()],
    ["a close", async (engine) => (await engine.next()).request.socket.end()],
    ["an answer that is not HTTP", async (engine) => (await engine.next()).request.socket.end("SSH-2.0\r\n\r\n")],
  ];

  test.each(lost)("%s is not seen by the client: another upstream serves", async (_, lose) => {
    const { engines, serve, pool } = bound(await poolOf(2));
    const { reader } = serve();
    await lose(engines[0]!);
    (await engines[1]!.next()).answer(200, "second");
    expect(await reader.outcome()).toBe("end");
    expect(reader.starts).toEqual(engines.map(({ url }, i) => ({ upstream: url, attempt: i + 1 })));
    expect([reader.heads.length, reader.text]).toEqual([1, "second"]);
    expect(pool.report()).toMatchObject(IDLE);
    expect(pool.status().retries).toBe(1);
  });

  test.each(lost)("%s is an upstream_error where no other upstream is", async (name, lose) => {
    const { engines, serve, pool } = bound(await poolOf(1));
    const { reader } = serve();
    await lose(engines[0]!);
    expect(await reader.outcome()).toBe(name === "a 503" ? "model_unavailable" : "upstream_error");
    expect(reader.heads).toEqual([]);
    expect(pool.report()).toMatchObject(IDLE);
    expect(pool.status().retries).toBe(0);
  });

  test.each([302, 501, 507])("a %i is what no engine says: it is not tried again", async (status) => {
    const { engines, serve } = bound(await poolOf(2));
    const { reader } = serve();
    (await engines[0]!.next()).answer(status);
    expect(await reader.outcome()).toBe("upstream_error");
    expect([reader.heads.length, engines[1]!.connections]).toEqual([0, 0]);
  });

  test("a refused connection moves on, and says that the upstream is down", async () => {
    const dead = await deadUrl();
    const fixture = await poolOf(1);
    const { engines, serve, states, pool } = bound(await poolOf(0, { upstreams: [dead, fixture.engines[0]!.url] }));
    const { reader } = serve();
    (await fixture.engines[0]!.next()).answer();
    expect(await reader.outcome()).toBe("end");
    expect(reader.starts.map(({ upstream }) => upstream)).toEqual([dead, fixture.engines[0]!.url]);
    expect(states()).toEqual(["down", "unknown"]);
    expect(pool.report()).toMatchObject({ healthy: 1, slots: 1, upstreams: 2 });
    expect(engines).toEqual([]);
  });

  test("a refused connection is model_unavailable where nobody else is, and from then on at once", async () => {
    const { serve } = bound(await poolOf(0, { upstreams: [await deadUrl()] }));
    const first = serve().reader;
    expect(await first.outcome()).toBe("model_unavailable");
    expect(first.starts).toHaveLength(1);
    const second = serve().reader;
    expect(second.endings).toHaveLength(1);
    expect(second.starts).toEqual([]);
  });

  test("a 500 moves on once: the third upstream is spared", async () => {
    const { engines, serve } = bound(await poolOf(3));
    const { reader } = serve();
    (await engines[0]!.next()).answer(500);
    (await engines[1]!.next()).answer(500);
    expect(await reader.outcome()).toBe("upstream_error");
    expect(engines[2]!.connections).toBe(0);
  });

  test("silence is ended and moves on once, as a timeout", async () => {
    const { clock, engines, serve, pool } = bound(await poolOf(3));
    const { reader } = serve();
    const first = await engines[0]!.next();
    clock.pass(119_999);
    expect(reader.starts).toHaveLength(1);
    clock.pass(1);
    await first.closed;
    const second = await engines[1]!.next();
    clock.pass(120_000);
    await second.closed;
    expect(await reader.outcome()).toBe("upstream_timeout");
    expect(engines[2]!.connections).toBe(0);
    expect(pool.report()).toMatchObject(IDLE);
  });

  test.each([
    [6, 3],
    [18, 3],
    [40, 8],
  ])("of %i requests %i may move on: there the budget ends", async (requests, retries) => {
    const { engines, serve, pool } = bound(await poolOf(2, { slots: 40 }));
    const readers = Array.from({ length: requests }, () => serve().reader);
    for (let i = 0; i < requests; i += 1) {
      const reader = readers[i]!;
      (await engines[i % 2]!.next()).answer(502);
      // Each in its turn: a retry is counted before the next is asked for.
      while (reader.starts.length === 1 && reader.endings.length === 0) await turn();
    }
    expect(readers.filter(({ starts }) => starts.length === 2)).toHaveLength(retries);
    expect(readers.filter(({ endings }) => endings.length === 1)).toHaveLength(requests - retries);
    expect(pool.status().retries).toBe(retries);
  });

  test("a retry goes before those who wait", async () => {
    const { engines, serve } = bound(await poolOf(2));
    const first = serve();
    serve();
    const waiting = serve({ tier: "admin" });
    const busy = await engines[1]!.next();
    (await engines[0]!.next()).reset();
    // The slot of the first engine goes to the one who waits, as the retry may not go there.
    expect(await waiting.reader.nextStart()).toBe(engines[0]!.url);
    const later = serve({ tier: "admin" });
    busy.answer();
    expect((await engines[1]!.next()).body).toBe("body");
    expect(first.reader.starts.at(-1)).toEqual({ upstream: engines[1]!.url, attempt: 2 });
    expect(later.reader.starts).toEqual([]);
  });
});

describe("a request that waits for another try", () => {
  test("ends as it was lost when nobody is left to try", async () => {
    const { engines, serve } = bound(await poolOf(2));
    const first = serve();
    const second = serve();
    const busy = await engines[1]!.next();
    (await engines[0]!.next()).answer(502);
    while (first.reader.endings.length === 0 && second.reader.starts.length === 1) {
      // The other upstream turns out to be loading: its own request goes to the first, which is excluded here.
      if (!busy.response.writableEnded) busy.answer(503);
      await turn();
    }
    expect(await first.reader.outcome()).toBe("upstream_error");
    (await engines[0]!.next()).answer();
    expect(await second.reader.outcome()).toBe("end");
  });
});

describe("after the answer has begun", () => {
  test("a reset is an upstream_error and nothing is tried again", async () => {
    const { engines, serve, pool } = bound(await poolOf(2));
    const { reader } = serve();
    const call = await engines[0]!.next();
    call.begin();
    await reader.nextData();
    call.reset();
    expect(await reader.outcome()).toBe("upstream_error");
    expect([reader.text, reader.starts.length, engines[1]!.connections]).toEqual(["begun", 1, 0]);
    expect(pool.report()).toMatchObject(IDLE);
  });

  test("an answer shorter than it said is an upstream_error", async () => {
    const { engines, serve } = bound(await poolOf(2));
    const { reader } = serve();
    const { response } = await engines[0]!.next();
    response.writeHead(200, { "content-length": "100" }).write("short");
    await reader.nextData();
    response.socket?.end();
    expect(await reader.outcome()).toBe("upstream_error");
  });

  test("silence is an upstream_timeout, counted from the last byte", async () => {
    const { clock, engines, serve } = bound(await poolOf(1));
    const { reader } = serve();
    const call = await engines[0]!.next();
    call.begin("one");
    await reader.nextData();
    clock.pass(59_000);
    call.response.write("two");
    await reader.nextData();
    clock.pass(59_999);
    expect(reader.endings).toEqual([]);
    clock.pass(1);
    expect(await reader.outcome()).toBe("upstream_timeout");
    await call.closed;
  });

  test("an engine that sends its head at once may think as long as one that does not", async () => {
    const { clock, engines, serve } = bound(await poolOf(1));
    const { reader } = serve();
    const call = await engines[0]!.next();
    const headed = new Promise<void>((resolve) => {
      const { onHead } = reader;
      reader.onHead = (status, headers) => {
        onHead.call(reader, status, headers);
        resolve();
      };
    });
    call.begin("");
    await headed;
    clock.pass(119_999);
    call.response.write("at last");
    await reader.nextData();
    expect(reader.endings).toEqual([]);
    clock.pass(60_000);
    expect(await reader.outcome()).toBe("upstream_timeout");
  });

  test("the whole may not take longer than it may, however lively it is", async () => {
    const { clock, engines, serve } = bound(await poolOf(1, {}, {}));
    const { reader } = serve();
    const call = await engines[0]!.next();
    call.begin();
    for (let i = 0; i < 12; i += 1) {
      await reader.nextData();
      expect(reader.endings).toEqual([]);
      clock.pass(50_000);
      call.response.write("more");
    }
    expect(await reader.outcome()).toBe("upstream_timeout");
    await call.closed;
  });
});

describe("abort", () => {
  /** Brings a request into a state; what the engine sees of its end. */
  const states: [name: string, reach: (engine: TestEngine, served: Served) => Promise<{ closed?: Promise<void> }>][] = [
    ["before it is sent", async () => ({})],
    [
      "while connecting",
      async () => {
        await Promise.resolve();
        await Promise.resolve();
        return {};
      },
    ],
    ["while waiting for the head", (engine) => engine.next()],
    [
      "in the middle of the answer",
      async (engine, { reader }) => {
        const call = await engine.next();
        call.begin();
        await reader.nextData();
        return call;
      },
    ],
    [
      "while paused",
      async (engine, { reader }) => {
        reader.takesMore = () => false;
        const call = await engine.next();
        call.begin();
        await reader.nextData();
        return call;
      },
    ],
  ];

  test.each(states)("%s closes the connection, and the slot is free at once", async (_, reach) => {
    const { engines, serve, pool } = bound(await poolOf(1));
    const served = serve();
    const waiting = serve();
    const { closed } = await reach(engines[0]!, served);
    const chunks = served.reader.chunks.length;
    served.running.abort();
    served.running.abort();
    served.running.resume();
    await waiting.reader.nextStart();
    expect(pool.report()).toMatchObject({ in_flight: 1, queued: 0 });
    await closed;
    (await engines[0]!.next()).answer(200, "next");
    expect(await waiting.reader.outcome()).toBe("end");
    expect([served.reader.endings, served.reader.chunks.length]).toEqual([[], chunks]);
    expect(pool.report()).toMatchObject(IDLE);
  });

  test("in the queue lets the others move up", async () => {
    const { engines, serve, pool } = bound(await poolOf(1, { queue: 2 }));
    serve();
    const leaver = serve({ tenant: "a" });
    const stayer = serve({ tenant: "b" });
    leaver.running.abort();
    expect(pool.report().queued).toBe(1);
    (await engines[0]!.next()).answer();
    (await engines[0]!.next()).answer();
    expect(await stayer.reader.outcome()).toBe("end");
    expect([leaver.reader.starts, leaver.reader.endings]).toEqual([[], []]);
  });

  test("while waiting for another try", async () => {
    const { engines, serve, pool } = bound(await poolOf(2));
    const served = serve();
    serve();
    await engines[1]!.next();
    (await engines[0]!.next()).reset();
    while (pool.status().retries === 0) await turn();
    expect(pool.report()).toMatchObject({ in_flight: 1, queued: 1 });
    served.running.abort();
    expect(pool.report()).toMatchObject({ in_flight: 1, queued: 0 });
    expect(served.reader.endings).toEqual([]);
  });

  test.each(["onStart", "onHead", "onData"] as const)("from within %s", async (moment) => {
    const { engines, serve, pool } = bound(await poolOf(1));
    const blocker = serve();
    const reader = new Reader();
    const served = serve({}, reader);
    reader[moment] = () => {
      served.running.abort();
      return true;
    };
    (await engines[0]!.next()).answer();
    expect(await blocker.reader.outcome()).toBe("end");
    if (moment !== "onStart") {
      const call = await engines[0]!.next();
      call.begin();
      await call.closed;
    }
    const after = serve({ body: Buffer.from("after") });
    const next = await engines[0]!.next();
    expect(next.body).toBe("after");
    next.answer();
    await after.reader.ended;
    expect(reader.endings).toEqual([]);
    expect(pool.report()).toMatchObject(IDLE);
  });

  test("after the end changes nothing", async () => {
    const { engines, serve, pool } = bound(await poolOf(1));
    const { reader, running } = serve();
    (await engines[0]!.next()).answer();
    await reader.ended;
    running.abort();
    running.resume();
    expect(pool.report()).toMatchObject(IDLE);
    expect(reader.endings).toHaveLength(1);
  });
});

describe("backpressure", () => {
  const PIECE = Buffer.alloc(256 * 1024, "x");
  const PIECES = 64;

  test("a reader that stops is not sent more, holds nobody else up, and misses nothing", async () => {
    const { engines, serve, clock } = bound(await poolOf(1, { slots: 2 }));
    const slow = serve();
    slow.reader.takesMore = () => false;
    const call = await engines[0]!.next();
    call.response.writeHead(200);
    for (let i = 0; i < PIECES; i += 1) call.response.write(PIECE);
    call.response.end();
    await slow.reader.nextData();

    for (let i = 0; i < 3; i += 1) {
      const other = serve();
      (await engines[0]!.next()).answer();
      expect(await other.reader.outcome()).toBe("end");
    }
    expect(slow.reader.chunks).toHaveLength(1);
    // Standing still is the reader's own affair, not a timeout of the engine.
    clock.pass(300_000);
    expect(slow.reader.endings).toEqual([]);

    slow.reader.takesMore = () => slow.reader.chunks.length % 10 !== 0;
    slow.running.resume();
    const pump = async () => {
      while (slow.reader.endings.length === 0) {
        await turn();
        slow.running.resume();
      }
    };
    await pump();
    expect(await slow.reader.outcome()).toBe("end");
    expect(slow.reader.bytes).toBe(PIECES * PIECE.byteLength);
  });

  test("that is lifted lets the engine be silent as long as before, and no longer", async () => {
    const { clock, engines, serve } = bound(await poolOf(1));
    const { reader, running } = serve();
    reader.takesMore = () => false;
    (await engines[0]!.next()).begin();
    await reader.nextData();
    clock.pass(100_000);
    running.resume();
    clock.pass(59_999);
    expect(reader.endings).toEqual([]);
    clock.pass(1);
    expect(await reader.outcome()).toBe("upstream_timeout");
  });

  test("may be lifted from within the data of another answer", async () => {
    const { engines, serve } = bound(await poolOf(2));
    const slow = serve();
    const fast = serve();
    const first = await engines[0]!.next();
    const second = await engines[1]!.next();
    slow.reader.takesMore = () => false;
    first.begin("one");
    await slow.reader.nextData();
    first.response.end("two");
    fast.reader.takesMore = () => {
      slow.reader.takesMore = () => true;
      slow.running.resume();
      return true;
    };
    second.answer();
    expect(await fast.reader.outcome()).toBe("end");
    expect(await slow.reader.outcome()).toBe("end");
    expect(slow.reader.text).toBe("onetwo");
  });
});

describe("the queue of a pool", () => {
  test("is served by tier and tenant as slots come free", async () => {
    const { engines, serve } = bound(await poolOf(1));
    const order: string[] = [];
    const enter = (name: string, tier: string, tenant: string) => {
      const { reader } = serve({ tier, tenant });
      void reader.nextStart().then(() => order.push(name));
      return reader;
    };
    const readers = [
      enter("running", "free", "x"),
      enter("free a1", "free", "a"),
      enter("free a2", "free", "a"),
      enter("free b1", "free", "b"),
      enter("premium", "premium", "c"),
      enter("admin", "admin", "d"),
    ];
    for (const _ of readers) (await engines[0]!.next()).answer();
    await Promise.all(readers.map((reader) => reader.outcome()));
    expect(order).toEqual(["running", "admin", "premium", "free a1", "free b1", "free a2"]);
  });

  test("that is full says when to come back, by how fast slots come free", async () => {
    const { clock, engines, serve, pool } = bound(await poolOf(1, { queue: 1 }));
    for (let i = 0; i < 4; i += 1) {
      const { reader } = serve();
      const call = await engines[0]!.next();
      clock.pass(10_000);
      call.answer();
      await reader.ended;
    }
    serve();
    serve();
    const { reader } = serve();
    const [ending] = reader.endings;
    expect(ending).toMatchObject({
      kind: "failure",
      failure: { public: { code: "queue_full", retryAfterMs: 20_000 } },
    });
    expect(pool.status().refused).toBe(1);
  });

  test("does not take who would wait beyond his deadline", async () => {
    const { clock, engines, serve } = bound(await poolOf(1));
    for (let i = 0; i < 4; i += 1) {
      const { reader } = serve();
      const call = await engines[0]!.next();
      clock.pass(10_000);
      call.answer();
      await reader.ended;
    }
    serve();
    expect(serve({ deadline: clock.now() + 10_000 }).reader.endings).toHaveLength(1);
    expect(serve({ deadline: clock.now() + 10_001 }).reader.endings).toHaveLength(0);
  });

  test("does not serve who is too late, however late the timers are", async () => {
    const { clock, engines, serve, pool } = bound(await poolOf(1));
    serve();
    const late = serve({ deadline: clock.now() + 5_000 });
    const other = serve({ tenant: "u" });
    const call = await engines[0]!.next();
    clock.stall(5_000);
    call.answer();
    expect(await late.reader.outcome()).toBe("queue_full");
    (await engines[0]!.next()).answer();
    expect(await other.reader.outcome()).toBe("end");
    expect(late.reader.starts).toEqual([]);
    expect(pool.report()).toMatchObject(IDLE);
  });

  test("is not overtaken by who comes in the moment that a slot is free", async () => {
    const { engines, serve } = bound(await poolOf(1));
    const reader = new Reader();
    const { onEnd } = reader;
    let newcomer: Served | null = null;
    reader.onEnd = () => {
      newcomer = serve({ tier: "admin" });
      onEnd.call(reader);
    };
    serve({}, reader);
    const waiting = serve({ tier: "admin" });
    (await engines[0]!.next()).answer();
    await reader.ended;
    await waiting.reader.nextStart();
    expect((newcomer as Served | null)?.reader.starts).toEqual([]);
  });

  test("refuses who waits beyond his deadline, at that moment", async () => {
    const { clock, serve, pool } = bound(await poolOf(1));
    serve();
    const { reader } = serve({ deadline: clock.now() + 5_000 });
    clock.pass(4_999);
    expect(reader.endings).toEqual([]);
    clock.pass(1);
    expect(await reader.outcome()).toBe("queue_full");
    expect(reader.starts).toEqual([]);
    expect(pool.report().queued).toBe(0);
  });

  test("makes room in the place of a flood for another tenant", async () => {
    const { serve } = bound(await poolOf(1, { queue: 3 }));
    serve();
    const flood = Array.from({ length: 3 }, () => serve({ tenant: "flood" }));
    const { reader } = serve({ tenant: "other" });
    expect(reader.endings).toEqual([]);
    expect(await flood[2]!.reader.outcome()).toBe("queue_full");
  });

  test("is let go when nobody is left who could serve it", async () => {
    const { engines, serve, pool } = bound(await poolOf(1));
    const running = serve();
    const waiting = serve();
    (await engines[0]!.next()).answer(503);
    expect(await running.reader.outcome()).toBe("model_unavailable");
    expect(await waiting.reader.outcome()).toBe("model_unavailable");
    expect(waiting.reader.starts).toEqual([]);
    expect(pool.report()).toMatchObject({ ...IDLE, healthy: 0, slots: 0 });
  });
});

describe("a kept connection", () => {
  test("is used again", async () => {
    const { engines, serve } = bound(await poolOf(1));
    for (let i = 0; i < 3; i += 1) {
      const { reader } = serve();
      (await engines[0]!.next()).answer();
      await reader.ended;
      await turn();
    }
    expect(engines[0]!.connections).toBe(1);
  });

  test("is waited for: an engine with a long queue holds no more of them than it has slots", async () => {
    const { engines, serve } = bound(await poolOf(1, { slots: 2, queue: 30 }));
    const readers = Array.from({ length: 30 }, (_, i) => serve({ tenant: String(i) }).reader);
    for (let i = 0; i < 30; i += 2) {
      const calls = [await engines[0]!.next(), await engines[0]!.next()];
      for (const call of calls) call.answer();
    }
    for (const reader of readers) expect(await reader.outcome()).toBe("end");
    expect(engines[0]!.connections).toBe(2);
  });

  test("that is closed under a request costs nothing: the same upstream is asked again", async () => {
    const { engines, serve, states } = bound(await poolOf(1));
    const warm = serve();
    (await engines[0]!.next()).answer();
    await warm.reader.ended;
    await turn();
    const { reader } = serve();
    (await engines[0]!.next()).reset();
    (await engines[0]!.next()).answer(200, "again");
    expect(await reader.outcome()).toBe("end");
    expect(reader.starts.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect(engines[0]!.connections).toBe(2);
    expect(states()).toEqual(["unknown"]);
  });

  test("that breaks late has broken under work: that is a failure", async () => {
    const { clock, engines, serve } = bound(await poolOf(1));
    const warm = serve();
    (await engines[0]!.next()).answer();
    await warm.reader.ended;
    await turn();
    const { reader } = serve();
    const call = await engines[0]!.next();
    clock.pass(1_000);
    call.reset();
    expect(await reader.outcome()).toBe("upstream_error");
  });
});

describe("closing", () => {
  test("waits for what runs and takes nothing new", async () => {
    const { engines, serve, pool } = bound(await poolOf(1));
    const { reader } = serve();
    const waiting = serve();
    let isClosed = false;
    const closing = pool.close().then(() => {
      isClosed = true;
    });
    expect(await serve().reader.outcome()).toBe("model_unavailable");
    (await engines[0]!.next()).answer();
    await reader.ended;
    await turn();
    expect(isClosed).toBe(false);
    (await engines[0]!.next()).answer();
    await closing;
    expect(await waiting.reader.outcome()).toBe("end");
  });

  test("by force ends everything and leaves no timer", async () => {
    const { clock, engines, serve, pool } = bound(await poolOf(1));
    pool.start();
    await engines[0]!.nextProbe();
    const running = serve();
    const waiting = serve();
    const call = await engines[0]!.next();
    await pool.destroy();
    expect([await running.reader.outcome(), await waiting.reader.outcome()]).toEqual([
      "model_unavailable",
      "model_unavailable",
    ]);
    await call.closed;
    expect(clock.pending).toBe(0);
  });
});

/** The parts of a fixture, for destructuring. */
function bound(fixture: Awaited<ReturnType<typeof poolOf>>) {
  const { clock, engines, pool } = fixture;
  return { clock, engines, pool, fixture, serve: fixture.serve.bind(fixture), states: () => fixture.states };
}
