// What doctor looks at on the uplink itself: the key, whether the edge takes a token signed with it, and one socket to each
// shard. It comes as a probe from a slot of its own, so that a running connector of the same id notices nothing.
import type { Check, Finding } from "./checks.ts";
import { clockFinding } from "./checks-road.ts";

/** As connector/uplink offers it. */
export interface UplinkHands {
  /** Reads the key. @throws Error that says what is wrong with its file. */
  identity(): Promise<{ readonly kid: string; token(shard: number): Promise<string> }>;
  visit(token: string): Promise<VisitResult>;
}

export type VisitResult =
  | { kind: "welcomed"; shards: number; openMs: number; pingMs: number; skewMs: number }
  | { kind: "refused"; status: number; reason: string }
  | { kind: "closed"; code: number; reason: string }
  | { kind: "failed"; reason: string };

export function uplinkChecks(hands: UplinkHands): Check[] {
  const key: Check = {
    name: "key",
    needs: ["config"],
    run: async () => ({ verdict: "PASS", detail: `signs as ${(await hands.identity()).kid}` }),
  };
  const token: Check = {
    name: "uplink: token",
    needs: ["key", "edge: HTTP"],
    run: async () => {
      const { token } = await hands.identity();
      const seen = await hands.visit(await token(0));
      if (seen.kind === "refused") return refusal(seen.status, seen.reason);
      if (seen.kind === "failed") {
        return {
          verdict: "FAIL",
          detail: seen.reason,
          remedy: "a proxy on the way may not let WebSockets through: it must pass Upgrade on /uplink",
        };
      }
      const shards = seen.kind === "welcomed" ? seen.shards : 1;
      const others = Array.from({ length: shards - 1 }, (_, at) => at + 1);
      const more = [
        { name: "uplink: shard 0", needs: [], run: async () => socketFinding(seen) },
        ...(seen.kind === "welcomed" ? [clockOf(seen.skewMs, seen.pingMs)] : []),
        ...others.map((shard) => ({
          name: `uplink: shard ${shard}`,
          needs: [],
          run: async () => socketFinding(await hands.visit(await token(shard))),
        })),
      ];
      return { verdict: "PASS", detail: "the edge takes a token of this key", more };
    },
  };
  return [key, token];
}

function clockOf(skewMs: number, pingMs: number): Check {
  return { name: "uplink: clock", needs: [], run: async () => clockFinding(skewMs, Math.max(100, pingMs)) };
}

function refusal(status: number, reason: string): Finding {
  const detail = `HTTP ${status}: ${reason}`;
  const hint = (remedy: string): Finding => ({ verdict: "FAIL", detail, remedy });
  if (/not known here/.test(reason))
    return hint("add the public key that keygen printed to the `keys` of the edge's CONNECTOR_KEYS");
  if (/expired|clock/.test(reason)) return hint("set this machine's clock by NTP: timedatectl set-ntp true");
  if (/aud/.test(reason)) return hint("edge.url must be the very host and path under which the edge is reached");
  if (/another connector/.test(reason)) return hint("edge.id must be what keygen was given with --id");
  if (status === 401 || status === 403) return hint("make a new key with keygen and add its public half to the edge");
  if (status === 404) return hint("the path of edge.url must be /uplink");
  return hint("look at the edge's log; a proxy on the way may answer in its place");
}

function socketFinding(seen: VisitResult): Finding {
  switch (seen.kind) {
    case "welcomed":
      return {
        verdict: "PASS",
        detail: `welcomed; open after ${Math.round(seen.openMs)} ms, PING through the hub ${Math.round(seen.pingMs)} ms`,
        ms: seen.openMs,
      };
    case "refused":
      return refusal(seen.status, seen.reason);
    case "closed":
      return {
        verdict: seen.code === 4409 ? "WARN" : "FAIL",
        detail: `closed with ${seen.code}${seen.reason === "" ? "" : `: ${seen.reason}`}`,
        remedy:
          seen.code === 4409
            ? "another doctor of this connector runs: let one end"
            : seen.code === 4406
              ? "edge and connector have no version of the wire in common: update the older one"
              : "try again; if it stays, look at the edge's log",
      };
    case "failed":
      return { verdict: "FAIL", detail: seen.reason, remedy: "try again; if it stays, look at the edge's log" };
  }
}
