// How busy the connector was in the last minute, for `status`. Counted when an exchange ends. The clock is given.
import { BACKEND } from "../../shared/openai.ts";
import type { End } from "../../shared/wire/messages.ts";
import type { Observed, Observer } from "../observe.ts";
import { Rate } from "./rate.ts";

/** Per second, over the last minute. */
export interface RatesNow {
  readonly exchanges: number;
  readonly failures: number;
  readonly completion_tokens: number;
  readonly lookups: number;
}

export class Rates implements Observer {
  readonly #exchanges: Rate;
  readonly #failures: Rate;
  readonly #tokens: Rate;
  readonly #lookups: Rate;

  constructor(now: number) {
    this.#exchanges = new Rate(now);
    this.#failures = new Rate(now);
    this.#tokens = new Rate(now);
    this.#lookups = new Rate(now);
  }

  ended(run: Observed, end: End, at: number): void {
    if (run.isWithdrawn) return;
    if (run.open.target === BACKEND) {
      this.#lookups.add(1, at);
      return;
    }
    this.#exchanges.add(1, at);
    if (end.outcome === "failed" || end.outcome === "truncated") this.#failures.add(1, at);
    if (end.usage !== null) this.#tokens.add(end.usage.completion_tokens, at);
  }

  at(now: number): RatesNow {
    return {
      exchanges: this.#exchanges.perSecond(now),
      failures: this.#failures.perSecond(now),
      completion_tokens: this.#tokens.perSecond(now),
      lookups: this.#lookups.perSecond(now),
    };
  }
}
