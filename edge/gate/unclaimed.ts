// Leases of an earlier life of the hub. Who runs them is asked for again within seconds by its Worker, or its connector ends
// it within half a minute; what nobody has claimed by then has neither, and is not waited for. Pure.

export class Unclaimed {
  readonly #ids: Set<string>;
  readonly #until: number;

  /** @param until ms; when they are given up. */
  constructor(ids: Iterable<string>, until: number) {
    this.#ids = new Set(ids);
    this.#until = until;
  }

  claim(id: string): void {
    this.#ids.delete(id);
  }

  /** Those that are given up now; each is told once. */
  due(now: number): string[] {
    if (now < this.#until) return [];
    const ids = [...this.#ids];
    this.#ids.clear();
    return ids;
  }

  /** ms; when there will be some. */
  next(): number {
    return this.#ids.size === 0 ? Number.POSITIVE_INFINITY : this.#until;
  }
}
