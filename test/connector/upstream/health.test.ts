import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  EJECT_AFTER,
  EJECT_MAX_MS,
  EJECT_MS,
  FORGET_MS,
  Health,
  type HealthState,
  type ProbeResult,
} from "../../../connector/upstream/health.ts";

function failTimes(health: Health, index: number, now: number, times = EJECT_AFTER): void {
  for (let i = 0; i < times; i += 1) health.failed(index, now);
}

/** All of them up. */
function healthyPool(upstreams: number): Health {
  const health = new Health(upstreams);
  for (let index = 0; index < upstreams; index += 1) health.probed(index, "up", 0);
  return health;
}

describe("a probe", () => {
  const rows: [results: ProbeResult[], state: HealthState, isUsable: boolean][] = [
    [[], "unknown", true],
    [["up"], "up", true],
    [["loading"], "loading", false],
    [["down"], "down", false],
    [["silent"], "down", false],
    [["up", "down"], "down", false],
    [["up", "loading"], "loading", false],
    [["up", "silent"], "up", true],
    [["up", "silent", "silent"], "down", false],
    [["up", "silent", "up", "silent"], "up", true],
    [["loading", "silent"], "down", false],
    [["down", "loading", "up"], "up", true],
  ];
  test.each(rows)("that finds %j says %s", (results, state, isUsable) => {
    const health = new Health(2);
    for (const result of results) health.probed(0, result, 0);
    expect(health.state(0)).toBe(state);
    expect(health.isUsable(0)).toBe(isUsable);
    expect(health.usable).toBe(isUsable ? 2 : 1);
  });

  test.each<[ProbeResult[], number]>([
    [[], 500],
    [["up"], 5_000],
    [["up", "silent"], 500],
    [["loading"], 500],
    [["down"], 500],
  ])("after %j is followed by the next in %i ms", (results, ms) => {
    const health = new Health(1);
    for (const result of results) health.probed(0, result, 0);
    expect(health.probeAfter(0)).toBe(ms);
  });

  test("decides over what a request has met", () => {
    const health = healthyPool(2);
    health.met(0, "down");
    expect(health.state(0)).toBe("down");
    health.probed(0, "up", 1);
    expect(health.state(0)).toBe("up");
  });
});

