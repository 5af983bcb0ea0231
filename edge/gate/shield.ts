// Keeps floods of made-up keys off the hubs: an address that brought too many keys which the backend did not know waits out the
// minute. A key that was good here lately passes all the same: behind one address there may be a whole company. Pure.

export const SHIELD_LIMIT = 20;
export const SHIELD_WINDOW_MS = 60_000;
const MAX_ADDRESSES = 10_000;
const MAX_KEYS = 10_000;

interface Window {
  failures: number;
  readonly until: number;
}

export class Shield {
  readonly #windows = new Map<string, Window>();
  /** ms; until when an address brings no unknown key to a hub. */
  readonly #blocked = new Map<string, number>();
  readonly #good = new Set<string>();

  /** Nobody is blocked: the common case needs no address. */
  get isIdle(): boolean {
    return this.#blocked.size === 0;
  }

  /** ms that a key from an address has to wait; 0: none. */
  waitMs(address: string, digest: string, now: number): number {
    const until = this.#blocked.get(address) ?? 0;
    if (now < until) return this.#good.has(digest) ? 0 : until - now;
    this.#blocked.delete(address);
    return 0;
  }

  /** The backend did not know a key that came from there. */
  failed(address: string, now: number): void {
    const known = this.#windows.get(address);
    const window = known !== undefined && now < known.until ? known : { failures: 0, until: now + SHIELD_WINDOW_MS };
    window.failures += 1;
    remember(this.#windows, address, window, MAX_ADDRESSES);
    if (window.failures >= SHIELD_LIMIT) this.block(address, window.until);
  }

  block(address: string, until: number): void {
    remember(this.#blocked, address, until, MAX_ADDRESSES);
  }

  /** The key was let in. */
  passed(digest: string): void {
    if (this.#good.has(digest)) return;
    this.#good.add(digest);
    if (this.#good.size > MAX_KEYS) this.#good.delete(this.#good.values().next().value!);
  }

  /** The key is not good any more. */
  revoked(digest: string): void {
    this.#good.delete(digest);
  }
}

function remember<T>(entries: Map<string, T>, name: string, value: T, most: number): void {
  entries.delete(name);
  entries.set(name, value);
  if (entries.size > most) entries.delete(entries.keys().next().value!);
}
