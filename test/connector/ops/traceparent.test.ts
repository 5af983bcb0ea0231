import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readTraceParent, traceParentOf } from "../../../connector/ops/traceparent.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN = "00f067aa0ba902b7";

describe("a traceparent", () => {
  test.each([
    ["of version 0", `00-${TRACE}-${SPAN}-01`],
    ["that is not sampled", `00-${TRACE}-${SPAN}-00`],
    ["with flags of later days", `00-${TRACE}-${SPAN}-ff`],
    ["of a later version", `01-${TRACE}-${SPAN}-01`],
    ["of a later version that is longer", `cc-${TRACE}-${SPAN}-01-what-the-future-will-be`],
  ])("%s is gone on with", (_, value) => {
    expect(readTraceParent([["Traceparent", value]])).toEqual({ traceId: TRACE, spanId: SPAN });
  });

  test.each([
    ["nothing", ""],
    ["half of one", `00-${TRACE}`],
    ["no trace", `00-${"0".repeat(32)}-${SPAN}-01`],
    ["no span", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["capitals", `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ["a version that there is not", `ff-${TRACE}-${SPAN}-01`],
    ["version 0 with more", `00-${TRACE}-${SPAN}-01-more`],
    ["a later version that runs on", `01-${TRACE}-${SPAN}-01more`],
    ["other digits", `00-${TRACE.replace("4", "g")}-${SPAN}-01`],
    ["space", ` 00-${TRACE}-${SPAN}-01`],
    ["another line", `00-${TRACE}-${SPAN}-01\n`],
  ])("that is %s is none", (_, value) => {
    expect(readTraceParent([["traceparent", value]])).toBeNull();
  });

  test("that comes twice is none", () => {
    const header: [string, string] = ["traceparent", `00-${TRACE}-${SPAN}-01`];
    expect(readTraceParent([header, header])).toBeNull();
  });

  test("is read as it was written", () => {
    const hex = (length: number) =>
      fc.string({ unit: fc.constantFrom(..."0123456789abcdef"), minLength: length, maxLength: length });
    const id = (length: number) => hex(length).filter((text) => !/^0+$/.test(text));
    fc.assert(
      fc.property(id(32), id(16), (traceId, spanId) => {
        expect(readTraceParent([["traceparent", traceParentOf({ traceId, spanId })]])).toEqual({ traceId, spanId });
      }),
    );
  });
});
