import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  answerOf,
  CONTENT_BYTES,
  type Content,
  finishReasonsIn,
  promptOf,
  StreamContent,
} from "../../../connector/ops/trace-content.ts";

const bytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
const read = ({ messages, isCut }: Content) => ({ messages: JSON.parse(messages), isCut });
const text = (content: string) => ({ type: "text", content });
const sizeOf = ({ messages }: Content): number => {
  const list: { parts: { content?: string }[] }[] = JSON.parse(messages);
  return list
    .flatMap(({ parts }) => parts)
    .reduce((sum, { content = "" }) => sum + new TextEncoder().encode(content).byteLength, 0);
};

describe("a prompt", () => {
  test("of a chat is its messages", () => {
    const body = {
      model: "m",
      messages: [
        { role: "system", content: "Be brief." },
        {
          role: "user",
          content: [
            { type: "text", text: "What is it?" },
            { type: "image_url", image_url: "data:x" },
          ],
        },
        { role: "assistant", content: null },
      ],
    };
    expect(read(promptOf(bytes(body)))).toEqual({
      messages: [
        { role: "system", parts: [text("Be brief.")] },
        { role: "user", parts: [text("What is it?"), { type: "image_url" }] },
        { role: "assistant", parts: [] },
      ],
      isCut: false,
    });
  });

  test.each([
    ["a completion", { prompt: "Once" }, [text("Once")]],
    ["an embedding", { input: ["one", "two"] }, [text("one"), text("two")]],
  ])("of %s is what the user said", (_, body, parts) => {
    expect(read(promptOf(bytes(body)))).toEqual({ messages: [{ role: "user", parts }], isCut: false });
  });

  test("that is too long is cut, and says so", () => {
    const messages = [
      { role: "system", content: "s".repeat(CONTENT_BYTES - 10) },
      { role: "user", content: "u".repeat(100) },
      { role: "user", content: "last" },
    ];
    const prompt = promptOf(bytes({ messages }));
    expect(prompt.isCut).toBe(true);
    expect(sizeOf(prompt)).toBe(CONTENT_BYTES);
    expect(JSON.parse(prompt.messages)).toHaveLength(2);
  });

  test.each([
    ["not JSON", "{", false],
    ["no request", "[1]", false],
    ["longer than anybody parses", JSON.stringify({ prompt: "x".repeat(300_000) }), true],
  ])("that is %s stands as it came", (_, body, isCut) => {
    expect(read(promptOf(bytes(body)))).toEqual({
      messages: [{ role: "user", parts: [text(body.slice(0, CONTENT_BYTES))] }],
      isCut,
    });
  });

  test("is never longer than the bound, whatever comes, and never half a character", () => {
    const words = fc.oneof(fc.string({ unit: "grapheme", maxLength: 200 }), fc.constant("ü€😀".repeat(2_000)));
    fc.assert(
      fc.property(fc.array(fc.record({ role: fc.string(), content: words }), { maxLength: 8 }), (messages) => {
        const prompt = promptOf(bytes({ messages }));
        expect(sizeOf(prompt)).toBeLessThanOrEqual(CONTENT_BYTES);
        const whole = messages.map(({ content }) => content).join("");
        const shown = (JSON.parse(prompt.messages) as { parts: { content: string }[] }[])
          .flatMap(({ parts }) => parts.map(({ content }) => content))
          .join("");
        if (messages.length === 0) return;
        expect(whole.startsWith(shown)).toBe(true);
        expect(shown.isWellFormed()).toBe(whole.isWellFormed());
        if (!prompt.isCut) expect(shown.length).toBe(whole.length);
      }),
    );
  });
});

describe("an answer", () => {
  test("has a message for each choice, with the reason of its end", () => {
    const body = {
      choices: [
        { index: 0, message: { role: "assistant", content: "Hello" }, finish_reason: "stop" },
        {
          index: 1,
          message: { role: "assistant", content: null, tool_calls: [{ id: "c" }] },
          finish_reason: "tool_calls",
        },
        { index: 2, text: "Once", finish_reason: null },
      ],
    };
    expect(read(answerOf(bytes(body), true))).toEqual({
      messages: [
        { role: "assistant", parts: [text("Hello")], finish_reason: "stop" },
        { role: "assistant", parts: [text('[{"id":"c"}]')], finish_reason: "tool_calls" },
        { role: "assistant", parts: [text("Once")] },
      ],
      isCut: false,
    });
  });

  test("that is only there in part is not shown, and says so", () => {
    expect(answerOf(bytes('{"choices":['), false)).toEqual({ messages: "[]", isCut: true });
  });
});

describe("a stream", () => {
  const event = (index: number, content: string, reason: string | null = null) =>
    `data: ${JSON.stringify({ choices: [{ index, delta: { content }, finish_reason: reason }] })}\n\n`;
  const WHOLE = bytes(
    `: keep-alive\n\n${event(0, "Hel")}${event(1, "Gr")}${event(0, "lö 😀")}${event(1, "üß", "length")}${event(0, "", "stop")}data: {"choices":[],"usage":{}}\n\ndata: [DONE]\n\n`,
  );

  test("is put together again, choice by choice, however it was cut on its way", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(WHOLE.byteLength), { maxLength: 20 }), (cuts) => {
        const stream = new StreamContent();
        const places = [0, ...cuts.toSorted((a, b) => a - b), WHOLE.byteLength];
        for (let i = 1; i < places.length; i += 1) stream.push(WHOLE.subarray(places[i - 1], places[i]));
        expect(read(stream.content())).toEqual({
          messages: [
            { role: "assistant", parts: [text("Hellö 😀")], finish_reason: "stop" },
            { role: "assistant", parts: [text("Grüß")], finish_reason: "length" },
          ],
          isCut: false,
        });
      }),
    );
  });

  test("that is too long is cut, and says so", () => {
    const stream = new StreamContent();
    for (let i = 0; i < 40; i += 1) stream.push(bytes(event(0, "x".repeat(1_000))));
    expect(stream.content().isCut).toBe(true);
    expect(sizeOf(stream.content())).toBe(CONTENT_BYTES);
  });
});

describe("the reason of an end", () => {
  test("is read off the raw answer, for each choice", () => {
    const raw = '"finish_reason":null},"finish_reason": "stop"},{"finish_reason":"length"}';
    expect(finishReasonsIn(bytes(raw))).toEqual(["stop", "length"]);
  });

  test("is not believed to a text that looks like one", () => {
    expect(finishReasonsIn(bytes({ content: '"finish_reason":"made_up"' }))).toEqual([]);
  });
});
