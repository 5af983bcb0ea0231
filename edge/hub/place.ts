// One place of a connector (its id and slot) has one socket: the one that was opened last. Pure.
import type { Link } from "./link.ts";

/** The other sockets of its place, in the order of their opening. */
export function rivalsOf(link: Link, links: Iterable<Link>): { readonly earlier: Link[]; readonly later: Link[] } {
  const earlier: Link[] = [];
  const later: Link[] = [];
  let isBehind = false;
  for (const other of links) {
    if (other === link) isBehind = true;
    else if (other.state.connector === link.state.connector && other.state.slot === link.state.slot) {
      const lead = openedAt(other) - openedAt(link);
      if (lead > 0 || (lead === 0 && isBehind)) later.push(other);
      else earlier.push(other);
    }
  }
  return { earlier, later };
}

function openedAt({ state }: Link): number {
  return state.openedAt ?? 0;
}
