// What one key has used and has reserved: requests and tokens of the minute, tokens of the day, and a lease for each exchange
// that runs. Pure: every change is an entry with its time, and the same entries give the same ledger again.
//
// The promise (a property in the tests): count each exchange, with the tokens that it used, at the time of its admission; then in
// every interval the sum is at most the limit plus what refills in it, and what was used beyond reservations. A lease that
// settles below its reservation gives back exactly as much as the bucket would be fuller today had it reserved no more than it
// used: what would have overflowed since is gone. For that the ledger knows the highest levels of the past: one for each open
// lease, from its admission to the admission of the next one.
import { available, type Bucket, fullBucket, refill, UNITS, waitMs } from "./bucket.ts";
import { isAnew, type Lease, type Told } from "./lease.ts";
import type { Limits } from "./tiers.ts";

export const DAY_MS = 86_400_000;

/** The numbers of a ledger's limits. */
export type Rates = Pick<Limits, "rpm" | "tpm" | "tokensPerDay">;

/** A ledger at rest, as JSON. */
export interface LedgerState {
  readonly rates: Rates;
  readonly requests: Bucket;
  readonly tokens: Bucket;
  readonly day: number;
  readonly used: number;
  readonly leases: readonly Lease[];
}

export type Denial = {
  readonly kind: "too_large" | "daily" | "requests" | "tokens";
  readonly limit: number;
  readonly used: number;
  readonly requested: number;
  /** Until the same request fits; null where it never will. */
  readonly retryAfterMs: number | null;
};

/** How a key stands at a moment. */
export interface Standing {
  readonly requests: Allowance;
  readonly tokens: Allowance;
  readonly day: Allowance;
}

export interface Allowance {
  readonly limit: number;
  readonly remaining: number;
  /** ms until all of the limit is there again. */
  readonly resetMs: number;
}

export class Ledger {
  #rates: Rates;
  readonly #requests: Bucket;
  readonly #tokens: Bucket;
  #day: number;
  #used: number;
  readonly #leases = new Map<string, Lease>();
  /** The same in the order of admission: the last one sees the bucket now. */
  readonly #order: Lease[] = [];

  private constructor(state: LedgerState) {
    this.#rates = state.rates;
    this.#requests = { ...state.requests };
    this.#tokens = { ...state.tokens };
    this.#day = state.day;
    this.#used = state.used;
    for (const lease of state.leases) this.#add({ ...lease });
  }

  static fresh(rates: Rates, now: number): Ledger {
    const requests = fullBucket(rates.rpm, now);
    const tokens = fullBucket(rates.tpm, now);
    return new Ledger({ rates, requests, tokens, day: dayOf(now), used: 0, leases: [] });
  }

  static restored(state: LedgerState): Ledger {
    return new Ledger(state);
  }

  get leases(): ReadonlyMap<string, Lease> {
    return this.#leases;
  }

