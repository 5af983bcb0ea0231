// Requests to the public API as they should not be: good ones, changed in their values, their text, their bytes, their
// heads. Each is wholly told by a seed. Pure.
import { dice } from "./dice.ts";

export interface Mutant {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array<ArrayBuffer> | null;
  /** Bytes for a socket instead of a request for a client library. */
  readonly raw: Uint8Array<ArrayBuffer> | null;
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const said = { role: "user", content: "hi" };
const CHAT = "/v1/chat/completions";
const SEEDS: readonly (readonly [path: string, body: Json])[] = [
  [CHAT, { model: "heartcode-default", max_tokens: 3, messages: [said] }],
  [
    CHAT,
    { model: "heartcode-sfw", stream: true, max_tokens: 3, messages: [said, { role: "assistant", content: "ho" }] },
  ],
  [CHAT, { model: "heartcode-nsfw", stream: true, stream_options: { include_usage: true }, n: 2, messages: [said] }],
  [
    CHAT,
    {
      model: "heartcode-default",
      temperature: 0.5,
      top_p: 0.9,
      stop: ["a", "b"],
      seed: 7,
      logit_bias: { 5: 1 },
      user: "u",
      max_completion_tokens: 4,
      tools: [{ type: "function", function: { name: "f", parameters: { type: "object", url: "http://x" } } }],
      response_format: { type: "json_schema", json_schema: { name: "s", schema: {} } },
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "x" },
            { type: "image_url", image_url: { url: "data:,A" } },
          ],
        },
      ],
    },
  ],
  ["/v1/completions", { model: "heartcode-default", prompt: "Once", max_tokens: 3, logprobs: 1 }],
  ["/v1/completions", { model: "heartcode-sfw", prompt: [1, 2, 3], stream: true, max_tokens: 2, echo: true }],
  ["/v1/embeddings", { model: "heartcode-embed", input: ["a", "b"], encoding_format: "base64" }],
  ["/v1/embeddings", { model: "heartcode-embed", input: [[1, 2], [3]], dimensions: 8 }],
];

/** JSON texts, odd ones among them: some are none. */
const VALUES: readonly string[] = [
  ...["null", "true", "false", "0", "-0", "1", "-1", "1.5", "2", "8", "9", "1e400", "-1e400", "1e308", "1e-400"],
  ...["9007199254740993", "1000000", "2147483648", "NaN", "Infinity", "0x1", "01", "-", "1e", '""', '"a"', '"NaN"'],
  ...[
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\u0000"',
    '"http://10.0.0.1/"',
    '"file:///etc/passwd"',
    '"data:,x"',
    '"null"',
  ],
  ...[
    "[]",
    "{}",
    "[[]]",
    "[{}]",
    "[null]",
    '["a"]',
    "[1]",
    "[[1]]",
    "[-1]",
    '{"a":1}',
    '{"a":1,"a":2}',
    '{"__proto__":{}}',
  ],
  ...[
    '{"type":"text"}',
    '{"url":"http://x"}',
    '{"role":"user"}',
    "[1,",
    '{"a"',
    '"',
    "\\",
    "\u0000",
    "\ufeff",
    "é",
    "💥",
  ],
  ...[
    '"heartcode-default"',
    '"heartcode-nsfw"',
    '"heartcode-embed"',
    '"gpt-9"',
    '"constructor"',
    `"${"x".repeat(3_000)}"`,
  ],
  ...[`[${"[".repeat(40)}${"]".repeat(40)}]`, `[${"0,".repeat(2_000)}0]`, `[${'"a",'.repeat(2_100)}"a"]`],
];

const NAMES: readonly string[] = [
  ...[
    "model",
    "messages",
    "prompt",
    "input",
    "stream",
    "stream_options",
    "include_usage",
    "max_tokens",
    "n",
    "best_of",
  ],
  ...["max_completion_tokens", "temperature", "top_p", "stop", "seed", "user", "tools", "functions", "logprobs", "url"],
  ...[
    "top_logprobs",
    "logit_bias",
    "response_format",
    "tool_choice",
    "encoding_format",
    "dimensions",
    "role",
    "content",
  ],
  ...[
    "__proto__",
    "constructor",
    "prototype",
    "toString",
    "n_predict",
    "id_slot",
    "cache_prompt",
    "lora",
    "grammar",
    "",
  ],
  ...[
    "chat_template_kwargs",
    "image_url",
    "file_url",
    "type",
    "text",
    "name",
    "tool_calls",
    "speculative.n_max",
    "verbose",
  ],
  ...["max\\u005ftokens", "mode\\u006c", "\\u00e9", "\\\\u006dax_t", 'a\\"b', "\\ud800", "a".repeat(500)],
];

const PATHS: readonly string[] = [
  ...["/v1/models", "/v1/models/heartcode-default", "/v1/models/%ff", "/v1/models/__proto__", "/v1/usage", "/health"],
  ...[
    "//v1/chat/completions",
    "/v1/chat/completions/",
    "/v1/chat/completions?x=%",
    "/v1/%2e%2e/admin/status",
    "/slots",
  ],
  ...["/v1/chat%2Fcompletions", "/v1/embeddings/../completions", "/", "/v1", "/%", "/admin/status", "/v1/responses"],
];

const METHODS: readonly string[] = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"];

