// One place of a connector (its id and slot) has one socket: the one that was opened last. Pure.
import { CloseCode } from "../../shared/wire/frames.ts";
import type { Link, LinkState } from "./link.ts";

/** The other sockets of its place. @param links in the order of their opening: no clock is asked, which might have been set back. */
export function rivalsOf(link: Link, links: Iterable<Link>): { readonly earlier: Link[]; readonly later: Link[] } {
  const earlier: Link[] = [];
  const later: Link[] = [];
  let isBehind = false;
  for (const other of links) {
    if (other === link) isBehind = true;
    else if (other.state.connector === link.state.connector && other.state.slot === link.state.slot) {
      (isBehind ? later : earlier).push(other);
    }
  }
  return { earlier, later };
}

/**
 * The code for a socket that gives way to others of its place. Only another process keeps it away, and only once that has
 * said HELLO: a dial that its connector has given up can come late, and must not lock out the process that made it.
 */
export function wayOut(link: Link, rivals: readonly Link[], instance = link.state.instance): CloseCode {
  const isAnother = rivals.some(({ state }) => state.instance !== null && state.instance !== instance);
  return isAnother && instance !== null ? CloseCode.SUPERSEDED : CloseCode.REPLACED;
}

/** When a socket that comes now is opened: behind all the others, whatever the clock says. */
export function openingBehind(links: Iterable<Link>, now: number): number {
  let at = now;
  for (const { state } of links) at = Math.max(at, (state.openedAt ?? 0) + 1);
  return at;
}

/** For a hub that wakes and finds its sockets in any order. */
export function byOpening([, one]: Kept, [, other]: Kept): number {
  return (one?.openedAt ?? 0) - (other?.openedAt ?? 0);
}

type Kept = readonly [socket: unknown, state: LinkState | null];
