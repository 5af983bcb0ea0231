// What the public API takes in and what it refuses, over the network: a row each, and nothing that is refused reaches an engine.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { firstAnswer, say } from "../support/raw.ts";
import { Engines, useStack } from "../support/stack.ts";

const KEY = "a-master-key";
const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "0", "--first-token-ms", "0", "--slots", "16"],
  slots: 16,
  edge: { AUTH_MODE: "master-key", MASTER_KEY: KEY },
});

const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";
const EMBEDDINGS = "/v1/embeddings";
const MODEL = '"model":"heartcode-default"';
const MESSAGES = '"messages":[{"role":"user","content":"hi"}]';
const chat = (members = '"max_tokens":2') => `{${MODEL},${MESSAGES},${members}}`;
const saying = (content: string) => `{${MODEL},"max_tokens":2,"messages":[{"role":"user","content":${content}}]}`;
const message = (text: string) => `{${MODEL},"max_tokens":2,"messages":[${text}]}`;
const image = (url: string) => saying(`[{"type":"image_url","image_url":{"url":${url}}}]`);
const prompt = (value: string, members = '"max_tokens":2') => `{${MODEL},"prompt":${value},${members}}`;
const input = (value: string, members = '"user":"u"') => `{"model":"heartcode-embed","input":${value},${members}}`;
const many = (count: number, item: (i: number) => string) => Array.from({ length: count }, (_, i) => item(i)).join(",");

