// How far ahead of its reader a channel may be sent, at first and then. A grant cannot be taken back, and how many exchanges will
// come is not known: so a window begins as a piece of what is still free, and grows only for a channel that uses it up. Pure.
import { SOCKET_WINDOW_BYTES } from "./frames.ts";

/** What channels may be granted of a socket's window. The last quarter is for lookups at the backend. */
export const CHANNEL_SHARE = 3 / 4;
const GRANTABLE_BYTES = SOCKET_WINDOW_BYTES * CHANNEL_SHARE;
const STREAM_BYTES = 8 * 1024;
/** On an idle socket: most plain answers are smaller, those of embeddings too, and need no word in between. */
const PLAIN_BYTES = 48 * 1024;
/** No single channel takes more than this share of what is free. */
const GROWTH_SHARE = 1 / 8;
/** Below this a channel could not even carry a head's worth of tokens. */
export const LEAST_WINDOW_BYTES = 512;
/** A channel that is so far ahead is large: it does not grow out of the reserve, which is for those that come and for small ones. */
const LARGE_BYTES = 16 * 1024;
const RESERVE_BYTES = GRANTABLE_BYTES / 4;

/** @param free bytes that may still be granted to channels. @returns there is not enough for one more. */
export function isFull(free: number): boolean {
  return free * GROWTH_SHARE < LEAST_WINDOW_BYTES;
}

/**
 * What is free counts twice for a plain answer: the part of the socket that is free says how many are here already. So the first
 * has room for nearly any answer, behind a hundred there is 7 KiB for each, and behind a thousand still a window.
 * @param free bytes that may still be granted. @param isStream tokens come one by one: 25 of them fit.
 * @returns bytes, never less than {@link LEAST_WINDOW_BYTES}: a channel without a window would never be read, and so never get one.
 */
export function firstWindow(free: number, isStream: boolean): number {
  const share = free * GROWTH_SHARE;
  const wanted = isStream ? STREAM_BYTES : PLAIN_BYTES * (free / GRANTABLE_BYTES) ** 2;
  return Math.max(LEAST_WINDOW_BYTES, Math.floor(Math.min(wanted, share)));
}

/**
 * How much a channel may be sent at most, if that is more than was just consumed. Dozens of readers of large answers may stand
 * still with all they were sent: they must not keep hundreds of others out.
 * @param window bytes that it was ahead when credit was last given.
 */
export function growth(free: number, window: number): number {
  // A hub of many sockets may have granted more than it has.
  const left = Math.max(0, free);
  const spare = window < LARGE_BYTES ? left * (left / GRANTABLE_BYTES) : Math.max(0, left - RESERVE_BYTES);
  return Math.floor(spare * GROWTH_SHARE);
}
