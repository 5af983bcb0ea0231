// Whether clients are still there. What tells of a client that leaves is an AbortSignal, and only to touch it costs the platform a
// twentieth of a small request (workerd 1.20261023: a wrapped object and five promises): so it is touched when a client has waited
// for a moment, and most small answers are over by then.
import type { Exchange } from "./exchange.ts";

/** So late a client that left at once may be noticed. An engine has hardly begun. */
export const LOOK_AFTER_MS = 25;

interface Asking {
  readonly signal: AbortSignal;
}

export class Clients {
  readonly #left: (exchange: Exchange) => void;
  readonly #after: (ms: number, work: () => void) => void;
  #young: { readonly exchange: Exchange; readonly request: Asking }[] = [];

  /** @param left is called once for a client that has gone. */
  constructor(
    left: (exchange: Exchange) => void,
    after: (ms: number, work: () => void) => void = (ms, work) => void setTimeout(work, ms),
  ) {
    this.#left = left;
    this.#after = after;
  }

  waits(exchange: Exchange, request: Asking): void {
    this.#young.push({ exchange, request });
    if (this.#young.length === 1) this.#after(LOOK_AFTER_MS, () => this.#look());
  }

  #look(): void {
    const grown = this.#young;
    this.#young = [];
    for (const { exchange, request } of grown) {
      if (exchange.state === "over") continue;
      const { signal } = request;
      if (signal.aborted) this.#left(exchange);
      else signal.addEventListener("abort", () => this.#left(exchange), { once: true });
    }
  }
}
