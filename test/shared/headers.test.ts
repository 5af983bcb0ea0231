import { describe, expect, test } from "vitest";
import { ANSWER_HEADERS, allowHeaders, REQUEST_HEADERS } from "../../shared/headers.ts";

describe("headers on their way", () => {
  const rows: readonly [name: string, value: string, passes: boolean][] = [
    ["Content-Type", "application/json", true],
    ["TRACEPARENT", "00-a-b-01", true],
    ["tracestate", "a".repeat(1_024), true],
    ["tracestate", "a".repeat(1_025), false],
    ["accept", "\xe9", false],
    ["accept", "中", false],
    ["accept", "a\r\nx: y", false],
    ["accept", "a\0", false],
    ["accept", "a\tb", true],
    ["x-conversation-id", "1", false],
    ["authorization", "Bearer x", false],
    ["connection", "close", false],
    ["x-forwarded-for", "1.2.3.4", false],
    ["__proto__", "x", false],
  ];
  test.each(rows)("to an engine: %s of %j passes: %s", (name, value, passes) => {
    expect(allowHeaders([[name, value]], REQUEST_HEADERS)).toEqual(passes ? [[name.toLowerCase(), value]] : []);
  });

  test("from an engine are its type alone", () => {
    const given = [
      "Content-Type",
      "Server",
      "Set-Cookie",
      "Content-Length",
      "Transfer-Encoding",
      "x-heartcode-failure",
    ];
    const kept = allowHeaders(
      given.map((name) => [name, "x"] as const),
      ANSWER_HEADERS,
    );
    expect(kept).toEqual([["content-type", "x"]]);
  });
});
