// Which upstream gets the next request: the one with the least in flight. Counts before the request is sent, so that
// requests of one turn do not all see the same idle upstream. No I/O, no clock.

export interface Candidate {
  readonly index: number;
  readonly inFlight: number;
}

export interface Choice {
  readonly isUsable: (index: number) => boolean;
  /** Where this request has already failed. */
  readonly excluded?: ReadonlySet<number>;
  /** May name one of the candidates, all of which have a free slot; null leaves it to the load. */
  readonly prefer?: ((candidates: readonly Candidate[]) => number | null) | undefined;
}

export class Balancer {
  readonly slots: number;
  readonly #inFlight: number[];
  /** Ties go round. */
  #next = 0;

  constructor(upstreams: number, slots: number) {
    this.slots = slots;
    this.#inFlight = new Array<number>(upstreams).fill(0);
  }

  get total(): number {
    return this.#inFlight.reduce((sum, count) => sum + count, 0);
  }

  inFlight(index: number): number {
    return this.#inFlight[index] ?? 0;
  }

  /** Takes a slot; null if no usable upstream has one. */
  take({ isUsable, excluded, prefer }: Choice): number | null {
    const candidates = this.#candidates(isUsable, excluded);
    let chosen: Candidate | undefined;
    if (prefer !== undefined && candidates.length > 0) {
      const wish = prefer(candidates);
      chosen = candidates.find(({ index }) => index === wish);
    }
    if (chosen === undefined) {
      for (const candidate of candidates)
        if (chosen === undefined || candidate.inFlight < chosen.inFlight) chosen = candidate;
      if (chosen !== undefined) this.#next = chosen.index + 1;
    }
    if (chosen === undefined) return null;
    this.#inFlight[chosen.index] = chosen.inFlight + 1;
    return chosen.index;
  }

  hasRoom(isUsable: (index: number) => boolean): boolean {
    return this.#inFlight.some((count, index) => count < this.slots && isUsable(index));
  }

  /** Usable upstreams that have a free slot. */
  free(isUsable: (index: number) => boolean): number {
    return this.#inFlight.filter((count, index) => count < this.slots && isUsable(index)).length;
  }

  release(index: number): void {
    const count = this.inFlight(index);
    if (count === 0) throw new RangeError(`upstream ${index} has nothing in flight`);
    this.#inFlight[index] = count - 1;
  }

  #candidates(isUsable: (index: number) => boolean, excluded: ReadonlySet<number> | undefined): Candidate[] {
    const candidates: Candidate[] = [];
    for (let i = 0; i < this.#inFlight.length; i += 1) {
      const index = (this.#next + i) % this.#inFlight.length;
      const inFlight = this.inFlight(index);
      if (inFlight < this.slots && excluded?.has(index) !== true && isUsable(index))
        candidates.push({ index, inFlight });
    }
    return candidates;
  }
}
