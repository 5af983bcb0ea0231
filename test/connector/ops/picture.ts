// A connector's picture of itself, for tests that need one.
import type { ConnectorStatus, PoolStatus, SocketStatus } from "../../../connector/status.ts";

export const NOW = 1_000_000;

export const socket = (changes: Partial<SocketStatus> = {}): SocketStatus => ({
  shard: 0,
  slot: 0,
  state: "up",
  since: NOW - 60_000,
  heard_at: NOW - 1_000,
  round_trip: { at: NOW - 5_000, ms: 12 },
  refused_at: null,
  running: 1,
  dials: { up: 2, failed: 1 },
  cuts: 1,
  stalls: 3,
  trouble: null,
  ...changes,
});

export const pool = (states: PoolStatus["upstreams"][number]["state"][] = ["up", "down"]): PoolStatus => ({
  model: "heartcode-chat-sfw",
  queued: 2,
  retries: 5,
  refused: 4,
  ejections: 1,
  upstreams: states.map((state, at) => ({ url: `http://127.0.0.1:${8080 + at}`, state, in_flight: at, slots: 4 })),
});

export const picture = (changes: Partial<ConnectorStatus> = {}): ConnectorStatus => ({
  id: "onprem-1",
  edge: "wss://edge.example.com/uplink",
  agent: "test/1",
  instance: "i",
  started_at: NOW - 3_600_000,
  now: NOW,
  draining: false,
  shards: 2,
  sockets: [socket(), socket({ shard: 1 })],
  pools: [pool()],
  exchanges: { running: 3, undelivered: 1, retained_bytes: 2_048, resumed: 7, lost: 1 },
  traces: [{ name: "otlp", sent: 90, failed: 6, dropped: 3, queued: 2 }],
  ...changes,
});
