// What is reserved for one exchange, who may still say what it used, and what it costs if nobody does. Pure.
import type { End } from "../../shared/wire/messages.ts";

/** A connector that lost an exchange has so long to come back and say what it used. */
export const ORPHAN_MS = 60_000;

/** What an END has said of another attempt than the one that counts. */
export interface Told extends Pick<End, "attempt" | "outcome" | "usage"> {
  /** What it would have cost. */
  readonly used: number;
}

export interface Lease {
  readonly id: string;
  readonly at: number;
  /** Reserved. */
  readonly tokens: number;
  /** Of these, the prompt as it was estimated. */
  readonly prompt: number;
  readonly promptBytes: number;
  /** Of the pool. */
  readonly model: string;
  readonly tier: string;
  /** UTC day that pays for it. */
  readonly day: number;
  /** The OPEN whose END settles it. */
  attempt: number;
  /** ms; from then on nobody is waited for. */
  expiresAt: number;
  /** What it costs if nobody settles it: nothing until a connector answers for it. */
  forfeit: number;
  /** Units; the highest level of the token bucket from admission until the next one's admission. */
  peak: number;
  // Missing where there is none, or an earlier version kept it.
  /** The last attempt that a connector has answered for. */
  accepted?: number;
  /** The last one of a life of the hub that ended: a connector may have answered for it, and nobody has written that down. */
  unknown?: number;
  told?: Told;
  /** ms; when the life of the hub began in which nobody has claimed it. */
  lostAt?: number;
}

/**
 * ms; when it is given up. Of an earlier life of the hub: who runs it is asked for again within seconds by its Worker, or its
 * connector ends it within half a minute; what nobody has claimed by then has neither, however many lives begin meanwhile.
 */
export function expiryOf({ expiresAt, lostAt }: Lease): number {
  return lostAt === undefined ? expiresAt : Math.min(expiresAt, lostAt + ORPHAN_MS);
}

/**
 * The life of the hub that begins at that time is the first to find it without anybody. Once it has found that out it is not so
 * again in later ones, unless its minute was over long before: then it has run on meanwhile, under a version that knows no such minute.
 */
export function isNewlyLost({ attempt, unknown = 0, lostAt }: Lease, at: number): boolean {
  return unknown < attempt || isAnew(lostAt, at);
}

/** Its minute begins, or begins again: a clock that was set back does not lengthen it. */
export function isAnew(lostAt: number | undefined, at: number): boolean {
  return lostAt === undefined || lostAt > at || at - lostAt > 2 * ORPHAN_MS;
}

/** The word of an earlier attempt, where no connector has answered for a later one. */
export function wordOf({ accepted = 0, told }: Lease): Told | null {
  return told !== undefined && told.attempt >= accepted ? told : null;
}

/**
 * The last attempt that may have run and has not said what it used; null: there is none.
 * @param unheard of this life of the hub: its OPEN has left, and nobody has accepted or refused it
 */
export function silentRun({ accepted = 0, unknown = 0, told }: Lease, unheard: number): number | null {
  const last = Math.max(accepted, unknown, unheard);
  return last > (told?.attempt ?? 0) ? last : null;
}
