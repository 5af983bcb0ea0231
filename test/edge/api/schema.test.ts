import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkBody, type JsonObject } from "../../../edge/api/schema.ts";
import { errorHead, Failure } from "../../../shared/errors.ts";

type Input = Parameters<typeof checkBody>[1];

const asked = { model: "heartcode-sfw" };
const said = [{ role: "user", content: "hi" }];
const one = (content: unknown): JsonObject => ({ ...asked, messages: [{ role: "user", content }] });
const part = (member: JsonObject): JsonObject => one([{ type: "text", text: "what is this?" }, member]);
const chat = (member: JsonObject): JsonObject => ({ ...asked, messages: said, ...member });
const prompt = (value: unknown, member: JsonObject = {}): JsonObject => ({ ...asked, prompt: value, ...member });
const input = (value: unknown, member: JsonObject = {}): JsonObject => ({ ...asked, input: value, ...member });
const image = (url: unknown): JsonObject => part({ type: "image_url", image_url: { url } });

/** [status, code, param, message] of what is thrown. */
function refusalOf(body: JsonObject, at: Input): unknown[] {
  try {
    checkBody(body, at);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const { code, param, message } = error.public;
    return [errorHead(error.public).status, code, param, message];
  }
  return ["accepted"];
}

const DATA = "data:image/png;base64,iVBORw0KGgo=";

