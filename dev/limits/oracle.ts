// What a bucket must hold, from its history alone and without a word of the product's code: it fills by the clock, overflows at
// its capacity, and each exchange pays at the time of its admission what it used, as far as that is known by now. Pure.

export interface Charge {
  readonly at: number;
  /** Null while it runs: then all that was reserved counts. */
  used: number | null;
  readonly reserved: number;
}

export class Oracle {
  readonly #limit: number;
  /** Milli-tokens of the limit's minute: `limit` of them a millisecond, 60,000 to a token. */
  #level: number;
  #at: number;
  /** What may still change, and what came after it. */
  readonly #events: { readonly at: number; readonly charge?: Charge; readonly excess?: number }[] = [];

  constructor(limit: number, now: number) {
    this.#limit = limit;
    this.#level = limit * 60_000;
    this.#at = now;
  }

  admit(charge: Charge): void {
    this.#events.push({ at: charge.at, charge });
  }

  /** What was used beyond the reservation is paid when it is known. */
  settle(charge: Charge, now: number): void {
    this.#events.push({ at: now, excess: Math.max(0, (charge.used ?? 0) - charge.reserved) });
    while (this.#events.length > 0 && this.#events[0]!.charge?.used !== null) {
      const { at, charge: paid, excess } = this.#events.shift()!;
      this.#level = this.#after(this.#level, this.#at, at) - cost(paid, excess) * 60_000;
      this.#at = at;
    }
  }

  /** Whether so many fit now. */
  fits(tokens: number, now: number): boolean {
    return this.#levelAt(now) >= tokens * 60_000;
  }

  /** When so many fit, if nothing else happens until then. ms. */
  fitsAt(tokens: number, now: number): number {
    return now + Math.max(0, Math.ceil((tokens * 60_000 - this.#levelAt(now)) / this.#limit));
  }

  #levelAt(now: number): number {
    let level = this.#level;
    let at = this.#at;
    for (const event of this.#events) {
      level = this.#after(level, at, event.at) - cost(event.charge, event.excess) * 60_000;
      at = event.at;
    }
    return this.#after(level, at, now);
  }

  #after(level: number, from: number, to: number): number {
    return Math.min(this.#limit * 60_000, level + (to - from) * this.#limit);
  }
}

function cost(charge: Charge | undefined, excess = 0): number {
  return charge === undefined ? excess : Math.min(charge.used ?? charge.reserved, charge.reserved);
}