  /** Takes nothing. @param rates of today; without them the ledger's last ones hold. */
  standing(now: number, rates: Rates = this.#rates): Standing {
    this.#rates = rates;
    this.#advance(now);
    const { rpm, tpm, tokensPerDay } = rates;
    return {
      requests: allowance(this.#requests, rpm, now),
      tokens: allowance(this.#tokens, tpm, now),
      day: {
        limit: tokensPerDay,
        remaining: Math.max(0, tokensPerDay - this.#used),
        resetMs: this.#used === 0 ? 0 : this.#tomorrow(now),
      },
    };
  }

  /** Whether a request of so many tokens fits all limits; nothing is taken. */
  check(rates: Rates, tokens: number, now: number): Denial | null {
    this.#rates = rates;
    this.#advance(now);
    const { rpm, tpm, tokensPerDay } = rates;
    const tooLarge = tokens > tpm ? tpm : tokens > tokensPerDay ? tokensPerDay : null;
    if (tooLarge !== null)
      return { kind: "too_large", limit: tooLarge, used: 0, requested: tokens, retryAfterMs: null };
    if (this.#used + tokens > tokensPerDay) {
      const retryAfterMs = this.#tomorrow(now);
      return { kind: "daily", limit: tokensPerDay, used: this.#used, requested: tokens, retryAfterMs };
    }
    const forRequests = waitMs(this.#requests, rpm, 1, now);
    const forTokens = waitMs(this.#tokens, tpm, tokens, now);
    if (forRequests === 0 && forTokens === 0) return null;
    // The one that takes longer: to come back for the other would be in vain.
    return forRequests >= forTokens
      ? { kind: "requests", limit: rpm, used: rpm - available(this.#requests), requested: 1, retryAfterMs: forRequests }
      : { kind: "tokens", limit: tpm, used: tpm - available(this.#tokens), requested: tokens, retryAfterMs: forTokens };
  }

  /** Takes what {@link check} found to fit. */
  admit(
    rates: Rates,
    lease: Omit<Lease, "peak" | "day" | "attempt" | "forfeit" | "accepted" | "unknown" | "told" | "lostAt">,
  ): void {
    this.#rates = rates;
    this.#advance(lease.at);
    this.#requests.level -= UNITS;
    this.#tokens.level -= lease.tokens * UNITS;
    this.#used += lease.tokens;
    this.#add({ ...lease, day: this.#day, attempt: 1, forfeit: 0, peak: this.#tokens.level });
  }

  /** An exchange is over. Null: there is no such lease (any more), so that a second END changes nothing. */
  settle(id: string, used: number, now: number): Lease | null {
    const lease = this.#leases.get(id);
    if (lease === undefined) return null;
    this.#advance(now);
    if (lease.day === this.#day) this.#used = Math.max(0, this.#used + used - lease.tokens);
    const unused = (lease.tokens - used) * UNITS;
    const at = this.#order.indexOf(lease);
    if (unused > 0) this.#giveBack(at, unused);
    else this.#tokens.level += unused;
    this.#remove(at);
    return lease;
  }

  /** An exchange ran without a lease here: it is paid for after the event. @param at ms; when it was let in. */
  owe(used: number, at: number, now: number): void {
    this.#advance(now);
    this.#requests.level -= UNITS;
    this.#tokens.level -= used * UNITS;
    if (dayOf(at) === this.#day) this.#used += used;
  }

  /** A connector answers for it. */
  accept(id: string, attempt: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.forfeit = lease.tokens;
    lease.accepted = Math.max(attempt, lease.accepted ?? 0);
  }

  /** The exchange is opened anew: only the END of this attempt counts. */
  reopen(id: string, attempt: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.attempt = attempt;
    delete lease.lostAt;
  }

  /** Another attempt than the one that counts is over. */
  tell(id: string, told: Told): void {
    const lease = this.#leases.get(id);
    if (lease !== undefined) lease.told = told;
  }

  /** Nobody has answered its client, but this attempt of it may have run: its END is waited for, and without one it costs nothing. */
  unserve(id: string, attempt: number, until: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.attempt = attempt;
    lease.forfeit = 0;
    this.hasten(id, until);
  }

  /** A life of the hub has ended, and with it what was on its way. */
  lose(at: number): void {
    for (const lease of this.#order) {
      if (isAnew(lease.lostAt, at)) lease.lostAt = at;
      lease.unknown = Math.max(lease.attempt, lease.unknown ?? 0);
    }
  }

  /** Its Worker goes on with it: it has the head, so a connector has answered for it, also where the hub was lost before it wrote that down. */
  claim(id: string): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    delete lease.lostAt;
    this.accept(id, lease.attempt);
  }

  /** Nobody may be left to settle it: waits no longer than `until`. */
  hasten(id: string, until: number): void {
    const lease = this.#leases.get(id);
    if (lease !== undefined) lease.expiresAt = Math.min(lease.expiresAt, until);
  }

  rest(): LedgerState {
    return {
      rates: this.#rates,
      requests: { ...this.#requests },
      tokens: { ...this.#tokens },
      day: this.#day,
      used: this.#used,
      leases: [...this.#order],
    };
  }

  #advance(now: number): void {
    refill(this.#requests, this.#rates.rpm, now);
    refill(this.#tokens, this.#rates.tpm, now);
    const { level } = this.#tokens;
    const newest = this.#order.at(-1);
    if (newest !== undefined && newest.peak < level) newest.peak = level;
    const day = dayOf(now);
    if (day === this.#day) return;
    if (day > this.#day) this.#used = 0;
    // A clock that was set back does not open a new day; but no key waits for a day that came by mistake.
    else if (day >= this.#day - 1) return;
    this.#day = day;
  }

  /** Lifts all levels since the admission of the lease at that place, each as far as there was room under the capacity then. */
  #giveBack(at: number, unused: number): void {
    const capacity = this.#rates.tpm * UNITS;
    let highest = Number.NEGATIVE_INFINITY;
    let lift = unused;
    for (let i = at; i < this.#order.length; i += 1) {
      const one = this.#order[i]!;
      highest = Math.max(highest, one.peak);
      lift = Math.max(0, Math.min(unused, capacity - highest));
      one.peak += lift;
    }
    this.#tokens.level = Math.min(capacity, this.#tokens.level + lift);
  }

  #add(lease: Lease): void {
    this.#leases.set(lease.id, lease);
    this.#order.push(lease);
  }

  /** What it saw is seen by the one before it, if that still matters to anyone. */
  #remove(at: number): void {
    const [lease] = this.#order.splice(at, 1);
    const before = this.#order[at - 1];
    if (lease === undefined) return;
    if (before !== undefined && before.peak < lease.peak) before.peak = lease.peak;
    this.#leases.delete(lease.id);
  }

  #tomorrow(now: number): number {
    return (this.#day + 1) * DAY_MS - now;
  }
}

function allowance(bucket: Bucket, limit: number, now: number): Allowance {
  return { limit, remaining: available(bucket), resetMs: waitMs(bucket, limit, limit, now) };
}

export function dayOf(now: number): number {
  return Math.floor(now / DAY_MS);
}

/** Of each limit; with less than that left, one admission more or less may decide over the next one. */
const SCARCE_PART = 0.1;

export function isScarce({ requests, tokens, day }: Standing): boolean {
  return [requests, tokens, day].some(({ limit, remaining }) => remaining < limit * SCARCE_PART);
}
