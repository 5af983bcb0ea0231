// How long an exchange waits for what, and where it may go when that is over (spec.md §4, §7). Pure.
import type { ErrorCode } from "../../shared/errors.ts";
import { BACKEND } from "../../shared/openai.ts";
import type { Exchange } from "./exchange.ts";
import type { Link } from "./link.ts";
import { choose, isCrowded, isHeard } from "./roster.ts";

export const ACCEPT_WITHIN_MS = 2_000;
/** How long an exchange waits for a connector that could serve it. */
export const HOLD_MS = 2_000;
/** How long an answer waits for its connector to come back. One that saw nothing of the loss needs 25 s to notice. */
export const REATTACH_WITHIN_MS = 30_000;
/** What has not begun waits so long for its connector's first redial before another one may have it. */
export const MOVE_AFTER_MS = 1_000;

/**
 * An exchange ends long before this, by its connector's clock or by its client's leaving. What is still here goes on only while
 * its reader takes something: behind its deadline, and between two looks at it then.
 */
export const OVERTIME_MS = 60_000;
/** Of one that is only resumed here, and whose own deadline is not known. */
export const LONGEST_MS = 600_000;

/** Nothing may hang for ever, nor hold the window of a socket for a reader that stands still. */
export function isGivenUp(exchange: Exchange, now: number): boolean {
  if (now < exchange.overtimeAt) return false;
  if (exchange.taken === exchange.takenBefore) return true;
  exchange.takenBefore = exchange.taken;
  exchange.overtimeAt = now + OVERTIME_MS;
  return false;
}

/** How long an exchange without a socket waits for its own connector alone. ms. */
export function patienceOf(exchange: Exchange): number {
  if (!exchange.hasNotBegun) return REATTACH_WITHIN_MS;
  // A lookup may be made anywhere, and as often as it takes.
  return exchange.target === BACKEND ? 0 : MOVE_AFTER_MS;
}

/** The connector that answers for it is there, on this socket. */
export function mayGoOn({ owner }: Exchange, link: Link, now: number): boolean {
  const { connector, instance } = link.state;
  return owner !== null && owner.connector === connector && owner.instance === instance && isHeard(link, now);
}

/** Where it may be opened now: nowhere once its answer has begun. */
export function placeFor(
  { hasNotBegun, refusedBy, target }: Exchange,
  links: Iterable<Link>,
  now: number,
  turn: number,
): Link | undefined {
  return hasNotBegun ? choose(others(links, refusedBy), target, now, turn) : undefined;
}

/** Why nobody has taken it: that no socket has room is not that nobody is there. */
export function whyWaiting(exchange: Exchange, links: Iterable<Link>, now: number): ErrorCode {
  return isCrowded(others(links, exchange.refusedBy), exchange.target, now) ? "queue_full" : exchange.refusal;
}

function others(links: Iterable<Link>, refusedBy: ReadonlySet<string>): readonly Link[] {
  const all = [...links];
  return refusedBy.size === 0 ? all : all.filter((link) => !refusedBy.has(link.state.instance ?? ""));
}
