// Large embedding requests over a pool of real servers on loopback, whose answers are given by the test.
import { describe, expect, test } from "vitest";
import { splitInputs } from "../../../connector/dialect/split.ts";
import { AHEAD_BYTES, FanOut } from "../../../connector/upstream/fanout.ts";
import type { PoolConfig } from "../../../connector/upstream/pool.ts";
import type { Running } from "../../../connector/upstream/request.ts";
import { type PoolFixture, poolOf, turn } from "./pool-fixture.ts";
import { type Call, Reader, type TestEngine } from "./test-engine.ts";

const inputsOf = (call: Call): number[] => (JSON.parse(call.body) as { input: string[] }).input.map(Number);
const row = (input: number, index: number, pad = "") => `{"embedding":[${input}${pad}],"index":${index}}`;
/** What an engine answers; each vector is its input. */
const answerTo = (call: Call, pad = "") => {
  const rows = inputsOf(call).map((input, index) => row(input, index, pad));
  return `{"model":"m","data":[${rows.join(",")}],"usage":{"prompt_tokens":${rows.length}}}`;
};
const inputs = (count: number) => Array.from({ length: count }, (_, i) => String(i));

interface Fan {
  readonly fixture: PoolFixture;
  readonly engines: readonly TestEngine[];
  serve(count: number, reader?: Reader): { readonly reader: Reader; readonly running: Running };
}

async function fanOf(engines: number, config: Partial<PoolConfig> = {}): Promise<Fan> {
  const fixture = await poolOf(engines, { kind: "embedding", slots: 1, ...config });
  const fan = new FanOut(fixture.pool, splitInputs);
  const serve = (count: number, reader = new Reader()) => {
    const body = Buffer.from(JSON.stringify({ model: "m", input: inputs(count) }));
    const place = { method: "POST", path: "/v1/embeddings", headers: [], tier: "free", tenant: "t" };
    const deadline = fixture.clock.now() + 3_600_000;
    return { reader, running: fan.serve({ ...place, body, deadline }, reader) };
  };
  return { fixture, engines: fixture.engines, serve };
}

const calls = (engines: readonly TestEngine[]) => Promise.all(engines.map((engine) => engine.next()));
const told = (reader: Reader) =>
  JSON.parse(reader.text) as { data: { embedding: number[]; index: number }[]; usage: { prompt_tokens: number } };

function expectWhole(reader: Reader, count: number): void {
  expect(reader.heads.map(({ status }) => status)).toEqual([200]);
  const { data, usage } = told(reader);
  expect(data.map(({ index }) => index)).toEqual(inputs(count).map(Number));
  expect(data.map(({ embedding }) => embedding[0])).toEqual(inputs(count).map(Number));
  expect(usage.prompt_tokens).toBe(count);
  expect(reader.endings).toHaveLength(1);
}

