// The last things that went wrong, as the log has told them, for `status`. Bounded in number and in length.
// No I/O; time is an argument.

export interface Trouble {
  /** ms since the epoch. */
  readonly at: number;
  readonly level: "warn" | "error";
  readonly what: string;
}

export interface Log {
  isLevelEnabled(level: string): boolean;
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const KEPT = 20;
const LONGEST = 300;

export class Troubles {
  readonly #rows: Trouble[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Newest first. */
  get rows(): readonly Trouble[] {
    return this.#rows.toReversed();
  }

  /** A log that remembers here what it says in earnest. */
  watch(log: Log): Log {
    return {
      isLevelEnabled: (level) => log.isLevelEnabled(level),
      debug: (fields, message) => log.debug(fields, message),
      info: (fields, message) => log.info(fields, message),
      warn: (fields, message) => {
        this.#note("warn", fields, message);
        log.warn(fields, message);
      },
      error: (fields, message) => {
        this.#note("error", fields, message);
        log.error(fields, message);
      },
    };
  }

  #note(level: Trouble["level"], fields: object, message: string): void {
    this.#rows.push({ at: this.#now(), level, what: `${message}${tell(fields)}`.slice(0, LONGEST) });
    if (this.#rows.length > KEPT) this.#rows.shift();
  }
}

/** Of an exchange's line what says where and why. Whose it was, and what it cost, is not for here. */
const OF_AN_EXCHANGE: ReadonlySet<string> = new Set(["request_id", "pool", "upstream", "attempts", "code", "detail"]);

/** ` (pool m, detail …)`. Of an error only its name: its words may quote a prompt, as in the log itself. */
function tell(fields: object): string {
  const isExchange = "request_id" in fields;
  const parts = Object.entries(fields)
    .filter(
      ([name, value]) =>
        value !== undefined && value !== null && value !== "" && (!isExchange || OF_AN_EXCHANGE.has(name)),
    )
    .map(([name, value]) => `${name} ${value instanceof Error ? value.name : String(value)}`);
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}
