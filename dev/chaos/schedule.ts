// Which fault comes when. Pure: the table of faults, and a schedule that follows from the seed alone.
import type { Random } from "./random.ts";

/** What a fault takes away for good. What it does not, no client and no bill may miss; what engines do is in their ledgers. */
export type Took =
  /** A connector's process, with the answers that it runs and what they have used. */
  | "connector"
  /** A socket, with the OPENs that were on their way. */
  | "socket"
  /** The edge's process, with the sockets of its clients. */
  | "edge"
  /** A hub's memory. */
  | "hub"
  /** Some answers of an engine, more of them than may be tried again, without a word in its ledger. */
  | "engine";

export interface FaultRow {
  readonly weight: number;
  readonly takes: readonly Took[];
  /** How long it may take the connector that it meets out of service. ms. */
  readonly outMs: number;
}

/** A socket that is dead in silence is found after 25 s at the latest, and redialled. */
const SILENT_MS = 30_000;
const NOTHING: readonly Took[] = [];
const SOCKET: readonly Took[] = ["socket"];
const HUB: readonly Took[] = ["hub"];
const CONNECTOR: readonly Took[] = ["connector", "socket"];
const ENGINE: readonly Took[] = ["engine"];
const EDGE: readonly Took[] = ["hub", "edge"];

export const FAULTS = {
  "uplink RST": { weight: 5, takes: SOCKET, outMs: 0 },
  "uplink FIN": { weight: 3, takes: SOCKET, outMs: 0 },
  "uplink cut inside a frame": { weight: 4, takes: SOCKET, outMs: 0 },
  "uplink stall": { weight: 2, takes: SOCKET, outMs: 3_000 },
  "uplink black hole": { weight: 1, takes: SOCKET, outMs: SILENT_MS },
  "cable pulled": { weight: 1, takes: SOCKET, outMs: SILENT_MS },
  "hub reset": { weight: 4, takes: HUB, outMs: 0 },
  "connector drain": { weight: 2, takes: NOTHING, outMs: 30_000 },
  "connector killed": { weight: 2, takes: CONNECTOR, outMs: 8_000 },
  "connector forced to stop": { weight: 1, takes: CONNECTOR, outMs: 8_000 },
  "connector frozen": { weight: 1, takes: SOCKET, outMs: 8_000 },
  "connector reloaded": { weight: 2, takes: NOTHING, outMs: 0 },
  "edge restart": { weight: 1, takes: EDGE, outMs: 0 },
  "engine refuses": { weight: 2, takes: ENGINE, outMs: 0 },
  "engine 500 burst": { weight: 2, takes: NOTHING, outMs: 0 },
  "engine resets before the head": { weight: 2, takes: NOTHING, outMs: 0 },
  "engine breaks off": { weight: 2, takes: ENGINE, outMs: 0 },
  "engine hangs before the head": { weight: 1, takes: ENGINE, outMs: 0 },
  "engine hangs in its answer": { weight: 1, takes: ENGINE, outMs: 0 },
  "engine loads": { weight: 1, takes: NOTHING, outMs: 0 },
  "engine slow": { weight: 1, takes: NOTHING, outMs: 0 },
  "backend away": { weight: 1, takes: NOTHING, outMs: 0 },
} satisfies Record<string, FaultRow>;
export type FaultKind = keyof typeof FAULTS;
export const FAULT_KINDS = Object.keys(FAULTS) as FaultKind[];

export interface Fault {
  readonly atMs: number;
  readonly kind: FaultKind;
  /** Which connector, shard or engine, and how long or how much, each in its own way. */
  readonly target: number;
  readonly amount: number;
}

/** Between two faults. ms. */
const GAP_MS = [1_200, 3_200] as const;

/** @param kinds of these only. */
export function scheduleOf(random: Random, totalMs: number, kinds: readonly FaultKind[] = FAULT_KINDS): Fault[] {
  const bag = kinds.flatMap((kind) => new Array<FaultKind>(FAULTS[kind].weight).fill(kind));
  const faults: Fault[] = [];
  // Every kind once before any comes twice, so that a short run sees all of them.
  const first = shuffled(random, kinds);
  for (let at = 2_000; at < totalMs; at += random.int(...GAP_MS)) {
    const kind = first.pop() ?? random.pick(bag);
    faults.push({ atMs: at, kind, target: random.int(0, 1_000), amount: random.int(0, 1_000) });
  }
  return faults;
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const bag = [...items];
  for (let i = bag.length - 1; i > 0; i -= 1) {
    const j = random.int(0, i);
    [bag[i], bag[j]] = [bag[j]!, bag[i]!];
  }
  return bag;
}
