// The order of faults, and whom they may meet.
import { expect, test } from "vitest";
import { Random } from "../../../dev/chaos/random.ts";
import { slopeOf } from "../../../dev/endure/slope.ts";
import { FAULTS, type Standing, Wheel } from "../../../dev/endure/wheel.ts";

const well: Standing = { isAway: false, isSilent: false };
const away: Standing = { isAway: true, isSilent: false };
const silent: Standing = { isAway: false, isSilent: true };

function spin(standings: readonly Standing[], turns = 400) {
  const wheel = new Wheel(new Random(3));
  return Array.from({ length: turns }, () => wheel.next(standings, 2));
}

test("each round brings each fault once, and each meets both", () => {
  const turns = spin([well, well]);
  for (let at = 0; at < turns.length; at += FAULTS.length) {
    const round = turns.slice(at, at + FAULTS.length);
    expect(new Set(round.map(({ fault }) => fault))).toEqual(new Set(FAULTS));
  }
  expect(new Set(turns.map(({ fault, target }) => `${fault} ${target}`)).size).toBe(FAULTS.length * 2);
});

test("the last connector in service is neither drained nor silenced", () => {
  for (const other of [away, silent]) {
    const taken = spin([well, other]).filter(({ fault }) => fault === "drain" || fault === "black hole");
    expect(taken.filter(({ target }) => target === 0)).toEqual([]);
  }
  expect(spin([away, away]).filter(({ fault }) => fault === "drain" || fault === "black hole")).toEqual([]);
});

test("one that is silent may be drained, and is not silenced again", () => {
  const taken = spin([well, silent]).filter(({ target }) => target === 1);
  expect(taken.some(({ fault }) => fault === "drain")).toBe(true);
  expect(taken.some(({ fault }) => fault === "black hole")).toBe(false);
});

test("a slope is that of the line, whatever the noise around it", () => {
  const points = [0, 1, 2, 3].map((x) => ({ x, y: 5 + 2 * x + (x % 3 === 0 ? 1 : -1) }));
  expect(slopeOf(points)).toBeCloseTo(2, 10);
  expect(slopeOf([{ x: 1, y: 1 }])).toBeNaN();
});
