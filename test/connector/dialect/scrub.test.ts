import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeScrub } from "../../../connector/dialect/scrub.ts";

const scrub = makeScrub({
  internal: ["heartcode-chat", "heartcode-chat-sfw", "/models/Qwen3-8B", "", "heartcode-sfw"],
  public: "heartcode-sfw",
});

describe("a scrubbed text", () => {
  const rows: [text: string, told: string][] = [
    // Names, the longer first, in any case.
    ["The model `heartcode-chat-sfw` does not exist.", "The model `heartcode-sfw` does not exist."],
    ["HeartCode-Chat is loading", "heartcode-sfw is loading"],
    ["The model `/models/Qwen3-8B` does not exist.", "The model `heartcode-sfw` does not exist."],
    ["heartcode-sfw stays", "heartcode-sfw stays"],
    // Keys.
    ["bad key hc-sk-demo-free_1, sorry", "bad key [key], sorry"],
    // URLs.
    ["POST http://192.168.0.145:8080/v1/chat failed", "POST [url] failed"],
    ["see (https://gpu.example/x?y=1) or ws://[fe80::1]:80/x now", "see ([url]) or [url] now"],
    ["file:///etc/passwd", "[url]"],
    ["postgresql+asyncpg://u:p@db/x", "[url]"],
    // Addresses.
    ["connect to 192.168.0.145:8080 refused", "connect to [address] refused"],
    ["from 10.0.0.7.", "from [address]."],
    ["ip=10.0.0.7,port", "ip=[address],port"],
    ["on ::1 and [::1]:8080 and [::]:80", "on [address] and [address] and [address]"],
    ["at fe80::1ff:fe23:4567:890a%eth0, gone", "at [address], gone"],
    ["2001:0db8:85a3:0000:0000:8a2e:0370:7334 is down", "[address] is down"],
    ["::ffff:192.168.0.1", "[address]"],
    ["localhost:8080 and localhost", "[address] and [address]"],
    ["gpu-1:8000, gpu-1.site:8000", "[address], [address]"],
    ["db.corp.internal is away", "[address] is away"],
    // Paths.
    ["cannot open /opt/models/x.gguf: no such file", "cannot open [path]: no such file"],
    ['File "/usr/lib/python3.12/site-packages/vllm/engine.py", line 3', 'File "[path]", line 3'],
    ["~/models/x.gguf", "~[path]"],
    ["C:\\models\\x.gguf is missing", "[path] is missing"],
    ["on \\\\host\\share\\x", "on [path]"],
    // What is none of these stays readable.
    ["use /v1/chat/completions", "use /v1/chat/completions"],
    ["text/plain, and/or, </think>, 3/4", "text/plain, and/or, </think>, 3/4"],
    ["#/definitions/a/b", "#/definitions/a/b"],
    ["at 12:30:45, 16:9", "at 12:30:45, 16:9"],
    ["version 1.2.3", "version 1.2.3"],
    ["std::vector failed", "std::vector failed"],
    [
      "[json.exception.parse_error.101] parse error at line 1, column 10: syntax error",
      "[json.exception.parse_error.101] parse error at line 1, column 10: syntax error",
    ],
    [
      "request (20019 tokens) exceeds the available context size (2048 tokens), try increasing it",
      "request (20019 tokens) exceeds the available context size (2048 tokens), try increasing it",
    ],
    ["'messages' is required", "'messages' is required"],
  ];
  test.each(rows)("of %j is %j", (text, told) => {
    expect(scrub(text)).toBe(told);
  });

  test("holds no secret, wherever it stands", () => {
    const secret = fc.oneof(
      fc.ipV4().map((ip) => ({ text: ip, leak: ip })),
      fc
        .ipV6()
        .filter((ip) => ip !== "::")
        .map((ip) => ({ text: ip, leak: ip })),
      fc
        .tuple(fc.domain(), fc.integer({ min: 10, max: 65535 }))
        .map(([host, port]) => ({ text: `${host}:${port}`, leak: host })),
      fc.webUrl().map((url) => ({ text: url, leak: new URL(url).host })),
      fc.stringMatching(/^[A-Za-z0-9_-]{1,40}$/).map((key) => ({ text: `hc-sk-${key}`, leak: `hc-sk-${key}` })),
      fc.stringMatching(/^(\/[a-z0-9_.-]{1,20}){2,5}$/).map((path) => ({ text: path, leak: path })),
      fc.constant({ text: "heartcode-chat-sfw", leak: "heartcode-chat-sfw" }),
    );
    const around = fc.constantFrom(" ", "'", '"', "(", ")", ", ", "\n", "=", "<", ">");
    const word = fc.constantFrom("error", "while", "opening", "");
    fc.assert(
      fc.property(word, around, secret, around, word, (before, left, { text, leak }, right, after) => {
        expect(scrub(`${before}${left}${text}${right}${after}`)).not.toContain(leak);
      }),
      { numRuns: 2_000 },
    );
  });

  test("is cut to a thousand letters, whole ones", () => {
    expect(scrub("x".repeat(1_000))).toBe("x".repeat(1_000));
    expect(scrub("x".repeat(1_001))).toBe(`${"x".repeat(999)}…`);
    expect(scrub("😀".repeat(600)).isWellFormed()).toBe(true);
  });

  test("shows no half address at the edge of what is looked at", () => {
    const padding = "http://a.b/c ".repeat(2_000);
    for (let at = 0; at < 20; at++) {
      const start = `${"x".repeat(at)} ${padding}`.slice(0, 16_384 - 9);
      expect(scrub(`${start} 192.168.0.145 end`)).not.toContain("192.");
    }
  });

  // As long as a text may be, for it is to be looked at: a pattern that is not linear would not come to an end.
  const parts = [
    "a.",
    "a",
    "1.",
    "::",
    "a:",
    "/a",
    "/a/",
    "\\\\a",
    "a://",
    "-",
    "hc-sk-",
    "[",
    "[:",
    "1:",
    "@/",
    "/",
    "a-",
    "1",
  ];
  test.each(parts)("of %j again and again is soon there", (part) => {
    const text = part.repeat(Math.floor(16_384 / part.length));
    expect(scrub(text).length).toBeLessThanOrEqual(1_000);
    expect(scrub(text)).not.toBe("");
  });

  test("is empty where no word ends in what is looked at", () => {
    expect(scrub("x".repeat(16_385))).toBe("");
  });
});
