// The account of each key, by its digest: looked up once however many requests wait, kept for a while, and never taken for
// a wrong key because the backend is away. No I/O, no clock: asking and keeping are functions it is given.
//
//   age since verified   0 ──── 30 s ─────────────── 5 min ───────────────── 1 h
//   served from here     fresh │ and refreshed behind │ if the backend is away │ no more
import { Failure } from "../../shared/errors.ts";
import type { Account } from "../../shared/hop.ts";

export const FRESH_MS = 30_000;
/** Until then a known account is served at once while one lookup refreshes it. */
export const STALE_MS = 300_000;
/** Until then it is served where the backend cannot be asked. */
export const UNREACHABLE_MS = 3_600_000;
export const NEGATIVE_MS = 10_000;
/** Pause after a failed lookup, where there is something to serve meanwhile. */
export const BACKOFF_MS = 2_000;
/** Made-up keys must not push out real ones, nor fill the isolate. */
const MAX_ENTRIES = 10_000;
/** Lookups on their way at once; what comes on top is told to come back. */
export const MAX_LOOKUPS = 64;

/** Asks the backend. Resolves with null for "not a key"; throws a Failure where the backend does not say. */
export type Lookup = (key: string) => Promise<Account | null>;

export interface Kept {
  readonly account: Account;
  /** ms; when the backend said so. */
  readonly verifiedAt: number;
}

/** What outlives this object. */
export interface Shelf {
  load(digest: string): Kept | null;
  keep(digest: string, kept: Kept): void;
  drop(digest: string): void;
}

interface Asking {
  readonly answer: Promise<Account | null>;
  /** A purge came after it was asked: its answer is nobody's. */
  isVoid: boolean;
}

export class Accounts {
  readonly #lookup: Lookup;
  readonly #shelf: Shelf;
  readonly #now: () => number;
  /** The most recently verified last. */
  readonly #known = new Map<string, Kept>();
  /** ms; until when a digest is known to be no key. */
  readonly #unknown = new Map<string, number>();
  /** ms; whose last lookup failed, and when to ask again. */
  readonly #failing = new Map<string, number>();
  readonly #asking = new Map<string, Asking>();
  /** Lookups, by how they ended. */
  readonly lookups = { valid: 0, invalid: 0, failed: 0, shed: 0 };

  constructor(lookup: Lookup, shelf: Shelf, now: () => number) {
    this.#lookup = lookup;
    this.#shelf = shelf;
    this.#now = now;
  }

  /** The account if nobody need be waited for; null: not a key; undefined: ask {@link find}. */
  peek(digest: string, key: string): Account | null | undefined {
    const now = this.#now();
    const until = this.#unknown.get(digest);
    if (until !== undefined && now < until) return null;
    const kept = this.#recall(digest);
    if (kept === null) return undefined;
    const age = now - kept.verifiedAt;
    if (age < FRESH_MS) return kept.account;
    // Where the last lookup failed the next one may take its whole time: nobody waits for it who can be served.
    const askAgainAt = this.#failing.get(digest);
    if (age >= (askAgainAt === undefined ? STALE_MS : UNREACHABLE_MS)) return undefined;
    // Its outcome is for the requests that come after it.
    if (now >= (askAgainAt ?? 0)) this.#ask(digest, key).answer.catch(() => {});
    return kept.account;
  }

  /** @throws Failure auth_unavailable or auth_timeout; never "not a key" because a lookup failed. */
  async find(digest: string, key: string): Promise<Account | null> {
    for (;;) {
      const asking = this.#ask(digest, key);
      try {
        const account = await asking.answer;
        if (!asking.isVoid) return account;
      } catch (error) {
        const kept = this.#recall(digest);
        if (kept === null || this.#now() - kept.verifiedAt >= UNREACHABLE_MS) throw error;
        return kept.account;
      }
    }
  }

  /** Forgets what is known; the next request asks anew, and what was asked before counts for nobody. */
  purge(digest: string): void {
    this.#known.delete(digest);
    this.#unknown.delete(digest);
    this.#failing.delete(digest);
    this.#shelf.drop(digest);
    const asking = this.#asking.get(digest);
    if (asking !== undefined) asking.isVoid = true;
    this.#asking.delete(digest);
  }

  #ask(digest: string, key: string): Asking {
    const running = this.#asking.get(digest);
    if (running !== undefined) return running;
    if (this.#asking.size >= MAX_LOOKUPS) {
      this.lookups.shed += 1;
      const busy = Promise.reject(new Failure("auth_unavailable", { detail: "too many lookups on their way" }));
      busy.catch(() => {});
      return { answer: busy, isVoid: false };
    }
    const asking: Asking = {
      isVoid: false,
      answer: this.#lookup(key).then(
        (account) => {
          this.lookups[account === null ? "invalid" : "valid"] += 1;
          if (!asking.isVoid) this.#keep(digest, account);
          this.#done(digest, asking);
          return account;
        },
        (error: unknown) => {
          this.lookups.failed += 1;
          if (!asking.isVoid) remember(this.#failing, digest, this.#now() + BACKOFF_MS);
          this.#done(digest, asking);
          throw error;
        },
      ),
    };
    this.#asking.set(digest, asking);
    return asking;
  }

  #done(digest: string, asking: Asking): void {
    if (this.#asking.get(digest) === asking) this.#asking.delete(digest);
  }

  #keep(digest: string, account: Account | null): void {
    this.#known.delete(digest);
    this.#unknown.delete(digest);
    this.#failing.delete(digest);
    if (account === null) {
      this.#shelf.drop(digest);
      remember(this.#unknown, digest, this.#now() + NEGATIVE_MS);
      return;
    }
    const kept = { account, verifiedAt: this.#now() };
    this.#shelf.keep(digest, kept);
    remember(this.#known, digest, kept);
  }

  #recall(digest: string): Kept | null {
    const known = this.#known.get(digest);
    if (known !== undefined) return known;
    const kept = this.#shelf.load(digest);
    if (kept !== null) remember(this.#known, digest, kept);
    return kept;
  }
}

function remember<T>(entries: Map<string, T>, digest: string, value: T): void {
  entries.delete(digest);
  entries.set(digest, value);
  if (entries.size > MAX_ENTRIES) entries.delete(entries.keys().next().value!);
}

/** What an account may do with a request. @throws Failure. */
export function permit(account: Account | null, ageRestricted: boolean, now: number): Account {
  if (account === null || (account.expiresAt !== null && account.expiresAt <= now))
    throw new Failure("invalid_api_key");
  if (ageRestricted && !account.ageVerified) throw new Failure("age_verification_required", { param: "model" });
  return account;
}
