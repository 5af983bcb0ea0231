// The account of each key, by its digest: looked up once however many requests wait, and kept for a while.
import { Failure } from "../../shared/errors.ts";
import type { Account } from "../../shared/hop.ts";

export const FRESH_MS = 30_000;
export const NEGATIVE_MS = 10_000;
/** Made-up keys must not push out real ones, nor fill the isolate. */
const MAX_ENTRIES = 10_000;

/** Asks the backend. Resolves with null for "not a key"; throws a Failure where the backend does not say. */
export type Lookup = (key: string) => Promise<Account | null>;

interface Entry {
  readonly account: Account | null;
  readonly until: number;
}

export class Accounts {
  readonly #lookup: Lookup;
  readonly #now: () => number;
  readonly #known = new Map<string, Entry>();
  readonly #unknown = new Map<string, Entry>();
  readonly #asking = new Map<string, Promise<Account | null>>();

  constructor(lookup: Lookup, now: () => number) {
    this.#lookup = lookup;
    this.#now = now;
  }

  /** The account if it is known without asking: the common case costs no promise. */
  peek(digest: string): Account | null | undefined {
    const entry = this.#known.get(digest) ?? this.#unknown.get(digest);
    return entry !== undefined && this.#now() < entry.until ? entry.account : undefined;
  }

  /** @throws Failure auth_unavailable or auth_timeout; never "invalid key" because a lookup failed. */
  find(digest: string, key: string): Promise<Account | null> {
    const asking = this.#asking.get(digest);
    if (asking !== undefined) return asking;
    const answer = this.#lookup(key)
      .then((account) => {
        this.#keep(digest, account);
        return account;
      })
      .finally(() => this.#asking.delete(digest));
    this.#asking.set(digest, answer);
    return answer;
  }

  #keep(digest: string, account: Account | null): void {
    this.#known.delete(digest);
    this.#unknown.delete(digest);
    const entries = account === null ? this.#unknown : this.#known;
    entries.set(digest, { account, until: this.#now() + (account === null ? NEGATIVE_MS : FRESH_MS) });
    if (entries.size > MAX_ENTRIES) {
      for (const oldest of entries.keys()) {
        entries.delete(oldest);
        break;
      }
    }
  }
}

/** What an account may do with a request. @throws Failure. */
export function permit(account: Account | null, ageRestricted: boolean, now: number): Account {
  if (account === null || (account.expiresAt !== null && account.expiresAt <= now))
    throw new Failure("invalid_api_key");
  if (ageRestricted && !account.ageVerified) throw new Failure("age_verification_required", { param: "model" });
  return account;
}
