// What a hub tells of itself, for people and metrics. Pure.
import type { HubStatus, OutcomeCount } from "../../shared/hop.ts";
import type { HubGate } from "./gatekeeper.ts";
import { isLive } from "./roster.ts";
import type { Switchboard } from "./switchboard.ts";

/** @param now ms */
export function statusOf(board: Switchboard, outcomes: OutcomeCount[], gate: HubGate, now: number): HubStatus {
  const links = [...board.links];
  return {
    links: links.map((link) => ({
      connector: link.state.connector,
      slot: link.state.slot,
      live: isLive(link, now),
      draining: link.draining,
      running: link.exchanges.size,
      pools: [...link.pools],
    })),
    exchanges: board.running,
    held_bytes: board.held,
    violations: board.violations,
    resumed: board.resumed,
    window_stalls: links.reduce((sum, link) => sum + link.outbox.stalls, 0),
    outcomes,
    gate: gate.status(now),
    writable: gate.isWritable,
  };
}
