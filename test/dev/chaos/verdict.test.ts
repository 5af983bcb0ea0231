// What chaos calls a violation: a verdict that accepts everything would prove nothing.
import { describe, expect, test } from "vitest";
import type { LedgerRow } from "../../../dev/chaos/bill.ts";
import type { Outcome } from "../../../dev/chaos/client.ts";
import { KEYS, SHARDS, shardOf } from "../../../dev/chaos/question.ts";
import { Random } from "../../../dev/chaos/random.ts";
import { FAULT_KINDS, type FaultKind, scheduleOf } from "../../../dev/chaos/schedule.ts";
import { isHonest, recoveries } from "../../../dev/chaos/verdict.ts";

const question = {
  path: "/",
  key: "",
  body: "",
  stream: true,
  leaveAfterBytes: null,
  text: "",
  cost: { prompt: 3, completion: 7 },
  most: 20,
};
const outcome = (kind: Outcome["kind"], startedAt = 1_000, endedAt = 1_100): Outcome => ({
  question,
  startedAt,
  endedAt,
  kind,
  detail: "",
  id: null,
  pieces: 0,
});
const happened = (kind: FaultKind, from = 1_050, to = 1_060) => [{ kind, from, to }];
const failed: LedgerRow = { request_id: "a", prompt_tokens: 0, completion_tokens: 0, outcome: "failed" };

describe("an outcome", () => {
  const rows: [kind: Outcome["kind"], fault: FaultKind | null, rows: LedgerRow[], isHonest: boolean][] = [
    ["whole", null, [], true],
    ["left", null, [], true],
    ["refused", null, [], false],
    ["broken", null, [], false],
    ["lost", null, [], false],
    ["hung", "edge restart", [failed], false],
    ["wrong", "edge restart", [failed], false],
    ["lost", "edge restart", [], true],
    ["lost", "connector killed", [], false],
    ["lost", "engine breaks off", [], false],
    ["broken", "connector killed", [], true],
    ["broken", "edge restart", [], true],
    ["refused", "connector killed", [], false],
    ["refused", "edge restart", [], false],
    ["broken", "uplink RST", [], false],
    ["broken", "connector drain", [], false],
    ["refused", "hub reset", [], false],
    ["broken", "engine breaks off", [], true],
    ["broken", "engine 500 burst", [], false],
    ["refused", "engine refuses", [], true],
    ["broken", null, [failed], true],
    ["broken", null, [{ ...failed, outcome: "cancelled" }], false],
    ["refused", null, [failed], true],
  ];
  test.each(rows)("that is %s with the fault %s and the runs %j is honest: %s", (kind, fault, own, expected) => {
    expect(isHonest(outcome(kind), { happened: fault === null ? [] : happened(fault), rows: own, absentMs: 0 })).toBe(
      expected,
    );
  });

  test.each([
    ["502 upstream_error", "connector killed", false, true],
    ["502 upstream_error", "connector forced to stop", false, true],
    ["502 upstream_error", "connector killed", true, false],
    ["504 upstream_timeout", "connector killed", false, false],
    ["502 upstream_error", "connector drain", false, false],
    ["502 upstream_error", "uplink RST", false, false],
  ] as const)(
    "that is refused by %s with the fault %s, a stream: %s, is honest: %s",
    (detail, fault, stream, expected) => {
      const refused = { ...outcome("refused"), detail, question: { ...question, stream } };
      expect(isHonest(refused, { happened: happened(fault), rows: [], absentMs: 0 })).toBe(expected);
    },
  );

  test.each([
    ["503 model_unavailable", 2_000, true],
    ["503 model_unavailable", 1_000, false],
    ["503 queue_full", 60_000, false],
    ["502 upstream_error", 60_000, false],
  ])("that is refused by %s when no connector was there for %i ms is honest: %s", (detail, absentMs, expected) => {
    expect(isHonest({ ...outcome("refused"), detail }, { happened: [], rows: [], absentMs })).toBe(expected);
  });

  test("is not excused by a fault that was over before, or came after", () => {
    expect(isHonest(outcome("lost"), { happened: happened("edge restart", 1_200, 1_300), rows: [], absentMs: 0 })).toBe(
      false,
    );
    expect(
      isHonest(outcome("lost", 60_000, 60_100), { happened: happened("edge restart"), rows: [], absentMs: 0 }),
    ).toBe(false);
  });
});

test("the time to recover ends with the first whole answer, and the slowest probe near it is told", () => {
  const probes = [
    outcome("whole", 1_000, 1_400),
    outcome("lost", 1_100, 1_200),
    outcome("whole", 1_150, 3_300),
    outcome("whole", 1_200, 1_300),
    outcome("whole", 5_000, 9_999),
  ];
  expect(recoveries(probes, happened("uplink RST"))).toEqual([
    {
      kind: "uplink RST",
      times: 1,
      next: { p50Ms: 250, maxMs: 250 },
      felt: { p50Ms: 2_150, maxMs: 2_150 },
      failed: 1,
    },
  ]);
});

test("every shard has keys, so that no hub is left out of the load", () => {
  const shards = KEYS.map(shardOf);
  expect(new Set(shards).size).toBe(SHARDS);
});

test("a schedule follows from its seed, and brings every kind before any comes twice", () => {
  const schedule = scheduleOf(new Random(5), 120_000);
  expect(schedule).toEqual(scheduleOf(new Random(5), 120_000));
  expect(new Set(schedule.slice(0, FAULT_KINDS.length).map(({ kind }) => kind)).size).toBe(FAULT_KINDS.length);
  expect(scheduleOf(new Random(6), 120_000)).not.toEqual(schedule);
});
