// The gate's tables in the hub's SQLite: the only file of this room that touches storage. A pending write holds back every
// message of the hub until it is on disk (the output gate), and that is wanted once an exchange: no answer leaves before its
// admission is written down. All else waits for the next admission or the next tick.
import type { Kept } from "./accounts.ts";
import type { Entry, Known } from "./books.ts";
import type { Disk } from "./disk.ts";
import type { EstimatesState } from "./estimate.ts";
import type { LedgerState } from "./ledger.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS accounts (digest TEXT PRIMARY KEY, account TEXT NOT NULL, verified_at INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS ledgers (digest TEXT PRIMARY KEY, state TEXT NOT NULL, leases INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS journal (seq INTEGER PRIMARY KEY, entries TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS learned (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
`;
/** A full bucket and a day without use say nothing any more. */
const IDLE_LEDGER_MS = 2 * 86_400_000;
const IDLE_ACCOUNT_MS = 86_400_000;
const ESTIMATES = "estimates";
const KNOWN = "known";

export class Store implements Disk {
  readonly #sql: SqlStorage;
  readonly #isWritable: () => boolean;

  constructor(sql: SqlStorage, isWritable: () => boolean = () => true) {
    this.#sql = sql;
    this.#isWritable = isWritable;
    sql.exec(SCHEMA);
  }

  get isWritable(): boolean {
    return this.#isWritable();
  }

  // Accounts.

  load(digest: string): Kept | null {
    const [row] = this.#sql
      .exec<{ account: string; verified_at: number }>(
        "SELECT account, verified_at FROM accounts WHERE digest = ?",
        digest,
      )
      .toArray();
    return row === undefined ? null : { account: JSON.parse(row.account), verifiedAt: row.verified_at };
  }

  keep(digest: string, { account, verifiedAt }: Kept): void {
    // Of a lookup that was on its way; the next one asks again.
    if (this.isWritable)
      this.#sql.exec("INSERT OR REPLACE INTO accounts VALUES (?, ?, ?)", digest, JSON.stringify(account), verifiedAt);
  }

  drop(digest: string): void {
    if (this.isWritable) this.#sql.exec("DELETE FROM accounts WHERE digest = ?", digest);
  }

  // Ledgers.

  ledger(digest: string): LedgerState | null {
    const [row] = this.#sql.exec<{ state: string }>("SELECT state FROM ledgers WHERE digest = ?", digest).toArray();
    return row === undefined ? null : JSON.parse(row.state);
  }

  *leased(): Iterable<readonly [digest: string, state: LedgerState]> {
    const rows = this.#sql.exec<{ digest: string; state: string }>(
      "SELECT digest, state FROM ledgers WHERE leases > 0",
    );
    for (const { digest, state } of rows.toArray()) yield [digest, JSON.parse(state)];
  }

  *journal(): Iterable<Entry> {
    const rows = this.#sql.exec<{ entries: string }>("SELECT entries FROM journal ORDER BY seq").toArray();
    for (const { entries } of rows) yield* JSON.parse(entries) as Entry[];
  }

  append(entries: readonly Entry[]): void {
    this.#sql.exec("INSERT INTO journal (entries) VALUES (?)", JSON.stringify(entries));
  }

  checkpoint(changed: ReadonlyMap<string, LedgerState>, known: Known, estimates: EstimatesState, now: number): void {
    for (const [digest, state] of changed) {
      const row = [digest, JSON.stringify(state), state.leases.length, now] as const;
      this.#sql.exec("INSERT OR REPLACE INTO ledgers VALUES (?, ?, ?, ?)", ...row);
    }
    this.#keepLearned(ESTIMATES, estimates);
    this.#keepLearned(KNOWN, known);
    this.#sql.exec("DELETE FROM journal");
  }

  estimates(): EstimatesState {
    return this.#learned(ESTIMATES) ?? {};
  }

  known(): Known | undefined {
    return this.#learned(KNOWN) ?? undefined;
  }

  #learned<T>(name: string): T | null {
    const [row] = this.#sql.exec<{ state: string }>("SELECT state FROM learned WHERE name = ?", name).toArray();
    return row === undefined ? null : JSON.parse(row.state);
  }

  #keepLearned(name: string, state: unknown): void {
    this.#sql.exec("INSERT OR REPLACE INTO learned VALUES (?, ?)", name, JSON.stringify(state));
  }

  sweep(now: number): void {
    this.#sql.exec("DELETE FROM ledgers WHERE leases = 0 AND at < ?", now - IDLE_LEDGER_MS);
    this.#sql.exec("DELETE FROM accounts WHERE verified_at < ?", now - IDLE_ACCOUNT_MS);
  }
}
