import { describe, expect, test } from "vitest";
import { codeOf, type Loss, lossOfStatus, mayRetry } from "../../../connector/upstream/retry.ts";

describe("a status", () => {
  const rows: [status: number, loss: Loss | null][] = [
    [200, null],
    [204, null],
    [301, "strange"],
    [304, "strange"],
    [400, null],
    [404, null],
    [429, null],
    [499, null],
    [500, "error"],
    [501, "strange"],
    [502, "gateway"],
    [503, "refused"],
    [504, "gateway"],
    [599, "strange"],
  ];
  test.each(rows)("%i is a loss of the kind %s", (status, loss) => {
    expect(lossOfStatus(status)).toBe(loss);
  });
});

describe("a loss", () => {
  const rows: [loss: Loss, times: number, may: boolean, isCharged: boolean][] = [
    ["connect", 7, true, false],
    ["refused", 7, true, false],
    ["stale", 1, true, false],
    ["stale", 2, false, false],
    ["reset", 2, true, true],
    ["reset", 3, false, false],
    ["gateway", 2, true, true],
    ["gateway", 3, false, false],
    ["error", 1, true, true],
    ["error", 2, false, false],
    ["silent", 1, true, true],
    ["silent", 2, false, false],
    ["strange", 1, false, false],
  ];
  test.each(rows)("%s for the %ith time may be tried again: %s, from the budget: %s", (loss, times, may, isCharged) => {
    let charges = 0;
    const charge = () => {
      charges += 1;
      return true;
    };
    expect(mayRetry(loss, times, charge)).toBe(may);
    expect(charges).toBe(isCharged ? 1 : 0);
    expect(mayRetry(loss, times, () => false)).toBe(may && !isCharged);
  });
});

describe("a client whose request is lost for good", () => {
  const rows: [loss: Loss, wasLast: boolean, code: string][] = [
    ["connect", true, "model_unavailable"],
    ["connect", false, "upstream_error"],
    ["refused", true, "model_unavailable"],
    ["refused", false, "upstream_error"],
    ["silent", true, "upstream_timeout"],
    ["silent", false, "upstream_timeout"],
    ["reset", true, "upstream_error"],
    ["error", true, "upstream_error"],
    ["gateway", false, "upstream_error"],
    ["strange", false, "upstream_error"],
  ];
  test.each(rows)("by %s (nobody left: %s) is told %s", (loss, wasLast, code) => {
    expect(codeOf(loss, wasLast)).toBe(code);
  });
});
