// A reader who takes nothing keeps an engine from being read, and with it one of its slots: the engine has finished long since, and
// others wait for it. Slow readers are none of that: each byte that is taken begins the time anew.

/** Proxies and SDKs have given up by then. */
export const STANDSTILL_MS = 60_000;

export class Standstill {
  #heldAt: number | null = null;
  #since = 0;

  /**
   * Must be asked about once a second.
   * @param heldAt bytes that the reader has taken while its engine waits for it; null while the engine is read. @param now ms
   */
  isTooLong(heldAt: number | null, now: number): boolean {
    if (heldAt !== this.#heldAt) this.#since = now;
    this.#heldAt = heldAt;
    return heldAt !== null && now - this.#since >= STANDSTILL_MS;
  }
}
