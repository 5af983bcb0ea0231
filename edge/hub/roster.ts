// Which socket gets the next exchange. Pure: a list of what is known in, one of them out.
import { BACKEND } from "../../shared/openai.ts";
import type { PoolReport } from "../../shared/wire/messages.ts";

/** A socket that was not heard of for so long is left alone: it may be half-open. */
export const SILENT_AFTER_MS = 45_000;

export interface Candidate {
  readonly welcomed: boolean;
  readonly draining: boolean;
  /** It missed an ACCEPT and has not been heard since. */
  readonly suspect: boolean;
  readonly heardAt: number;
  /** So many of its readers stand still that nothing is left to grant. */
  readonly isFull: boolean;
  readonly pools: readonly PoolReport[];
  /** Exchanges of a target that this hub runs on it. */
  load(target: string): number;
}

/**
 * The least loaded candidate that is alive and serves `target`; of equals the first from position `turn` on.
 * @param now ms, the clock of `heardAt`.
 */
export function choose<C extends Candidate>(
  candidates: readonly C[],
  target: string,
  now: number,
  turn: number,
): C | undefined {
  let best: C | undefined;
  let bestLoad = Number.POSITIVE_INFINITY;
  for (let i = 0; i < candidates.length; i += 1) {
    const candidate = candidates[(turn + i) % candidates.length]!;
    const slots = capacity(candidate, target, now);
    if (slots === 0) continue;
    const load = candidate.load(target) / slots;
    if (load < bestLoad) {
      best = candidate;
      bestLoad = load;
    }
  }
  return best;
}

/** Somebody is there for `target`, and nobody has room. */
export function isCrowded(candidates: readonly Candidate[], target: string, now: number): boolean {
  return candidates.some((candidate) => candidate.isFull && slotsOf(candidate, target, now) > 0);
}

/** How many exchanges of `target` a candidate can run at once; 0 if it must not be used for it. */
function capacity(candidate: Candidate, target: string, now: number): number {
  // A lookup is a few hundred bytes, for which there is a quarter of the window: without it one key that fills a socket locks out others.
  return candidate.isFull && target !== BACKEND ? 0 : slotsOf(candidate, target, now);
}

/** The same, if it had room. */
function slotsOf(candidate: Candidate, target: string, now: number): number {
  if (!isLive(candidate, now)) return 0;
  if (target === BACKEND) return 1;
  for (const pool of candidate.pools) {
    if (pool.model === target && pool.healthy > 0) return Math.max(1, pool.slots);
  }
  return 0;
}

/** It may be given something new. */
export function isLive(candidate: Candidate, now: number): boolean {
  return isHeard(candidate, now) && !candidate.draining;
}

/** It may go on with what it has: also while it drains. */
export function isHeard(candidate: Candidate, now: number): boolean {
  return candidate.welcomed && !candidate.suspect && now - candidate.heardAt < SILENT_AFTER_MS;
}
