// The books of a hub in an adversary's hands: it chooses times, sizes, what is settled and when, and at which moments the hub
// is lost. Beside them stands what the promise and the arithmetic say, reckoned anew from the whole history each time.
import fc from "fast-check";
import { Books, type Entry } from "../../edge/gate/books.ts";
import { UNITS } from "../../edge/gate/bucket.ts";
import { DAY_MS, type Denial, type LedgerState, type Rates } from "../../edge/gate/ledger.ts";

export const KEY = "k";
/** Not long before midnight UTC. */
export const T0 = 20_800 * DAY_MS - 200_000;
const FOREVER = Number.MAX_SAFE_INTEGER;

interface Admitted {
  readonly id: string;
  readonly at: number;
  readonly reserved: number;
  /** Null while it runs. */
  used: number | null;
}

/** What the bucket of tokens saw, in order. Levels follow from it and nothing else. */
type Event = { readonly at: number; readonly admitted?: Admitted; readonly excess?: number };

/** A bucket reckoned from its whole history: it fills by the clock, overflows at its capacity, and pays. Units. */
export function levelOf(history: readonly Event[], capacity: number, start: number, now: number): number {
  let level = capacity * UNITS;
  let at = start;
  for (const { at: then, admitted, excess = 0 } of history) {
    level = Math.min(capacity * UNITS, level + (then - at) * capacity);
    at = then;
    const cost = admitted === undefined ? excess : Math.min(admitted.used ?? admitted.reserved, admitted.reserved);
    level -= cost * UNITS;
  }
  return Math.min(capacity * UNITS, level + (now - at) * capacity);
}

/** The hub's memory and its disk: what is applied, what is written as a whole, what is in the journal. */
export class Desk {
  now = T0;
  /** Forward movement of the clock since the beginning, ms. */
  moved = 0;
  readonly rates: Rates;
  readonly admissions: (Admitted & { readonly moved: number })[] = [];
  readonly requests: Event[] = [];
  readonly tokens: Event[] = [];
  readonly journal: Entry[] = [];
  readonly shelf = new Map<string, string>();
  books = this.#open();
  denials = 0;
  #ids = 0;

  constructor(rates: Rates) {
    this.rates = rates;
    // The first look is what starts a ledger.
    this.books.standing(KEY, rates, this.now);
  }

  step(ms: number): void {
    this.now += ms;
    if (ms > 0) this.moved += ms;
  }

  /** @returns the denial, after holding it against the history. */
  ask(tokens: number): Denial | null {
    const denial = this.books.check(KEY, this.rates, tokens, this.now);
    if (denial !== null) {
      this.denials += 1;
      return denial;
    }
    this.#ids += 1;
    const id = `x${this.#ids}`;
    const { rpm, tpm, tokensPerDay } = this.rates;
    const rates = [rpm, tpm, tokensPerDay] as const;
    this.write(["admit", KEY, id, this.now, tokens, 0, 0, "m", "free", FOREVER, rates]);
    const admitted = { id, at: this.now, moved: this.moved, reserved: tokens, used: null };
    this.admissions.push(admitted);
    this.tokens.push({ at: this.now, admitted });
    this.requests.push({ at: this.now, excess: 1 });
    return null;
  }

  settle(which: number, used: number): void {
    const open = this.admissions.filter((one) => one.used === null);
    const one = open[which % Math.max(1, open.length)];
    if (one === undefined) return;
    this.write(["settle", one.id, used, this.now]);
    one.used = used;
    this.tokens.push({ at: this.now, excess: Math.max(0, used - one.reserved) });
  }

  /** A second END. */
  settleAgain(which: number, used: number): void {
    const settled = this.admissions.filter((one) => one.used !== null);
    const one = settled[which % Math.max(1, settled.length)];
    if (one !== undefined) this.write(["settle", one.id, used, this.now]);
  }

  write(entry: Entry): void {
    // As it is on disk.
    this.journal.push(JSON.parse(JSON.stringify(entry)));
    this.books.apply(entry);
  }

  checkpoint(): void {
    for (const [digest, state] of this.books.rest()) this.shelf.set(digest, JSON.stringify(state));
    this.journal.length = 0;
  }

  /** A new life of the hub: it knows what is on disk. */
  reset(): void {
    this.books = this.#open();
  }

  state(): LedgerState {
    this.books.standing(KEY, this.rates, this.now);
    const [row] = [...this.books.keys()].filter(([digest]) => digest === KEY);
    return JSON.parse(JSON.stringify(row![1].rest()));
  }

  /** Tokens that the history leaves, in units. */
  get tokenLevel(): number {
    return levelOf(this.tokens, this.rates.tpm, T0, this.now);
  }

  get requestLevel(): number {
    return levelOf(this.requests, this.rates.rpm, T0, this.now);
  }

