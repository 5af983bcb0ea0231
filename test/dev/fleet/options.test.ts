import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { modelAt } from "../../../dev/fleet/fleet.ts";
import { faultOrders, formatPorts, parseFault, parsePorts } from "../../../dev/fleet/options.ts";

describe("ports", () => {
  test.each([
    ["8080", [8080]],
    ["8080-8083", [8080, 8081, 8082, 8083]],
    ["8080, 8082-8083", [8080, 8082, 8083]],
    ["0x3", [0, 0, 0]],
    ["8080,0x1", [8080, 0]],
  ])("%s is read", (text, ports) => expect(parsePorts(text)).toEqual(ports));

  test.each(["", "0", "x", "80-", "65536", "8081-8080", "0x0", "8080,,8081", "8080,8080", "1-2000", "-1", "8080.5"])(
    "%j is refused",
    (text) => expect(() => parsePorts(text)).toThrow(),
  );

  test("what is written is read again", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 65_535 }), { minLength: 1, maxLength: 50 }), (ports) => {
        expect(parsePorts(formatPorts(ports))).toEqual(ports);
      }),
    );
  });

  test.each([
    [[8080, 8081, 8082], "8080-8082"],
    [[8080, 8082, 8083], "8080,8082-8083"],
    [[8083, 8080], "8083,8080"],
  ])("%j is written %s", (ports, text) => expect(formatPorts(ports)).toBe(text));
});

describe("faults", () => {
  test("of one target act together", () => {
    const words = ["8081:reset_after_tokens=5", "8081:count=2", "chat:loading"].map(parseFault);
    expect(faultOrders(words)).toEqual([
      { target: 8081, faults: { reset_after_tokens: 5, count: 2 } },
      { target: "chat", faults: { loading: true } },
    ]);
  });

  test.each(["x", "8081", "8081:", "pool:loading", "8081:loading="])("%j is not one", (text) =>
    expect(() => parseFault(text)).toThrow("PORT:NAME"),
  );

  test.each(["all:unheard_of", "all:status=200", "all:status=soon", "all:count=3", "all:loading=3"])(
    "%s is refused",
    (text) => expect(() => faultOrders([parseFault(text)])).toThrow("fault for all"),
  );
});

test.each([
  [2, 8, "aaaabbbb"],
  [2, 1, "a"],
  [2, 3, "aab"],
  [1, 3, "aaa"],
  [3, 3, "abc"],
])("%i models on %i engines", (models, engines, expected) => {
  const names = ["a", "b", "c"].slice(0, models);
  expect(Array.from({ length: engines }, (_, i) => modelAt(names, i, engines)).join("")).toBe(expected);
});
