// How many tokens a prompt will be, before any engine has read it: learned from what engines said of earlier ones, for each
// model and size of prompt, since a chat template weighs more on a short one. Pure.

/** Tokens a byte while nothing is known: English takes a quarter. */
const FIRST_MEAN = 0.3;
const FIRST_DEVIATION = 0.05;
/** Weight of the newest sample. */
const NEWEST = 0.05;
/** Enough that the true number is rarely above. */
const DEVIATIONS = 2;
/** The template around even an empty message. */
const LEAST_TOKENS = 8;
const CLASSES = 12;
const MAX_MODELS = 64;

interface Class {
  mean: number;
  deviation: number;
}

export type EstimatesState = Readonly<Record<string, readonly (Readonly<Class> | null)[]>>;

export interface Estimate {
  /** Rarely exceeded: what is reserved. */
  readonly high: number;
  /** As often exceeded as undercut: what is charged where no engine says. */
  readonly likely: number;
  /** Rarely undercut: what is more than a limit by this can never fit. */
  readonly low: number;
}

export class Estimates {
  readonly #models = new Map<string, (Class | null)[]>();

  constructor(state: EstimatesState = {}) {
    for (const [model, classes] of Object.entries(state)) {
      this.#models.set(
        model,
        classes.map((row) => (row === null ? null : { ...row })),
      );
    }
  }

  of(model: string, bytes: number): Estimate {
    const { mean, deviation } = this.#models.get(model)?.[classOf(bytes)] ?? {
      mean: FIRST_MEAN,
      deviation: FIRST_DEVIATION,
    };
    const margin = DEVIATIONS * deviation;
    return {
      // A token is a byte at least, but for the template's own.
      high: LEAST_TOKENS + Math.ceil(bytes * Math.min(1, mean + margin)),
      likely: LEAST_TOKENS + Math.round(bytes * Math.min(1, mean)),
      low: Math.floor(bytes * Math.max(0, mean - margin)),
    };
  }

  /** An engine has read a prompt. */
  learn(model: string, bytes: number, tokens: number): void {
    if (bytes <= 0) return;
    let classes = this.#models.get(model);
    if (classes === undefined) {
      if (this.#models.size >= MAX_MODELS) return;
      classes = new Array<Class | null>(CLASSES).fill(null);
      this.#models.set(model, classes);
    }
    const ratio = Math.max(0, tokens - LEAST_TOKENS) / bytes;
    const at = classOf(bytes);
    const known = classes[at] ?? { mean: FIRST_MEAN, deviation: FIRST_DEVIATION };
    const error = ratio - known.mean;
    known.mean += NEWEST * error;
    known.deviation += NEWEST * (Math.abs(error) - known.deviation);
    classes[at] = known;
  }

  rest(): EstimatesState {
    return Object.fromEntries(this.#models);
  }
}

/** A size class covers a factor of four. */
function classOf(bytes: number): number {
  const bits = 32 - Math.clz32(Math.min(bytes, 2 ** 31));
  return Math.min(CLASSES - 1, bits >> 1);
}
