import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LEAST, RetryBudget, SHARE, WINDOW_MS } from "../../../connector/upstream/budget.ts";

/** How many retries are had at once. */
function had(budget: RetryBudget, now: number): number {
  for (let count = 0; ; count += 1) if (!budget.take(now)) return count;
}

describe("the retry budget", () => {
  test.each([
    [0, 3],
    [15, 3],
    [19, 3],
    [20, 4],
    [100, 20],
  ])("of %i requests is %i", (requests, retries) => {
    const budget = new RetryBudget();
    for (let i = 0; i < requests; i += 1) budget.request(1_000);
    expect(had(budget, 1_000)).toBe(retries);
  });

  test("is there again when the window has passed", () => {
    const budget = new RetryBudget();
    expect(had(budget, 0)).toBe(3);
    expect(had(budget, WINDOW_MS)).toBe(0);
    expect(had(budget, WINDOW_MS + 500)).toBe(3);
  });

  test("forgets requests no later than the window has passed", () => {
    const budget = new RetryBudget();
    for (let i = 0; i < 100; i += 1) budget.request(0);
    expect(had(budget, WINDOW_MS)).toBe(3);
  });

  test("holds in the window that ends with each retry, and refuses none that fits with half a second to spare", () => {
    const event = fc.record({
      gap: fc.nat({ max: 3_000 }),
      requests: fc.nat({ max: 40 }),
      retries: fc.nat({ max: 12 }),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const budget = new RetryBudget();
        const requests: number[] = [];
        const retries: number[] = [];
        const within = (times: readonly number[], now: number, ms: number) =>
          times.filter((time) => time > now - ms).length;
        let now = 0;
        for (const { gap, requests: count, retries: wanted } of events) {
          now += gap;
          for (let i = 0; i < count; i += 1) {
            budget.request(now);
            requests.push(now);
          }
          for (let i = 0; i < wanted; i += 1) {
            if (budget.take(now)) {
              retries.push(now);
              expect(within(retries, now, WINDOW_MS)).toBeLessThanOrEqual(
                Math.max(LEAST, SHARE * within(requests, now, WINDOW_MS)),
              );
            } else {
              const surely = Math.max(LEAST, SHARE * within(requests, now, WINDOW_MS - 500));
              expect(within(retries, now, WINDOW_MS + 500) + 1).toBeGreaterThan(surely);
            }
          }
        }
      }),
    );
  });
});
