// The answers of a simulated engine, held against those of a real llama-server.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Fleet, startFleet } from "../../../dev/fleet/fleet.ts";
import { type Answer, type Ask, ask, events, readAnswer } from "./raw.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet({
    chat: [0],
    embed: [0],
    pace: { tokensPerSecond: 0, firstTokenMs: 0, context: 2048, dimensions: 128 },
  });
});
afterAll(() => fleet.close());

const served = (kind: "chat" | "embed") => fleet[kind][0] ?? 0;

/** The captured files were written after dechunking, so their end is the end of the file. */
function captured(name: string): Answer {
  const bytes = readFileSync(join(import.meta.dirname, "llama.cpp", name));
  const split = bytes.indexOf("\r\n\r\n");
  return { ...readAnswer(bytes).answer, body: bytes.subarray(split + 4).toString() };
}

/** What varies from answer to answer, by name; everything else must be the same to the letter. */
const VARIES = new Set(["content", "text", "id", "embedding"]);

/** The value with its members in their order, and without what varies. */
function skeleton(value: unknown, name = ""): unknown {
  if (Array.isArray(value)) {
    return typeof value[0] === "number" ? ["number", value.length] : value.map((item) => skeleton(item, name));
  }
  if (typeof value === "number") return "number";
  if (typeof value === "string") return VARIES.has(name) && value !== "" ? "string" : value;
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value).map(([key, member]) => [key, skeleton(member, key)]);
}

/** Runs of the same event are one: how many tokens there were does not matter. */
function streamSkeleton(body: string): string[] {
  const each = events(body).map((data) => (data === "[DONE]" ? data : JSON.stringify(skeleton(JSON.parse(data)))));
  return each.filter((event, i) => event !== each[i - 1]);
}

function headersOf({ headers }: Answer): (readonly [string, string])[] {
  const varies = ["Content-Length", "Process-Start-Time-Unix"];
  return headers.map(([name, value]) => [name, varies.includes(name) ? "" : value] as const);
}

const chat = { model: "heartcode-chat-sfw", messages: [{ role: "user", content: "Say something." }], max_tokens: 4 };
const completion = { model: "heartcode-chat-sfw", prompt: "Once upon a time", max_tokens: 3 };
const CHAT = "/v1/chat/completions";
const long = { ...completion, prompt: "x".repeat(4 * 20_019) };

const streams: [string, Ask][] = [
  ["chat-stream.http", { path: CHAT, body: { ...chat, stream: true } }],
  ["chat-stream-usage.http", { path: CHAT, body: { ...chat, stream: true, stream_options: { include_usage: true } } }],
  [
    "chat-stream-n2.http",
    { path: CHAT, body: { ...chat, n: 2, stream: true, stream_options: { include_usage: true } } },
  ],
  ["completion-stream.http", { path: "/v1/completions", body: { ...completion, stream: true } }],
];

const answers: [string, "chat" | "embed", Ask][] = [
  ["chat.http", "chat", { path: CHAT, body: chat }],
  ["completion.http", "chat", { path: "/v1/completions", body: completion }],
  ["count-tokens.http", "chat", { path: `${CHAT}/input_tokens`, body: chat }],
  ["models.http", "chat", { path: "/v1/models" }],
  ["embeddings.http", "embed", { path: "/v1/embeddings", body: { model: "heartcode-embed", input: ["one", "two"] } }],
  [
    "embeddings-base64.http",
    "embed",
    { path: "/v1/embeddings", body: { model: "heartcode-embed", input: "one", encoding_format: "base64" } },
  ],
];

const exact: [string, Ask][] = [
  ["health-ok.http", { path: "/health" }],
  ["slots.http", { path: "/slots" }],
  ["error-not-json.http", { path: CHAT, body: '{"model":' }],
  ["error-no-messages.http", { path: CHAT, body: { model: "heartcode-chat-sfw" } }],
  ["error-not-found.http", { path: "/nothing/here" }],
  ["error-embeddings-on-chat.http", { path: "/v1/embeddings", body: { input: "one" } }],
  ["error-context-exceeded.http", { path: "/v1/completions", body: long }],
  ["error-context-exceeded-stream.http", { path: "/v1/completions", body: { ...long, stream: true } }],
];

describe("an engine answers as llama-server does", () => {
  test.each(streams)("stream: %s", async (name, request) => {
    const real = captured(name);
    const ours = await ask(served("chat"), request);
    expect(ours.status).toBe(real.status);
    expect(headersOf(ours)).toEqual(headersOf(real));
    expect(streamSkeleton(ours.body)).toEqual(streamSkeleton(real.body));
    expect(ours.ending).toBe("complete");
  });

  test.each(answers)("whole: %s", async (name, kind, request) => {
    const real = captured(name);
    const ours = await ask(served(kind), request);
    expect(headersOf(ours)).toEqual(headersOf(real));
    expect(skeleton(JSON.parse(ours.body))).toEqual(skeleton(JSON.parse(real.body)));
  });

  test.each(exact)("to the byte: %s", async (name, request) => {
    const real = captured(name);
    const ours = await ask(served("chat"), request);
    expect(ours).toEqual({ ...real, ending: "complete" });
  });

  test("metrics are lines of the real ones", async () => {
    const real = captured("metrics.http");
    const ours = await ask(served("chat"), { path: "/metrics" });
    expect(headersOf(ours)).toEqual(headersOf(real));
    const lines = ours.body.split("\n").filter((line) => line.startsWith("#"));
    expect(lines.length).toBeGreaterThan(10);
    expect(real.body.split("\n")).toEqual(expect.arrayContaining(lines));
  });

  test("an error closes the connection, any other answer keeps it", async () => {
    const header = (answer: Answer, name: string) => answer.headers.find(([given]) => given === name)?.[1];
    const bad = await ask(served("chat"), { path: CHAT, body: {} });
    const good = await ask(served("chat"), { path: "/health" });
    expect([header(bad, "Connection"), header(bad, "Keep-Alive")]).toEqual(["close", undefined]);
    expect([header(good, "Connection"), header(good, "Keep-Alive")]).toEqual([undefined, "timeout=5, max=100"]);
  });
});
