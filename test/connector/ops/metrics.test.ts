// What Prometheus reads, and that it is what Prometheus' own rules ask for.
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import type { Observed } from "../../../connector/observe.ts";
import { Metrics } from "../../../connector/ops/metrics.ts";
import type { End } from "../../../shared/wire/messages.ts";
import { picture } from "./picture.ts";

const run = (changes: Partial<Observed> = {}, target = "heartcode-chat-sfw"): Observed => ({
  open: {
    exchange: "req_secret",
    attempt: 1,
    target,
    method: "POST",
    path: "/v1/chat/completions",
    headers: [],
    length: 0,
    limit: 0,
    deadline_ms: 1,
    tier: "premium",
    tenant: "tenant-of-somebody",
    dialect: null,
  },
  openedAt: 1_000,
  startedAt: 1_200,
  firstByteAt: 1_700,
  firstChunkAt: 1_700,
  attempts: 1,
  upstream: "http://127.0.0.1:8080",
  status: 200,
  detail: undefined,
  isWithdrawn: false,
  answerBytes: () => new Uint8Array(0),
  ...changes,
});
const end = (changes: Partial<End> = {}): End => ({
  exchange: "req_secret",
  attempt: 1,
  outcome: "complete",
  bytes: 300,
  usage: { prompt_tokens: 11, completion_tokens: 22, source: "engine" },
  timings: { queue_ms: 200, first_byte_ms: 700, total_ms: 2_000 },
  failure: null,
  ...changes,
});

/** Samples by name and labels. */
async function read(metrics: Metrics, status = picture()): Promise<Map<string, number>> {
  const lines = (await metrics.text(status)).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]));
}

const SFW = 'model="heartcode-chat-sfw"';

describe("metrics", () => {
  test("count an exchange once, when it has ended", async () => {
    const metrics = new Metrics("test/1", () => 0);
    metrics.ended(run(), end(), 3_000);
    const samples = await read(metrics);
    const name = (rest: string) => `heartcode_connector_${rest}`;
    expect(samples.get(name(`exchanges_total{${SFW},outcome="complete"}`))).toBe(1);
    expect(samples.get(name(`tokens_total{${SFW},kind="prompt"}`))).toBe(11);
    expect(samples.get(name(`tokens_total{${SFW},kind="completion"}`))).toBe(22);
    expect(samples.get(name(`answer_bytes_total{${SFW}}`))).toBe(300);
    expect(samples.get(name(`queue_wait_seconds_sum{${SFW}}`))).toBeCloseTo(0.2);
    expect(samples.get(name(`first_byte_seconds_sum{${SFW}}`))).toBeCloseTo(0.7);
    expect(samples.get(name(`exchange_seconds_sum{${SFW}}`))).toBeCloseTo(2);
    expect(samples.get(name('lookups_total{outcome="complete"}'))).toBe(0);
  });

  test("count a lookup apart, a failure by its code, and a withdrawn run not at all", async () => {
    const metrics = new Metrics("test/1", () => 0);
    metrics.ended(run({}, "backend"), end({ usage: null }), 1_050);
    metrics.ended(run({ status: 500 }, "backend"), end({ usage: null }), 1_000);
    metrics.ended(run({ status: 502 }, "backend"), end({ usage: null, outcome: "cancelled" }), 1_000);
    metrics.ended(run(), end({ outcome: "failed", failure: { code: "upstream_error" } }), 2_000);
    metrics.ended(run(), end({ outcome: "failed", failure: { code: "whatever an engine says" } }), 2_000);
    metrics.ended(run({ isWithdrawn: true }), end({ outcome: "cancelled" }), 2_000);
    const samples = await read(metrics);
    expect(samples.get('heartcode_connector_lookups_total{outcome="complete"}')).toBe(1);
    expect(samples.get('heartcode_connector_lookups_total{outcome="failed"}')).toBe(1);
    expect(samples.get('heartcode_connector_lookups_total{outcome="cancelled"}')).toBe(1);
    expect(samples.get("heartcode_connector_lookup_seconds_sum")).toBeCloseTo(0.05);
    expect(samples.get(`heartcode_connector_failures_total{${SFW},code="upstream_error"}`)).toBe(1);
    expect(samples.get(`heartcode_connector_failures_total{${SFW},code="engine"}`)).toBe(1);
    expect(samples.get(`heartcode_connector_exchanges_total{${SFW},outcome="cancelled"}`)).toBe(0);
  });

  test("read the rest off the picture of the very scrape", async () => {
    const metrics = new Metrics("test/1", () => 0);
    await read(metrics, picture({ shards: 9 }));
    const samples = await read(metrics);
    const expected: [string, number][] = [
      ["sockets_wanted", 2],
      ['socket_up{shard="1"}', 1],
      ['socket_silence_seconds{shard="0"}', 1],
      ['dials_total{shard="0",outcome="failed"}', 1],
      ['window_stalls_total{shard="0"}', 3],
      ['resumes_total{outcome="resumed"}', 7],
      [`queue_depth{${SFW}}`, 2],
      [`upstreams{${SFW},state="down"}`, 1],
      [`slots{${SFW}}`, 4],
      [`ejections_total{${SFW}}`, 1],
      ['trace_spans_total{target="otlp",outcome="dropped"}', 3],
      ['trace_spans_queued{target="otlp"}', 2],
    ];
    for (const [name, value] of expected)
      expect([name, samples.get(`heartcode_connector_${name}`)]).toEqual([name, value]);
  });

  test("count the lines that the log has dropped", async () => {
    let lines = 3;
    const metrics = new Metrics("test/1", () => lines);
    expect((await read(metrics)).get("heartcode_connector_log_lines_dropped_total")).toBe(3);
    lines = 5;
    expect((await read(metrics)).get("heartcode_connector_log_lines_dropped_total")).toBe(5);
  });

  test("name no key, no tenant, no request and no address", async () => {
    const metrics = new Metrics("test/1", () => 0);
    metrics.ended(run(), end(), 3_000);
    const text = await metrics.text(picture());
    expect(text).not.toMatch(/tenant-of|req_secret|127\.0\.0\.1|premium/);
  });

  const promtool = spawnSync("promtool", ["--version"]);
  test.skipIf(promtool.error !== undefined)(
    "pass promtool's check (skipped where promtool is not installed)",
    async () => {
      const metrics = new Metrics("test/1", () => 0);
      metrics.ended(run(), end(), 3_000);
      metrics.ended(run({}, "backend"), end(), 3_000);
      const text = await metrics.text(picture());
      // prom-client's own process_ and nodejs_ metrics do not follow every rule.
      const ours = text
        .split("\n\n")
        .filter((block) => block.includes("heartcode_connector_"))
        .join("\n");
      const { stdout, stderr, status } = spawnSync("promtool", ["check", "metrics"], {
        input: `${ours}\n`,
        encoding: "utf8",
      });
      expect(`${stdout}${stderr}`).toBe("");
      expect(status).toBe(0);
    },
  );
});