/** Beyond every answer that a client may read. */
const INTERNAL =
  /heartcode-chat-|127\.0\.0\.1|localhost|a-master-key|\bat [\w.]+ \(|\.ts\b|\.js:\d|node_modules|workerd|Durable|\bzod\b/i;

interface ErrorBody {
  readonly error: { message: string; type: string; param: string | null; code: string };
}

let engines: Engines;
/** Requests that an engine was to see. */
let passed = 0;
let before = 0;

beforeAll(async () => {
  engines = new Engines(stack().chatPorts);
  before = await engines.sum("requests");
});
afterAll(async () => {
  expect(await engines.sum("requests")).toBe(before + passed);
});

function checkError(text: string, headers: Headers): ErrorBody["error"] {
  expect(headers.get("content-type")).toContain("application/json");
  expect(headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
  expect(text).not.toMatch(INTERNAL);
  const { error } = JSON.parse(text) as ErrorBody;
  expect(Object.keys(error)).toEqual(["message", "type", "param", "code"]);
  return error;
}

async function ask(path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
  const answer = await fetch(`${stack().url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json", ...headers },
    body,
  });
  const text = await answer.text();
  if (answer.status === 200 && path !== EMBEDDINGS) passed += 1;
  return { status: answer.status, headers: answer.headers, text };
}

/** [name, path, body, param, words of the message] of what is a 400. */
type Refused = readonly [
  name: string,
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  param: string | null,
  says?: string,
];

/** Every member that is checked or billed, twice: once harmless and once not. */
const DOUBLES: readonly [path: string, first: string, second: string, param: string][] = [
  [CHAT, '"model":"heartcode-default"', '"model":"heartcode-nsfw"', "model"],
  [CHAT, '"max_tokens":1', '"max_tokens":1000000', "max_tokens"],
  [CHAT, '"max_completion_tokens":1', '"max_completion_tokens":1000000', "max_completion_tokens"],
  [CHAT, '"n":1', '"n":8', "n"],
  [CHAT, '"best_of":1', '"best_of":8', "best_of"],
  [CHAT, '"stream":false', '"stream":true', "stream"],
  [CHAT, '"stream":true,"stream_options":{}', '"stream_options":{"include_usage":false}', "stream_options"],
  [CHAT, '"user":"a"', '"user":"b"', "user"],
  [CHAT, '"temperature":1', '"temperature":2', "temperature"],
  [CHAT, '"top_p":1', '"top_p":0', "top_p"],
  [CHAT, '"logprobs":false', '"logprobs":true', "logprobs"],
  [CHAT, '"top_logprobs":1', '"top_logprobs":20', "top_logprobs"],
  [CHAT, '"tools":[]', '"tools":null', "tools"],
  [CHAT, '"functions":[]', '"functions":null', "functions"],
  [CHAT, '"seed":1', '"seed":2', "seed"],
  [CHAT, '"stop":"a"', '"stop":"b"', "stop"],
  [CHAT, '"n_predict":1', '"n_predict":-1', "n_predict"],
  [COMPLETIONS, '"prompt":"short"', '"prompt":"long"', "prompt"],
  [EMBEDDINGS, '"input":"short"', '"input":"long"', "input"],
  [EMBEDDINGS, '"dimensions":1', '"dimensions":65536', "dimensions"],
  [EMBEDDINGS, '"encoding_format":"float"', '"encoding_format":"base64"', "encoding_format"],
];

/** A body for `path` with these members, and with a model and input if they are not among them. */
function bodyOf(path: string, members: string): string {
  const needs = path === CHAT ? MESSAGES : path === COMPLETIONS ? '"prompt":"hi"' : '"input":"hi"';
  const has = (name: string) => members.includes(`"${name}"`);
  const model = has("model") ? [] : [path === EMBEDDINGS ? '"model":"heartcode-embed"' : MODEL];
  const name = path === CHAT ? "messages" : path === COMPLETIONS ? "prompt" : "input";
  return `{${[...model, ...(has(name) ? [] : [needs]), members].join(",")}}`;
}

const bytes = (text: string, ...more: number[]) => Uint8Array.from([...new TextEncoder().encode(text), ...more]);

const REFUSED: readonly Refused[] = [
  // No JSON, and JSON that is no object.
  ["no body", CHAT, "", null, "is empty"],
  ["half a body", CHAT, chat().slice(0, 40), null, "not valid JSON"],
  ["two bodies", CHAT, chat() + chat(), null, "not valid JSON"],
  ["a form", CHAT, "model=heartcode-default", null, "not valid JSON"],
  ["NaN", CHAT, chat('"temperature":NaN'), null, "not valid JSON"],
  ["Infinity", CHAT, chat('"temperature":Infinity'), null, "not valid JSON"],
  ["a hexadecimal number", CHAT, chat('"n":0x1'), null, "not valid JSON"],
  ["a number with a leading zero", CHAT, chat('"n":01'), null, "not valid JSON"],
  ["an array", CHAT, `[${chat()}]`, null, "must be a JSON object"],
  ["null", CHAT, "null", null, "must be a JSON object"],
  ["a string", CHAT, '"hi"', null, "must be a JSON object"],
  // Bytes that are no UTF-8, or more than that.
  ["Latin-1", CHAT, bytes('{"model":"', 0xe9), null, "not valid UTF-8"],
  ["UTF-16", CHAT, new Uint8Array(Buffer.from(chat(), "utf16le")), null, "not valid JSON"],
  ["UTF-16 with its mark", CHAT, Uint8Array.of(0xff, 0xfe, 0x7b, 0x00), null, "not valid UTF-8"],
  ["an overlong slash", CHAT, bytes('{"model":"', 0xc0, 0xaf), null, "not valid UTF-8"],
  ["half of a surrogate pair in bytes", CHAT, bytes('{"model":"', 0xed, 0xa0, 0x80), null, "not valid UTF-8"],
  ["a byte order mark", CHAT, `\ufeff${chat()}`, null, "byte order mark"],
  ["half of a surrogate pair as an escape", CHAT, saying('"\\ud800"'), "messages.0.content", "surrogate"],
  ["the wrong half first", CHAT, chat('"user":"\\ude00\\ud83d"'), "user", "surrogate"],
  ["half of a pair in a name", CHAT, chat('"\\udc00":1'), "\ufffd", "surrogate"],
  // Size, depth, number of values.
  ["33 levels", CHAT, chat(`"x":${"[".repeat(33)}${"]".repeat(33)}`), null, "32 levels"],
  ["a million levels", CHAT, "[".repeat(1_000_000), null, "32 levels"],
  ["100,001 values", CHAT, chat(`"x":[${"0,".repeat(100_001)}0]`), null, "100000 values"],
  ["100,001 members", CHAT, `{${many(100_001, (i) => `"${i}":0`)}}`, null, "100000"],
  ["nested arrays", EMBEDDINGS, input("[[[1]]]"), "input.0.0", "an integer"],
  ["10,001 objects beside tokens", EMBEDDINGS, input(`[${"{},".repeat(10_001)}{}]`), null, "10000 objects"],
  // Members twice, or in disguise.
  ...DOUBLES.map(([path, first, second, param]): Refused => {
    return [`${param} twice`, path, bodyOf(path, `${first},${second}`), param, "once"];
  }),
  ...DOUBLES.map(([path, first, second, param]): Refused => {
    const disguise = second.replace(
      `"${param}"`,
      `"\\u${param.charCodeAt(0).toString(16).padStart(4, "0")}${param.slice(1)}"`,
    );
    return [`${param} twice, once as an escape`, path, bodyOf(path, `${first},${disguise}`), null, "escapes"];
  }),
  ["an escaped name alone", CHAT, chat('"max\\u005ftokens":1000000'), null, "escapes"],
  ["an escaped name in capitals", CHAT, chat('"max\\u005Ftokens":1000000'), null, "escapes"],
  ["messages twice", CHAT, `{${MODEL},${MESSAGES},${MESSAGES}}`, "messages", "once"],
  ["a role twice", CHAT, message('{"role":"user","role":"system","content":"hi"}'), "messages.0.role", "once"],
  ["content twice", CHAT, message('{"role":"user","content":"hi","content":"ho"}'), "messages.0.content", "once"],
  [
    "a URL twice",
    CHAT,
    saying('[{"type":"image_url","image_url":{"url":"http://10.0.0.1/","url":"data:,x"}}]'),
    "messages.0.content.0.image_url.url",
    "once",
  ],
  ["a URL in disguise", CHAT, saying('[{"type":"image_url","image_url":{"\\u0075rl":"http://10.0.0.1/"}}]'), null],
  [
    "usage asked for twice",
    CHAT,
    chat('"stream":true,"stream_options":{"include_usage":true,"include_usage":false}'),
    "stream_options.include_usage",
  ],
  ["__proto__ twice", CHAT, chat('"__proto__":{},"__proto__":{}'), "__proto__", "once"],
  ["a model by its prototype", CHAT, `{"__proto__":{${MODEL}},${MESSAGES}}`, "model", "Missing"],
  ["messages by a prototype", CHAT, `{${MODEL},"constructor":{${MESSAGES}}}`, "messages", "Missing"],
  // Numbers.
  ["max_tokens of 0", CHAT, chat('"max_tokens":0'), "max_tokens"],
  ["max_tokens of -0", CHAT, chat('"max_tokens":-0'), "max_tokens"],
  ["max_tokens of -1", CHAT, chat('"max_tokens":-1'), "max_tokens", "at least 1"],
  ["max_tokens of 1e400", CHAT, chat('"max_tokens":1e400'), "max_tokens", "range"],
  ["max_tokens of -1e400", CHAT, chat('"max_tokens":-1e400'), "max_tokens", "range"],
  ["max_tokens of 1e308", CHAT, chat('"max_tokens":1e308'), "max_tokens"],
  ["max_tokens of 2**53+1", CHAT, chat('"max_tokens":9007199254740993'), "max_tokens"],
  ["max_tokens of 2**31", CHAT, chat('"max_tokens":2147483648'), "max_tokens", "at most 1000000"],
  ["max_tokens of 1.5", CHAT, chat('"max_tokens":1.5'), "max_tokens", "an integer"],
  ["max_tokens of 1e-400", CHAT, chat('"max_tokens":1e-400'), "max_tokens"],
  ["max_tokens as text", CHAT, chat('"max_tokens":"5"'), "max_tokens", "a string"],
  ["max_tokens of true", CHAT, chat('"max_tokens":true'), "max_tokens", "a boolean"],
  ["max_tokens as a list", CHAT, chat('"max_tokens":[5]'), "max_tokens", "an array"],
  ['max_tokens of "NaN"', CHAT, chat('"max_tokens":"NaN"'), "max_tokens", "a string"],
  ["max_completion_tokens of -1", CHAT, chat('"max_completion_tokens":-1'), "max_completion_tokens"],
  ["a good and a bad limit", CHAT, chat('"max_tokens":5,"max_completion_tokens":-5'), "max_completion_tokens"],
  ["n of a million", CHAT, chat('"n":1000000'), "n", "at most 8"],
  ["n of 0", CHAT, chat('"n":0'), "n", "at least 1"],
  ["n of 1e400", CHAT, chat('"n":1e400'), "n"],
  ["best_of of a million", COMPLETIONS, prompt('"hi"', '"best_of":1000000'), "best_of"],
  ["temperature of 1e308", CHAT, chat('"temperature":1e308'), "temperature", "at most 2"],
  ['temperature of "NaN"', CHAT, chat('"temperature":"NaN"'), "temperature", "a string"],
  ["temperature of -1", CHAT, chat('"temperature":-1'), "temperature"],
  ["top_p of 2", CHAT, chat('"top_p":2'), "top_p"],
  ["frequency_penalty of 3", CHAT, chat('"frequency_penalty":3'), "frequency_penalty"],
  ["presence_penalty as text", CHAT, chat('"presence_penalty":"1"'), "presence_penalty"],
  ["a seed of 1e308", CHAT, chat('"seed":1e308'), "seed"],
  ["a seed of 1e400", CHAT, chat('"seed":1e400'), "seed", "range"],
  ["a seed as text", CHAT, chat('"seed":"7"'), "seed", "a string"],
  ["an unknown number of 1e999", CHAT, chat('"x":{"y":[0,1e999]}'), "x.y.1", "range"],
  ["top_logprobs of 21", CHAT, chat('"top_logprobs":21'), "top_logprobs"],
  ["logprobs of a chat as a number", CHAT, chat('"logprobs":5'), "logprobs", "a boolean"],
  ["logprobs of a completion as a flag", COMPLETIONS, prompt('"hi"', '"logprobs":true'), "logprobs"],
  // Wrong types, empty lists.
  ["no model", CHAT, `{${MESSAGES}}`, "model", "Missing"],
  ["a model of null", CHAT, `{"model":null,${MESSAGES}}`, "model"],
  ["a model in a list", CHAT, `{"model":["heartcode-default"],${MESSAGES}}`, "model"],
  ["a model of no letters", CHAT, `{"model":"",${MESSAGES}}`, "model"],
  ["a model of a megabyte", CHAT, `{"model":"${"m".repeat(1_000_000)}",${MESSAGES}}`, "model", "at most 256"],
  ["a chat at the model for embeddings", CHAT, `{"model":"heartcode-embed",${MESSAGES}}`, "model", "not served"],
  ["an embedding at a chat model", EMBEDDINGS, `{${MODEL},"input":"hi"}`, "model", "not served"],
  ["stream as text", CHAT, chat('"stream":"true"'), "stream"],
  ["stream as a number", CHAT, chat('"stream":1'), "stream"],
  ["stream_options without stream", CHAT, chat('"stream_options":{"include_usage":true}'), "stream_options"],
  ["stream_options as a list", CHAT, chat('"stream":true,"stream_options":[]'), "stream_options"],
  [
    "include_usage as text",
    CHAT,
    chat('"stream":true,"stream_options":{"include_usage":"yes"}'),
    "stream_options.include_usage",
  ],
  ["a user in an object", CHAT, chat('"user":{"id":1}'), "user"],
  ["a user of a megabyte", CHAT, chat(`"user":"${"u".repeat(1_000_000)}"`), "user", "at most 512"],
  ["no messages", CHAT, `{${MODEL}}`, "messages", "Missing"],
  ["messages of null", CHAT, `{${MODEL},"messages":null}`, "messages"],
  ["messages as text", CHAT, `{${MODEL},"messages":"hi"}`, "messages"],
  ["an empty list of messages", CHAT, `{${MODEL},"messages":[]}`, "messages", "at least 1"],
  ["a message as text", CHAT, message('"hi"'), "messages.0"],
  ["a message in a list", CHAT, message("[[]]"), "messages.0"],
  ["no role", CHAT, message('{"content":"hi"}'), "messages.0.role"],
  ["a role of null", CHAT, message('{"role":null,"content":"hi"}'), "messages.0.role"],
  ["no content", CHAT, message('{"role":"user"}'), "messages.0.content", "Missing"],
  ["content as a number", CHAT, saying("5"), "messages.0.content"],
  ["a part as text", CHAT, saying('["hi"]'), "messages.0.content.0"],
  ["a part without a type", CHAT, saying('[{"text":"hi"}]'), "messages.0.content.0.type"],
  ["a part of another type", CHAT, saying('[{"type":"image_embeds"}]'), "messages.0.content.0.type"],
  ["a text part without text", CHAT, saying('[{"type":"text"}]'), "messages.0.content.0.text", "Missing"],
  ["5,000 messages", CHAT, message(many(5_000, () => '{"role":"user","content":""}')), "messages", "at most 4096"],
  ["no prompt", COMPLETIONS, `{${MODEL}}`, "prompt", "Missing"],
  ["messages for a completion", COMPLETIONS, chat(), "prompt", "Missing"],
  ["an empty list of prompts", COMPLETIONS, prompt("[]"), "prompt"],
  ["two prompts", COMPLETIONS, prompt('["a","b"]'), "prompt", "one prompt"],
  ["a prompt in an object", COMPLETIONS, prompt('{"text":"hi"}'), "prompt"],
  ["a negative token", COMPLETIONS, prompt("[1,-1]"), "prompt.1"],
  ["a token of 2**31", COMPLETIONS, prompt("[2147483648]"), "prompt.0"],
  ["text among tokens", COMPLETIONS, prompt('[1,"a"]'), "prompt.1"],
  ["no input", EMBEDDINGS, '{"model":"heartcode-embed"}', "input", "Missing"],
  ["an empty input", EMBEDDINGS, input('""'), "input"],
  ["an empty list of inputs", EMBEDDINGS, input("[]"), "input"],
  ["an empty list of tokens", EMBEDDINGS, input("[[1],[]]"), "input.1"],
  ["an empty input among others", EMBEDDINGS, input('["a",""]'), "input.1"],
  ["2,049 inputs", EMBEDDINGS, input(`[${many(2_049, () => '"a"')}]`), "input", "at most 2048"],
  ["an input of null", EMBEDDINGS, input("null"), "input"],
  ["a streamed embedding", EMBEDDINGS, input('"hi"', '"stream":true'), "stream"],
  ["an unknown format", EMBEDDINGS, input('"hi"', '"encoding_format":"int8"'), "encoding_format"],
  ["dimensions of a million", EMBEDDINGS, input('"hi"', '"dimensions":1000000'), "dimensions"],
  // What engines fail on.
  ["65 stops", CHAT, chat(`"stop":[${many(65, () => '"a"')}]`), "stop", "at most 64"],
  ["a stop as a number", CHAT, chat('"stop":5'), "stop"],
  ["a stop of null in a list", CHAT, chat('"stop":["a",null]'), "stop.1"],
  ["a stop of a megabyte", CHAT, chat(`"stop":"${"s".repeat(1_000_000)}"`), "stop"],
  ["a huge logit_bias", CHAT, chat(`"logit_bias":{${many(2_000, (i) => `"${i}":1`)}}`), "logit_bias", "at most 1024"],
  ["a logit_bias of 101", CHAT, chat('"logit_bias":{"5":101}'), "logit_bias.5"],
  ["a logit_bias as text", CHAT, chat('"logit_bias":"5"'), "logit_bias"],
  ["129 tools", CHAT, chat(`"tools":[${many(129, () => '{"type":"custom"}')}]`), "tools", "at most 128"],
  ["a tool without a function", CHAT, chat('"tools":[{"type":"function"}]'), "tools.0.function"],
  ["a tool as text", CHAT, chat('"tools":["f"]'), "tools.0"],
  ["tool_choice as a number", CHAT, chat('"tool_choice":5'), "tool_choice"],
  ["response_format as text", CHAT, chat('"response_format":"json"'), "response_format"],
  [
    "a schema that is none",
    CHAT,
    chat('"response_format":{"type":"json_schema","json_schema":1}'),
    "response_format.json_schema",
  ],
  ["echo as text", COMPLETIONS, prompt('"hi"', '"echo":"yes"'), "echo"],
  // Nothing is fetched.
  ...[
    "http://10.0.0.1/",
    "https://example.com/x",
    "HTTP://10.0.0.1",
    "file:///etc/passwd",
    "/etc/passwd",
    "ftp://x",
    "//x",
    " data:,x",
    "",
    "gopher://x",
  ].map(
    (url): Refused => [
      `an image at ${JSON.stringify(url)}`,
      CHAT,
      image(JSON.stringify(url)),
      "messages.0.content.0.image_url.url",
      "data:",
    ],
  ),
  [
    "an image_url as text",
    CHAT,
    saying('[{"type":"image_url","image_url":"http://x"}]'),
    "messages.0.content.0.image_url",
  ],
  [
    "a video",
    CHAT,
    saying('[{"type":"video_url","video_url":{"url":"http://x"}}]'),
    "messages.0.content.0.video_url.url",
  ],
  [
    "audio by URL",
    CHAT,
    saying('[{"type":"input_audio","input_audio":{"data":"http://x"}}]'),
    "messages.0.content.0.input_audio.data",
  ],
  ["an image beside a prompt", COMPLETIONS, prompt('"hi"', '"image":"http://10.0.0.1"'), "image"],
  ["a URL in an unknown member", CHAT, chat('"multimodal":[{"url":"http://10.0.0.1"}]'), "multimodal.0.url"],
];

describe("a body is refused with a 400 that names the member", () => {
  test("for every kind of row", () => expect(REFUSED.length).toBeGreaterThan(150));

  test.each(REFUSED.map((row) => ({ name: row[0], row })))(
    "for $name",
    async ({ row: [, path, body, param, says = ""] }) => {
      const { status, headers, text } = await ask(path, body);
      const error = checkError(text, headers);
      expect([status, error.code, error.type, error.param]).toEqual([
        400,
        "invalid_request",
        "invalid_request_error",
        param,
      ]);
      expect(error.message).toContain(says);
      expect(error.message.length).toBeLessThan(1_000);
    },
  );
});

describe("a body is accepted", () => {
  const rows: readonly [name: string, path: string, body: string][] = [
    ["of the least members", CHAT, chat()],
    ["with spaces around everything", CHAT, ` \r\n\t${chat().replaceAll(",", " ,\n ").replaceAll(":", " : ")} \n`],
    [
      "with __proto__ and constructor",
      CHAT,
      chat('"__proto__":{"n":9},"constructor":{"prototype":{"stream":true}},"max_tokens":2'),
    ],
    [
      "with members that mean something to JavaScript",
      CHAT,
      chat('"toString":1,"hasOwnProperty":2,"valueOf":null,"max_tokens":2'),
    ],
    ["with both limits", CHAT, chat('"max_tokens":2,"max_completion_tokens":3')],
    ["with limits of null", CHAT, chat('"max_tokens":null,"max_completion_tokens":null,"n":null')],
    ["with max_tokens of 2.0", CHAT, chat('"max_tokens":2.0')],
    ["with max_tokens of 2e0", CHAT, chat('"max_tokens":2e0')],
    ["with a tiny temperature", CHAT, chat('"temperature":1e-308,"max_tokens":2')],
    ["with an unknown number of 1e308", CHAT, chat('"x":1e308,"y":-0,"z":9007199254740993,"max_tokens":2')],
    ["with 32 levels", CHAT, chat(`"x":${"[".repeat(31)}${"]".repeat(31)},"max_tokens":2`)],
    ["with 64 stops", CHAT, chat(`"stop":[${many(64, () => '"a"')}],"max_tokens":2`)],
    ["with a logit_bias", CHAT, chat(`"logit_bias":{${many(1_024, (i) => `"${i}":1`)}},"max_tokens":2`)],
    [
      "with 128 tools",
      CHAT,
      chat(`"tools":[${many(128, (i) => `{"type":"function","function":{"name":"f${i}"}}`)}],"max_tokens":2`),
    ],
    [
      "with a schema of half a megabyte",
      CHAT,
      chat(`"response_format":{"type":"json_schema","json_schema":{"d":"${"x".repeat(500_000)}"}},"max_tokens":2`),
    ],
    [
      "with a tool that speaks of URLs",
      CHAT,
      chat('"tools":[{"type":"function","function":{"name":"f","parameters":{"url":"http://x"}}}],"max_tokens":2'),
    ],
    ["with names that need escapes", CHAT, chat('"a\\"b":1,"\\u00e9":2,"<\\u003c":3,"max_tokens":2')],
    ["with a pair of surrogates as escapes", CHAT, saying('"\\ud83d\\ude00"')],
    ["with NUL in a text", CHAT, saying('"a\\u0000b"')],
    ["with an image inline", CHAT, image('"data:image/png;base64,iVBORw0KGgo="')],
    ["with an image inline, in capitals", CHAT, image('"DATA:image/png;base64,iVBORw0KGgo="')],
    ["with an internal name in master-key mode", CHAT, `{"model":"heartcode-chat-sfw","max_tokens":2,${MESSAGES}}`],
    ["of tokens", COMPLETIONS, prompt("[1,2,3]")],
    ["of one prompt in a list", COMPLETIONS, prompt('["a"]')],
    ["of 2,048 inputs", EMBEDDINGS, input(`[${many(2_048, () => '"a"')}]`)],
    ["of lists of tokens", EMBEDDINGS, input("[[1],[2,3]]")],
  ];
  test.each(rows)("%s at %s", async (_name, path, body) => {
    const { status, text } = await ask(path, body);
    expect([status, text.slice(0, 300)]).toEqual([200, expect.stringMatching(/^\{"/)]);
  });

  test("with a limit that the engine reads as it was checked", async () => {
    const { text } = await ask(CHAT, chat('"\\\\u006dax_tokens":9,"max_tokens":3'));
    expect(JSON.parse(text)).toMatchObject({ usage: { completion_tokens: 3 } });
  });
});

describe("a head is refused", () => {
  const rows: readonly [name: string, headers: Record<string, string>, status: number, code: string][] = [
    ["without a key", { authorization: "" }, 401, "invalid_api_key"],
    ["with another scheme", { authorization: `Basic ${KEY}` }, 401, "invalid_api_key"],
    ["with two keys", { authorization: `Bearer ${KEY}, Bearer ${KEY}` }, 401, "invalid_api_key"],
    ["with a key of 10,000 letters", { authorization: `Bearer ${"k".repeat(10_000)}` }, 401, "invalid_api_key"],
    ["with a key in Latin-1", { authorization: "Bearer \xe9\xe9\xe9\xe9\xe9\xe9\xe9\xe9" }, 401, "invalid_api_key"],
    ["with a text as its type", { "content-type": "text/plain" }, 415, "unsupported_media_type"],
    ["with two types", { "content-type": "application/json, text/plain" }, 415, "unsupported_media_type"],
    ["with a form as its type", { "content-type": "application/x-www-form-urlencoded" }, 415, "unsupported_media_type"],
    ["with another charset", { "content-type": "application/json; charset=latin1" }, 415, "unsupported_media_type"],
    [
      "with a type of 300 letters",
      { "content-type": `application/json; x=${"a".repeat(300)}` },
      415,
      "unsupported_media_type",
    ],
    ["with a type in Latin-1", { "content-type": "application/json; x=\xe9" }, 415, "unsupported_media_type"],
    ["with a compressed body", { "content-encoding": "gzip" }, 415, "unsupported_media_type"],
  ];
  test.each(rows)("%s", async (_name, given, status, code) => {
    const answer = await ask(CHAT, chat(), given);
    expect([answer.status, checkError(answer.text, answer.headers).code]).toEqual([status, code]);
  });

  test("if it asks for an unknown model, whatever its name is made of", async () => {
    for (const name of [
      "gpt-9",
      "__proto__",
      "constructor",
      "heartcode-sfw ",
      "../heartcode-sfw",
      "\\u0000",
      "a".repeat(256),
    ]) {
      const answer = await ask(CHAT, `{"model":"${name}",${MESSAGES}}`);
      const error = checkError(answer.text, answer.headers);
      expect([answer.status, error.code, error.param]).toEqual([404, "model_not_found", "model"]);
    }
  });

  test("if its body is over the cap, announced or not", async () => {
    const most = 8 * 1024 * 1024;
    const large = await ask(CHAT, `${chat()}${" ".repeat(most)}`);
    expect([large.status, checkError(large.text, large.headers).code]).toEqual([413, "request_too_large"]);
    expect(large.headers.get("x-should-retry")).toBe("false");
    let sent = 0;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        if (sent > 2 * most) controller.close();
        else controller.enqueue(new Uint8Array(65_536).fill(0x20));
      },
    });
    const answer = await fetch(`${stack().url}${CHAT}`, {
      method: "POST",
      headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
      body: stream,
      duplex: "half",
    });
    expect([answer.status, checkError(await answer.text(), answer.headers).code]).toEqual([413, "request_too_large"]);
  });
});

const line = (name: string, value: string) => `${name}: ${value}\r\n`;
const HEAD = line("Host", "x") + line("Connection", "close") + line("Authorization", `Bearer ${KEY}`);
const TYPE = line("Content-Type", "application/json");
const CHUNKED = line("Transfer-Encoding", "chunked");
const BODY = chat();
const LENGTH = line("Content-Length", String(BODY.length));
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
const request = (path = CHAT, method = "POST", more = "") =>
  `${method} ${path} HTTP/1.1\r\n${HEAD}${TYPE}${more}${LENGTH}\r\n${BODY}`;
const posted = (more: string, body: string) => `POST ${CHAT} HTTP/1.1\r\n${HEAD}${TYPE}${more}\r\n${body}`;

async function raw(text: string, options?: Parameters<typeof say>[2]) {
  const said = await say(stack().port, text, options);
  const answer = firstAnswer(said);
  if (answer?.status === 200 && text.startsWith("POST")) passed += 1;
  return { said, answer };
}

describe("an address", () => {
  const found: readonly [path: string][] = [
    [`${CHAT}?a=b&c`],
    [`${CHAT}?${"a".repeat(30_000)}`],
    [`${CHAT}#fragment`],
    ["/v1/%63hat/completions"],
    [`http://other.example${CHAT}`],
  ];
  test.each(found)("of the table is found as %s, and what is beside it stays behind", async (path) => {
    const { answer } = await raw(request(path));
    expect(answer?.status).toBe(200);
  });

  const lost: readonly [path: string][] = [
    [`/${CHAT}`],
    ["/v1//chat/completions"],
    [`${CHAT}/`],
    ["/V1/chat/completions"],
    ["/v1/x/../chat/completions"],
    ["/v1/x/%2e%2e/chat/completions"],
    ["/v1/chat%2Fcompletions"],
    [`${CHAT};x=1`],
    [`${CHAT}%00`],
    [`${CHAT}%0d%0ax:y`],
    [`${CHAT}/../../../slots`],
    ["/%"],
    ["/%ff"],
    ["/v1\\chat\\completions/x"],
    ["*"],
    ["/slots"],
    ["/props"],
    ["/metrics"],
    ["/sim/state"],
    ["/v1/responses"],
    [`/${"a".repeat(20_000)}`],
  ];
  test.each(lost)("that is not of the table is a 404: %s", async (path) => {
    const { answer } = await raw(request(path));
    expect(answer?.status).toBe(404);
    expect(checkError(answer!.body, answer!.headers).code).toBe("not_found");
  });

  test("of a model is a 404 for every name that is none", async () => {
    for (const name of [
      "x",
      "__proto__",
      "%E0%A4%A",
      "%00",
      "a%2Fb",
      "..%2Fhealth",
      "heartcode-default%20",
      "a".repeat(5_000),
    ]) {
      const { answer } = await raw(`GET /v1/models/${name} HTTP/1.1\r\n${HEAD}\r\n`);
      expect(answer?.status).toBe(404);
      expect(checkError(answer!.body, answer!.headers).code).toBe("model_not_found");
    }
  });

  const methods: readonly [path: string, allow: string][] = [
    [CHAT, "POST"],
    [COMPLETIONS, "POST"],
    [EMBEDDINGS, "POST"],
    ["/v1/models", "GET"],
    ["/v1/models/heartcode-default", "GET"],
    ["/health", "GET"],
  ];
  test.each(methods)("%s takes %s and says so to every other method", async (path, allow) => {
    for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "POST"]) {
      if (method === allow || (method === "HEAD" && allow === "GET")) continue;
      const { answer } = await raw(`${method} ${path} HTTP/1.1\r\n${HEAD}\r\n`);
      expect([method, answer?.status, answer?.headers.get("allow")]).toEqual([method, 405, allow]);
      expect(answer?.headers.get("x-request-id")).toMatch(/^req_/);
      if (method !== "HEAD") expect(checkError(answer!.body, answer!.headers).code).toBe("method_not_allowed");
    }
  });

  test("that is too long, or is none, is refused by the platform itself", async () => {
    expect((await raw(request(`/${"a".repeat(70_000)}`))).answer?.status).toBe(414);
    expect((await raw(request("v1/chat/completions"))).answer?.status).toBe(400);
    expect((await raw(request(CHAT, "FOO"))).answer?.status).toBe(501);
  });
});

