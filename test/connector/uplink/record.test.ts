// What one place at the edge has been through.
import { expect, test } from "vitest";
import { SocketRecord } from "../../../connector/uplink/record.ts";

const NUMBERS = { shard: 1, slot: 0, running: 0, stalls: 0 };

test("a place remembers its dials, its cuts, its round trips and why it was lost", () => {
  const record = new SocketRecord(100);
  record.trouble = "connect ECONNREFUSED";
  record.lost(false, 0, 200);
  expect(record.status(NUMBERS, 300, 300)).toMatchObject({
    state: "dialling",
    since: 100,
    heard_at: null,
    round_trip: null,
    dials: { up: 0, failed: 1 },
    trouble: "connect ECONNREFUSED",
  });

  const wire = { bytesRead: 10 };
  record.opened(wire, 1_000);
  record.up(1_012);
  expect(record.status({ ...NUMBERS, running: 3, stalls: 2 }, 1_100, 1_100)).toMatchObject({
    state: "up",
    since: 1_012,
    heard_at: 1_000,
    round_trip: { at: 1_012, ms: 12 },
    running: 3,
    stalls: 2,
    dials: { up: 1, failed: 1 },
    trouble: null,
  });

  wire.bytesRead = 11;
  expect(record.heardAt(5_000)).toBe(5_000);
  expect(record.heardAt(9_000)).toBe(5_000);
  record.answered(8_000, 8_030);
  record.trouble = "closed with 1006";
  record.lost(true, 2, 10_000);
  expect(record.status(NUMBERS, 11_000, 11_000)).toMatchObject({
    state: "refused",
    since: 10_000,
    heard_at: null,
    round_trip: { at: 8_030, ms: 30 },
    cuts: 1,
    stalls: 2,
    trouble: "closed with 1006",
  });
});

test("what is told of a place is the time of day, by the clock of now, and what it is worth does not depend on it", () => {
  const record = new SocketRecord(0);
  record.opened({ bytesRead: 0 }, 1_000.25);
  record.up(1_012.5);
  record.refused(1_020);
  const ages = [1_700_000_000_000, 1_600_000_000_000].map((clock) => {
    const { since, heard_at, round_trip, refused_at } = record.status(NUMBERS, 1_100.5, clock);
    return [clock - since, clock - heard_at!, clock - round_trip!.at, clock - refused_at!, round_trip!.ms];
  });
  expect(ages).toEqual([
    [88, 100, 88, 80, 12],
    [88, 100, 88, 80, 12],
  ]);
});

test("a place that is given up is not told to be dialled, whatever becomes of its last dial", () => {
  const record = new SocketRecord(0);
  record.retired(100);
  record.lost(true, 0, 120);
  expect(record.status(NUMBERS, 150, 150)).toMatchObject({ state: "refused", since: 100 });
});
