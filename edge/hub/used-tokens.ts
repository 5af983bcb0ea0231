// The tokens of the uplink that were used: each opens one socket. They outlive the hub, except where nothing can be written: then a
// connector is let in all the same, because what it answers for can go on.
export interface UsedToken {
  readonly jti: string;
  /** Seconds since the epoch. */
  readonly exp: number;
}

/** Clocks may differ by half of it. */
const LATE_S = 60;

export class UsedTokens {
  readonly #sql: SqlStorage;
  readonly #isWritable: () => boolean;
  #unwritten: UsedToken[] = [];

  constructor(sql: SqlStorage, isWritable: () => boolean) {
    this.#sql = sql;
    this.#isWritable = isWritable;
    sql.exec("CREATE TABLE IF NOT EXISTS used_tokens (jti TEXT PRIMARY KEY, exp INTEGER NOT NULL)");
  }

  /** @returns false: it was used before. @param now ms */
  use(token: UsedToken, now: number): boolean {
    const oldest = Math.floor(now / 1000) - LATE_S;
    if (!this.#isWritable()) {
      this.#unwritten = this.#unwritten.filter(({ exp }) => exp >= oldest);
      const isUsed =
        this.#unwritten.some(({ jti }) => jti === token.jti) ||
        this.#sql.exec("SELECT 1 FROM used_tokens WHERE jti = ?", token.jti).toArray().length > 0;
      if (!isUsed) this.#unwritten.push(token);
      return !isUsed;
    }
    this.#sql.exec("DELETE FROM used_tokens WHERE exp < ?", oldest);
    for (const late of this.#unwritten) this.#insert(late);
    this.#unwritten = [];
    return this.#insert(token);
  }

  #insert({ jti, exp }: UsedToken): boolean {
    const row = this.#sql.exec("INSERT OR IGNORE INTO used_tokens (jti, exp) VALUES (?, ?) RETURNING jti", jti, exp);
    return row.toArray().length > 0;
  }
}
