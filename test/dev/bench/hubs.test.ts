import { expect, test } from "vitest";
import { addCounts, tellCounts } from "../../../dev/bench/hubs.ts";

test("the counts of all shards are one sum, and what is told is what came since", () => {
  const before = addCounts([
    { resumed: 1, violations: 0, window_stalls: 10 },
    { resumed: 2, violations: 1, window_stalls: 5 },
  ]);
  expect(before).toEqual({ resumed: 3, violations: 1, window_stalls: 15 });
  const after = addCounts([before, { resumed: 4, violations: 0, window_stalls: 2 }]);
  expect(tellCounts(before, after)).toBe("hub: resumed 4, violations 0, window_stalls 2");
});
