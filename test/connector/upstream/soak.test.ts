// Many requests, sick engines, impatient clients: whatever happens, each request ends once and every slot comes back.
import fc from "fast-check";
import { expect, onTestFinished, test } from "vitest";
import { Pool } from "../../../connector/upstream/pool.ts";
import { TIMEOUTS, turn } from "./pool-fixture.ts";
import { type Call, Reader, TestEngine } from "./test-engine.ts";

const SLOTS = 2;
const PART = "a".repeat(70_000);

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

/** What an engine may do with a request. */
const FATES = {
  answer: (call: Call) => call.answer(),
  stream: async (call: Call) => {
    call.begin(PART);
    await tick();
    call.response.end(PART);
  },
  refuse: (call: Call) => call.answer(503),
  fail: (call: Call) => call.answer(500),
  reset: (call: Call) => call.reset(),
  break: async (call: Call) => {
    call.begin(PART);
    await tick();
    call.reset();
  },
  reject: (call: Call) => call.answer(400),
} as const;
type Fate = keyof typeof FATES;

/** Answers whatever comes as the body of the request tells each engine. */
async function answerAll(engine: TestEngine, index: number): Promise<void> {
  for (;;) {
    const call = await engine.next();
    const fates: Fate[] = JSON.parse(call.body);
    void FATES[fates[index] ?? "answer"](call);
  }
}

test("each request ends exactly once, no upstream has more than its slots, and nothing is left behind", async () => {
  const engines = await Promise.all([TestEngine.start(), TestEngine.start(), TestEngine.start()]);
  onTestFinished(async () => void (await Promise.all(engines.map((engine) => engine.stop()))));
  for (const [index, engine] of engines.entries()) void answerAll(engine, index);

  const fate = fc.constantFrom<Fate>("answer", "stream", ...(Object.keys(FATES) as Fate[]));
  const request = fc.record({
    fates: fc.array(fate, { minLength: 3, maxLength: 3 }),
    tier: fc.constantFrom("free", "premium", "admin"),
    tenant: fc.constantFrom("a", "b", "c"),
    abortAfter: fc.option(fc.nat({ max: 6 }), { freq: 6, nil: null }),
    pauses: fc.boolean(),
  });

  await fc.assert(
    fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 24 }), async (requests) => {
      const clock = { now: Date.now, setTimeout, clearTimeout };
      const pool = new Pool(
        { model: "m", kind: "chat", upstreams: engines.map(({ url }) => url), slots: SLOTS, queue: 6, affinity: true },
        {
          ...clock,
          random: Math.random,
          log: { info() {}, warn() {}, error() {} },
          timeouts: TIMEOUTS,
          prefixOf: (given) => given,
        },
      );
      let most = 0;
      const look = () => {
        for (const { in_flight } of pool.status().upstreams) most = Math.max(most, in_flight);
      };
      const work = requests.map(async ({ fates, tier, tenant, abortAfter, pauses }) => {
        const reader = new Reader();
        const { onStart } = reader;
        reader.onStart = (...given) => {
          look();
          onStart.apply(reader, given);
        };
        reader.takesMore = () => {
          if (pauses) setImmediate(() => running.resume());
          return !pauses;
        };
        const body = Buffer.from(JSON.stringify(fates));
        const place = { method: "POST", path: "/v1/chat/completions", headers: [] };
        const running = pool.serve({ ...place, body, tier, tenant, deadline: Date.now() + 60_000 }, reader);
        if (abortAfter === null) await reader.ended;
        for (let i = 0; i < (abortAfter ?? 0); i += 1) await tick();
        const endings = reader.endings.length;
        running.abort();
        return { reader, endings };
      });
      const done = await Promise.all(work);
      await turn();
      expect(pool.report()).toMatchObject({ in_flight: 0, queued: 0 });
      await pool.close();

      expect(most).toBeLessThanOrEqual(SLOTS);
      for (const [index, { reader, endings }] of done.entries()) {
        if (requests[index]?.abortAfter === null) expect(endings).toBe(1);
        expect(reader.endings.length).toBe(endings);
        expect(reader.heads.length).toBeLessThanOrEqual(1);
        // Once each, and once more where a kept connection was closed.
        expect(reader.starts.length).toBeLessThanOrEqual(engines.length + 1);
        const [ending] = reader.endings;
        if (ending?.kind === "end" && reader.heads[0]?.status === 200)
          expect(["ok", PART + PART]).toContain(reader.text);
      }
    }),
    { numRuns: 40 },
  );
}, 30_000);
