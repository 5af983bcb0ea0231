// When no connector was there for a hub, from lines of logs and from what was done to processes.
import { expect, test } from "vitest";
import { Presence } from "../../../dev/chaos/presence.ts";

const EPOCH = 1_000_000;
const line = (msg: string, at: number, shard = 0): string =>
  `${JSON.stringify({ level: "info", time: new Date(EPOCH + at).toISOString(), shard, msg })}\n`;
const up = (at: number, shard = 0) => line("uplink is up", at, shard);
const cut = (at: number, shard = 0) => line("the uplink was cut", at, shard);

test("nobody is there before the first socket, nor between the loss of the last and the next", () => {
  const presence = new Presence(EPOCH);
  presence.feed("a", up(100) + cut(5_000) + up(8_000));
  expect(presence.longestAbsence(0, 0, 4_000)).toBe(100);
  expect(presence.longestAbsence(0, 200, 10_000)).toBe(3_000);
  expect(presence.longestAbsence(0, 6_000, 7_000)).toBe(1_000);
  expect(presence.longestAbsence(0, 8_000, 9_000)).toBe(0);
  expect(presence.longestAbsence(1, 0, 9_000)).toBe(9_000);
});

test("one of two is enough, and each shard has its own sockets", () => {
  const presence = new Presence(EPOCH);
  presence.feed("a", up(0) + cut(1_000) + up(9_000));
  presence.feed("b", up(0) + up(0, 1) + cut(4_000) + up(6_000));
  expect([0, 1].map((shard) => presence.longestAbsence(shard, 0, 10_000))).toEqual([2_000, 0]);
});

test("a process that was killed or told to leave is not there, whatever it dials, until the next one is up", () => {
  const presence = new Presence(EPOCH);
  presence.feed("a", up(0) + up(2_000) + up(7_000));
  presence.left("a", 1_000);
  presence.back("a", 6_000);
  expect(presence.longestAbsence(0, 0, 10_000)).toBe(6_000);
});

test("lines are read however they are cut, and other lines say nothing", () => {
  const presence = new Presence(EPOCH);
  const text = `half a line${up(0)}${line("exchange", 10)}${cut(3_000)}`;
  for (const piece of text) presence.feed("a", piece);
  expect(presence.longestAbsence(0, 0, 5_000)).toBe(2_000);
});
