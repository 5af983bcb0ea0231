// One request in the hands of an engine: the only place where it waits, and what it has used so far.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Faults } from "./faults.ts";
import type { Outcome } from "./ledger.ts";

/** A longer timer would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly faults: () => Faults;
  readonly #settled: (exchange: Exchange, outcome: Outcome) => void;
  promptTokens = 0;
  completionTokens = 0;
  promptMs = 0;
  predictedMs = 0;
  #gone = false;
  #open = true;
  #resume: (() => void) | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    faults: () => Faults,
    settled: (exchange: Exchange, outcome: Outcome) => void,
  ) {
    this.request = request;
    this.response = response;
    this.faults = faults;
    this.#settled = settled;
    response.on("drain", this.wake);
    response.once("close", () => {
      this.#gone = true;
      this.wake();
    });
  }

  /** The client's socket is gone: nobody reads what is generated now. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Until woken, or for `ms`. It may wake early: look again at what was waited for. */
  pause(ms?: number): Promise<void> {
    if (this.#gone) return Promise.resolve();
    return new Promise((resolve) => {
      this.#resume = resolve;
      if (ms !== undefined) this.#timer = setTimeout(this.wake, Math.min(ms, MAX_TIMER_MS));
    });
  }

  /** Ends the pause: the client left, the socket drained, a slot was granted, the faults changed. */
  readonly wake = (): void => {
    clearTimeout(this.#timer);
    const resume = this.#resume;
    this.#resume = null;
    resume?.();
  };

  async until(due: number): Promise<void> {
    for (let left = due - performance.now(); left > 0 && !this.#gone; left = due - performance.now()) {
      await this.pause(Math.ceil(left));
    }
  }

  /** Lets the other requests have the thread. */
  turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }

  /**
   * Closes the account of this request and frees its slot; the first outcome counts. Comes before the last byte, so that
   * whoever has read the answer finds it in the ledger.
   */
  settle(outcome: Outcome): void {
    if (!this.#open) return;
    this.#open = false;
    this.#settled(this, outcome);
  }
}
