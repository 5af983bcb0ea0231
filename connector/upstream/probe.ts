// Asks one upstream again and again whether it is well. What the answer means is health.ts; here is when to ask.
import type { ProbeResult } from "./health.ts";
import type { Clock, Timer } from "./request.ts";
import type { Origin, Sending } from "./send.ts";

const TIMEOUT_MS = 2_000;
/** Two probes are never closer, whoever asks. */
const LEAST_MS = 500;
/** So far, as a share, a wait is moved: many connectors must not ask in step. */
const JITTER = 0.1;

export interface ProberOptions {
  readonly origin: Origin;
  readonly path: string;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly onResult: (result: ProbeResult) => void;
  /** Until the next probe, ms. */
  readonly after: () => number;
}

export class Prober {
  readonly #options: ProberOptions;
  #timer: Timer | null = null;
  #sending: Sending | null = null;
  #askedAt = Number.NEGATIVE_INFINITY;
  #isStopped = true;

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  start(): void {
    this.#isStopped = false;
    this.#ask();
  }

  stop(): void {
    this.#isStopped = true;
    this.#sending?.abort();
    this.#sending = null;
    if (this.#timer !== null) this.#options.clock.clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** There is reason to ask now. */
  hurry(): void {
    if (this.#isStopped || this.#sending !== null) return;
    this.#wait(this.#askedAt + LEAST_MS - this.#options.clock.now());
  }

  #wait(ms: number): void {
    const { clock } = this.#options;
    if (this.#timer !== null) clock.clearTimeout(this.#timer);
    this.#timer = clock.setTimeout(() => this.#ask(), Math.max(0, ms));
  }

  #ask(): void {
    const { origin, path, clock } = this.#options;
    this.#timer = null;
    this.#askedAt = clock.now();
    let status = 0;
    const end = (result: ProbeResult) => {
      this.#sending = null;
      this.#tell(result);
    };
    this.#sending = origin.send(
      { method: "GET", path, headers: [], body: null },
      {
        onHead: (given) => {
          status = given;
        },
        onData: () => true,
        onEnd: () => end(status >= 200 && status < 300 ? "up" : status === 503 ? "loading" : "down"),
        // A kept connection that breaks says nothing of the engine, but then the next probe says it soon.
        onBreak: (kind, cause) => end(kind === "stale" || cause === null ? "silent" : "down"),
      },
      { connectMs: TIMEOUT_MS, firstByteMs: TIMEOUT_MS, idleMs: TIMEOUT_MS },
    );
  }

  #tell(result: ProbeResult): void {
    const { after, random, onResult } = this.#options;
    onResult(result);
    if (!this.#isStopped) this.#wait(after() * (1 + JITTER * (2 * random() - 1)));
  }
}
