// Metrics that are read off the connector's picture of itself when somebody asks for them: two tables, name, what it is,
// labels, rows. Nothing is counted here.
import { Counter, Gauge, type Registry } from "prom-client";
import type { ConnectorStatus } from "../status.ts";
import { isReady } from "./readiness.ts";

const UPSTREAM_STATES = ["unknown", "up", "loading", "down", "ejected"] as const;

export const name = (rest: string): string => `heartcode_connector_${rest}`;

type Row = readonly [value: number, labels?: Readonly<Record<string, string>>];
type Rows = (status: ConnectorStatus) => Row[];

/** Metrics that are read off the connector's picture of itself: name, what it is, its labels, its rows. */
const GAUGES: readonly (readonly [string, string, readonly string[], Rows])[] = [
  ["ready", "1 if a request can be served.", [], (status) => [[isReady(status) ? 1 : 0]]],
  ["draining", "1 while the connector leaves.", [], (status) => [[status.draining ? 1 : 0]]],
  ["sockets_wanted", "Sockets that the edge asks for: one for each shard.", [], (status) => [[status.shards]]],
  [
    "socket_up",
    "1 if the socket to the shard is up.",
    ["shard"],
    (status) => perSocket(status, ({ state }) => (state === "up" ? 1 : 0)),
  ],
  [
    "socket_silence_seconds",
    "Since the last inbound byte of the socket; absent while it is down.",
    ["shard"],
    (status) => perSocket(status, ({ heard_at }) => (heard_at === null ? null : (status.now - heard_at) / 1000)),
  ],
  [
    "socket_round_trip_seconds",
    "The last round trip to the edge.",
    ["shard"],
    (status) => perSocket(status, ({ round_trip }) => (round_trip === null ? null : round_trip.ms / 1000)),
  ],
  ["exchanges_running", "Exchanges that run or wait now.", [], (status) => [[status.exchanges.running]]],
  [
    "exchanges_undelivered",
    "Exchanges that are over and not yet delivered and acknowledged.",
    [],
    (status) => [[status.exchanges.undelivered]],
  ],
  [
    "retained_bytes",
    "Bytes of answers that are kept in case their socket is lost.",
    [],
    (status) => [[status.exchanges.retained_bytes]],
  ],
  [
    "trace_spans_queued",
    "Spans that wait or are on their way.",
    ["target"],
    ({ traces }) => traces.map(({ name: target, queued }): Row => [queued, { target }]),
  ],
  ["queue_depth", "Requests that wait for a slot.", ["model"], (status) => perPool(status, ({ queued }) => queued)],
  [
    "slots",
    "Requests that the usable upstreams can run at once.",
    ["model"],
    (status) => perPool(status, ({ upstreams }) => sum(upstreams, (one) => (one.state === "up" ? one.slots : 0))),
  ],
  [
    "slots_busy",
    "Requests that run at an upstream.",
    ["model"],
    (status) => perPool(status, ({ upstreams }) => sum(upstreams, (one) => one.in_flight)),
  ],
  [
    "upstreams",
    "Upstreams by state.",
    ["model", "state"],
    ({ pools }) =>
      pools.flatMap(({ model, upstreams }) =>
        UPSTREAM_STATES.map((state): Row => [upstreams.filter((one) => one.state === state).length, { model, state }]),
      ),
  ],
];

const COUNTERS: typeof GAUGES = [
  [
    "dials_total",
    "Dials of the edge.",
    ["shard", "outcome"],
    ({ sockets }) =>
      sockets.flatMap(({ shard, dials }): Row[] => [
        [dials.up, { shard: String(shard), outcome: "up" }],
        [dials.failed, { shard: String(shard), outcome: "failed" }],
      ]),
  ],
  [
    "socket_cuts_total",
    "Sockets lost after they had been up.",
    ["shard"],
    (status) => perSocket(status, ({ cuts }) => cuts),
  ],
  [
    "window_stalls_total",
    "How often an answer had to wait for credit.",
    ["shard"],
    (status) => perSocket(status, ({ stalls }) => stalls),
  ],
  [
    "resumes_total",
    "Answers whose socket was lost: whether they went on over another.",
    ["outcome"],
    ({ exchanges: { resumed, lost } }) => [
      [resumed, { outcome: "resumed" }],
      [lost, { outcome: "lost" }],
    ],
  ],
  [
    "trace_spans_total",
    "Spans by what became of them: sent, failed (not taken) or dropped (never made, for want of room).",
    ["target", "outcome"],
    ({ traces }) =>
      traces.flatMap(({ name: target, sent, failed, dropped }): Row[] => [
        [sent, { target, outcome: "sent" }],
        [failed, { target, outcome: "failed" }],
        [dropped, { target, outcome: "dropped" }],
      ]),
  ],
  ["retries_total", "Requests sent again.", ["model"], (status) => perPool(status, ({ retries }) => retries)],
  [
    "queue_full_total",
    "Requests turned away because the queue was full or their time would not do.",
    ["model"],
    (status) => perPool(status, ({ refused }) => refused),
  ],
  [
    "ejections_total",
    "Upstreams taken out because they failed again and again.",
    ["model"],
    (status) => perPool(status, ({ ejections }) => ejections),
  ],
];

/** @param picture of the scrape that is made now. */
export function addPicture(registry: Registry, picture: () => ConnectorStatus | null, agent: string): void {
  const registers = [registry];
  const read = (rows: Rows): Row[] => {
    const now = picture();
    return now === null ? [] : rows(now);
  };
  for (const [rest, help, labelNames, rows] of GAUGES) {
    new Gauge({
      name: name(rest),
      help,
      labelNames,
      registers,
      collect() {
        this.reset();
        for (const [value, labels = {}] of read(rows)) this.set(labels, value);
      },
    });
  }
  for (const [rest, help, labelNames, rows] of COUNTERS) {
    new Counter({
      name: name(rest),
      help,
      labelNames,
      registers,
      collect() {
        // The connector counts; this only says how far.
        this.reset();
        for (const [value, labels = {}] of read(rows)) this.inc(labels, value);
      },
    });
  }
  const info = new Gauge({ name: name("build_info"), help: "Always 1.", labelNames: ["agent", "node"], registers });
  info.set({ agent, node: process.version }, 1);
}

function perSocket(
  { sockets }: ConnectorStatus,
  read: (socket: ConnectorStatus["sockets"][number]) => number | null,
): Row[] {
  return sockets.flatMap((socket): Row[] => {
    const value = read(socket);
    return value === null ? [] : [[value, { shard: String(socket.shard) }]];
  });
}

function perPool({ pools }: ConnectorStatus, read: (pool: ConnectorStatus["pools"][number]) => number): Row[] {
  return pools.map((pool): Row => [read(pool), { model: pool.model }]);
}

function sum<T>(rows: readonly T[], read: (row: T) => number): number {
  return rows.reduce((all, row) => all + read(row), 0);
}
