// For how long an edge may refuse a connector before that is its last word (shared/wire/spec.md §1). Pure: time is an argument.

/** The edge has never welcomed this process: most likely its configuration is wrong, or the edge is just learning its key. */
export const STRANGER_MS = 5_000;
/** It has: then the edge has changed, by mistake or because its keys are being changed, and whoever does that is to have time to mend it. */
export const GUEST_MS = 3_600_000;

export class Patience {
  /** ms; the first refusal of those that have followed each other. */
  #since: number | null = null;

  /** @returns whether to give up. */
  refused(isGuest: boolean, now: number): boolean {
    this.#since ??= now;
    return now - this.#since >= (isGuest ? GUEST_MS : STRANGER_MS);
  }

  /** The edge has said something else, or nothing. */
  restore(): void {
    this.#since = null;
  }
}
