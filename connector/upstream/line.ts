// Who waits for a slot of a pool: the fair queue, before it those whose attempt was lost, and when each is sent on or sent
// away. It knows no upstream: whether there is room, and for whom, is its pool's to say.
import { Failure } from "../../shared/errors.ts";
import { DrainRate } from "./drain.ts";
import { FairQueue, type Ticket } from "./queue.ts";

export interface Waiter extends Ticket {
  fail(failure: Failure): void;
}

/** What a line asks of its pool. */
export interface LineHost<T extends Waiter> {
  now(): number;
  /** Of all usable upstreams; 0 if there are none. */
  slots(): number;
  hasRoom(): boolean;
  /** There is an upstream for it, now or later. */
  hasPlace(run: T): boolean;
  /** Finds a free slot for it and sends it; false if there is none. */
  place(run: T): boolean;
}

export class Line<T extends Waiter> {
  readonly #host: LineHost<T>;
  readonly #queue: FairQueue<T>;
  readonly #drain = new DrainRate();
  /** Lost once, and before the queue: they have waited already. With what is told if nothing is left to try. */
  readonly #again = new Map<T, Failure>();
  /** When a slot last came free, or the first began to wait. */
  #stillSince: number;
  #refused = 0;
  #isPumpDue = false;

  /** @param limit requests that may wait. */
  constructor(limit: number, host: LineHost<T>) {
    this.#host = host;
    this.#queue = new FairQueue(limit);
    this.#stillSince = host.now();
  }

  get waiting(): number {
    return this.#queue.size + this.#again.size;
  }

  /** Turned away with `queue_full`, since the start. */
  get refused(): number {
    return this.#refused;
  }

  /** Sends it, lets it wait, or says why neither. */
  admit(run: T): Failure | null {
    const host = this.#host;
    if (run.deadline <= host.now()) return this.#full();
    if (this.waiting === 0 && host.place(run)) return null;
    const places = this.#again.size + this.#queue.ahead(run.tier, run.tenant) + 1;
    if (this.waiting === 0) this.#stillSince = host.now();
    const wait = this.#drain.waitMs(places, host.slots()) ?? 0;
    if (host.now() + wait >= run.deadline) return this.#full();
    const admission = this.#queue.push(run);
    if (!admission.isAdmitted) return this.#full();
    admission.displaced?.fail(this.#full());
    // Those before it may wait for the very upstreams that are full, and leave others idle.
    if (host.hasRoom()) this.pumpSoon();
    return null;
  }

  /** It is sent once more, as soon as there is a slot for it; `failure` is what it has met. */
  again(run: T, failure: Failure): void {
    this.#again.set(run, failure);
    this.pumpSoon();
  }

  forget(run: T): void {
    this.#again.delete(run);
    this.#queue.remove(run);
  }

  /** What to tell one whose time is up. */
  tooLate(run: T): Failure {
    return this.#again.get(run) ?? this.#full();
  }

  /** A slot is free, held for so long; null: nothing of the work was done with it. */
  freed(heldMs: number | null): void {
    if (heldMs === null) return;
    this.#stillSince = this.#host.now();
    this.#drain.record(heldMs);
  }

  /** Not from within the callback that freed a slot: its caller is not done with it. */
  pumpSoon(): void {
    if (this.#isPumpDue) return;
    this.#isPumpDue = true;
    queueMicrotask(() => {
      this.#isPumpDue = false;
      this.#pump();
    });
  }

  #pump(): void {
    const host = this.#host;
    for (const [run, failure] of [...this.#again]) {
      if (!this.#again.has(run)) continue;
      const hasPlace = host.hasPlace(run);
      if (hasPlace && !host.place(run)) continue;
      this.#again.delete(run);
      if (!hasPlace) run.fail(failure);
    }
    if (host.slots() === 0) for (const run of this.#queue.clear()) run.fail(new Failure("model_unavailable"));
    while (this.#queue.size > 0 && host.hasRoom()) {
      const { next, expired } = this.#queue.pop(host.now());
      if (next !== null) host.place(next);
      // After it: whoever hears of a refusal may come again and take the slot.
      for (const run of expired) run.fail(this.#full());
    }
  }

  #full(): Failure {
    this.#refused += 1;
    const stillMs = this.waiting === 0 ? 0 : this.#host.now() - this.#stillSince;
    const retryAfterMs = this.#drain.retryAfterMs(this.waiting + 1, this.#host.slots(), stillMs);
    return new Failure("queue_full", { retryAfterMs });
  }
}
