// One place of a connector (its id and slot) has one socket: the one that was opened last. Pure.
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

/** For a hub that wakes and finds its sockets in any order. */
export function byOpening([, one]: Kept, [, other]: Kept): number {
  return (one?.openedAt ?? 0) - (other?.openedAt ?? 0);
}

type Kept = readonly [socket: unknown, state: LinkState | null];
