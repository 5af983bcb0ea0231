// Clients that take all they can get, in virtual time, against the gate's own books: each asks, waits exactly as long as it is
// told, gets its answer after a while, and asks again. Prompts are longer or shorter than they look, answers end when they
// like. Pure: a seed is a run.
import { Books, type Entry } from "../../edge/gate/books.ts";
import { Estimates } from "../../edge/gate/estimate.ts";
import type { LedgerState } from "../../edge/gate/ledger.ts";
import type { Limits } from "../../edge/gate/tiers.ts";
import { demandOf } from "../../edge/gate/toll.ts";
import { Dice } from "./dice.ts";
import { type Charge, Oracle } from "./oracle.ts";
import { type Admitted, use, worstInterval, worstMinute } from "./verdict.ts";

export interface Options {
  readonly limits: Limits;
  readonly seed: number;
  readonly ms: number;
  readonly clients: number;
  /** Sizes of requests: such that tokens or such that requests run out. */
  readonly load: "tokens" | "requests";
  /** The hub is lost so often and reads its journal; null: never. ms. */
  readonly resetEveryMs: number | null;
}

export interface Outcome {
  readonly admitted: number;
  readonly denied: number;
  /** Of what runs out: the most in any 60 s, as a part of the limit. */
  readonly worstMinute: number;
  /** The worst interval as a part of capacity and refill, for tokens and for requests; beside what nobody could know. */
  readonly worstTokens: number;
  readonly worstRequests: number;
  /** Tokens used beyond their reservation, as a part of all. */
  readonly beyond: number;
  /** Of what runs out. */
  readonly use: number;
  /** Denied, although the history says that it fits. */
  readonly wrong: number;
  /** Let in, although the history says that it does not fit. */
  readonly undue: number;
  readonly resets: number;
}

const KEY = "key";
const MODEL = "model";
/** As an engine does: so long to its first token, and for each one. */
const FIRST_TOKEN_MS = 200;
const TOKEN_MS = 20;
const CHECKPOINT_MS = 5_000;

interface Asked {
  readonly promptBytes: number;
  readonly promptTokens: number;
  readonly maxTokens: number | null;
  /** How much of what it may write it writes. */
  readonly part: number;
}

/** Enough clients to run out: an answer takes seconds. */
export function clientsFor({ tpm, rpm }: Limits, load: Options["load"]): number {
  return Math.max(8, Math.ceil(load === "tokens" ? tpm / 700 : rpm / 50));
}

