// What an exchange costs when it is over: by the END that counts, by another one, or without any. Pure.
import type { End } from "../../shared/wire/messages.ts";
import type { Books, Entry } from "./books.ts";
import { readDebt } from "./debt.ts";
import type { Estimates } from "./estimate.ts";
import { type Lease, ORPHAN_MS, silentRun, type Told, wordOf } from "./lease.ts";
import { usedBy } from "./toll.ts";
import type { Totals } from "./totals.ts";

/** What an exchange has cost without the END that was waited for. */
export interface Cost {
  readonly id: string;
  readonly tokens: number;
  /** The END of an earlier attempt, if that is what it costs. */
  readonly told: Told | null;
  /** Since its admission. */
  readonly ageMs: number;
}

interface ChargesOptions {
  readonly books: Books;
  readonly estimates: Estimates;
  readonly totals: Totals;
  readonly write: (entry: Entry) => void;
  /** How long after its admission an END may come. */
  readonly owedMs: number;
}

export class Charges {
  readonly #options: ChargesOptions;

  constructor(options: ChargesOptions) {
    this.#options = options;
  }

  /** @returns the tokens that it cost, if this END was what settled it. */
  settle(end: End, now: number): number | null {
    const { books, estimates, totals, write } = this.#options;
    const lease = books.lease(end.exchange);
    if (lease === undefined) return this.#recover(end, now);
    const used = usedBy(end, lease, estimates.of(lease.model, lease.promptBytes));
    if (lease.attempt !== end.attempt) {
      this.#hear(end, lease, used);
      return null;
    }
    if (end.usage?.source === "engine") estimates.learn(lease.model, lease.promptBytes, end.usage.prompt_tokens);
    totals.settled(end.usage);
    write(["settle", end.exchange, used, now]);
    return used;
  }

  unserved(id: string, unheard: number, now: number): Cost | null {
    const { books, write } = this.#options;
    const lease = books.lease(id);
    if (lease === undefined) return null;
    const silent = silentRun(lease, unheard);
    if (silent === null) return this.#close(lease, lease.told ?? null, 0, now);
    write(["unserve", id, silent, now + ORPHAN_MS]);
    return null;
  }

  /** Those that nobody is waited for any more. */
  expired(now: number): Cost[] {
    const { books, totals } = this.#options;
    return books.expired(now).map((lease) => {
      const told = wordOf(lease);
      if (told === null) totals.expired(lease.forfeit);
      return this.#close(lease, told, lease.forfeit, now);
    });
  }

  /** What has run is paid even if no later attempt is: its connector is told that it is heard, and does not say it again. */
  #hear({ exchange, attempt, outcome, usage }: End, { told }: Lease, used: number): void {
    if ((told?.attempt ?? 0) < attempt) this.#options.write(["tell", exchange, { attempt, outcome, usage, used }]);
  }

  #close({ id, at }: Lease, told: Told | null, otherwise: number, now: number): Cost {
    const tokens = told?.used ?? otherwise;
    if (told !== null) this.#options.totals.settled(told.usage);
    this.#options.write(["settle", id, tokens, now]);
    return { id, tokens, told, ageMs: now - at };
  }

  /** END of what an earlier life of this hub let in and did not write down: its connector says what it reserved, and for whom. */
  #recover(end: End, now: number): number | null {
    const { books, totals, write, owedMs } = this.#options;
    const debt = end.lease === undefined ? null : readDebt(end.lease);
    if (debt === null || !books.labels.isLost(debt.label) || books.isClosed(end.exchange)) return null;
    if (Math.abs(now - debt.at) > owedMs) return null;
    const { digest, at, rates } = debt;
    const used = usedBy(end, debt, debt);
    totals.recovered(end.usage);
    write(["owe", digest, end.exchange, now, at, used, [rates.rpm, rates.tpm, rates.tokensPerDay]]);
    return used;
  }
}
