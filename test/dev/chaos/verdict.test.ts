// What chaos calls a violation: a verdict that accepts everything would prove nothing.
import { describe, expect, test } from "vitest";
import type { Outcome } from "../../../dev/chaos/client.ts";
import { Random } from "../../../dev/chaos/random.ts";
import { FAULT_KINDS, type FaultKind, scheduleOf } from "../../../dev/chaos/schedule.ts";
import { billOf, isHonest, recoveries } from "../../../dev/chaos/verdict.ts";

const question = { path: "/", key: "", body: "", stream: true, leaveAfterBytes: null, text: "" };
const outcome = (kind: Outcome["kind"], startedAt = 1_000, endedAt = 1_100): Outcome => ({
  question,
  startedAt,
  endedAt,
  kind,
  detail: "",
  id: null,
});
const happened = (kind: FaultKind, from = 1_050, to = 1_060) => [{ kind, from, to }];

describe("an outcome", () => {
  const rows: [kind: Outcome["kind"], fault: FaultKind | null, isHonest: boolean][] = [
    ["whole", null, true],
    ["left", null, true],
    ["refused", null, false],
    ["broken", null, false],
    ["lost", null, false],
    ["hung", "edge restart", false],
    ["wrong", "edge restart", false],
    ["lost", "edge restart", true],
    ["broken", "connector killed", true],
    ["refused", "connector killed", false],
    ["broken", "uplink RST", false],
    ["refused", "hub reset", false],
    ["broken", "engine breaks off", true],
    ["refused", "engine 500 burst", true],
    ["broken", "engine 500 burst", false],
  ];
  test.each(rows)("that is %s with the fault %s near is honest: %s", (kind, fault, expected) => {
    expect(isHonest(outcome(kind), fault === null ? [] : happened(fault))).toBe(expected);
  });

  test("is not excused by a fault that was over long before, or came after", () => {
    expect(isHonest(outcome("lost"), happened("edge restart", 2_000, 2_100))).toBe(false);
    expect(isHonest(outcome("lost", 60_000, 60_100), happened("edge restart"))).toBe(false);
  });
});

test("the time to recover ends with the first whole probe that began after the fault", () => {
  const probes = [outcome("whole", 1_000, 1_400), outcome("lost", 1_100, 1_200), outcome("whole", 1_150, 1_300)];
  expect(recoveries(probes, happened("uplink RST"))).toEqual([
    { kind: "uplink RST", times: 1, p50Ms: 250, maxMs: 250, failed: 1 },
  ]);
});

test("an exchange that one engine ran to its end costs exactly what that engine counted", () => {
  const row = { request_id: "a", prompt_tokens: 3, completion_tokens: 7, outcome: "complete" };
  expect(billOf([row, { ...row, request_id: null }], 100)).toEqual({ least: 10, most: 10, uncertain: 0 });
  const again = { ...row, completion_tokens: 2, outcome: "cancelled" };
  expect(billOf([row, again], 100)).toEqual({ least: 5, most: 100, uncertain: 1 });
});

test("a schedule follows from its seed, and brings every kind before any comes twice", () => {
  const schedule = scheduleOf(new Random(5), 120_000);
  expect(schedule).toEqual(scheduleOf(new Random(5), 120_000));
  expect(new Set(schedule.slice(0, FAULT_KINDS.length).map(({ kind }) => kind)).size).toBe(FAULT_KINDS.length);
  expect(scheduleOf(new Random(6), 120_000)).not.toEqual(schedule);
});
