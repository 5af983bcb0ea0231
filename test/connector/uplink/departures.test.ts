import fc from "fast-check";
import { expect, test } from "vitest";
import { Departures, FULL_ENDS } from "../../../connector/uplink/departures.ts";

/** An event loop by hand: `turn` ends what runs now, then the I/O of this turn. */
function departures() {
  const flushed: boolean[] = [];
  let immediates: (() => void)[] = [];
  const microtasks: (() => void)[] = [];
  const timers: (() => void)[] = [];
  const turns = {
    immediate: (call: () => void) => immediates.push(call),
    microtask: (call: () => void) => microtasks.push(call),
    after: (_ms: number, call: () => void) => timers.push(call),
  };
  return {
    flushed,
    subject: new Departures(turns, (all) => flushed.push(all)),
    returned: () => {
      for (const call of microtasks.splice(0)) call();
    },
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
  const { subject, flushed, turn, returned } = departures();
  subject.soon();
  subject.soon();
  returned();
  turn();
  subject.soon();
  expect(flushed).toEqual([]);
  turn();
  expect(flushed).toEqual([false]);
  turn();
  turn();
  expect(flushed).toEqual([false]);
});

test("a crowd of answers leaves by the message, not with its last one", () => {
  const { subject, flushed, turn, returned } = departures();
  for (let i = 1; i < FULL_ENDS; i += 1) {
    subject.ended();
    returned();
  }
  expect(flushed).toEqual([]);
  subject.ended();
  // Not under the hands of the exchange that ends.
  expect(flushed).toEqual([]);
  returned();
  expect(flushed).toEqual([false]);
  subject.ended();
  returned();
  expect(flushed).toEqual([false]);
  turn();
  turn();
  expect(flushed.length).toBeGreaterThan(1);
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
  const step = fc.constantFrom("soon", "ended", "later", "returned", "turn", "wait");
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
      for (const now of [...steps, "returned", "turn", "turn"] as const) {
        if (now === "later") leisurely += 1;
        if (now === "soon" || now === "ended") ready += 1;
        if (now === "soon" || now === "ended" || now === "later") loop.subject[now]();
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
