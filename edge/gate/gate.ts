// Who may do what, how much of it, and who pays. Knows keys, accounts, limits and the backend's verdicts; knows no socket:
// asking the backend is a function it is given, and what ends an exchange is told to it.
import { Failure, type PublicFailure } from "../../shared/errors.ts";
import type { HeaderPairs } from "../../shared/headers.ts";
import type { Account, Credentials, ExchangeRequest, GateStatus, UsageReport } from "../../shared/hop.ts";
import { VERIFY_KEY } from "../../shared/openai.ts";
import type { End } from "../../shared/wire/messages.ts";
import { Accounts, permit } from "./accounts.ts";
import { Books, type Entry } from "./books.ts";
import { Charges, type Cost } from "./charges.ts";
import { writeDebt } from "./debt.ts";
import type { Disk } from "./disk.ts";
import { Estimates } from "./estimate.ts";
import { denied, limitHeaders } from "./headers.ts";
import { Journal } from "./journal.ts";
import { ORPHAN_MS } from "./lease.ts";
import { isScarce } from "./ledger.ts";
import { limitsOf, type Tiers } from "./tiers.ts";
import { demandOf } from "./toll.ts";
import { Totals } from "./totals.ts";
import { type Answer, accountOf } from "./verify.ts";

export interface GateOptions {
  /** Asks the backend over the uplink. */
  readonly ask: (question: {
    id: string;
    method: string;
    path: string;
    body: Uint8Array;
    timeoutMs: number;
  }) => Promise<Answer>;
  readonly store: Disk;
  readonly tiers: Tiers;
  readonly timeoutMs: number;
  /** How long an exchange may take at most. */
  readonly exchangeMs: number;
  readonly now: () => number;
  readonly newId: () => string;
}

export type Admission =
  | {
      readonly tier: string;
      readonly tenant: string;
      readonly maxTokens: number | undefined;
      readonly headers: HeaderPairs;
      /** To be sent with OPEN: it comes back with END, and says who pays if this hub is lost before it is on disk. */
      readonly lease?: string;
    }
  | { readonly failure: PublicFailure; readonly tier?: string; readonly tenant?: string };

/** Who a developer is who holds the master key. */
const MASTER: Account = { keyId: "master", userId: "master", tier: "admin", ageVerified: true, expiresAt: null };

/** An END may be that much later than the deadline of its exchange. */
const LATE_END_MS = 60_000;
const MOST_KEYS_SHOWN = 50;
const CHECKPOINT_MS = 5_000;
const CHECKPOINT_ROWS = 1_000;

export class Gate {
  readonly #options: GateOptions;
  readonly #accounts: Accounts;
  readonly #books: Books;
  readonly #estimates: Estimates;
  /** What is applied here and not yet on disk. */
  readonly #journal: Journal;
  #checkpointAt = 0;
  readonly #totals = new Totals();
  readonly #charges: Charges;