describe("a large input", () => {
  test("is split over the upstreams, each part with a slot, and is one answer in order, whoever is first", async () => {
    const { fixture, engines, serve } = await fanOf(4);
    const { reader } = serve(100);
    const all = await calls(engines);
    expect(fixture.pool.report()).toMatchObject({ in_flight: 4, queued: 0 });
    expect(all.map((call) => inputsOf(call).length)).toEqual([25, 25, 25, 25]);
    for (const call of all.toReversed()) {
      expect(reader.heads).toEqual([]);
      call.answer(200, answerTo(call));
      await turn();
    }
    expect(await reader.outcome()).toBe("end");
    expectWhole(reader, 100);
    expect(reader.starts.map(({ upstream }) => upstream).toSorted()).toEqual(engines.map(({ url }) => url).toSorted());
    expect(fixture.pool.report()).toMatchObject({ in_flight: 0, queued: 0 });
  });

  test("goes to upstreams with a free slot only, and is not split where others wait", async () => {
    const { fixture, engines, serve } = await fanOf(3);
    serve(1);
    const { reader } = serve(96);
    const [, second, third] = await calls(engines);
    expect([second!, third!].map((call) => inputsOf(call).length)).toEqual([48, 48]);
    const waiting = serve(96).reader;
    expect(fixture.pool.report()).toMatchObject({ in_flight: 3, queued: 1 });
    for (const call of [second!, third!]) call.answer(200, answerTo(call));
    await reader.outcome();
    const [, call] = await Promise.all([turn(), Promise.race([engines[1]!.next(), engines[2]!.next()])]);
    call.answer(200, answerTo(call));
    expect(await waiting.outcome()).toBe("end");
    expectWhole(waiting, 96);
  });

  test("goes to the healthy ones only", async () => {
    const { fixture, engines, serve } = await fanOf(3);
    engines[1]!.health = 503;
    fixture.pool.start();
    for (let i = 0; i < 100 && fixture.states[1] !== "loading"; i += 1) await turn();
    const { reader } = serve(96);
    for (const engine of [engines[0]!, engines[2]!]) {
      const call = await engine.next();
      call.answer(200, answerTo(call));
    }
    expect(await reader.outcome()).toBe("end");
    expectWhole(reader, 96);
  });

  test.each([31, 1])("is none of %i: that is one request", async (count) => {
    const { fixture, engines, serve } = await fanOf(4);
    const { reader } = serve(count);
    const call = await engines[0]!.next();
    expect(fixture.pool.report()).toMatchObject({ in_flight: 1 });
    call.answer(200, answerTo(call));
    expect(await reader.outcome()).toBe("end");
    expectWhole(reader, count);
  });
});

describe("a part", () => {
  test("that is lost is sent elsewhere", async () => {
    const { fixture, engines, serve } = await fanOf(3);
    const { reader } = serve(96);
    const [first, second, third] = await calls(engines);
    second!.reset();
    first!.answer(200, answerTo(first!));
    third!.answer(200, answerTo(third!));
    const again = await Promise.race([engines[0]!.next(), engines[2]!.next()]);
    expect(again.body).toBe(second!.body);
    again.answer(200, answerTo(again));
    expect(await reader.outcome()).toBe("end");
    expectWhole(reader, 96);
    expect(fixture.pool.status().retries).toBe(1);
  });

  test("that cannot be saved fails the whole, and the others are cancelled", async () => {
    const { fixture, engines, serve } = await fanOf(3);
    const { reader } = serve(96);
    const [first, second, third] = await calls(engines);
    second!.answer(500);
    first!.answer(200, answerTo(first!));
    (await engines[0]!.next()).answer(500);
    expect(await reader.outcome()).toBe("upstream_error");
    await third!.closed;
    expect([reader.heads.length, reader.endings.length]).toEqual([0, 1]);
    expect(fixture.pool.report()).toMatchObject({ in_flight: 0, queued: 0 });
  });

  test("that is refused is the answer to the whole, and the others are cancelled", async () => {
    const { fixture, engines, serve } = await fanOf(3);
    const { reader } = serve(96);
    const [first, second, third] = await calls(engines);
    first!.begin(answerTo(first!).slice(0, 100));
    third!.answer(400, "too long");
    expect(await reader.outcome()).toBe("end");
    await Promise.all([first!.closed, second!.closed]);
    expect(reader.heads.map(({ status }) => status)).toEqual([400]);
    expect(reader.text).toBe("too long");
    expect(reader.endings).toHaveLength(1);
    expect(fixture.pool.report()).toMatchObject({ in_flight: 0, queued: 0 });
  });

  test.each<[name: string, finish: (call: Call) => void]>([
    ["breaks off", (call) => call.reset()],
    ["ends too early", (call) => call.response.end()],
    ["goes on as something else", (call) => call.response.end("<html>")],
  ])("that %s fails the whole, though its head was good", async (_, finish) => {
    const { engines, serve } = await fanOf(2);
    const { reader } = serve(64);
    const [first, second] = await calls(engines);
    second!.begin(answerTo(second!).slice(0, 100));
    first!.begin(answerTo(first!).slice(0, 100));
    await reader.nextData();
    finish(second!);
    expect(await reader.outcome()).toBe("upstream_error");
    await first!.closed;
    expect(reader.endings).toHaveLength(1);
  });
});