  usedOn(day: number): number {
    return this.admissions
      .filter(({ at }) => Math.floor(at / DAY_MS) === day)
      .reduce((sum, { used, reserved }) => sum + (used ?? reserved), 0);
  }

  /**
   * The promise, over every interval: what was admitted is at most the capacity, what the clock's forward movement brings, and
   * what was used beyond reservations.
   */
  breach(): string | null {
    for (let to = 0; to < this.admissions.length; to += 1) {
      let tokens = 0;
      for (let from = to; from >= 0; from -= 1) {
        const { used, reserved } = this.admissions[from]!;
        // Beyond the reservation nobody knew.
        tokens += Math.min(used ?? reserved, reserved);
        const passed = this.admissions[to]!.moved - this.admissions[from]!.moved;
        if (tokens * UNITS > this.rates.tpm * (UNITS + passed)) return `${tokens} tokens in ${passed} ms`;
        const requests = to - from + 1;
        if (requests * UNITS > this.rates.rpm * (UNITS + passed)) return `${requests} requests in ${passed} ms`;
      }
    }
    return null;
  }

  #open(): Books {
    const books = new Books((digest) => {
      const text = this.shelf.get(digest);
      return text === undefined ? null : JSON.parse(text);
    });
    for (const [digest, text] of this.shelf) {
      const state = JSON.parse(text) as LedgerState;
      if (state.leases.length > 0) books.recall(digest, state);
    }
    for (const entry of this.journal) books.apply(JSON.parse(JSON.stringify(entry)));
    return books;
  }
}

/** One move of the adversary. */
export type Move =
  | { readonly do: "wait" | "back" | "jump"; readonly ms: number }
  | { readonly do: "ask"; readonly part: number }
  | { readonly do: "settle" | "again"; readonly which: number; readonly part: number }
  | { readonly do: "checkpoint" | "reset" };

const part = fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 10 }));
const which = fc.nat({ max: 20 });
const wait: fc.Arbitrary<Move> = fc.record({
  do: fc.constant("wait" as const),
  ms: fc.oneof(fc.nat({ max: 200 }), fc.nat({ max: 30_000 }), fc.nat({ max: 100_000 })),
});
const ask: fc.Arbitrary<Move> = fc.record({ do: fc.constant("ask" as const), part });
const settle: fc.Arbitrary<Move> = fc.record({ do: fc.constant("settle" as const), which, part });
const again: fc.Arbitrary<Move> = fc.record({ do: fc.constant("again" as const), which, part });
const lose: fc.Arbitrary<Move> = fc.record({ do: fc.constantFrom("checkpoint" as const, "reset" as const) });
const back: fc.Arbitrary<Move> = fc.record({ do: fc.constant("back" as const), ms: fc.nat({ max: 59_000 }) });
const jump: fc.Arbitrary<Move> = fc.record({
  do: fc.constant("jump" as const),
  ms: fc.integer({ min: -DAY_MS, max: DAY_MS }),
});

export const moves = (withClock: boolean): fc.Arbitrary<Move[]> =>
  fc.array(
    fc.oneof(
      { weight: 5, arbitrary: ask },
      { weight: 4, arbitrary: wait },
      { weight: 4, arbitrary: settle },
      { weight: 1, arbitrary: again },
      { weight: 2, arbitrary: lose },
      ...(withClock
        ? [
            { weight: 1, arbitrary: back },
            { weight: 1, arbitrary: jump },
          ]
        : []),
    ),
    { minLength: 1, maxLength: 80, size: "max" },
  );

/** Limits small enough to be reached, and a daily budget that now and then is. */
export const someRates: fc.Arbitrary<Rates> = fc.record({
  rpm: fc.integer({ min: 1, max: 30 }),
  tpm: fc.integer({ min: 1, max: 2_000 }),
  tokensPerDay: fc.oneof(
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 10_000 }) },
    { weight: 3, arbitrary: fc.constant(1e12) },
  ),
});

/** Plays one move. `part` of 0 to 100 is a part of the limit, or of the reservation with a little beyond it. */
export function play(desk: Desk, move: Move): void {
  switch (move.do) {
    case "wait":
    case "jump":
      desk.step(move.ms);
      break;
    case "back":
      desk.step(-move.ms);
      break;
    case "ask":
      desk.ask(sizeOf(desk.rates, move.part));
      break;
    case "settle":
    case "again": {
      const open = desk.admissions.filter((one) => one.used === null);
      const reserved = open[move.which % Math.max(1, open.length)]?.reserved ?? 10;
      const used = Math.round((reserved * move.part) / 85);
      if (move.do === "settle") desk.settle(move.which, used);
      else desk.settleAgain(move.which, used);
      break;
    }
    case "checkpoint":
      desk.checkpoint();
      break;
    case "reset":
      desk.reset();
      break;
    default:
      move satisfies never;
  }
}

/** Now and then a little more than the limit. */
export function sizeOf({ tpm }: Rates, part: number): number {
  return Math.round((tpm * part) / 99);
}
