// The clock of one exchange.
import { expect, test } from "vitest";
import type { Engine } from "../../connector/exchange/engine.ts";
import { steadyFrom } from "../../connector/steady.ts";

test("an exchange begins at the time of day, and goes on by the uptime, which is what its engine is asked by", () => {
  let uptime = 5_000.25;
  const deadlines: number[] = [];
  const engine: Engine = {
    serve: ({ deadline }) => {
      deadlines.push(deadline);
      return { abort: () => {}, resume: () => {}, letEnd: () => {} };
    },
  };
  const { now, seen } = steadyFrom(1_700_000_000_000, () => uptime);
  const openedAt = now();
  expect(openedAt).toBe(1_700_000_000_000);
  uptime += 700;
  expect(now()).toBe(openedAt + 700);
  const request = { method: "GET", path: "/", headers: [], body: null, tier: "free", tenant: "t" } as const;
  seen(engine).serve({ ...request, deadline: openedAt + 60_000 } as never, {} as never);
  expect(deadlines).toEqual([5_000.25 + 60_000]);
});