  constructor(options: GateOptions) {
    const { store } = options;
    this.#options = options;
    this.#accounts = new Accounts((key) => this.#lookup(key), store, options.now);
    this.#journal = new Journal((entries) => store.append(entries));
    this.#books = new Books((digest) => store.ledger(digest), store.known());
    this.#estimates = new Estimates(store.estimates());
    this.#charges = new Charges({
      books: this.#books,
      estimates: this.#estimates,
      totals: this.#totals,
      write: (entry) => this.#write(entry),
      owedMs: options.exchangeMs + LATE_END_MS,
    });
    for (const [digest, state] of store.leased()) this.#books.recall(digest, state);
    for (const entry of store.journal()) {
      this.#books.apply(entry);
      this.#journal.rows += 1;
    }
    const now = options.now();
    this.#books.labels.begin(now);
    if (!this.#books.isLosing(now)) return;
    this.#write(["lose", now]);
    // At once: a life that only hears a report has no tick, and the next one would wait a minute anew.
    this.commit();
  }

  /** Lets a request in or says why not. A denial is a value. Answers at once where the account is known. */
  admit(request: ExchangeRequest): Admission | Promise<Admission> {
    const account = this.#peek(request.credentials);
    if (account !== undefined) return this.#decide(account, request);
    return this.account(request.credentials).then(
      (found) => this.#decide(found, request),
      (error: unknown) => refused(error),
    );
  }

  /** @throws Failure where the backend does not say. */
  async account(credentials: Credentials): Promise<Account | null> {
    const known = this.#peek(credentials);
    if (known !== undefined) return known;
    if (credentials.mode === "master-key") return MASTER;
    return this.#accounts.find(credentials.digest, credentials.key);
  }

  /** What a key may use, has used and when it gets more. @throws Failure */
  async usage(credentials: Credentials): Promise<UsageReport> {
    const { now, tiers } = this.#options;
    const account = permit(await this.account(credentials), false, now());
    if (credentials.mode === "master-key") return { tier: account.tier, standing: null };
    const standing = this.#books.standing(credentials.digest, limitsOf(account, tiers), now());
    return { tier: account.tier, standing };
  }

  purge(digest: string): void {
    this.#accounts.purge(digest);
  }

  /** END of an exchange. @returns the tokens that it cost, if this was what settled it. */
  settle(end: End): number | null {
    return this.#charges.settle(end, this.#options.now());
  }

  /**
   * No connector answers for it now.
   * @param unheard the last attempt that may have reached one that has said nothing; 0: none
   * @returns null: it was settled before, or one that may have run it is waited for
   */
  unserved(id: string, unheard = 0): Cost | null {
    return this.#charges.unserved(id, unheard, this.#options.now());
  }

  /** Its Worker goes on with it in this life of the hub. */
  resumed(id: string): void {
    if (this.#books.lease(id)?.lostAt !== undefined) this.#write(["claim", id]);
  }

  /** A connector answers for it. From now on it costs what was reserved, if nobody ever says what it used. */
  accepted(id: string): void {
    const lease = this.#books.lease(id);
    if (lease !== undefined) this.#write(["accept", id, lease.attempt]);
  }

  /** Who answered for it is lost, or its client is. */
  orphaned(id: string): void {
    if (this.#books.has(id)) this.#write(["hasten", id, this.#options.now() + ORPHAN_MS]);
  }

  reopened(id: string, attempt: number): void {
    const lease = this.#books.lease(id);
    if (lease === undefined || (lease.attempt === attempt && lease.lostAt === undefined)) return;
    this.#write(["reopen", id, attempt]);
  }

  get isWritable(): boolean {
    return this.#options.store.isWritable;
  }

  /** No answer may leave the hub before. Where nothing can be written nobody is let in, and what is applied is kept for later. */
  commitAdmissions(): void {
    if (this.isWritable) this.#journal.commitAdmissions();
  }

  /** No END may be acknowledged before. @returns whether it may be now. */
  commit(): boolean {
    const { isWritable } = this;
    if (isWritable) this.#journal.commit();
    return isWritable;
  }

  /**
   * To be called a few times a second while something runs, once more at rest, and when {@link nextExpiry} has come.
   * @returns the leases that ran out, and what each has cost.
   */
  tick(now: number, isResting: boolean): Cost[] {
    if (!this.isWritable) return [];
    const expired = this.#charges.expired(now);
    this.commit();
    this.#rest(now, isResting);
    return expired;
  }

  #rest(now: number, isResting: boolean): void {
    const isDue = now - this.#checkpointAt >= CHECKPOINT_MS || this.#journal.rows >= CHECKPOINT_ROWS;
    if (this.#journal.rows === 0 || !(isDue || isResting)) return;
    const { store } = this.#options;
    store.checkpoint(this.#books.rest(), this.#books.known(now), this.#estimates.rest(), now);
    if (isResting) store.sweep(now);
    this.#journal.rows = 0;
    this.#checkpointAt = now;
  }

  /** ms */
  nextExpiry(): number | null {
    return this.#books.nextExpiry();
  }

  status(now: number): GateStatus {
    const keys = [...this.#books.keys()].slice(-MOST_KEYS_SHOWN).map(([digest, ledger]) => ({
      key: digest.slice(0, TENANT_LENGTH),
      leases: ledger.leases.size,
      standing: ledger.standing(now),
    }));
    return { leases: this.#books.leases, lookups: { ...this.#accounts.lookups }, ...this.#totals.done, keys };
  }

  #peek(credentials: Credentials): Account | null | undefined {
    return credentials.mode === "master-key" ? MASTER : this.#accounts.peek(credentials.digest, credentials.key);
  }

  #decide(account: Account | null, request: ExchangeRequest): Admission {
    const now = this.#options.now();
    try {
      const { tier } = permit(account, request.ageRestricted, now);
      if (request.credentials.mode === "master-key")
        return { tier, tenant: "master", maxTokens: undefined, headers: [] };
      return this.#meter(account!, request.credentials.digest, request, now);
    } catch (error) {
      return refused(error);
    }
  }

  #meter(account: Account, digest: string, request: ExchangeRequest, now: number): Admission {
    const { tiers, exchangeMs } = this.#options;
    const { tier } = account;
    const tenant = digest.slice(0, TENANT_LENGTH);
    const limits = limitsOf(account, tiers);
    const estimate = this.#estimates.of(request.target, request.demand.promptBytes);
    const demand = demandOf(request.demand, limits, estimate);
    let lease: string | undefined;
    if (this.#books.has(request.id)) {
      // A hub that was lost before it answered is asked again: the exchange was let in already, and an END that comes before its
      // next OPEN is of an earlier attempt.
      this.reopened(request.id, (request.attempts ?? 0) + 1);
    } else if (!this.#books.isPaid(request.id)) {
      const denial = this.#books.check(digest, limits, demand.tokens, now);
      if (denial !== null) {
        this.#totals.denied(denial.kind);
        const headers = limitHeaders(this.#books.standing(digest, limits, now));
        return { failure: { ...denied(denial, request.dialect.model), headers }, tier, tenant };
      }
      if (demand.refusal !== null) {
        const headers = limitHeaders(this.#books.standing(digest, limits, now));
        return { failure: { ...demand.refusal, headers }, tier, tenant };
      }
      const { rpm, tpm, tokensPerDay } = limits;
      const { tokens, prompt } = demand;
      const { id, target, demand: asked } = request;
      const expiresAt = now + exchangeMs + LATE_END_MS;
      const row = [rpm, tpm, tokensPerDay] as const;
      const label = this.#books.labels.next();
      this.#write(["admit", digest, id, now, tokens, prompt, asked.promptBytes, target, tier, expiresAt, row, label]);
      // What it had run in a life of the hub that is lost with its admission is of an earlier attempt.
      if ((request.attempts ?? 0) > 0) this.reopened(id, request.attempts! + 1);
      const rates = { rpm, tpm, tokensPerDay };
      lease = writeDebt({ digest, label, at: now, tokens, prompt, likely: Math.min(estimate.likely, prompt), rates });
    }
    const standing = this.#books.standing(digest, limits, now);
    // A hub that is lost with it must not let another one in instead: near a limit it is on disk before its OPEN.
    if (isScarce(standing)) this.commitAdmissions();
    const headers = limitHeaders(standing);
    const admitted = { tier, tenant, maxTokens: demand.maxTokens, headers };
    return lease === undefined ? admitted : { ...admitted, lease };
  }

  #write(entry: Entry): void {
    this.#journal.note(entry);
    this.#books.apply(entry);
  }

  async #lookup(key: string): Promise<Account | null> {
    const body = new TextEncoder().encode(JSON.stringify({ api_key: key }));
    const { ask, timeoutMs, newId } = this.#options;
    return accountOf(await ask({ id: newId(), ...VERIFY_KEY, body, timeoutMs }));
  }
}

/** As much of a digest as is shown to people, and as tells tenants apart. */
export const TENANT_LENGTH = 16;

function refused(error: unknown): { failure: PublicFailure } {
  if (error instanceof Failure) return { failure: error.public };
  throw error;
}
