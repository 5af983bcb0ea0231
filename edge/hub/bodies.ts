// What request bodies take of a hub's memory: while a key is looked up, while no connector is there and while a socket has no
// room they stay here, and an isolate has 128 MB. Small ones, which come in a header, are not counted. Pure.
import type { Exchange } from "./exchange.ts";

export const BODIES_BYTES = 64 * 1024 * 1024;

export class Bodies {
  /** Of requests that are not exchanges yet. */
  #arriving = 0;
  readonly #exchanges = new Set<Exchange>();

  /** A body of so many bytes comes in. @returns false: there is no room for it. */
  comes(bytes: number): boolean {
    if (this.held + bytes > BODIES_BYTES) return false;
    this.#arriving += bytes;
    return true;
  }

  /** It was let in or was not: what is left of it is its exchange's. */
  came(bytes: number): void {
    this.#arriving -= bytes;
  }

  holds(exchange: Exchange): void {
    this.#exchanges.add(exchange);
  }

  get held(): number {
    let bytes = this.#arriving;
    for (const exchange of this.#exchanges) {
      if (exchange.state === "over") this.#exchanges.delete(exchange);
      else bytes += exchange.body.retained;
    }
    return bytes;
  }
}