const HEADERS: readonly (readonly [name: string, values: readonly string[]])[] = [
  [
    "content-type",
    ["text/plain", "application/json; charset=latin1", "application/json;charset=utf-8", "a".repeat(400), ""],
  ],
  [
    "authorization",
    [
      "",
      "Bearer",
      "Bearer wrong-key-of-nobody",
      "Bearer hc-sk-nobody-has-this",
      "Bearer hc-sk-demo-revoked",
      "Basic YTpi",
      `Bearer ${"k".repeat(2_000)}`,
      "Bearer \u00e9",
    ],
  ],
  ["content-encoding", ["gzip", "identity", "x"]],
  [
    "traceparent",
    ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "x".repeat(20_000), "\u00e9\u00ff", '"\\"'],
  ],
  ["tracestate", ["a=b", "x".repeat(50_000), "\u00e9"]],
  ["accept", ["text/event-stream", "*/*", "x".repeat(20_000), "\u00ff"]],
  ["x-conversation-id", ["1"]],
  ["x-heartcode-exchange", ["{}"]],
  ["x-heartcode-body", ["e30="]],
  ["x-heartcode-failure", ["%7B%7D"]],
  ["x-heartcode-uplink", ["{}"]],
  ["x-request-id", ["mine"]],
  ["cookie", ["a=b"]],
  ["te", ["trailers"]],
];

export function mutant(seed: number, key: string): Mutant {
  const chance = dice(seed);
  const nat = (below: number): number => Math.floor(chance() * below);
  const pick = <T>(list: readonly T[]): T => list[nat(list.length)]!;
  const times = (most: number, work: () => void): void => {
    for (let i = nat(most + 1); i > 0; i -= 1) work();
  };

  const [seedPath, value] = pick(SEEDS);
  let text = textOf(value, nat, pick);
  times(2, () => {
    if (nat(3) === 0) text = spliced(text, nat(text.length + 1), nat(6), pick([...VALUES, ...NAMES]));
  });
  let body = new TextEncoder().encode(text);
  if (nat(8) === 0) {
    times(4, () => {
      body = splicedBytes(
        body,
        nat(body.length + 1),
        nat(4),
        Uint8Array.from({ length: nat(4) }, () => nat(256)),
      );
    });
  }
  if (nat(40) === 0) body = body.slice(0, nat(body.length));

  const headers = new Map<string, string>([
    ["content-type", "application/json"],
    ["authorization", `Bearer ${key}`],
  ]);
  if (nat(6) === 0) {
    times(3, () => {
      const [name, values] = pick(HEADERS);
      headers.set(name, pick(values));
    });
  }
  const path = nat(25) === 0 ? pick(PATHS) : nat(25) === 0 ? pick(SEEDS)[0] : seedPath;
  const method = nat(30) === 0 ? pick(METHODS) : "POST";
  const asked = { method, path, headers: [...headers], body: method === "GET" || method === "HEAD" ? null : body };
  return { ...asked, raw: nat(25) === 0 ? rawOf(asked, nat, pick) : null };
}

type Nat = (below: number) => number;
type Pick = <T>(list: readonly T[]) => T;

/** A value as JSON in which some members and elements are other values, or twice, or gone, or more. */
function textOf(value: Json, nat: Nat, pick: Pick): string {
  if (nat(30) === 0) return pick(VALUES);
  if (Array.isArray(value)) {
    const items = value.flatMap((item) => Array.from({ length: copies(nat) }, () => textOf(item, nat, pick)));
    return `[${items.join(",")}]`;
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).flatMap(([name, inner]) =>
    Array.from({ length: copies(nat) }, () => `"${nat(40) === 0 ? pick(NAMES) : name}":${textOf(inner, nat, pick)}`),
  );
  if (nat(6) === 0) members.push(`"${pick(NAMES)}":${pick(VALUES)}`);
  if (nat(10) === 0) members.reverse();
  return `{${members.join(nat(30) === 0 ? " ,\n" : ",")}}`;
}

function copies(nat: Nat): number {
  const roll = nat(60);
  return roll === 0 ? 0 : roll === 1 ? 2 : 1;
}

function spliced(text: string, at: number, cut: number, piece: string): string {
  return text.slice(0, at) + piece + text.slice(at + cut);
}

function splicedBytes(bytes: Uint8Array, at: number, cut: number, piece: Uint8Array): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...bytes.subarray(0, at), ...piece, ...bytes.subarray(at + cut)]);
}

/** The request on a socket, whose client ends its side then: with lies about length, or in chunks, or with odd bytes. */
function rawOf({ method, path, headers, body }: Omit<Mutant, "raw">, nat: Nat, pick: Pick): Uint8Array<ArrayBuffer> {
  const content = body ?? new Uint8Array(0);
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`);
  const framing = nat(3);
  const length = nat(3) === 0 ? pick([0, 5, content.length + 7, -1, 99_999_999, 1e30]) : content.length;
  if (framing === 0) lines.push("Transfer-Encoding: chunked\r\n");
  if (framing !== 0 || nat(8) === 0) lines.push(`Content-Length: ${length}\r\n`);
  if (nat(12) === 0)
    lines.push(
      pick(["X Y: z\r\n", "X: a\0b\r\n", ": x\r\n", "Host: y\r\n", "Expect: 100-continue\r\n", " folded\r\n"]),
    );
  const head = `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${lines.join("")}\r\n`;
  const chunks =
    framing === 0 ? [latin1(`${content.length.toString(16)}\r\n`), content, latin1("\r\n0\r\n\r\n")] : [content];
  let whole = joined([latin1(head), ...chunks]);
  if (nat(3) === 0) whole = splicedBytes(whole, nat(Math.min(whole.length, 200)), nat(3), Uint8Array.of(nat(256)));
  return whole;
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0) & 0xff);
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
