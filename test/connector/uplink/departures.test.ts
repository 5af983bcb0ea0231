import fc from "fast-check";
import { expect, test } from "vitest";
import { Departures } from "../../../connector/uplink/departures.ts";

/** An event loop by hand: `turn` ends the I/O of this turn. */
function departures() {
  const flushed: boolean[] = [];
  let immediates: (() => void)[] = [];
  const timers: (() => void)[] = [];
  const turns = {
    immediate: (call: () => void) => immediates.push(call),
    after: (_ms: number, call: () => void) => timers.push(call),
  };
  return {
    flushed,
    subject: new Departures(turns, (all) => flushed.push(all)),
    turn: () => {
      const due = immediates;
      immediates = [];
      for (const call of due) call();
    },
    wait: () => {
      for (const call of timers.splice(0)) call();
    },
  };
}

test("what is ready in one turn, and in the next look, leaves together", () => {
  const { subject, flushed, turn } = departures();
  subject.soon();
  subject.soon();
  turn();
  subject.soon();
  expect(flushed).toEqual([]);
  turn();
  expect(flushed).toEqual([false]);
  turn();
  turn();
  expect(flushed).toEqual([false]);
});

test("what is in no hurry waits for its time, and is then asked for by name", () => {
  const { subject, flushed, turn, wait } = departures();
  subject.later();
  subject.later();
  turn();
  turn();
  expect(flushed).toEqual([]);
  wait();
  expect(flushed).toEqual([true]);
  subject.later();
  wait();
  expect(flushed).toEqual([true, true]);
});

test("nothing that is ready is forgotten, in whatever order the loop goes on", () => {
  const step = fc.constantFrom("soon", "later", "turn", "wait");
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const loop = departures();
      let ready = 0;
      let leisurely = 0;
      let seen = 0;
      const look = () => {
        for (; seen < loop.flushed.length; seen += 1) {
          ready = 0;
          if (loop.flushed[seen]) leisurely = 0;
        }
      };
      for (const now of [...steps, "turn", "turn"] as const) {
        if (now === "later") leisurely += 1;
        if (now === "soon") ready += 1;
        if (now === "soon" || now === "later") loop.subject[now]();
        else loop[now]();
        look();
      }
      expect(ready).toBe(0);
      loop.wait();
      look();
      expect(leisurely).toBe(0);
    }),
  );
});
