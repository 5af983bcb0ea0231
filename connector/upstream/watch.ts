// Keeps an eye on the upstreams of one pool: probes them, takes note of what requests meet there, tells of changes.
import { Health, type HealthState } from "./health.ts";
import { Prober } from "./probe.ts";
import type { Clock, Log } from "./request.ts";
import type { Loss } from "./retry.ts";
import type { Origin } from "./send.ts";

const HEALTH_PATH = "/health";

export interface WatchOptions {
  readonly model: string;
  /** As they are called in the log. */
  readonly upstreams: readonly string[];
  readonly origins: readonly Origin[];
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** An upstream may be usable that was not, or the other way round. */
  readonly onNews: () => void;
  readonly onChange: (usable: number) => void;
}

export class Watch {
  readonly #options: WatchOptions;
  readonly #health: Health;
  readonly #probers: readonly Prober[];
  #states: HealthState[];
  #usable: number;
  /** Since the start. */
  ejections = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
    const { upstreams, origins, clock, random } = options;
    this.#health = new Health(upstreams.length);
    this.#states = upstreams.map((_, index) => this.#health.state(index));
    this.#usable = this.#health.usable;
    this.#probers = origins.map(
      (origin, index) =>
        new Prober({
          origin,
          path: HEALTH_PATH,
          clock,
          random,
          onResult: (result) => {
            this.#health.probed(index, result, clock.now());
            this.#look();
          },
          after: () => this.#health.probeAfter(index),
        }),
    );
  }

  /** Begins to probe. Until the first answer every upstream may be used. */
  start(): void {
    for (const prober of this.#probers) prober.start();
  }

  stop(): void {
    for (const prober of this.#probers) prober.stop();
  }

  readonly isUsable = (index: number): boolean => this.#health.isUsable(index);

  get usable(): number {
    return this.#usable;
  }

  state(index: number): HealthState {
    return this.#health.state(index);
  }

  succeeded(index: number): void {
    this.#health.succeeded(index);
  }

  /** An attempt was lost there. */
  blame(index: number, loss: Loss): void {
    this.#probers[index]?.hurry();
    // A connection that was being closed says nothing of the upstream; if it was a crash, the probe tells.
    if (loss === "stale") return;
    if (loss === "connect") this.#health.met(index, "down");
    if (loss === "refused") this.#health.met(index, "loading");
    this.#health.failed(index, this.#options.clock.now());
    this.#look();
  }

  #look(): void {
    const { model, upstreams, log, onNews, onChange } = this.#options;
    for (const [index, upstream] of upstreams.entries()) {
      const before = this.#states[index];
      const state = this.#health.state(index);
      if (state === before) continue;
      this.#states[index] = state;
      if (state === "ejected") this.ejections += 1;
      const fields = { pool: model, upstream, state, before };
      if (state === "up") log.info(fields, "upstream is up");
      else log.warn(fields, `upstream is ${state}`);
    }
    const before = this.#usable;
    this.#usable = this.#health.usable;
    onNews();
    if (this.#usable !== before) onChange(this.#usable);
  }
}