describe("ejection", () => {
  test("comes with the fifth failure in a row", () => {
    const health = healthyPool(2);
    failTimes(health, 0, 0, EJECT_AFTER - 1);
    health.succeeded(0);
    failTimes(health, 0, 0, EJECT_AFTER - 1);
    expect(health.state(0)).toBe("up");
    health.failed(0, 0);
    expect(health.state(0)).toBe("ejected");
    expect(health.isUsable(0)).toBe(false);
    expect(health.probeAfter(0)).toBe(500);
  });

  test("lasts its time against probes that see nothing wrong", () => {
    const health = healthyPool(2);
    failTimes(health, 0, 1_000);
    health.probed(0, "up", 1_000 + EJECT_MS - 1);
    expect(health.state(0)).toBe("ejected");
    health.probed(0, "up", 1_000 + EJECT_MS);
    expect(health.state(0)).toBe("up");
  });

  test("does not end by time alone", () => {
    const health = healthyPool(2);
    failTimes(health, 0, 0);
    health.probed(0, "silent", EJECT_MS);
    expect(health.state(0)).toBe("ejected");
  });

  test.each<ProbeResult>(["down", "loading"])("ends with the first good probe after one that says %s", (result) => {
    const health = healthyPool(2);
    failTimes(health, 0, 0);
    health.probed(0, result, 500);
    expect(health.state(0)).toBe(result);
    health.probed(0, "up", 1_000);
    expect(health.state(0)).toBe("up");
  });

  test("is not cut short by what requests have met", () => {
    const health = healthyPool(2);
    failTimes(health, 0, 0);
    health.met(0, "loading");
    health.probed(0, "up", 1_000);
    expect(health.state(0)).toBe("ejected");
  });

  test("lasts its time also where the upstream had been away before it", () => {
    const health = healthyPool(2);
    for (const result of ["down", "up"] as const) health.probed(0, result, 100);
    failTimes(health, 0, 1_000);
    health.probed(0, "up", 1_500);
    expect(health.state(0)).toBe("ejected");
  });

  test("is no longer for what still fails there, and is forgotten with the failures before it", () => {
    const health = healthyPool(4);
    failTimes(health, 0, 0);
    failTimes(health, 0, EJECT_MS - 1);
    health.probed(0, "up", EJECT_MS);
    failTimes(health, 0, EJECT_MS, EJECT_AFTER - 1);
    expect(health.state(0)).toBe("up");
  });

  test("counts before the first probe, too", () => {
    const health = new Health(2);
    failTimes(health, 0, 0);
    expect([health.state(0), health.isUsable(0)]).toEqual(["ejected", false]);
  });

  test("lasts longer each time, up to a limit", () => {
    const health = healthyPool(2);
    let now = 0;
    const lasted = Array.from({ length: 12 }, () => {
      failTimes(health, 0, now);
      const from = now;
      while (health.state(0) === "ejected") {
        now += 500;
        health.probed(0, "up", now);
      }
      return now - from;
    });
    expect(lasted.slice(0, 3)).toEqual([EJECT_MS, 2 * EJECT_MS, 3 * EJECT_MS]);
    expect(lasted.slice(9)).toEqual([EJECT_MAX_MS, EJECT_MAX_MS, EJECT_MAX_MS]);
  });

  test.each([
    [0, 3],
    [FORGET_MS - 1, 3],
    [FORGET_MS, 2],
    [2 * FORGET_MS, 1],
    [9 * FORGET_MS, 1],
  ])("after two and %i ms of health lasts %i times the base", (pause, times) => {
    const health = healthyPool(2);
    let now = 0;
    for (let i = 1; i <= 2; i += 1) {
      failTimes(health, 0, now);
      now += i * EJECT_MS;
      health.probed(0, "up", now);
    }
    now += pause;
    failTimes(health, 0, now);
    health.probed(0, "up", now + times * EJECT_MS - 1);
    expect(health.state(0)).toBe("ejected");
    health.probed(0, "up", now + times * EJECT_MS);
    expect(health.state(0)).toBe("up");
  });

  test.each([
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [8, 4],
  ])("of a pool of %i takes at most %i", (upstreams, most) => {
    const health = healthyPool(upstreams);
    for (let index = 0; index < upstreams; index += 1) failTimes(health, index, 0, 2 * EJECT_AFTER);
    expect(health.ejected).toBe(most);
    expect(health.usable).toBe(upstreams - most);
  });

  test("does not refuse where nobody else is left", () => {
    const health = healthyPool(2);
    failTimes(health, 0, 0);
    health.probed(1, "down", 0);
    expect([health.isUsable(0), health.isUsable(1), health.usable]).toEqual([true, false, 1]);
    health.probed(1, "up", 0);
    expect([health.isUsable(0), health.isUsable(1), health.usable]).toEqual([false, true, 1]);
  });
});

describe("the health of a pool", () => {
  const results: ProbeResult[] = ["up", "loading", "down", "silent"];
  const step = fc.record({
    index: fc.nat(),
    what: fc.oneof(
      { weight: 6, arbitrary: fc.constant("failed" as const) },
      { weight: 1, arbitrary: fc.constant("succeeded" as const) },
      { weight: 3, arbitrary: fc.constantFrom(...results) },
    ),
    ms: fc.nat({ max: 20_000 }),
  });

  test("never has more than half ejected, and nobody usable only where nobody answers probes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), fc.array(step, { maxLength: 200 }), (upstreams, steps) => {
        const health = new Health(upstreams);
        let now = 0;
        for (const { index: any, what, ms } of steps) {
          const index = any % upstreams;
          now += ms;
          if (what === "failed") health.failed(index, now);
          else if (what === "succeeded") health.succeeded(index);
          else health.probed(index, what, now);

          expect(health.ejected).toBeLessThanOrEqual(upstreams / 2);
          const states = Array.from({ length: upstreams }, (_, i) => health.state(i));
          const answers = states.filter((state) => state !== "down" && state !== "loading");
          expect(health.usable === 0).toBe(answers.length === 0);
          for (const [i, state] of states.entries()) {
            if (state === "down" || state === "loading") expect(health.isUsable(i)).toBe(false);
            if (state === "up" || state === "unknown") expect(health.isUsable(i)).toBe(true);
          }
        }
      }),
    );
  });

  test("always comes back: after the longest ejection every good probe counts", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const health = new Health(3);
        let now = 0;
        for (const { index, what, ms } of steps) {
          now += ms;
          if (what === "failed") health.failed(index % 3, now);
          else if (what === "succeeded") health.succeeded(index % 3);
          else health.probed(index % 3, what, now);
        }
        for (let index = 0; index < 3; index += 1) health.probed(index, "up", now + EJECT_MAX_MS);
        expect([0, 1, 2].map((index) => health.state(index))).toEqual(["up", "up", "up"]);
      }),
    );
  });
});