const BAD: readonly [at: Input, body: JsonObject, param: string, says: string][] = [
  ["messages", { messages: said }, "model", "Missing required parameter: 'model'."],
  ["messages", chat({ model: null }), "model", "expected a string, but got null instead"],
  ["messages", chat({ model: 7 }), "model", "expected a string, but got an integer instead"],
  ["messages", chat({ model: ["m"] }), "model", "expected a string, but got an array instead"],
  ["messages", chat({ model: "" }), "model", "a length of at least 1"],
  ["messages", chat({ model: "m".repeat(257) }), "model", "a length of at most 256"],
  ["messages", chat({ user: 5 }), "user", "expected a string"],
  ["messages", chat({ user: "u".repeat(513) }), "user", "a length of at most 512"],
  ["messages", chat({ stream: "true" }), "stream", "expected a boolean, but got a string instead"],
  ["messages", chat({ stream: 1 }), "stream", "expected a boolean"],
  ["messages", chat({ stream_options: {} }), "stream_options", "only allowed when 'stream' is enabled"],
  ["messages", chat({ stream: false, stream_options: { include_usage: true } }), "stream_options", "only allowed"],
  ["messages", chat({ stream: true, stream_options: true }), "stream_options", "expected an object"],
  ["messages", chat({ stream: true, stream_options: [] }), "stream_options", "but got an array"],
  [
    "messages",
    chat({ stream: true, stream_options: { include_usage: 1 } }),
    "stream_options.include_usage",
    "expected a boolean",
  ],
  ["messages", chat({ n: 0 }), "n", "a value of at least 1"],
  ["messages", chat({ n: 9 }), "n", "a value of at most 8"],
  ["messages", chat({ n: 1.5 }), "n", "expected an integer, but got a decimal number instead"],
  ["messages", chat({ n: "2" }), "n", "but got a string instead"],
  ["messages", chat({ best_of: 16_384 }), "best_of", "a value of at most 8"],
  ["messages", chat({ max_tokens: -1 }), "max_tokens", "a value of at least 1"],
  ["messages", chat({ max_tokens: 0 }), "max_tokens", "a value of at least 1"],
  ["messages", chat({ max_tokens: 1_000_001 }), "max_tokens", "a value of at most 1000000"],
  ["messages", chat({ max_tokens: Number.POSITIVE_INFINITY }), "max_tokens", "one out of range"],
  ["messages", chat({ max_completion_tokens: -1 }), "max_completion_tokens", "a value of at least 1"],
  ["messages", chat({ max_completion_tokens: "9" }), "max_completion_tokens", "but got a string instead"],
  ["messages", chat({ temperature: 2.1 }), "temperature", "a value of at most 2"],
  ["messages", chat({ temperature: -0.1 }), "temperature", "a value of at least 0"],
  ["messages", chat({ temperature: "hot" }), "temperature", "expected a number"],
  ["messages", chat({ top_p: 1.1 }), "top_p", "a value of at most 1"],
  ["messages", chat({ logprobs: 3 }), "logprobs", "expected a boolean"],
  ["messages", chat({ top_logprobs: 21 }), "top_logprobs", "a value of at most 20"],
  ["messages", chat({ top_logprobs: -1 }), "top_logprobs", "a value of at least 0"],

  ["messages", asked, "messages", "Missing required parameter: 'messages'."],
  ["messages", { ...asked, prompt: "hi" }, "messages", "Missing required parameter"],
  ["messages", chat({ messages: null }), "messages", "expected an array, but got null instead"],
  ["messages", chat({ messages: "hi" }), "messages", "expected an array, but got a string instead"],
  ["messages", chat({ messages: { role: "user" } }), "messages", "expected an array, but got an object instead"],
  ["messages", chat({ messages: [] }), "messages", "at least 1 element"],
  ["messages", chat({ messages: Array(4_097).fill(said[0]) }), "messages", "at most 4096 elements, but got 4097"],
  ["messages", chat({ messages: [...said, "hi"] }), "messages.1", "expected an object, but got a string instead"],
  ["messages", chat({ messages: [[]] }), "messages.0", "expected an object, but got an array instead"],
  ["messages", chat({ messages: [{ content: "hi" }] }), "messages.0.role", "Missing required parameter"],
  ["messages", chat({ messages: [{ role: 1, content: "hi" }] }), "messages.0.role", "expected a string"],
  ["messages", chat({ messages: [...said, { role: "user" }] }), "messages.1.content", "Missing required parameter"],
  ["messages", one(5), "messages.0.content", "expected a string or an array of objects, but got an integer instead"],
  ["messages", one({ text: "hi" }), "messages.0.content", "but got an object instead"],
  ["messages", one(["hi"]), "messages.0.content.0", "expected an object"],
  ["messages", one([{ text: "hi" }]), "messages.0.content.0.type", "Missing required parameter"],
  ["messages", one([{ type: 1 }]), "messages.0.content.0.type", "expected a string"],
  ["messages", part({ type: "image", image: DATA }), "messages.0.content.1.type", "expected one of text,"],
  ["messages", part({ type: "image_embeds", image_embeds: "AAAA" }), "messages.0.content.1.type", "expected one of"],
  ["messages", part({ type: "prompt_embeds", data: "AAAA" }), "messages.0.content.1.type", "expected one of"],

  ["messages", image("http://169.254.169.254/latest/meta-data"), "messages.0.content.1.image_url.url", "inline"],
  ["messages", image("https://example.com/cat.png"), "messages.0.content.1.image_url.url", "inline"],
  ["messages", image("HTTPS://example.com/cat.png"), "messages.0.content.1.image_url.url", "inline"],
  ["messages", image("file:///etc/passwd"), "messages.0.content.1.image_url.url", "inline"],
  ["messages", image("/etc/passwd"), "messages.0.content.1.image_url.url", "inline"],
  ["messages", image("//10.0.0.1/x"), "messages.0.content.1.image_url.url", "inline"],
  ["messages", image(`https://example.com/${"x".repeat(100_000)}`), "messages.0.content.1.image_url.url", "inline"],
  ["messages", image(` ${DATA}`), "messages.0.content.1.image_url.url", "inline"],
  ["messages", image("ftp://data:x"), "messages.0.content.1.image_url.url", "inline"],
  ["messages", image([DATA, "http://10.0.0.1"]), "messages.0.content.1.image_url.url.1", "inline"],
  ["messages", part({ type: "image_url", image_url: "http://10.0.0.1" }), "messages.0.content.1.image_url", "inline"],
  [
    "messages",
    part({ type: "text", text: "", image_url: "http://10.0.0.1" }),
    "messages.0.content.1.image_url",
    "inline",
  ],
  ["messages", part({ type: "text", text: "", image: "file:///x" }), "messages.0.content.1.image", "inline"],
  [
    "messages",
    part({ type: "input_audio", input_audio: { data: "http://10.0.0.1/a.wav", format: "wav" } }),
    "messages.0.content.1.input_audio.data",
    "inline",
  ],
  [
    "messages",
    part({ type: "input_audio", input_audio: { data: "httphost/a" } }),
    "messages.0.content.1.input_audio.data",
    "inline",
  ],
  [
    "messages",
    part({ type: "input_audio", input_audio: { data: 5, url: "http://10.0.0.1" } }),
    "messages.0.content.1.input_audio.url",
    "inline",
  ],
  [
    "messages",
    part({ type: "input_video", input_video: { data: "file:///clip" } }),
    "messages.0.content.1.input_video.data",
    "inline",
  ],
  [
    "messages",
    part({ type: "video_url", video_url: { url: "rtsp://10.0.0.1" } }),
    "messages.0.content.1.video_url.url",
    "inline",
  ],
  [
    "messages",
    part({ type: "audio_url", audio_url: { url: "http://10.0.0.1" } }),
    "messages.0.content.1.audio_url.url",
    "inline",
  ],
  ["messages", part({ type: "file", file: { file_url: "http://x" } }), "messages.0.content.1.file.file_url", "inline"],
  [
    "messages",
    part({ type: "file", file: { file_data: "http://x" } }),
    "messages.0.content.1.file.file_data",
    "inline",
  ],
  [
    "messages",
    chat({ messages: [{ role: "tool", content: null, x: { y: [{ url: "http://x" }] } }] }),
    "messages.0.x.y.0.url",
    "inline",
  ],
  // They are free where gateways put them, and nowhere else.
  [
    "messages",
    part({ type: "text", text: "", sources: { url: "http://x" } }),
    "messages.0.content.1.sources.url",
    "inline",
  ],
  [
    "messages",
    one([{ type: "file", citations: { file_url: "x" } }]),
    "messages.0.content.0.citations.file_url",
    "inline",
  ],
  ["messages", chat({ sources: [{ url: "http://x" }] }), "sources.0.url", "inline"],
  ["messages", chat({ x: { messages: [{ sources: { url: "http://x" } }] } }), "x.messages.0.sources.url", "inline"],
  [
    "messages",
    chat({ messages: [{ role: "user", content: "", x: { litellm_metadata: { url: "http://x" } } }] }),
    "messages.0.x.litellm_metadata.url",
    "inline",
  ],
  [
    "messages",
    chat({ messages: [{ role: "user", content: "", images: ["http://x"] }] }),
    "messages.0.images.0",
    "inline",
  ],
  ["messages", chat({ multimodal_data: ["AAAA", "file:///x"] }), "multimodal_data.1", "inline"],
  ["messages", chat({ images: ["http://x"] }), "images.0", "inline"],

  ["prompt", asked, "prompt", "Missing required parameter: 'prompt'."],
  ["prompt", prompt(null), "prompt", "but got null instead"],
  ["prompt", prompt(5), "prompt", "but got an integer instead"],
  ["prompt", prompt([]), "prompt", "at least 1 element"],
  ["prompt", prompt(["a", 1]), "prompt.1", "expected a string"],
  ["prompt", prompt([1, "a"]), "prompt.1", "expected an integer, but got a string instead"],
  ["prompt", prompt([1.5]), "prompt.0", "expected a token"],
  ["prompt", prompt([-1]), "prompt.0", "expected a token"],
  ["prompt", prompt([2 ** 31]), "prompt.0", "expected a token"],
  ["prompt", prompt([[1], []]), "prompt.1", "at least 1 element"],
  ["prompt", prompt([[1], ["a"]]), "prompt.1.0", "expected an integer"],
  ["prompt", prompt([null]), "prompt.0", "expected an array"],
  ["prompt", prompt(Array(129).fill("a")), "prompt", "at most 128 elements"],
  ["prompt", prompt({ prompt_string: "hi", multimodal_data: ["http://x"] }), "prompt", "but got an object instead"],
  ["prompt", prompt([{ prompt_string: "hi" }]), "prompt.0", "but got an object instead"],
  ["prompt", prompt("hi", { logprobs: true }), "logprobs", "but got a boolean instead"],
  ["prompt", prompt("hi", { logprobs: 21 }), "logprobs", "a value of at most 20"],
  ["prompt", prompt("hi", { messages: image("http://x")["messages"] }), "messages.0.content.1.image_url.url", "inline"],

  ["input", asked, "input", "Missing required parameter: 'input'."],
  ["input", input(""), "input", "non-empty"],
  ["input", input([]), "input", "at least 1 element"],
  ["input", input(["a", ""]), "input.1", "non-empty"],
  ["input", input([["a"]]), "input.0.0", "expected an integer"],
  ["input", input(Array(2_049).fill("a")), "input", "at most 2048 elements, but got 2049"],
  ["input", input(Array(2_049).fill([1])), "input", "at most 2048 elements"],
  ["input", input([{ content: [{ type: "image_url", image_url: { url: "http://x" } }] }]), "input.0", "an array"],
  ["input", input("hi", { messages: image("http://x")["messages"] }), "messages.0.content.1.image_url.url", "inline"],
  ["input", input("hi", { stream: true }), "stream", "expected false"],
  ["input", input("hi", { encoding_format: "int8" }), "encoding_format", 'expected "float" or "base64"'],
  ["input", input("hi", { dimensions: 0 }), "dimensions", "a value of at least 1"],
  ["input", input("hi", { dimensions: 1.5 }), "dimensions", "expected an integer"],
];

