// Which fault is due, and whom it meets. Pure: chance and how the connectors stand come in.
import type { Random } from "../chaos/random.ts";

export const FAULTS = ["RST", "black hole", "hub reset", "drain"] as const;
export type Fault = (typeof FAULTS)[number];

/** How a connector stands. */
export interface Standing {
  /** It drains, or is on its way back, or a hub does not see it. */
  readonly isAway: boolean;
  /** Some socket of it is a black hole, and it has not noticed. */
  readonly isSilent: boolean;
}

export interface Turn {
  readonly fault: Fault;
  /** Of a connector, or of a shard where a hub is reset. */
  readonly target: number;
  /** Which way of a black hole swallows; both if not told. */
  readonly way?: "up" | "down";
}

/** Most roads that are lost in silence are lost both ways. */
const HALF_HOLES = 0.4;

/** By turns: each round brings each fault once, in an order of its own. */
export class Wheel {
  readonly #random: Random;
  readonly #faults: readonly Fault[];
  #round: Fault[] = [];

  constructor(random: Random, faults: readonly Fault[] = FAULTS) {
    this.#random = random;
    this.#faults = faults;
  }

  /**
   * A connector is never taken out while no other one is in service: nobody could serve then. Where a fault finds no target
   * for that reason, its turn is an RST.
   */
  next(standings: readonly Standing[], shards: number): Turn {
    if (this.#round.length === 0) this.#round = shuffled(this.#random, this.#faults);
    const fault = this.#round.pop()!;
    if (fault === "hub reset") return { fault, target: this.#random.int(0, shards - 1) };
    const all = standings.map((_, index) => index);
    if (fault === "RST") return { fault, target: this.#random.pick(all) };
    const targets = all.filter((index) => mayLeave(standings, index, fault));
    if (targets.length > 0) return this.#at(fault, this.#random.pick(targets));
    return { fault: "RST", target: this.#random.pick(all) };
  }

  #at(fault: Fault, target: number): Turn {
    if (fault !== "black hole" || this.#random.next() >= HALF_HOLES) return { fault, target };
    return { fault, target, way: this.#random.pick(["up", "down"] as const) };
  }
}

function mayLeave(standings: readonly Standing[], index: number, fault: Fault): boolean {
  const { isAway, isSilent } = standings[index]!;
  if (isAway || (isSilent && fault === "black hole")) return false;
  return standings.some((other, at) => at !== index && !other.isAway && !other.isSilent);
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const bag = [...items];
  for (let i = bag.length - 1; i > 0; i -= 1) {
    const j = random.int(0, i);
    [bag[i], bag[j]] = [bag[j]!, bag[i]!];
  }
  return bag;
}