export function simulate(options: Options): Outcome {
  const { limits, ms, load, resetEveryMs } = options;
  const dice = new Dice(options.seed);
  const start = 20_000 * 86_400_000;
  const disk = { whole: null as string | null, journal: [] as string[] };
  const open = (): Books => {
    const books = new Books(() => (disk.whole === null ? null : JSON.parse(disk.whole)));
    if (disk.whole !== null) books.recall(KEY, JSON.parse(disk.whole) as LedgerState);
    for (const line of disk.journal) books.apply(JSON.parse(line) as Entry);
    return books;
  };
  let books = open();
  const write = (entry: Entry) => {
    disk.journal.push(JSON.stringify(entry));
    books.apply(entry);
  };
  const estimates = new Estimates();
  const tokens = new Oracle(limits.tpm, start);
  const requests = new Oracle(limits.rpm, start);
  const charges: Charge[] = [];
  const outcome = { denied: 0, wrong: 0, undue: 0, resets: 0, ids: 0 };

  const queue = new Queue();
  const ask = (asked: Asked, now: number): void => {
    const estimate = estimates.of(MODEL, asked.promptBytes);
    const demand = {
      promptBytes: asked.promptBytes,
      generates: load === "tokens",
      maxTokens: asked.maxTokens,
      choices: 1,
    };
    const toll = demandOf(demand, limits, estimate);
    const denial = books.check(KEY, limits, toll.tokens, now);
    const fits = tokens.fits(toll.tokens, now) && requests.fits(1, now);
    if (denial !== null) {
      outcome.denied += 1;
      if (fits) outcome.wrong += 1;
      if (denial.retryAfterMs === null) throw new Error("a request of the simulation is too large for ever");
      queue.add(now + denial.retryAfterMs, (then) => ask(asked, then));
      return;
    }
    if (!fits) outcome.undue += 1;
    outcome.ids += 1;
    const id = `x${outcome.ids}`;
    const { rpm, tpm, tokensPerDay } = limits;
    write([
      "admit",
      KEY,
      id,
      now,
      toll.tokens,
      toll.prompt,
      asked.promptBytes,
      MODEL,
      "t",
      now + 660_000,
      [rpm, tpm, tokensPerDay],
    ]);
    const charge: Charge = { at: now, used: null, reserved: toll.tokens };
    charges.push(charge);
    tokens.admit(charge);
    const request: Charge = { at: now, used: 1, reserved: 1 };
    requests.admit(request);
    requests.settle(request, now);
    const most = load === "requests" ? 0 : (toll.maxTokens ?? asked.maxTokens ?? 0);
    const written = Math.round(most * asked.part);
    queue.add(now + FIRST_TOKEN_MS + written * TOKEN_MS, (then) => {
      charge.used = asked.promptTokens + written;
      write(["settle", id, charge.used, then]);
      tokens.settle(charge, then);
      estimates.learn(MODEL, asked.promptBytes, asked.promptTokens);
      ask(draw(dice, options), then);
    });
  };
  for (let i = 0; i < options.clients; i += 1)
    queue.add(start + dice.int(0, 1_000), (now) => ask(draw(dice, options), now));
  const every = (period: number, work: () => void) => {
    const again = (now: number) => {
      work();
      queue.add(now + period, again);
    };
    queue.add(start + period, again);
  };
  every(CHECKPOINT_MS, () => {
    disk.whole = JSON.stringify(books.rest().get(KEY) ?? JSON.parse(disk.whole ?? "null"));
    if (disk.whole === "null") disk.whole = null;
    disk.journal = [];
  });
  if (resetEveryMs !== null) {
    every(resetEveryMs, () => {
      outcome.resets += 1;
      books = open();
    });
  }
  queue.run(start + ms);

  const used = (charge: Charge) => charge.used ?? charge.reserved;
  const known = charges.map((charge): Admitted => ({ at: charge.at, amount: Math.min(used(charge), charge.reserved) }));
  const all = charges.map((charge): Admitted => ({ at: charge.at, amount: used(charge) }));
  const ones = charges.map(({ at }): Admitted => ({ at, amount: 1 }));
  const [scarce, limit] = load === "tokens" ? [all, limits.tpm] : [ones, limits.rpm];
  const sum = (list: readonly Admitted[]) => list.reduce((total, { amount }) => total + amount, 0);
  return {
    admitted: charges.length,
    denied: outcome.denied,
    worstMinute: worstMinute(scarce, limit),
    worstTokens: worstInterval(known, limits.tpm),
    worstRequests: worstInterval(ones, limits.rpm),
    beyond: 1 - sum(known) / sum(all),
    use: use(scarce, limit, ms),
    wrong: outcome.wrong,
    undue: outcome.undue,
    resets: outcome.resets,
  };
}

/** A request that fits the tier: of about a seventh of its minute at most. */
function draw(dice: Dice, { limits, load }: Options): Asked {
  if (load === "requests") return { promptBytes: 20, promptTokens: dice.int(3, 12), maxTokens: null, part: 0 };
  const promptTokens = dice.int(10, Math.min(400, limits.tpm / 14));
  // Texts are not of one kind: the true ratio of tokens to bytes varies by a tenth.
  const promptBytes = Math.max(1, Math.round((promptTokens * 4) / Math.max(0.5, 1 + 0.1 * dice.normal())));
  const maxTokens = dice.next() < 0.3 ? null : dice.int(40, Math.min(1_000, limits.tpm / 7));
  return { promptBytes, promptTokens, maxTokens, part: dice.next() < 0.3 ? 1 : dice.next() };
}

/** What happens when, in order of time; of one time in order of being told. */
class Queue {
  readonly #heap: { readonly at: number; readonly order: number; readonly work: (now: number) => void }[] = [];
  #order = 0;

  add(at: number, work: (now: number) => void): void {
    this.#order += 1;
    const heap = this.#heap;
    heap.push({ at, order: this.#order, work });
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1;
      if (!this.#isBefore(i, parent)) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  run(until: number): void {
    while (this.#heap.length > 0 && this.#heap[0]!.at < until) {
      const { at, work } = this.#take();
      work(at);
    }
  }

  #take() {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length > 0) {
      heap[0] = last;
      for (let i = 0; ; ) {
        let least = i;
        for (const child of [2 * i + 1, 2 * i + 2])
          if (child < heap.length && this.#isBefore(child, least)) least = child;
        if (least === i) break;
        this.#swap(i, least);
        i = least;
      }
    }
    return first;
  }

  #isBefore(a: number, b: number): boolean {
    const [one, other] = [this.#heap[a]!, this.#heap[b]!];
    return one.at < other.at || (one.at === other.at && one.order < other.order);
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    [heap[a], heap[b]] = [heap[b]!, heap[a]!];
  }
}
