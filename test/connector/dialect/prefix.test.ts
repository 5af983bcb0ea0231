import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { promptPrefix } from "../../../connector/dialect/prefix.ts";
import { engineRequest } from "../../../connector/dialect/request.ts";
import { anyObjectText } from "./arbitraries.ts";

const text = new TextEncoder();
const decoder = new TextDecoder();
const prefixOf = (body: object): string | null => {
  const prefix = promptPrefix(engineRequest(text.encode(JSON.stringify(body)), { model: "m", stream: false }));
  return prefix === null ? null : decoder.decode(prefix);
};
const say = (role: string, content: unknown) => ({ role, content });
const system = say("system", 'Be brief. "Always."');
const first = say("user", "Who was Ada Lovelace?");

describe("the beginning of a conversation", () => {
  test("ends with the first user turn, and stays while the conversation grows and settings change", () => {
    const begun = prefixOf({ model: "a", messages: [system, first] });
    expect(begun).toContain("Always");
    expect(begun).toContain("Lovelace");
    const messages = [system, first, say("assistant", "A mathematician."), say("user", "When?")];
    const grown = prefixOf({ temperature: 0.3, user: "x", model: "b", stream: true, messages, max_tokens: 5 });
    // The bracket after the first request's last message is not a part of it.
    expect(grown).toBe(begun);
  });

  test.each<[name: string, messages: object[]]>([
    ["another system prompt", [say("system", "Be long."), first]],
    ["another first turn", [system, say("user", "Who was Charles Babbage?")]],
    ["no system prompt", [first]],
    ["a part instead of a text", [system, say("user", [{ type: "text", text: "Who was Ada Lovelace?" }])]],
  ])("is another one with %s", (_, messages) => {
    expect(prefixOf({ messages })).not.toBe(prefixOf({ messages: [system, first] }));
  });

  test("finds the role wherever it stands in a message", () => {
    const messages = [system, { content: "user", name: "user", role: "user" }];
    const more = prefixOf({ messages: [...messages, say("user", "more")] });
    expect(more).toBe(prefixOf({ messages }));
    expect(more).toContain('"name"');
  });

  test("is all there is where nobody is a user", () => {
    expect(prefixOf({ messages: [system] })).toContain("Always");
    expect(prefixOf({ messages: [system] })).not.toBe(prefixOf({ messages: [say("system", "x")] }));
  });

  test("of a picture of megabytes is a view of a few kilobytes", () => {
    const picture = say("user", [
      { type: "image_url", image_url: { url: `data:image/png;base64,${"A".repeat(5e6)}` } },
    ]);
    const body = text.encode(JSON.stringify({ messages: [system, picture] }));
    const prefix = promptPrefix(body)!;
    expect(prefix.buffer).toBe(body.buffer);
    expect(prefix.byteLength).toBe(16 * 1024);
  });
});

describe("the beginning of a completion", () => {
  const story = "Once upon a time ".repeat(100);

  test("stays while the prompt grows at its end", () => {
    expect(prefixOf({ prompt: story })).toBe(prefixOf({ prompt: `${story} there was a king.` }));
    expect(prefixOf({ prompt: story })).not.toBe(prefixOf({ prompt: `Not ${story}` }));
  });

  test("may be one of tokens or of several prompts", () => {
    const tokens = Array.from({ length: 400 }, (_, i) => i * 7);
    expect(prefixOf({ prompt: tokens })).toBe(prefixOf({ prompt: [...tokens, 1, 2, 3] }));
    expect(prefixOf({ prompt: [story, "b"] })).toBe(prefixOf({ prompt: [story, "c"] }));
  });
});

test.each(["", "[]", "{", '{"a":1}', '{"messages":[{"role"'])("there is none in %j", (body) => {
  expect(promptPrefix(text.encode(body))).toBeNull();
});

test("whatever the body is, the prefix is a view into it, of bounded length", () => {
  fc.assert(
    fc.property(anyObjectText("messages", "prompt", "role"), (source) => {
      const body = text.encode(source);
      const prefix = promptPrefix(body);
      if (prefix !== null) expect(prefix.byteLength).toBeLessThanOrEqual(16 * 1024);
    }),
    { numRuns: 500 },
  );
});
