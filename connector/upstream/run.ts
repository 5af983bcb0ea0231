// One request on its way through a pool: waiting, sent, perhaps sent again, answered. It knows what it has been through;
// who gets a slot, and what a loss says of an upstream, is its pool's to know.
import { Failure } from "../../shared/errors.ts";
import type { HeaderPairs } from "../../shared/headers.ts";
import type { Ticket } from "./queue.ts";
import type { Clock, Running, Timer, UpstreamHandler, UpstreamRequest } from "./request.ts";
import { type Loss, lossOfStatus } from "./retry.ts";
import type { BreakKind, SendHandler, Sending } from "./send.ts";

/** What a run asks of its pool. */
export interface RunHost extends Clock {
  nameOf(index: number): string;
  send(index: number, request: UpstreamRequest, handler: SendHandler): Sending;
  /** The slot is free, held since `since`. */
  released(index: number, since: number, how: Release): void;
  /** It waits no more. */
  left(run: Run): void;
  /** Its deadline has passed while it waited. */
  tooLate(run: Run): Failure;
  succeeded(index: number): void;
  /** The attempt is lost, the slot is free. Null: the pool sends it again. */
  lost(run: Run, index: number, loss: Loss, cause: Error | null): Failure | null;
  /** The answer broke off. */
  broke(index: number): void;
  /** It has ended; with what, if it was no good end. */
  over(run: Run, failure: Failure | null): void;
}

/** How a slot came free: the connection is kept for the next, is gone, or is gone and the work is to be done again. */
export type Release = "kept" | "cut" | "lost";

/** How long a response may go on behind the whole answer: the end of a chunked one follows at once, if it comes. */
export const END_WITHIN_MS = 250;

const LOSS_OF_BREAK: Readonly<Record<BreakKind, Loss>> = {
  connect: "connect",
  stale: "stale",
  reset: "reset",
  first_byte: "silent",
  idle: "silent",
};

export class Run implements Running, Ticket {
  readonly request: UpstreamRequest;
  readonly tier: string;
  readonly tenant: string;
  readonly deadline: number;
  /** Where it has failed. */
  readonly excluded = new Set<number>();
  readonly #losses = new Map<Loss, number>();
  readonly #handler: UpstreamHandler;
  readonly #host: RunHost;
  readonly #timer: Timer;
  #attempt = 0;
  #index: number | null = null;
  #sentAt = 0;
  #sending: Sending | null = null;
  /** Its answer is whole, and the response may end: until this rings. */
  #grace: Timer | null = null;
  #isCommitted = false;
  #isOver = false;

  /** @param totalMs that it may take at most, however far its deadline is. */
  constructor(request: UpstreamRequest, handler: UpstreamHandler, totalMs: number, host: RunHost) {
    this.request = request;
    this.tier = request.tier;
    this.tenant = request.tenant;
    this.deadline = request.deadline;
    this.#handler = handler;
    this.#host = host;
    const ms = Math.max(0, Math.min(request.deadline - host.now(), totalMs));
    this.#timer = host.setTimeout(() => this.#late(), ms);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get attempt(): number {
    return this.#attempt;
  }

  lossesOf(loss: Loss): number {
    return this.#losses.get(loss) ?? 0;
  }

  /** The slot is taken. */
  sendTo(index: number): void {
    this.#index = index;
    this.#attempt += 1;
    this.#sentAt = this.#host.now();
    this.#handler.onStart(this.#host.nameOf(index), this.#attempt);
    if (this.#isOver) return;
    const own = this.#handler.headers?.();
    const request = own === undefined ? this.request : withHeaders(this.request, own);
    this.#sending = this.#host.send(index, request, {
      onHead: (status, headers) => this.#onHead(status, headers),
      onData: (chunk) => (this.#isOver ? true : (this.#hand(() => this.#handler.onData(chunk)) ?? false)),
      onEnd: () => this.#onEnd(),
      onBreak: (kind, cause) => this.#onBreak(kind, cause),
    });
  }

