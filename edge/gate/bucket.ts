// A token bucket that refills continuously: capacity and refill of a minute are one number, the limit. Pure.
// Levels are whole numbers of limit-independent units, 60,000 to a token: a bucket of `limit` tokens a minute gains `limit`
// units a millisecond, so refill, waiting time and cost are exact, and who waits as long as told is let in.

export const UNITS = 60_000;
/** 2^53 units are 1.5e11 tokens. */
export const MAX_LIMIT = 1_000_000_000;

export interface Bucket {
  /** Units; below zero after more was used than was reserved. */
  level: number;
  /** ms; when it had this level. */
  at: number;
}

export function fullBucket(limit: number, now: number): Bucket {
  return { level: limit * UNITS, at: now };
}

/** A clock that goes back by less is waited for; one that goes back by more was set, and is believed. ms. */
const CLOCK_STEP_MS = 60_000;

/** Brings a bucket up to `now`. A clock that goes back grants nothing for the time that it shows twice. */
export function refill(bucket: Bucket, limit: number, now: number): void {
  const capacity = limit * UNITS;
  const elapsed = now - bucket.at;
  const missing = capacity - bucket.level;
  if (missing < 0) bucket.level = capacity;
  // Compared as times: a product of years and limits would leave the exact numbers.
  else if (elapsed > 0) bucket.level = elapsed >= missing / limit ? capacity : bucket.level + elapsed * limit;
  if (elapsed > 0 || elapsed < -CLOCK_STEP_MS) bucket.at = now;
}

/** ms until `tokens` fit in a bucket that is up to date; 0 if they fit now. Not meant for more than the limit: that never fits. */
export function waitMs(bucket: Bucket, limit: number, tokens: number, now: number): number {
  const missing = tokens * UNITS - bucket.level;
  return missing <= 0 ? 0 : Math.ceil(missing / limit) + Math.max(0, bucket.at - now);
}

/** Whole tokens that may be taken now. */
export function available(bucket: Bucket): number {
  return Math.max(0, Math.floor(bucket.level / UNITS));
}
