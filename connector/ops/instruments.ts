// What a running connector is watched by: counters, rates, the last troubles, and the listener that tells them.
import type { Observer } from "../observe.ts";
import type { ConnectorStatus } from "../status.ts";
import { type Listener, listen } from "./listener.ts";
import type { Logging } from "./log.ts";
import { Metrics } from "./metrics.ts";
import { Rates } from "./rates.ts";
import { isReady } from "./readiness.ts";
import { type Log, Troubles } from "./troubles.ts";

export class Instruments {
  /** Remembers what it says in earnest. */
  readonly log: Log;
  /** To be told of every exchange. */
  readonly observers: readonly Observer[];
  readonly #metrics: Metrics;
  readonly #rates = new Rates(Date.now());
  readonly #troubles = new Troubles(Date.now);

  constructor({ log, dropped }: Logging, agent: string) {
    this.log = this.#troubles.watch(log);
    this.#metrics = new Metrics(agent, dropped);
    this.observers = [this.#metrics, this.#rates];
  }

  /** @throws Error of node:net if it cannot listen there. */
  listen(at: { readonly host: string; readonly port: number }, status: () => ConnectorStatus): Promise<Listener> {
    const more = () => ({
      pid: process.pid,
      ready: isReady(status()),
      rates: this.#rates.at(Date.now()),
      troubles: this.#troubles.rows,
    });
    return listen({ ...at, status, more, metrics: this.#metrics });
  }
}