const GOOD: readonly [name: string, at: Input, body: JsonObject, prompts: number][] = [
  ["the least chat", "messages", chat({}), 1],
  [
    "every member null",
    "messages",
    chat({ stream: null, stream_options: null, n: null, max_tokens: null, user: null }),
    1,
  ],
  [
    "every limit",
    "messages",
    chat({ n: 8, best_of: 8, max_tokens: 1e6, temperature: 2, top_p: 0, top_logprobs: 20 }),
    1,
  ],
  ["usage in a stream", "messages", chat({ stream: true, stream_options: { include_usage: true, more: 1 } }), 1],
  ["unknown members", "messages", chat({ top_k: 40, min_p: 0.1, grammar: "root ::= x", nested: { deep: [1] } }), 1],
  ["an empty text", "messages", one(""), 1],
  ["null as content", "messages", one(null), 1],
  ["no parts", "messages", one([]), 1],
  ["an assistant's calls alone", "messages", chat({ messages: [{ role: "assistant", tool_calls: [] }] }), 1],
  ["a data: URL", "messages", image(DATA), 1],
  ["a data: URL in capitals", "messages", image(DATA.replace("data", "DATA")), 1],
  ["no URL", "messages", image(null), 1],
  ["audio in base64", "messages", part({ type: "input_audio", input_audio: { data: "UklGR+/=", format: "wav" } }), 1],
  ["audio as a data: URL", "messages", part({ type: "input_audio", input_audio: { data: DATA } }), 1],
  ["a file", "messages", part({ type: "file", file: { file_data: "data:text/plain,x", filename: "x.txt" } }), 1],
  ["a URL in a text", "messages", one("see https://example.com/ and file:///etc/passwd"), 1],
  ["a URL in a part's text", "messages", part({ type: "text", text: "http://10.0.0.1" }), 1],
  [
    "a tool whose schema speaks of URLs",
    "messages",
    chat({ tools: [{ function: { parameters: { examples: [{ url: "http://x" }] } } }] }),
    1,
  ],
  [
    "a call already made with a URL",
    "messages",
    chat({ messages: [{ role: "assistant", tool_calls: [{ function: { arguments: { url: "http://x" } } }] }] }),
    1,
  ],
  ["labels with a URL", "messages", chat({ metadata: { url: "https://example.com" } }), 1],
  [
    "what other gateways have added to an answer",
    "messages",
    chat({
      messages: [
        ...said,
        {
          role: "assistant",
          content: "hi",
          sources: [{ source: { url: "https://example.com" }, metadata: [{ path: "/a" }] }],
          citations: [{ url: "https://example.com" }],
          search_results: [{ title: "t", url: "https://example.com" }],
          reasoning_details: [{ type: "reasoning.encrypted", data: "not:base64", id: "r" }],
          thinking_blocks: [{ type: "redacted_thinking", data: "not:base64" }],
          provider_specific_fields: { citations: [[{ url: "https://example.com" }]] },
        },
        ...said,
      ],
    }),
    1,
  ],
  ["a gateway's labels", "messages", chat({ litellm_metadata: { headers: { url: "http://127.0.0.1" } } }), 1],
  ["4,096 messages", "messages", chat({ messages: Array(4_096).fill(said[0]) }), 1],
  ["a prompt", "prompt", prompt("hi"), 1],
  ["an empty prompt", "prompt", prompt(""), 1],
  ["prompts", "prompt", prompt(["a", "", "c"]), 3],
  ["tokens", "prompt", prompt([1, 2, 0]), 1],
  ["arrays of tokens", "prompt", prompt([[1], [2, 3]]), 2],
  ["logprobs as a number", "prompt", prompt("hi", { logprobs: 0, stream: true, stream_options: {} }), 1],
  ["an input", "input", input("hi", { encoding_format: "base64", dimensions: 256, stream: false }), 1],
  ["2,048 inputs", "input", input(Array(2_048).fill("a")), 2_048],
  ["more than 2,048 tokens", "input", input(Array(5_000).fill(1)), 1],
  ["arrays of tokens as input", "input", input([[1], [2]]), 2],
];

