// The edge's figures in Prometheus' text format (exposition format 0.0.4): sums over all shards. No key in any label. Pure.
import type { HubStatus } from "../../shared/hop.ts";
import type { PoolReport } from "../../shared/wire/messages.ts";

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

type Labels = Readonly<Record<string, string | number>>;
type Sample = readonly [labels: Labels, value: number];

interface Metric {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  readonly samples: (hubs: readonly HubStatus[]) => Sample[];
}

const sum = (of: (hub: HubStatus) => number) => (hubs: readonly HubStatus[]) =>
  [[{}, hubs.reduce((total, hub) => total + of(hub), 0)]] as Sample[];

/** One sample for each name that any shard knows. */
const by =
  (label: string, of: (hub: HubStatus) => Readonly<Record<string, number>>) => (hubs: readonly HubStatus[]) => {
    const totals = new Map<string, number>();
    for (const hub of hubs) {
      for (const [name, value] of Object.entries(of(hub))) totals.set(name, (totals.get(name) ?? 0) + value);
    }
    return [...totals].map(([name, value]): Sample => [{ [label]: name }, value]);
  };

/** Of pools as their connectors tell it, on each of their sockets: the same pool counts once. */
const byPool = (of: (pool: PoolReport) => number) => (hubs: readonly HubStatus[]) => {
  const pools = new Map<string, PoolReport>();
  for (const { connector, pools: told } of hubs.flatMap((hub) => hub.links))
    for (const pool of told) pools.set(`${connector} ${pool.model}`, pool);
  const totals = new Map<string, number>();
  for (const pool of pools.values()) totals.set(pool.model, (totals.get(pool.model) ?? 0) + of(pool));
  return [...totals].map(([model, value]): Sample => [{ model }, value]);
};

export const METRICS: readonly Metric[] = [
  {
    name: "heartcode_edge_sockets",
    type: "gauge",
    help: "Uplink sockets that may take an exchange, by shard.",
    samples: (hubs) => hubs.map((hub, shard) => [{ shard }, hub.links.filter((link) => link.live).length]),
  },
  {
    name: "heartcode_edge_writable",
    type: "gauge",
    help: "Whether what a hub decides can be written down, by shard: 0 where the disk is full or cannot be written.",
    samples: (hubs) => hubs.map((hub, shard) => [{ shard }, hub.writable ? 1 : 0]),
  },
  {
    name: "heartcode_edge_slots",
    type: "gauge",
    help: "Requests that the healthy engines of all connectors can run at once, by pool.",
    samples: byPool((pool) => pool.slots),
  },
  {
    name: "heartcode_edge_queue_depth",
    type: "gauge",
    help: "Requests that wait at the connectors for a slot, by pool.",
    samples: byPool((pool) => pool.queued),
  },
  {
    name: "heartcode_edge_exchanges_running",
    type: "gauge",
    help: "Exchanges that run or wait for a connector.",
    samples: sum((hub) => hub.exchanges),
  },
  {
    name: "heartcode_edge_exchanges_total",
    type: "counter",
    help: "Exchanges that are over, by model and outcome.",
    samples: (hubs) => {
      const totals = new Map<string, Sample>();
      for (const { model, outcome, count } of hubs.flatMap((hub) => hub.outcomes)) {
        const known = totals.get(`${model} ${outcome}`)?.[1] ?? 0;
        totals.set(`${model} ${outcome}`, [{ model, outcome }, known + count]);
      }
      return [...totals.values()];
    },
  },
  {
    name: "heartcode_edge_held_bytes",
    type: "gauge",
    help: "Bytes of answers that clients have not taken yet.",
    samples: sum((hub) => hub.held_bytes),
  },
  {
    name: "heartcode_edge_resumes_total",
    type: "counter",
    help: "Answers that went on over another socket.",
    samples: sum((hub) => hub.resumed),
  },
  {
    name: "heartcode_edge_wire_violations_total",
    type: "counter",
    help: "Sockets closed because the connector broke the wire.",
    samples: sum((hub) => hub.violations),
  },
  {
    name: "heartcode_edge_window_stalls_total",
    type: "counter",
    help: "Times that a request body had to wait for credit, on the sockets that are open now.",
    samples: sum((hub) => hub.window_stalls),
  },
  {
    name: "heartcode_edge_lookups_total",
    type: "counter",
    help: "Key lookups at the backend, by how they ended.",
    samples: by("result", (hub) => hub.gate.lookups),
  },
  {
    name: "heartcode_edge_denials_total",
    type: "counter",
    help: "Requests refused by a limit, by its kind.",
    samples: by("limit", (hub) => hub.gate.denials),
  },
  {
    name: "heartcode_edge_leases",
    type: "gauge",
    help: "Exchanges that have tokens reserved.",
    samples: sum((hub) => hub.gate.leases),
  },
  {
    name: "heartcode_edge_settled_total",
    type: "counter",
    help: "Leases settled by an END.",
    samples: sum((hub) => hub.gate.settled),
  },
  {
    name: "heartcode_edge_tokens_total",
    type: "counter",
    help: "Tokens settled, by kind.",
    samples: by("kind", ({ gate }) => ({ prompt: gate.prompt_tokens, completion: gate.completion_tokens })),
  },
  {
    name: "heartcode_edge_leases_expired_total",
    type: "counter",
    help: "Leases that nobody settled in time, with those that cost nothing.",
    samples: sum((hub) => hub.gate.expired),
  },
  {
    name: "heartcode_edge_forfeited_tokens_total",
    type: "counter",
    help: "Tokens charged for leases that nobody settled.",
    samples: sum((hub) => hub.gate.forfeited_tokens),
  },
  {
    name: "heartcode_edge_leases_recovered_total",
    type: "counter",
    help: "Exchanges settled by what their connector kept: a hub was lost with their admission.",
    samples: sum((hub) => hub.gate.recovered),
  },
];

/** @param hubs in the order of their shards. */
export function renderMetrics(hubs: readonly HubStatus[]): string {
  const lines: string[] = [];
  for (const { name, type, help, samples } of METRICS) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    for (const [labels, value] of samples(hubs)) lines.push(`${name}${written(labels)} ${value}`);
  }
  return `${lines.join("\n")}\n`;
}

function written(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(String(value))}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