describe("a client that leaves", () => {
  test.each(["at once", "before the heads", "in the answer"])("%s cancels all parts", async (when) => {
    const { fixture, engines, serve } = await fanOf(3);
    const { reader, running } = serve(96);
    if (when === "at once") running.abort();
    else {
      const all = await calls(engines);
      if (when === "in the answer") {
        for (const call of all) call.begin(answerTo(call).slice(0, 100));
        await reader.nextData();
      }
      running.abort();
      await Promise.all(all.map(({ closed }) => closed));
    }
    await turn();
    expect(fixture.pool.report()).toMatchObject({ in_flight: 0, queued: 0 });
    expect(reader.endings).toEqual([]);
  });
});

describe("a client that does not read", () => {
  /** Vectors of 200 KB. */
  const pad = `,${"1".repeat(200_000)}`;
  /** What the kernel and one read may hold besides. */
  const SLACK_BYTES = 8 * 1024 * 1024;

  test("holds the engines back, and gets everything when it reads", async () => {
    const { engines, serve } = await fanOf(2);
    const reader = new Reader();
    reader.takesMore = () => false;
    const { running } = serve(200, reader);
    const all = await calls(engines);
    for (const call of all) call.begin("");
    const written = all.map((call) => {
      const bytes = Buffer.from(answerTo(call, pad));
      // By pieces: what the engine could not write yet is still in its hands.
      let at = 0;
      const more = () => {
        while (at < bytes.length) {
          at += 65_536;
          if (!call.response.write(bytes.subarray(at - 65_536, at))) return void call.response.once("drain", more);
        }
        call.response.end();
      };
      more();
      return { at: () => at, length: bytes.length };
    });
    await reader.nextData();
    let last = -1;
    for (let still = 0; still < 20; ) {
      await new Promise((done) => setImmediate(done));
      const now = written.reduce((sum, { at }) => sum + at(), 0);
      still = now === last ? still + 1 : 0;
      last = now;
    }
    for (const { at, length } of written) {
      expect(length).toBeGreaterThan(AHEAD_BYTES + SLACK_BYTES);
      expect(at()).toBeLessThan(AHEAD_BYTES + SLACK_BYTES);
    }
    reader.takesMore = () => true;
    running.resume();
    expect(await reader.outcome()).toBe("end");
    expect(told(reader).data.map(({ index }) => index)).toEqual(inputs(200).map(Number));
  });

  test("may take a piece at a time", async () => {
    const { engines, serve } = await fanOf(3);
    const reader = new Reader();
    reader.takesMore = () => {
      setImmediate(() => running.resume());
      return false;
    };
    const { running } = serve(96, reader);
    for (const call of await calls(engines)) call.answer(200, answerTo(call, `,${"2".repeat(20_000)}`));
    expect(await reader.outcome()).toBe("end");
    expect(told(reader).data.map(({ index }) => index)).toEqual(inputs(96).map(Number));
  });

  test("is read ahead of without a bound while a part waits for the slot that another one holds", async () => {
    const { engines, serve } = await fanOf(2);
    const { reader } = serve(64);
    const [first, second] = await calls(engines);
    // More than is read ahead: it would stand still, with the only slot that is left.
    second!.answer(200, answerTo(second!, pad));
    await turn();
    first!.reset();
    const again = await engines[1]!.next();
    expect(again.body).toBe(first!.body);
    again.answer(200, answerTo(again));
    expect(await reader.outcome()).toBe("end");
    expect(told(reader).data.map(({ index }) => index)).toEqual(inputs(64).map(Number));
  });
});

test("a reader that throws ends the whole, once", async () => {
  for (const moment of ["onHead", "onData", "onEnd"] as const) {
    const { fixture, engines, serve } = await fanOf(2);
    const reader = new Reader();
    reader[moment] = () => {
      throw new Error("defect");
    };
    serve(64, reader);
    for (const call of await calls(engines)) call.answer(200, answerTo(call));
    expect(await reader.outcome()).toBe("internal_error");
    expect(reader.endings).toHaveLength(1);
    expect(fixture.pool.report()).toMatchObject({ in_flight: 0, queued: 0 });
  }
});
