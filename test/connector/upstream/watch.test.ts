// What a pool makes of its engines over time: probes by virtual time, answers by real servers.
import { describe, expect, test } from "vitest";
import { type PoolFixture, poolOf, turn } from "./pool-fixture.ts";
import { type Call, TestEngine } from "./test-engine.ts";

/** Waits, in turns of the event loop, for a probe's answer to arrive. */
async function until(fixture: PoolFixture, states: readonly string[]): Promise<void> {
  for (let i = 0; i < 200 && String(fixture.states) !== String(states); i += 1) await turn();
  expect(fixture.states).toEqual(states);
}

describe("probes", () => {
  test("begin at once, and until they answer every upstream may be used", async () => {
    const fixture = await poolOf(2);
    const { engines, pool } = fixture;
    engines[0]!.health = null;
    pool.start();
    const probe = await engines[0]!.nextProbe();
    expect([probe.request.method, probe.request.url]).toEqual(["GET", "/health"]);
    await until(fixture, ["unknown", "up"]);
    expect(pool.report()).toMatchObject({ healthy: 2, slots: 2 });
    const { reader } = fixture.serve();
    (await engines[0]!.next()).answer();
    expect(await reader.outcome()).toBe("end");
    probe.answer(200);
    await until(fixture, ["up", "up"]);
    expect(fixture.changes).toBe(0);
  });

  test("come every five seconds while an upstream is up, and twice a second while it is not", async () => {
    const fixture = await poolOf(1);
    const { engines, pool, clock } = fixture;
    const [engine] = engines;
    pool.start();
    await engine!.nextProbe();
    await until(fixture, ["up"]);
    engine!.health = 503;
    clock.pass(4_999);
    await turn();
    expect(fixture.states).toEqual(["up"]);
    clock.pass(1);
    await until(fixture, ["loading"]);
    expect(pool.report()).toMatchObject({ healthy: 0, slots: 0 });
    expect(await fixture.serve().reader.outcome()).toBe("model_unavailable");
    engine!.health = 200;
    clock.pass(500);
    await until(fixture, ["up"]);
    expect(pool.report()).toMatchObject({ healthy: 1, slots: 1 });
    expect(fixture.changes).toBe(2);
    expect(fixture.logged.map(({ level, message }) => `${level}: ${message}`)).toEqual([
      "info: upstream is up",
      "warn: upstream is loading",
      "info: upstream is up",
    ]);
  });

  test.each([
    [0, 4_500],
    [0.5, 5_000],
    [0.999_999, 5_500],
  ])("are jittered: with the chance %f the next comes after %i ms", async (chance, ms) => {
    const fixture = await poolOf(1, {}, { random: () => chance });
    const { engines, pool, clock } = fixture;
    pool.start();
    await until(fixture, ["up"]);
    engines[0]!.health = 503;
    clock.pass(ms - 1);
    await turn();
    expect(fixture.states).toEqual(["up"]);
    clock.pass(1);
    await until(fixture, ["loading"]);
  });

  test("that get no answer twice say down; one that is late says nothing yet", async () => {
    const fixture = await poolOf(1);
    const { engines, pool, clock } = fixture;
    pool.start();
    await engines[0]!.nextProbe();
    await until(fixture, ["up"]);
    engines[0]!.health = null;
    clock.pass(5_000);
    const first = await engines[0]!.nextProbe();
    clock.pass(2_000);
    await first.closed;
    expect(fixture.states).toEqual(["up"]);
    clock.pass(500);
    await engines[0]!.nextProbe();
    clock.pass(2_000);
    await until(fixture, ["down"]);
  });

  test("find an upstream again that has come back", async () => {
    const fixture = await poolOf(1);
    const { pool, clock } = fixture;
    const { port } = fixture.engines[0]!;
    pool.start();
    await until(fixture, ["up"]);
    await fixture.engines[0]!.stop();
    clock.pass(5_000);
    await until(fixture, ["down"]);
    const again = await TestEngine.start(port);
    clock.pass(500);
    await until(fixture, ["up"]);
    const { reader } = fixture.serve();
    (await again.next()).answer();
    expect(await reader.outcome()).toBe("end");
    // For the end of the test, which stops what it has started.
    await again.stop();
    (fixture.engines as TestEngine[])[0] = await TestEngine.start();
  });

  test("on a kept connection that breaks say nothing yet", async () => {
    const fixture = await poolOf(1);
    const { engines, pool, clock } = fixture;
    pool.start();
    await engines[0]!.nextProbe();
    await until(fixture, ["up"]);
    await turn();
    engines[0]!.health = null;
    clock.pass(5_000);
    const probe = await engines[0]!.nextProbe();
    probe.reset();
    await probe.closed;
    await turn();
    expect(fixture.states).toEqual(["up"]);
    engines[0]!.health = 503;
    clock.pass(500);
    await until(fixture, ["loading"]);
  });

  test("that find an upstream well give it to those who wait", async () => {
    const fixture = await poolOf(2);
    const { engines, pool, clock } = fixture;
    engines[0]!.health = 503;
    pool.start();
    await until(fixture, ["loading", "up"]);
    fixture.serve();
    await engines[1]!.next();
    const waiting = fixture.serve();
    expect(pool.report()).toMatchObject({ in_flight: 1, queued: 1 });
    engines[0]!.health = 200;
    clock.pass(500);
    expect(await waiting.reader.nextStart()).toBe(engines[0]!.url);
  });

  test.each([
    ["answered badly", (call: Call) => call.answer(502)],
    ["broken off", (call: Call) => call.reset()],
  ])("hurry when a request was %s there", async (_, fail) => {
    const fixture = await poolOf(2);
    const { engines, pool, clock } = fixture;
    pool.start();
    await until(fixture, ["up", "up"]);
    clock.pass(1_000);
    const { reader } = fixture.serve();
    engines[0]!.health = 503;
    fail(await engines[0]!.next());
    (await engines[1]!.next()).answer();
    await reader.ended;
    clock.pass(0);
    await until(fixture, ["loading", "up"]);
  });
});

