// Exchanges that no socket has: the first to come is the first to go. Knows no socket.
import type { Exchange } from "./exchange.ts";

export class Waiting {
  readonly #exchanges = new Set<Exchange>();
  readonly #place: (exchange: Exchange) => void;

  /** @param place finds a place for it, or leaves it waiting. */
  constructor(place: (exchange: Exchange) => void) {
    this.#place = place;
  }

  add(exchange: Exchange): void {
    this.#exchanges.add(exchange);
  }

  delete(exchange: Exchange): void {
    this.#exchanges.delete(exchange);
  }

  /** There may be room. Behind one that finds none nobody is tried for its target: thousands may wait for what nobody serves. */
  offer(): void {
    const crowded = new Set<string>();
    for (const exchange of this.#exchanges) {
      const { target, refusedBy } = exchange;
      if (crowded.has(target)) continue;
      this.#place(exchange);
      if (exchange.state === "waiting" && refusedBy.size === 0) crowded.add(target);
    }
  }
}
