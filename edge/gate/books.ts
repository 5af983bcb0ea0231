// The ledgers of all keys of a shard, as a fold over entries: what is written down before an exchange is let in, and what a new
// life of the hub reads to know what the old one knew. Pure.
import { type Label, Labels, type LabelsState } from "./labels.ts";
import { expiryOf, isNewlyLost, type Lease, type Told } from "./lease.ts";
import { type Denial, Ledger, type LedgerState, type Rates, type Standing } from "./ledger.ts";
import { Paid, type PaidState } from "./paid.ts";

/** One change, with its time. Arrays, because there are many: they are written as JSON. */
export type Entry =
  | readonly [
      what: "admit",
      digest: string,
      id: string,
      at: number,
      tokens: number,
      prompt: number,
      promptBytes: number,
      model: string,
      tier: string,
      expiresAt: number,
      rates: RatesRow,
      label?: Label,
    ]
  /** Without an attempt, as earlier versions wrote it: the one that counted then. */
  | readonly [what: "accept", id: string, attempt?: number]
  | readonly [what: "settle", id: string, used: number, at: number]
  | readonly [what: "reopen", id: string, attempt: number]
  | readonly [what: "hasten", id: string, until: number]
  | readonly [what: "tell", id: string, told: Told]
  | readonly [what: "unserve", id: string, attempt: number, until: number]
  | readonly [what: "lose", at: number]
  | readonly [what: "claim", id: string]
  /** Ran without a lease that outlived its hub, and has used so much. */
  | readonly [what: "owe", digest: string, id: string, at: number, admittedAt: number, used: number, rates: RatesRow];

type RatesRow = readonly [rpm: number, tpm: number, tokensPerDay: number];

/** What is known beside the ledgers, as JSON. */
export interface Known {
  readonly paid: PaidState;
  readonly closed: PaidState;
  readonly labels: LabelsState;
}

/** Ledgers at rest, where this object does not have them in memory. */
export type LoadLedger = (digest: string) => LedgerState | null;

/** Ledgers in memory that nothing runs on. */
const MAX_IDLE = 5_000;
/** Longer than a Worker goes on asking for the same exchange. */
const PAID_MS = 60_000;
/** Longer than a lost lease may be claimed, whatever the clock does. */
const CLOSED_MS = 3_600_000;

export class Books {
  readonly #load: LoadLedger;
  readonly #ledgers = new Map<string, Ledger>();
  /** From an exchange to its key. */
  readonly #digests = new Map<string, string>();
  /** Changed since they were last written as a whole. */
  readonly #dirty = new Set<string>();

  /** The Worker whose hub was lost may ask for them once more. */
  readonly #paid: Paid;
  /** Of these, those that may have run under a lease that was lost: an END that tells of it finds them paid. */
  readonly #closed: Paid;
  readonly labels: Labels;

  constructor(load: LoadLedger, known?: Known) {
    this.#load = load;
    this.#paid = new Paid(PAID_MS, known?.paid);
    this.#closed = new Paid(CLOSED_MS, known?.closed);
    this.labels = new Labels(known?.labels);
  }

  get leases(): number {
    return this.#digests.size;
  }

  has(id: string): boolean {
    return this.#digests.has(id);
  }

  /** It has cost something, lately: whoever asks for it once more has paid. */
  isPaid(id: string): boolean {
    return this.#paid.has(id);
  }

  /** An END that tells of a lost lease changes nothing: it was charged by another, or this one has come before. */
  isClosed(id: string): boolean {
    return this.#closed.has(id);
  }

