// Which admissions were ever on disk. Each has a label: the life of the hub that let it in, and its number in that life. Those
// of a life are written in order, so its highest label on disk says it of all of them. What was on disk and has no lease any
// more was settled; what never was died with its hub, and nobody has paid for it. Pure.

/** A label belongs to the life that began at this time, ms; a later life has a higher number, whatever the clock did. */
export type Label = readonly [life: number, number: number];

/** Far more lives than end within the time that an END may take. */
const MOST_LIVES = 64;

export interface LabelsState {
  /** Nothing is known of this life any more, nor of those before it. */
  readonly forgotten: number;
  /** The oldest first. */
  readonly highest: readonly Label[];
}

export class Labels {
  #life = 0;
  #given = 0;
  #forgotten: number;
  /** By life. */
  readonly #highest: Map<number, number>;

  constructor({ forgotten, highest }: LabelsState = { forgotten: 0, highest: [] }) {
    this.#forgotten = forgotten;
    this.#highest = new Map(highest);
  }

  /** To be called when all of the disk is read, before the first admission. */
  begin(now: number): void {
    this.#life = Math.max(now, this.#forgotten + 1, ...[...this.#highest.keys()].map((life) => life + 1));
    this.#given = 0;
  }

  /** For the next admission. */
  next(): Label {
    this.#given += 1;
    return [this.#life, this.#given];
  }

  /** It is on disk; or will be, unless this life ends before, and what it knows with it. */
  reached([life, number]: Label): void {
    const known = this.#highest.get(life) ?? 0;
    if (life <= this.#forgotten || number <= known) return;
    this.#highest.set(life, number);
    if (known > 0 || this.#highest.size <= MOST_LIVES) return;
    const oldest = Math.min(...this.#highest.keys());
    this.#highest.delete(oldest);
    this.#forgotten = oldest;
  }

  /** It died with its hub. One of this life never has: it is reached as soon as it is given. */
  isLost([life, number]: Label): boolean {
    return life > this.#forgotten && number > (this.#highest.get(life) ?? 0);
  }

  rest(): LabelsState {
    return { forgotten: this.#forgotten, highest: [...this.#highest] };
  }
}
