// The slots of one engine and the requests deferred for them, first come, first served. Knows no request.

/** A request in the queue or on slots. */
export interface Seat {
  readonly task: number;
  readonly need: number;
  /** Empty until the slots are granted. */
  readonly slots: number[];
  /** Tokens generated so far on each of its slots. */
  decoded: number;
}

interface Waiting extends Seat {
  readonly granted: () => void;
}

export class Slots {
  readonly #holders: (Seat | null)[];
  #queue: Waiting[] = [];
  #tasks = 0;
  #free: number;

  constructor(count: number) {
    this.#holders = new Array<Seat | null>(count).fill(null);
    this.#free = count;
  }

  get count(): number {
    return this.#holders.length;
  }

  get busy(): number {
    return this.#holders.length - this.#free;
  }

  get deferred(): number {
    return this.#queue.length;
  }

  /** Who is on each slot. */
  get holders(): readonly (Seat | null)[] {
    return this.#holders;
  }

  /** All slots of a request are granted together, as llama.cpp does for `n` choices. `granted` may be called at once. */
  enter(need: number, granted: () => void): Seat {
    const seat: Waiting = { task: this.#tasks++, need: Math.min(need, this.count), slots: [], decoded: 0, granted };
    this.#queue.push(seat);
    this.#grant();
    return seat;
  }

  /** From the queue or from the slots; again is harmless. */
  leave(seat: Seat): void {
    for (const slot of seat.slots.splice(0)) {
      this.#holders[slot] = null;
      this.#free += 1;
    }
    this.#queue = this.#queue.filter((waiting) => waiting !== seat);
    this.#grant();
  }

  #grant(): void {
    for (let head = this.#queue[0]; head !== undefined && head.need <= this.#free; head = this.#queue[0]) {
      this.#queue.shift();
      for (let slot = 0; head.slots.length < head.need; slot++) {
        if (this.#holders[slot] !== null) continue;
        this.#holders[slot] = head;
        head.slots.push(slot);
      }
      this.#free -= head.need;
      head.granted();
    }
  }
}