/** Below these a URL is only talked of. */
const HIDING: readonly string[] = [
  ...["tools", "functions", "tool_calls", "function_call", "annotations", "metadata", "documents"],
  ...["response_format", "json_schema", "structured_outputs", "guided_json"],
];

describe("checkBody", () => {
  test("has rows enough", () => expect(BAD.length).toBeGreaterThan(60));

  test.each(BAD.map(([at, body, param, says], i) => ({ i, at, body, param, says })))(
    "refuses row $i: $param in a body with $at ($says)",
    ({ at, body, param, says }) => {
      const [status, code, named, message] = refusalOf(body, at);
      expect([status, code, named]).toEqual([400, "invalid_request", param]);
      expect(message).toContain(says);
      expect(message).toContain(param.split(".")[0]);
    },
  );

  test.each(GOOD)("accepts %s", (_name, at, body, prompts) => {
    expect(refusalOf(body, at)).toEqual(["accepted"]);
    expect(checkBody(body, at).prompts).toBe(prompts);
  });

  test("refuses the first of a million wrong elements, and makes nothing of the others", () => {
    const wrong = Array(1_000_000).fill("a");
    wrong[0] = 1;
    expect(refusalOf(prompt(wrong), "prompt").slice(0, 3)).toEqual([400, "invalid_request", "prompt.1"]);
  });

  test("takes nothing from a prototype that the client names", () => {
    const body = JSON.parse('{"__proto__":{"model":"x","stream":true,"messages":[]},"messages":[]}') as JsonObject;
    expect(refusalOf(body, "messages").slice(0, 3)).toEqual([400, "invalid_request", "model"]);
    const whole = JSON.parse(`{"__proto__":{"stream":true,"n":8},"constructor":{"n":8},"model":"m","prompt":"hi"}`);
    expect(checkBody(whole, "prompt")).toEqual({ slice: { model: "m" }, prompts: 1 });
    expect(checkBody(whole, "prompt").slice.stream).toBeUndefined();
  });

  test("shortens the name of a member that is too long to tell", () => {
    const [, , param, message] = refusalOf(chat({ ["é".repeat(100_000)]: { url: "http://x" } }), "messages");
    expect(String(param).length).toBeLessThanOrEqual(200);
    expect(String(message).length).toBeLessThan(400);
  });

  test("finds a link wherever it is", () => {
    const name = fc.string({ maxLength: 8 }).filter((key) => key !== "__proto__" && !HIDING.includes(key));
    const step = fc.oneof(name, fc.nat({ max: 3 }));
    const place = fc.constantFrom("url", "image_url", "video_url", "audio_url", "file_url", "data", "file_data");
    const link = fc.constantFrom(
      "http://10.0.0.1",
      "https://x/",
      "file:///etc/passwd",
      "HTTP://X",
      "s3://x",
      " http://x",
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), place, link, (path, key, text) => {
        let value: unknown = { [key]: text };
        for (const at of path.toReversed())
          value = typeof at === "number" ? [...Array(at).fill(0), value] : { [at]: value };
        const body = { ...asked, messages: [{ role: "user", content: "hi", more: value }] };
        const [status, , param] = refusalOf(body, "messages");
        expect(status).toBe(400);
        expect(param).toBe(["messages", 0, "more", ...path, key].join("."));
      }),
    );
  });
});
