// What can be made to go wrong with the lookups of the backend.
import { z } from "zod";

export const Faults = z
  .strictObject({
    /** Lookups are not answered until this is cleared. */
    hang: z.boolean().optional(),
    status: z.int().min(400).max(599).optional(),
    /** So many lookups meet the faults given with it; then all is well again. */
    count: z.int().min(1).optional(),
    /** What is answered was looked up before the delay, so it may be out of date when it arrives. */
    delay_ms: z.int().min(0).max(600_000).optional(),
    /** 200, and a body that is not JSON. */
    garbage: z.boolean().optional(),
  })
  .refine((given) => given.count === undefined || Object.keys(given).length > 1, {
    message: "counts the lookups that meet another fault, and none is given",
    path: ["count"],
  });
export type Faults = z.infer<typeof Faults>;

const NONE: Faults = {};

export class FaultBox {
  #current: Faults = NONE;
  #left = Number.POSITIVE_INFINITY;
  readonly #waiting = new Set<() => void>();

  get current(): Faults {
    return this.#current;
  }

  /** Lookups that hang or are delayed now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Replaces all faults. A lookup that hangs goes on. */
  set(faults: Faults): void {
    this.#current = faults;
    this.#left = faults.count ?? Number.POSITIVE_INFINITY;
    for (const release of this.#waiting) release();
  }

  /** The faults that one lookup meets. */
  draw(): Faults {
    const drawn = this.#current;
    this.#left -= 1;
    if (this.#left === 0) {
      this.#current = NONE;
      this.#left = Number.POSITIVE_INFINITY;
    }
    return drawn;
  }

  /** Until the faults are set anew, or `ms` have passed, or `left` says that nobody waits for it any more. */
  wait(ms: number | null, left: (release: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const release = () => {
        clearTimeout(timer);
        this.#waiting.delete(release);
        resolve();
      };
      this.#waiting.add(release);
      if (ms !== null) timer = setTimeout(release, ms);
      left(release);
    });
  }
}
