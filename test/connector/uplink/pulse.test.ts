// Whether a socket is alive: a road in virtual time, looked at about once a second.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BUSY_DEAD_AFTER_MS,
  CARRIED_BYTES,
  DEAD_AFTER_MS,
  DOUBT_AFTER_MS,
  DOUBT_BEHIND_DATA_MS,
  type Finding,
  Pulse,
  SLOW_BYTES_PER_MS,
} from "../../../connector/uplink/pulse.ts";

interface Road {
  readonly isBusy: boolean;
  readonly isBehind?: boolean;
  /** ms from a ping to its pong; null: nothing comes back. */
  readonly pongMs: number | null;
}

/** @param gaps ms between two looks. */
function watch(gaps: readonly number[], { isBusy, isBehind = false, pongMs }: Road): (Finding & { at: number })[] {
  const pulse = new Pulse(0, 0);
  const pongs: number[] = [];
  let at = 0;
  let bytes = 0;
  return gaps.map((gap) => {
    at += gap;
    while (pongs.length > 0 && pongs[0]! <= at) {
      pongs.shift();
      bytes += 2;
    }
    const found = pulse.look(at, { bytes, written: 0, isBusy, isBehind });
    if (found.ping && pongMs !== null) pongs.push(at + pongMs);
    return { ...found, at };
  });
}

const seconds = (count: number) => Array.from({ length: count }, () => 1_000);
const first = (found: ReturnType<typeof watch>, state: Finding["state"]) =>
  found.find((one) => one.state === state)?.at;

describe("a dead road", () => {
  test.each([
    ["while a client may be waiting", { isBusy: true }, 2_000 + DOUBT_AFTER_MS, BUSY_DEAD_AFTER_MS],
    ["while nothing runs", { isBusy: false }, 10_000 + DOUBT_AFTER_MS, DEAD_AFTER_MS],
    ["behind data", { isBusy: true, isBehind: true }, 2_000 + DOUBT_BEHIND_DATA_MS, BUSY_DEAD_AFTER_MS],
  ])("%s is doubted first, and given up later", (_, road, doubtfulAt, deadAt) => {
    const found = watch(seconds(30), { ...road, pongMs: null });
    expect([first(found, "doubtful"), first(found, "dead")]).toEqual([doubtfulAt, deadAt]);
  });

  test("is not asked any more once it is given up", () => {
    const dead = watch(seconds(40), { isBusy: true, pongMs: null }).filter(({ state }) => state === "dead");
    expect(dead.length).toBeGreaterThan(10);
    expect(dead.some(({ ping, word, text }) => ping || word || text)).toBe(false);
  });
});

test("a road that answers is never doubted, however seldom it is looked at and whether or not anything else comes", () => {
  const gaps = fc.array(fc.integer({ min: 900, max: 1_400 }), { minLength: 60, maxLength: 120 });
  const road = fc.record({ isBusy: fc.boolean(), isBehind: fc.boolean(), pongMs: fc.integer({ min: 0, max: 1_500 }) });
  fc.assert(
    fc.property(gaps, road, (gaps, road) => {
      expect(watch(gaps, road).every(({ state }) => state === "alive")).toBe(true);
    }),
  );
});

test("one byte lifts a doubt", () => {
  const pulse = new Pulse(0, 7);
  const look = (at: number, bytes: number) =>
    pulse.look(at, { bytes, written: 0, isBusy: true, isBehind: false }).state;
  expect([look(2_000, 7), look(5_000, 7), look(5_500, 8), look(7_000, 8)]).toEqual([
    "alive",
    "doubtful",
    "alive",
    "alive",
  ]);
});

test("a road that falls silent under load is doubted as soon, and is asked every second or two before", () => {
  const BYTES_PER_S = 1_500_000;
  const pulse = new Pulse(0, 0);
  let bytes = 0;
  const holeAt = 2_500;
  const found = seconds(12).map((_, i) => {
    const at = (i + 1) * 1_000;
    const seen = pulse.look(at, { bytes, written: (at * BYTES_PER_S) / 1_000, isBusy: true, isBehind: false });
    if (seen.ping && at < holeAt) {
      pulse.answered(at, at + 50);
      bytes += 2;
    }
    return { ...seen, at };
  });
  expect(found.filter(({ ping, at }) => ping && at <= 3_000).map(({ at }) => at)).toEqual([1_000, 2_000, 3_000]);
  expect(first(found, "doubtful")).toBe(3_000 + DOUBT_AFTER_MS);
});

describe("a ping that stands behind much of our own", () => {
  const AHEAD = 2 * CARRIED_BYTES + 5_000 * SLOW_BYTES_PER_MS;
  const look = (pulse: Pulse, at: number, bytes: number, written: number) =>
    pulse.look(at, { bytes, written, isBusy: true, isBehind: false }).state;

  test("may take as long as a slow road needs for that", () => {
    const pulse = new Pulse(0, 0);
    const found = [2_000, 5_000, 9_999, 10_000].map((at) => look(pulse, at, 0, AHEAD));
    expect(found).toEqual(["alive", "alive", "alive", "doubtful"]);
  });

  test.each([
    ["and may not where the road has shown that it is faster", 2_900, "doubtful"],
    ["and may where the road was as slow before", 4_900, "alive"],
  ] as const)("%s", (_what, pongAt, state) => {
    const pulse = new Pulse(0, 0);
    look(pulse, 2_000, 0, AHEAD);
    pulse.answered(2_000, pongAt);
    const found = [5_000, 7_000, 10_000].map((at) => look(pulse, at, 1, 2 * AHEAD));
    expect(found).toEqual(["alive", "alive", state]);
  });
});

test("a doubt is not lifted by data that begin to wait", () => {
  const pulse = new Pulse(0, 7);
  const look = (at: number, isBehind: boolean) =>
    pulse.look(at, { bytes: 7, written: 0, isBusy: true, isBehind }).state;
  expect([look(2_000, false), look(5_000, false), look(6_000, true)]).toEqual(["alive", "doubtful", "doubtful"]);
});

test.each([
  ["nothing runs", false, 6, 0, 4],
  ["a client may be waiting", true, 24, 12, 4],
])("where %s it is asked so often in a minute", (_, isBusy, ...asked) => {
  const found = watch(seconds(60), { isBusy, pongMs: 50 });
  const count = (of: (one: Finding) => boolean) => found.filter(of).length;
  expect([count(({ ping }) => ping), count(({ word }) => word), count(({ text }) => text)]).toEqual(asked);
});
