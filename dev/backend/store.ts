// The table of keys, in SQLite. Knows keys by their digests only.
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { z } from "zod";
import type { StoredKey } from "./keys.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS api_keys (
    digest TEXT PRIMARY KEY,
    key_id TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL,
    tier TEXT NOT NULL CHECK (tier IN ('free', 'premium', 'admin')),
    age_verified INTEGER NOT NULL,
    expires_at TEXT,
    revoked INTEGER NOT NULL,
    limits TEXT
  ) STRICT, WITHOUT ROWID`;

const Row = z
  .object({
    digest: z.string(),
    key_id: z.string(),
    user_id: z.string(),
    tier: z.enum(["free", "premium", "admin"]),
    age_verified: z.number(),
    expires_at: z.string().nullable(),
    revoked: z.number(),
    limits: z.string().nullable(),
  })
  .transform(
    (row): StoredKey => ({
      digest: row.digest,
      keyId: row.key_id,
      userId: row.user_id,
      tier: row.tier,
      ageVerified: row.age_verified !== 0,
      expiresAt: row.expires_at,
      revoked: row.revoked !== 0,
      limits: row.limits === null ? null : JSON.parse(row.limits),
    }),
  );

export class KeyStore {
  readonly #db: DatabaseSync;
  readonly #put: StatementSync;
  readonly #find: StatementSync;
  readonly #revoke: StatementSync;

  /** @param file `:memory:` keeps nothing. */
  constructor(file: string) {
    this.#db = new DatabaseSync(file);
    this.#db.exec(SCHEMA);
    // REPLACE on either name: a key id that is given to another key moves there.
    this.#put = this.#db.prepare("INSERT OR REPLACE INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
    this.#find = this.#db.prepare("SELECT * FROM api_keys WHERE digest = ?");
    this.#revoke = this.#db.prepare("UPDATE api_keys SET revoked = 1 WHERE digest = ?1 OR key_id = ?1");
  }

  put(key: StoredKey): void {
    const limits = key.limits === null ? null : JSON.stringify(key.limits);
    const { digest, keyId, userId, tier, ageVerified, expiresAt, revoked } = key;
    this.#put.run(digest, keyId, userId, tier, Number(ageVerified), expiresAt, Number(revoked), limits);
  }

  find(digest: string): StoredKey | null {
    const row = this.#find.get(digest);
    return row === undefined ? null : Row.parse(row);
  }

  /** @param name a digest or a key id; false: there is none. */
  revoke(name: string): boolean {
    return this.#revoke.run(name).changes > 0;
  }

  close(): void {
    this.#db.close();
  }
}