describe("a 503 of a request", () => {
  test("is news at once: nobody else is sent there, and the next good probe takes it back", async () => {
    const fixture = await poolOf(2);
    const { engines, pool, clock } = fixture;
    pool.start();
    await until(fixture, ["up", "up"]);
    const { reader } = fixture.serve();
    (await engines[0]!.next()).answer(503);
    (await engines[1]!.next()).answer();
    expect(await reader.outcome()).toBe("end");
    expect(fixture.states).toEqual(["loading", "up"]);
    expect(pool.report().healthy).toBe(1);
    clock.pass(500);
    await until(fixture, ["up", "up"]);
    expect(fixture.changes).toBe(2);
  });
});

describe("an upstream that is well but fails its requests", () => {
  async function failing(): Promise<PoolFixture> {
    const fixture = await poolOf(2, { slots: 8, queue: 8 });
    fixture.pool.start();
    await until(fixture, ["up", "up"]);
    const answers = async (engine: TestEngine, status: number) => {
      for (;;) (await engine.next()).answer(status);
    };
    void answers(fixture.engines[0]!, 500);
    void answers(fixture.engines[1]!, 200);
    return fixture;
  }

  test("is ejected after five failures, and back when its time is over", async () => {
    const fixture = await failing();
    const { clock } = fixture;
    for (let i = 0; fixture.states[0] === "up"; i += 1) {
      expect(i).toBeLessThan(20);
      const { reader } = fixture.serve();
      await reader.ended;
    }
    expect(fixture.states).toEqual(["ejected", "up"]);
    expect(fixture.pool.report()).toMatchObject({ healthy: 1, slots: 8 });
    for (let i = 0; i < 10; i += 1) {
      const { reader } = fixture.serve();
      expect(await reader.outcome()).toBe("end");
      expect(reader.starts).toEqual([{ upstream: fixture.engines[1]!.url, attempt: 1 }]);
    }
    for (let i = 0; i < 59; i += 1) {
      clock.pass(500);
      await turn();
    }
    expect(fixture.states).toEqual(["ejected", "up"]);
    clock.pass(1_000);
    await until(fixture, ["up", "up"]);
  });

  test.each([
    ["breaks off its answers", "ejected"],
    ["succeeds in between", "up"],
  ])("and %s is %s then", async (how, state) => {
    // All of one beginning: they go to one of the two.
    const fixture = await poolOf(2, { affinity: true }, { prefixOf: (body) => body });
    fixture.pool.start();
    await until(fixture, ["up", "up"]);
    let place = 0;
    for (let i = 0; i < 8 && fixture.states[place] === "up"; i += 1) {
      const { reader } = fixture.serve();
      place = fixture.engines.findIndex(({ url }) => url === reader.starts[0]?.upstream);
      const call = await fixture.engines[place]!.next();
      if (i === 4 && how === "succeeds in between") call.answer();
      else {
        call.begin();
        await reader.nextData();
        call.reset();
      }
      await reader.ended;
    }
    expect(fixture.states[place]).toBe(state);
    expect(fixture.states[1 - place]).toBe("up");
  });

  test("is never ejected where it is alone", async () => {
    const fixture = await poolOf(1);
    fixture.pool.start();
    await until(fixture, ["up"]);
    for (let i = 0; i < 12; i += 1) {
      const { reader } = fixture.serve();
      (await fixture.engines[0]!.next()).answer(500);
      expect(await reader.outcome()).toBe("upstream_error");
    }
    expect(fixture.states).toEqual(["up"]);
  });
});
