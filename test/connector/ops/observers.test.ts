import { expect, test } from "vitest";
import type { Observed } from "../../../connector/observe.ts";
import { together } from "../../../connector/ops/observers.ts";
import type { End } from "../../../shared/wire/messages.ts";

const run = {} as Observed;
const end = {} as End;

test("every observer hears what it has a method for, with its own this", () => {
  const heard: string[] = [];
  class Counting {
    opens = 0;
    opened(): void {
      this.opens += 1;
    }
  }
  const counting = new Counting();
  const both = together([counting, { opened: () => heard.push("opened"), ended: () => heard.push("ended") }], () => {});
  both.opened?.(run);
  both.ended?.(run, end, 0);
  expect(counting.opens).toBe(1);
  expect(heard).toEqual(["opened", "ended"]);
});

test("what nobody has is not called at all", () => {
  expect(Object.keys(together([{ ended: () => {} }, {}], () => {}))).toEqual(["ended"]);
});

test("an observer that throws is told of, and keeps neither the others nor the caller from going on", () => {
  const defects: unknown[] = [];
  let heard = 0;
  const defect = new Error("a defect");
  const thrower = (): never => {
    throw defect;
  };
  const both = together(
    [
      { ended: thrower, sending: thrower },
      { ended: () => (heard += 1), sending: () => [["traceparent", "00"]] },
    ],
    (cause) => defects.push(cause),
  );
  both.ended?.(run, end, 0);
  expect(both.sending?.(run, 0)).toEqual([["traceparent", "00"]]);
  expect(heard).toBe(1);
  expect(defects).toEqual([defect, defect]);
});

test("the headers of all are set", () => {
  const both = together(
    [{ sending: () => [["a", "1"]] }, { sending: () => undefined }, { sending: () => [["b", "2"]] }],
    () => {},
  );
  expect(both.sending?.(run, 0)).toEqual([
    ["a", "1"],
    ["b", "2"],
  ]);
});
