// What Prometheus reads of the edge, judged by Prometheus' own rules.
import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { METRICS, renderMetrics } from "../../../edge/admin/metrics.ts";
import type { HubStatus, LinkStatus } from "../../../shared/hop.ts";

const link = (connector: string, queued: number): LinkStatus => ({
  connector,
  slot: 0,
  live: true,
  draining: false,
  running: 1,
  pools: [{ model: "chat", kind: "chat", upstreams: 2, healthy: 2, slots: 8, in_flight: 8, queued }],
});
const hub = (links: LinkStatus[]): HubStatus => ({
  links,
  exchanges: 2,
  held_bytes: 10,
  violations: 0,
  resumed: 1,
  window_stalls: 0,
  outcomes: [
    { model: "heartcode-default", outcome: "complete", count: 3 },
    { model: 'odd"\\\nname', outcome: "refused", count: 1 },
  ],
  gate: {
    leases: 1,
    lookups: { valid: 2 },
    denials: { requests: 4 },
    settled: 5,
    recovered: 1,
    prompt_tokens: 6,
    completion_tokens: 7,
    expired: 0,
    forfeited_tokens: 0,
    keys: [],
  },
  writable: true,
});
const HUBS = [hub([link("a", 3), link("b", 4)]), hub([link("a", 3), link("b", 4)])];

const lines = renderMetrics(HUBS).split("\n");

test("of both shards are added up", () => {
  expect(lines).toContain('heartcode_edge_exchanges_total{model="heartcode-default",outcome="complete"} 6');
  expect(lines).toContain('heartcode_edge_denials_total{limit="requests"} 8');
  expect(lines).toContain('heartcode_edge_tokens_total{kind="completion"} 14');
});

test("of a pool are counted once for each connector, on however many sockets it tells them", () => {
  expect(lines).toContain('heartcode_edge_queue_depth{model="chat"} 7');
  expect(lines).toContain('heartcode_edge_slots{model="chat"} 16');
});

test("a name that could break the format is escaped", () => {
  expect(lines).toContain('heartcode_edge_exchanges_total{model="odd\\"\\\\\\nname",outcome="refused"} 2');
});

const promtool = spawnSync("promtool", ["--version"]);
test.skipIf(promtool.error !== undefined)("pass promtool's check (skipped where promtool is not installed)", () => {
  const options = { input: renderMetrics(HUBS), encoding: "utf8" } as const;
  const { stdout, stderr, status } = spawnSync("promtool", ["check", "metrics"], options);
  expect([`${stdout}${stderr}`, status]).toEqual(["", 0]);
  expect(METRICS.length).toBeGreaterThan(10);
});
