// What one key has used and has reserved: requests and tokens of the minute, tokens of the day, and a lease for each exchange
// that runs. Pure: every change is an entry with its time, and the same entries give the same ledger again.
//
// The promise (a property in the tests): count each exchange, with the tokens that it used, at the time of its admission; then in
// every interval the sum is at most the limit plus what refills in it. A lease that settles below its reservation gives tokens
// back only as far as the bucket would be fuller today had it reserved no more than it used: what has overflowed since is gone.
import { available, type Bucket, fullBucket, refill, UNITS, waitMs } from "./bucket.ts";
import type { Limits } from "./tiers.ts";

export const DAY_MS = 86_400_000;

export interface Lease {
  readonly id: string;
  readonly at: number;
  /** Reserved. */
  readonly tokens: number;
  /** Of these, the prompt as it was estimated. */
  readonly prompt: number;
  readonly promptBytes: number;
  /** Of the pool. */
  readonly model: string;
  readonly tier: string;
  /** UTC day that pays for it. */
  readonly day: number;
  /** The OPEN whose END settles it. */
  attempt: number;
  /** ms; from then on nobody is waited for. */
  expiresAt: number;
  /** What it costs if nobody settles it. */
  forfeit: number;
  /** Units; the highest level of the token bucket since admission. */
  peak: number;
}

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

  private constructor(state: LedgerState) {
    this.#rates = state.rates;
    this.#requests = { ...state.requests };
    this.#tokens = { ...state.tokens };
    this.#day = state.day;
    this.#used = state.used;
    for (const lease of state.leases) this.#leases.set(lease.id, { ...lease });
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

  /** Without effect on what it says later. */
  standing(now: number): Standing {
    this.#advance(now);
    const { rpm, tpm, tokensPerDay } = this.#rates;
    return {
      requests: allowance(this.#requests, rpm, now),
      tokens: allowance(this.#tokens, tpm, now),
      day: {
        limit: tokensPerDay,
        remaining: Math.max(0, tokensPerDay - this.#used),
        resetMs: this.#used === 0 ? 0 : untilTomorrow(now),
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
      const retryAfterMs = untilTomorrow(now);
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
  admit(rates: Rates, lease: Omit<Lease, "peak" | "day" | "attempt" | "forfeit">): void {
    this.#rates = rates;
    this.#advance(lease.at);
    this.#requests.level -= UNITS;
    this.#tokens.level -= lease.tokens * UNITS;
    this.#used += lease.tokens;
    const own = { day: this.#day, attempt: 1, forfeit: lease.tokens, peak: this.#tokens.level };
    this.#leases.set(lease.id, { ...lease, ...own });
  }

  /** An exchange is over. Null: there is no such lease (any more), so that a second END changes nothing. */
  settle(id: string, used: number, now: number): Lease | null {
    const lease = this.#leases.get(id);
    if (lease === undefined) return null;
    this.#advance(now);
    this.#leases.delete(id);
    if (lease.day === this.#day) this.#used += used - lease.tokens;
    const capacity = this.#rates.tpm * UNITS;
    const unused = (lease.tokens - used) * UNITS;
    const back = unused <= 0 ? unused : Math.max(0, Math.min(unused, capacity - lease.peak));
    this.#tokens.level = Math.min(capacity, this.#tokens.level + back);
    // Seen from here the others, too, had a fuller bucket.
    if (back > 0) for (const other of this.#leases.values()) other.peak = Math.min(capacity, other.peak + back);
    return lease;
  }

  /** The exchange is opened anew: only the END of this attempt counts. */
  reopen(id: string, attempt: number): void {
    const lease = this.#leases.get(id);
    if (lease !== undefined) lease.attempt = attempt;
  }

  /** Nobody may be left to settle it: waits no longer than `until` and costs `forfeit` then. */
  hasten(id: string, until: number, forfeit: number): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.expiresAt = Math.min(lease.expiresAt, until);
    lease.forfeit = forfeit;
  }

  rest(): LedgerState {
    return {
      rates: this.#rates,
      requests: { ...this.#requests },
      tokens: { ...this.#tokens },
      day: this.#day,
      used: this.#used,
      leases: [...this.#leases.values()],
    };
  }

  #advance(now: number): void {
    refill(this.#requests, this.#rates.rpm, now);
    refill(this.#tokens, this.#rates.tpm, now);
    const { level } = this.#tokens;
    for (const lease of this.#leases.values()) if (lease.peak < level) lease.peak = level;
    // A clock that was set back does not open a new day.
    if (dayOf(now) <= this.#day) return;
    this.#day = dayOf(now);
    this.#used = 0;
  }
}

function allowance(bucket: Bucket, limit: number, now: number): Allowance {
  return { limit, remaining: available(bucket), resetMs: waitMs(bucket, limit, limit, now) };
}

export function dayOf(now: number): number {
  return Math.floor(now / DAY_MS);
}

function untilTomorrow(now: number): number {
  return (dayOf(now) + 1) * DAY_MS - now;
}
