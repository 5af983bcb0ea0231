// Who waits for a slot of a pool, and who is next: tiers by weight, tenants of a tier in turn, nobody past his deadline.
// Tiers are shared by start-time fair queueing (Goyal, Vin, Cheng 1996). No I/O; time is an argument.

export const TIER_WEIGHTS: Readonly<Record<string, number>> = { admin: 8, premium: 4, free: 1 };
/** Where a tier that is not in the table waits. */
const PLAIN_TIER = "free";

export interface Ticket {
  readonly tier: string;
  readonly tenant: string;
  /** ms. */
  readonly deadline: number;
}

interface Lane<T extends Ticket> {
  readonly weight: number;
  /** Virtual time at which its next ticket begins. */
  start: number;
  size: number;
  /** In the order of their turns; the tickets of a tenant in the order of their coming. */
  readonly tenants: Map<string, Set<T>>;
}

export type Admission<T extends Ticket> =
  | { readonly isAdmitted: false }
  /** `displaced` had to make room. */
  | { readonly isAdmitted: true; readonly displaced: T | null };

export class FairQueue<T extends Ticket> {
  readonly #limit: number;
  readonly #lanes = new Map<string, Lane<T>>(
    Object.entries(TIER_WEIGHTS).map(([tier, weight]) => [tier, { weight, start: 0, size: 0, tenants: new Map() }]),
  );
  #virtualTime = 0;
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#size;
  }

  /** A full queue takes from the tenant that fills it most for its weight: one flood must not lock out the rest. */
  push(ticket: T): Admission<T> {
    let displaced: T | null = null;
    if (this.#size >= this.#limit) {
      displaced = this.#greediest(ticket);
      if (displaced === null) return { isAdmitted: false };
      this.remove(displaced);
    }
    const lane = this.#laneOf(ticket.tier);
    if (lane.size === 0) lane.start = Math.max(lane.start, this.#virtualTime);
    const own = lane.tenants.get(ticket.tenant);
    if (own === undefined) lane.tenants.set(ticket.tenant, new Set([ticket]));
    else own.add(ticket);
    lane.size += 1;
    this.#size += 1;
    return { isAdmitted: true, displaced };
  }

  /** The next one; those whose deadline has passed are taken out on the way. */
  pop(now: number): { readonly next: T | null; readonly expired: readonly T[] } {
    const expired: T[] = [];
    for (;;) {
      const lane = this.#nextLane();
      if (lane === null) return { next: null, expired };
      const ticket = this.#shift(lane);
      if (ticket.deadline <= now) {
        expired.push(ticket);
        continue;
      }
      this.#virtualTime = lane.start;
      lane.start += 1 / lane.weight;
      return { next: ticket, expired };
    }
  }

  /** @returns false if it does not wait here. */
  remove(ticket: T): boolean {
    const lane = this.#laneOf(ticket.tier);
    const own = lane.tenants.get(ticket.tenant);
    if (own?.delete(ticket) !== true) return false;
    if (own.size === 0) lane.tenants.delete(ticket.tenant);
    lane.size -= 1;
    this.#size -= 1;
    return true;
  }

  /** Takes out everybody. */
  clear(): T[] {
    const all = [...this.#lanes.values()].flatMap(({ tenants }) => [...tenants.values()].flatMap((own) => [...own]));
    for (const ticket of all) this.remove(ticket);
    return all;
  }

  /** How many would be served before a newcomer of this tier and tenant, if nobody else came. */
  ahead(tier: string, tenant: string): number {
    const lane = this.#laneOf(tier);
    const turns = (lane.tenants.get(tenant)?.size ?? 0) + 1;
    let inLane = turns - 1;
    for (const [other, own] of lane.tenants) if (other !== tenant) inLane += Math.min(own.size, turns);
    let ahead = inLane;
    for (const other of this.#lanes.values()) {
      if (other !== lane) ahead += Math.min(other.size, Math.ceil(((inLane + 1) * other.weight) / lane.weight));
    }
    return ahead;
  }

  #laneOf(tier: string): Lane<T> {
    const lane = this.#lanes.get(tier) ?? this.#lanes.get(PLAIN_TIER);
    if (lane === undefined) throw new RangeError(`no tier ${PLAIN_TIER}`);
    return lane;
  }

  /** The lanes are in the order of their weight: it decides between equals. */
  #nextLane(): Lane<T> | null {
    let next: Lane<T> | null = null;
    for (const lane of this.#lanes.values())
      if (lane.size > 0 && (next === null || lane.start < next.start)) next = lane;
    return next;
  }

  /** The oldest ticket of the tenant whose turn it is; the tenant goes to the end of the line. */
  #shift(lane: Lane<T>): T {
    for (const [tenant, own] of lane.tenants) {
      for (const ticket of own) {
        this.remove(ticket);
        if (own.size > 0) {
          lane.tenants.delete(tenant);
          lane.tenants.set(tenant, own);
        }
        return ticket;
      }
    }
    throw new RangeError("the lane is empty");
  }

  /** The youngest ticket of the tenant that waits most for its weight, if that is more than the newcomer would. */
  #greediest(newcomer: T): T | null {
    const home = this.#laneOf(newcomer.tier);
    let most = ((home.tenants.get(newcomer.tenant)?.size ?? 0) + 1) / home.weight;
    let found: Set<T> | null = null;
    for (const lane of this.#lanes.values()) {
      for (const own of lane.tenants.values()) {
        if (own.size / lane.weight <= most) continue;
        most = own.size / lane.weight;
        found = own;
      }
    }
    return found === null ? null : ([...found].at(-1) ?? null);
  }
}
