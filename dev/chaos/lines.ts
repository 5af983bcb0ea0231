// What the edge has written of each exchange: how often it was over, and what its key has paid. The clock is an argument.

/** What a line says of a cost. */
export interface Bill {
  readonly charged: number;
  readonly completion: number | null;
  /** `engine`, `counted`, or null: nobody has said what it used. */
  readonly source: string | null;
  /** END's word, `unserved` or `expired`. */
  readonly outcome: string;
  /** ms, when the line came. */
  readonly atMs: number;
}

/** The lines of one exchange. */
export interface Account {
  readonly id: string;
  /** ms; when it was let in, as far as its own lines tell. */
  from: number;
  to: number;
  /** Times that a hub had done with it. */
  ends: number;
  readonly bills: Bill[];
}

interface Line {
  readonly msg?: string;
  readonly request_id?: string;
  readonly charged?: number | null;
  readonly completion_tokens?: number | null;
  readonly usage_source?: string | null;
  readonly outcome?: string;
  readonly total_ms?: number;
}

const OPENING = '{"level"';

export class EdgeLines {
  readonly accounts = new Map<string, Account>();
  readonly #now: () => number;
  #rest = "";

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Cut anywhere. */
  feed(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#read(line);
  }

  #read(text: string): void {
    // A process that is killed may leave half a line, behind which the next one begins.
    const at = text.lastIndexOf(OPENING);
    if (at === -1) return;
    let line: Line;
    try {
      line = JSON.parse(text.slice(at));
    } catch {
      return;
    }
    // What the gate refuses, and requests that are no exchange, cost nothing and have no such member.
    if (line.request_id === undefined || line.charged === undefined) return;
    const atMs = this.#now();
    const account = this.#of(line.request_id, atMs - (line.total_ms ?? 0));
    account.to = atMs;
    if (line.msg === "request") account.ends += 1;
    if (line.charged === null) return;
    const { charged, completion_tokens: completion = null, usage_source: source = null, outcome = "" } = line;
    account.bills.push({ charged, completion, source, outcome, atMs });
  }

  #of(id: string, from: number): Account {
    const known = this.accounts.get(id);
    if (known !== undefined) {
      known.from = Math.min(known.from, from);
      return known;
    }
    const account: Account = { id, from, to: from, ends: 0, bills: [] };
    this.accounts.set(id, account);
    return account;
  }
}
