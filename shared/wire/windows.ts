// How far ahead of its reader a channel may be sent at first. A grant cannot be taken back, and how many exchanges will come is
// not known: so the first window is small, a piece of what is still free, and grows only for a channel that uses it up.
const STREAM_BYTES = 8 * 1024;
const PLAIN_BYTES = 64 * 1024;
/** Where much is granted already a plain answer begins with that; most are smaller. */
const SMALL_BYTES = 4 * 1024;
/** No single channel takes more than this share of what is free. */
export const GROWTH_SHARE = 1 / 8;
const PLAIN_SHARE = 1 / 64;
/** Below this a channel could not even carry a head's worth of tokens: the socket is full. */
export const LEAST_WINDOW_BYTES = 512;

/**
 * @param free bytes that may still be granted. @param isStream tokens come one by one: 25 of them fit.
 * @returns bytes, never less than {@link LEAST_WINDOW_BYTES}: a channel without a window would never be read, and so never get one.
 */
export function firstWindow(free: number, isStream: boolean): number {
  const share = free * GROWTH_SHARE;
  const plain = Math.max(SMALL_BYTES, Math.min(PLAIN_BYTES, free * PLAIN_SHARE));
  return Math.max(LEAST_WINDOW_BYTES, Math.floor(Math.min(isStream ? STREAM_BYTES : plain, share)));
}