describe("bytes on the road", () => {
  const answered: readonly [name: string, text: string, status: number, code: string | null, half?: boolean][] = [
    ["in chunks", posted(CHUNKED, `${chunk(BODY)}0\r\n\r\n`), 200, null],
    ["in chunks of one byte", posted(CHUNKED, `${[...BODY].map(chunk).join("")}0\r\n\r\n`), 200, null],
    ["with a trailer", posted(CHUNKED, `${chunk(BODY)}0\r\nX: y\r\n\r\n`), 200, null],
    ["that expect to be asked for", request(CHAT, "POST", line("Expect", "100-continue")), 200, null],
    ["of a connection that wants to be a WebSocket", request(CHAT, "POST", line("Upgrade", "websocket")), 200, null],
    ["in a chunk that is longer than it says", posted(CHUNKED, `5\r\n${BODY}\r\n0\r\n\r\n`), 400, "invalid_request"],
    ["in a chunk of no length", posted(CHUNKED, `zz\r\n${BODY}`), 400, "invalid_request"],
    ["that stop in a chunk", posted(CHUNKED, '30\r\n{"model":'), 400, "invalid_request", true],
    ["that stop before their length", posted(line("Content-Length", "2000"), BODY), 400, "invalid_request", true],
    ["that go on after their length", posted(line("Content-Length", "20"), BODY), 400, "invalid_request"],
    ["of no declared length", posted("", BODY), 400, "invalid_request"],
    ["in chunks and of a length", posted(CHUNKED + LENGTH, "0\r\n\r\n"), 400, "invalid_request"],
    ["that announce 99 GB", posted(line("Content-Length", "99999999999"), BODY), 413, "request_too_large"],
  ];
  test.each(answered)("%s", async (_name, text, status, code, half = false) => {
    const { answer, said } = await raw(text, { half });
    expect(answer?.status).toBe(status);
    if (code !== null) expect(checkError(answer!.body, answer!.headers).code).toBe(code);
    // What follows a request is not taken for another one.
    expect(said.split(/^HTTP\/1\.1 [2-5]/m)).toHaveLength(2);
  });

  // These never reach the Worker: its server says so in plain words, without an id.
  const refused: readonly [name: string, text: string][] = [
    ["with two lengths", posted(`${LENGTH}${line("Content-Length", "5")}`, BODY)],
    ["with a negative length", posted(line("Content-Length", "-5"), BODY)],
    ["with a length in letters", posted(line("Content-Length", "abc"), BODY)],
    ["with a length with a sign", posted(line("Content-Length", "+5"), BODY)],
    ["with a length of 23 digits", posted(line("Content-Length", "9".repeat(23)), BODY)],
    ["with another transfer encoding", posted(line("Transfer-Encoding", "identity"), BODY)],
    ["with a header of two words", request(CHAT, "POST", line("X Y", "z"))],
    ["with NUL in a header", request(CHAT, "POST", line("X", "a\0b"))],
    ["with a folded header", request(CHAT, "POST", "X: a\r\n b\r\n")],
    ["without a host", request().replace("Host: x\r\n", "")],
    ["that are TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  ];
  test.each(refused)("%s are a 400 of the platform", async (_name, text) => {
    const { answer, said } = await raw(text, { half: true });
    expect(answer?.status).toBe(400);
    expect(said).not.toMatch(INTERNAL);
  });

  test("that stop in the head are no request", async () => {
    expect((await raw(request().slice(0, 60), { half: true })).said).toBe("");
  });
});

describe("headers", () => {
  const FOREIGN = [
    ...["X-Conversation-Id", "X-Request-Id", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"],
    ...["X-Real-IP", "CF-Connecting-IP", "True-Client-IP", "Via", "TE", "Trailer", "Keep-Alive", "Proxy-Authorization"],
    ...["Proxy-Connection", "Cookie", "Origin", "Referer", "Range", "If-None-Match", "Accept-Encoding", "User-Agent"],
    ...["X-Api-Key", "X-HTTP-Method-Override", "X-Original-URL", "X-Slot-Id", "X-Data-Parallel-Rank", "Baggage"],
    ...["X-HeartCode-Exchange", "X-HeartCode-Body", "X-HeartCode-Failure", "X-HeartCode-Connector", "Last-Event-ID"],
  ];

  test("of a client reach an engine by their list alone", async () => {
    const more = FOREIGN.map((name) => line(name, "secret-of-a-client")).join("");
    const listed =
      line("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") + line("Accept", "text/x");
    const { answer } = await raw(request(CHAT, "POST", more + listed));
    expect(answer?.status).toBe(200);
    const arrivals = (await engines.states()).flatMap((state) => state.last_requests);
    const seen = arrivals.find(({ headers }) => headers["accept"] === "text/x");
    expect(seen?.headers["traceparent"]).toMatch(/^00-4bf9/);
    expect(seen?.path).toBe(CHAT);
    for (const { headers } of arrivals) {
      expect(JSON.stringify(headers)).not.toMatch(/secret-of-a-client|a-master-key/);
      const names = Object.keys(headers).filter((name) => !ALLOWED.has(name));
      expect(names).toEqual([]);
    }
  });

  /** The connector's own, and the four that pass. */
  const ALLOWED = new Set([
    ...["host", "connection", "content-length", "content-type", "accept", "traceparent", "tracestate", "x-request-id"],
  ]);

  test("named by Connection take nothing of the gateway's own away", async () => {
    const { answer } = await raw(
      request(CHAT, "POST", line("Connection", "content-type, authorization, x-request-id")),
    );
    expect([answer?.status, answer?.headers.get("x-request-id")]).toEqual([200, expect.stringMatching(/^req_/)]);
  });

  test.each([
    ["20,000 letters", "a".repeat(20_000)],
    ["60,000 letters", "a".repeat(60_000)],
    ["Latin-1", "\xe9\xff"],
    ["UTF-8", "\xc3\xa9\xe4\xb8\xad"],
    ["a control character", "a\x01b"],
    ["quotes", '"\\"'],
  ])("of a client with %s harm nobody: the uplink stays and the request is answered", async (_what, value) => {
    const linksBefore = await uplinks();
    for (const name of ["Traceparent", "Tracestate", "Accept"]) {
      // Each shard in turn.
      for (let i = 0; i < 2; i += 1)
        expect((await raw(request(CHAT, "POST", line(name, value)))).answer?.status).toBe(200);
    }
    expect(await uplinks()).toEqual(linksBefore);
    expect(JSON.stringify((await engines.states()).flatMap((state) => state.last_requests))).not.toContain(
      value.slice(0, 2_000).padEnd(2_000, "?"),
    );
  });

  async function uplinks(): Promise<unknown> {
    const answer = await fetch(`${stack().url}/admin/status`, {
      headers: { authorization: "Bearer test-admin-token" },
    });
    const { shards } = (await answer.json()) as { shards: { links: { live: boolean }[]; violations: number }[] };
    return shards.map(({ links, violations }) => [links.map(({ live }) => live), violations]);
  }

  test("in thousands, or of 100 kB, are stepped over", async () => {
    const thousand = Array.from({ length: 1_000 }, (_, i) => line(`X-${i}`, "a")).join("");
    expect((await raw(request(CHAT, "POST", thousand))).answer?.status).toBe(200);
    expect((await raw(request(CHAT, "POST", line("X", "a".repeat(100_000))))).answer?.status).toBe(200);
  });

  test("of an engine reach a client by their list alone", async () => {
    const { headers } = await ask(CHAT, chat());
    const names = [...headers.keys()].filter(
      (name) => !/^(x-request-id|content-type|content-length|x-ratelimit-.*|date)$/.test(name),
    );
    expect(names).toEqual([]);
  });
});
