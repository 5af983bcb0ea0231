// The engine's own account: what it was asked and what it generated, for a test to hold against everybody else's
// figures. Bounded; knows no socket.

export type Outcome = "complete" | "cancelled" | "failed";

export interface Entry {
  /** Counted from 1: who reads the ledger again and again knows what is new. */
  readonly seq: number;
  readonly request_id: string | null;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly outcome: Outcome;
}

export interface Arrival {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body_bytes: number;
  readonly id: string | null;
}

/** The last `capacity` items. */
export class Ring<T> {
  readonly #items: T[] = [];
  readonly #capacity: number;
  #next = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  push(item: T): void {
    this.#items[this.#next] = item;
    this.#next = (this.#next + 1) % this.#capacity;
  }

  /** Oldest first. */
  list(): T[] {
    if (this.#items.length < this.#capacity) return [...this.#items];
    return [...this.#items.slice(this.#next), ...this.#items.slice(0, this.#next)];
  }
}

export class Account {
  readonly #arrivals = new Ring<Arrival>(50);
  readonly #entries = new Ring<Entry>(10_000);
  #settled = 0;
  requests = 0;
  /** Looks at the engine that ask for no work: health, models, slots, metrics. */
  probes = 0;
  cancelled = 0;
  promptTokens = 0;
  completionTokens = 0;
  promptMs = 0;
  predictedMs = 0;
  longest = 0;

  /** Everything but a probe, so that what reached the engine and should not have is seen too. */
  arrived(arrival: Arrival): void {
    this.requests += 1;
    this.#arrivals.push(arrival);
  }

  settle(entry: Omit<Entry, "seq">): void {
    this.promptTokens += entry.prompt_tokens;
    this.longest = Math.max(this.longest, entry.prompt_tokens + entry.completion_tokens);
    if (entry.outcome === "cancelled") this.cancelled += 1;
    this.#settled += 1;
    this.#entries.push({ ...entry, seq: this.#settled });
  }

  arrivals(): Arrival[] {
    return this.#arrivals.list();
  }

  entries(): Entry[] {
    return this.#entries.list();
  }
}