  abort(): void {
    if (!this.#close()) return;
    if (this.#index === null) this.#host.left(this);
    this.#drop();
    this.#host.over(this, null);
  }

  resume(): void {
    this.#sending?.resume();
  }

  letEnd(): void {
    if (!this.#close()) return;
    if (this.#index !== null) this.#host.succeeded(this.#index);
    this.#grace = this.#host.setTimeout(() => this.#ended("cut"), END_WITHIN_MS);
    this.#sending?.resume();
  }

  fail(failure: Failure): void {
    if (!this.#close()) return;
    this.#drop();
    this.#host.over(this, failure);
    this.#handler.onFailure(failure);
  }

  #onHead(status: number, headers: HeaderPairs): void {
    const loss = lossOfStatus(status);
    if (loss !== null) {
      this.#lose(loss, new Error(`status ${status}`));
      return;
    }
    this.#isCommitted = true;
    this.#hand(() => this.#handler.onHead(status, headers));
  }

  #onEnd(): void {
    if (this.#grace !== null) {
      this.#ended("kept");
      return;
    }
    if (this.#index !== null) this.#host.succeeded(this.#index);
    // Before it is over: a reader that throws at the end must hear of a failure.
    this.#hand(() => this.#handler.onEnd());
    if (!this.#close()) return;
    this.#drop("kept");
    this.#host.over(this, null);
  }

  #onBreak(kind: BreakKind, cause: Error | null): void {
    if (this.#grace !== null) {
      this.#ended("cut");
      return;
    }
    if (!this.#isCommitted) {
      this.#lose(LOSS_OF_BREAK[kind], cause);
      return;
    }
    const name = this.#index === null ? "" : this.#host.nameOf(this.#index);
    if (this.#index !== null) this.#host.broke(this.#index);
    const detail = `${name}: the answer broke off (${kind}${cause === null ? "" : `: ${cause.message}`})`;
    this.fail(new Failure(kind === "idle" ? "upstream_timeout" : "upstream_error", { detail, cause }));
  }

  #lose(loss: Loss, cause: Error | null): void {
    const index = this.#index;
    if (index === null) return;
    this.#drop("lost");
    this.#losses.set(loss, this.lossesOf(loss) + 1);
    // A stale connection says nothing of the upstream.
    if (loss !== "stale") this.excluded.add(index);
    this.#handler.onLost?.(loss, this.#host.nameOf(index));
    const failure = this.#host.lost(this, index, loss, cause);
    if (failure !== null) this.fail(failure);
  }

  #late(): void {
    if (this.#index === null) {
      const failure = this.#host.tooLate(this);
      this.#host.left(this);
      this.fail(failure);
      return;
    }
    const detail = `${this.#host.nameOf(this.#index)}: no end of the answer in the time for the whole request`;
    this.fail(new Failure("upstream_timeout", { detail }));
  }

  /** The response has ended behind the whole answer, or will not. */
  #ended(how: Release): void {
    if (this.#grace !== null) this.#host.clearTimeout(this.#grace);
    this.#grace = null;
    this.#drop(how);
    this.#host.over(this, null);
  }

  /** Ends the attempt, if there is one, and gives its slot back. */
  #drop(how: Release = "cut"): void {
    const index = this.#index;
    if (index === null) return;
    this.#sending?.abort();
    this.#sending = null;
    this.#index = null;
    this.#host.released(index, this.#sentAt, how);
  }

  /** A handler that throws has a defect; its exchange must end all the same. */
  #hand<T>(call: () => T): T | undefined {
    try {
      return call();
    } catch (cause) {
      this.fail(new Failure("internal_error", { detail: "the reader of an answer threw", cause }));
      return undefined;
    }
  }

  #close(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#host.clearTimeout(this.#timer);
    return true;
  }
}

function withHeaders(request: UpstreamRequest, own: HeaderPairs): UpstreamRequest {
  const kept = request.headers.filter(([name]) => !own.some(([other]) => other === name));
  return { ...request, headers: [...kept, ...own] };
}