  known(now: number): Known {
    return { paid: this.#paid.rest(now), closed: this.#closed.rest(now), labels: this.labels.rest() };
  }

  lease(id: string): Lease | undefined {
    const digest = this.#digests.get(id);
    return digest === undefined ? undefined : this.#ledgers.get(digest)?.leases.get(id);
  }

  standing(digest: string, rates: Rates, now: number): Standing {
    return this.#ledger(digest, rates, now).standing(now, rates);
  }

  check(digest: string, rates: Rates, tokens: number, now: number): Denial | null {
    return this.#ledger(digest, rates, now).check(rates, tokens, now);
  }

  /** @returns the lease that an entry ended. */
  apply(entry: Entry): Lease | null {
    switch (entry[0]) {
      case "admit": {
        const [, digest, id, at, tokens, prompt, promptBytes, model, tier, expiresAt, row, label] = entry;
        const rates = ratesOf(row);
        const lease = { id, at, tokens, prompt, promptBytes, model, tier, expiresAt };
        this.#ledger(digest, rates, at).admit(rates, lease);
        this.#digests.set(id, digest);
        this.#dirty.add(digest);
        if (label !== undefined) this.labels.reached(label);
        return null;
      }
      case "owe": {
        const [, digest, id, at, admittedAt, used, row] = entry;
        this.#ledger(digest, ratesOf(row), at).owe(used, admittedAt, at);
        this.#dirty.add(digest);
        this.#closed.add(id, at);
        if (used > 0) this.#paid.add(id, at);
        return null;
      }
      case "accept":
        this.#of(entry[1])?.accept(entry[1], entry[2] ?? this.lease(entry[1])?.attempt ?? 1);
        return null;
      case "tell":
        this.#of(entry[1])?.tell(entry[1], entry[2]);
        return null;
      case "unserve":
        this.#of(entry[1])?.unserve(entry[1], entry[2], entry[3]);
        return null;
      case "lose":
        for (const digest of new Set(this.#digests.values())) {
          this.#dirty.add(digest);
          this.#ledgers.get(digest)?.lose(entry[1]);
        }
        return null;
      case "claim":
        this.#of(entry[1])?.claim(entry[1]);
        return null;
      case "settle": {
        const [, id, used, at] = entry;
        const lease = this.#of(id)?.settle(id, used, at) ?? null;
        this.#digests.delete(id);
        if (lease === null || used === 0) return lease;
        this.#paid.add(id, at);
        // It was asked for again, perhaps because the hub was lost that had let it in first.
        if (lease.attempt > 1 || lease.told !== undefined) this.#closed.add(id, at);
        return lease;
      }
      case "reopen":
        this.#of(entry[1])?.reopen(entry[1], entry[2]);
        return null;
      case "hasten":
        this.#of(entry[1])?.hasten(entry[1], entry[2]);
        return null;
      default: {
        const never: never = entry;
        return never;
      }
    }
  }

  /** Leases that nobody is waited for any more. */
  expired(now: number): Lease[] {
    return this.#leases().filter((lease) => expiryOf(lease) <= now);
  }

  /** A life of the hub begins, and finds leases that the one before had not lost yet. */
  isLosing(at: number): boolean {
    return this.#leases().some((lease) => isNewlyLost(lease, at));
  }

  /** ms; when the first lease expires, or null. */
  nextExpiry(): number | null {
    const times = this.#leases().map(expiryOf);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** What changed, as a whole: from now on entries before this are not needed. Forgets what nobody uses. */
  rest(): Map<string, LedgerState> {
    const changed = new Map<string, LedgerState>();
    for (const digest of this.#dirty) {
      const ledger = this.#ledgers.get(digest);
      if (ledger !== undefined) changed.set(digest, ledger.rest());
    }
    this.#dirty.clear();
    for (const [digest, ledger] of this.#ledgers) {
      if (this.#ledgers.size <= MAX_IDLE) break;
      if (ledger.leases.size === 0) this.#ledgers.delete(digest);
    }
    return changed;
  }

  /** Takes a ledger back into memory with the leases that run on it. */
  recall(digest: string, state: LedgerState): void {
    const ledger = Ledger.restored(state);
    this.#ledgers.set(digest, ledger);
    for (const id of ledger.leases.keys()) this.#digests.set(id, digest);
  }

  /** The keys in memory, for people. */
  keys(): Iterable<readonly [digest: string, ledger: Ledger]> {
    return this.#ledgers;
  }

  #leases(): Lease[] {
    return [...new Set(this.#digests.values())].flatMap((digest) => [
      ...(this.#ledgers.get(digest)?.leases.values() ?? []),
    ]);
  }

  #of(id: string): Ledger | undefined {
    const digest = this.#digests.get(id);
    if (digest === undefined) return undefined;
    this.#dirty.add(digest);
    return this.#ledgers.get(digest);
  }

  #ledger(digest: string, rates: Rates, now: number): Ledger {
    const known = this.#ledgers.get(digest);
    if (known !== undefined) return known;
    const state = this.#load(digest);
    if (state !== null) this.recall(digest, state);
    else this.#ledgers.set(digest, Ledger.fresh(rates, now));
    return this.#ledgers.get(digest)!;
  }
}

function ratesOf([rpm, tpm, tokensPerDay]: RatesRow): Rates {
  return { rpm, tpm, tokensPerDay };
}
