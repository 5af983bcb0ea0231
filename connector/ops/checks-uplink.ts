// What doctor looks at on the uplink itself: the key, whether the edge takes a token signed with it, and one socket to each
// shard. It comes as a probe from a slot of its own, so that a running connector of the same id notices nothing.
import type { Check, Finding } from "./checks.ts";
import { clockFinding } from "./checks-road.ts";
import { type Remedy, remedy } from "./remedies.ts";

/** As connector/uplink offers it. */
export interface UplinkHands {
  /** Reads the key, or says what is wrong with its file and what to do. */
  identity(): Promise<Signer | { readonly wrong: string; readonly remedy: string }>;
  visit(token: string): Promise<VisitResult>;
}

export interface Signer {
  readonly kid: string;
  token(shard: number): Promise<string>;
}

export type VisitResult =
  | { kind: "welcomed"; shards: number; openMs: number; pingMs: number; skewMs: number }
  | { kind: "refused"; status: number; reason: string }
  | { kind: "closed"; code: number; reason: string }
  /** `opened`: after the upgrade. */
  | { kind: "failed"; reason: string; opened: boolean };

export function uplinkChecks(hands: UplinkHands): Check[] {
  const key: Check = {
    name: "key",
    needs: ["config"],
    run: async () => {
      const signer = await hands.identity();
      if ("wrong" in signer) return { verdict: "FAIL", detail: signer.wrong, remedy: signer.remedy };
      return { verdict: "PASS", detail: `signs as ${signer.kid}` };
    },
  };
  const token: Check = {
    name: "uplink: token",
    needs: ["key", "edge: HTTP"],
    run: async () => {
      const signer = await hands.identity();
      // It was read a moment ago, by the row before.
      if ("wrong" in signer) return { verdict: "FAIL", detail: signer.wrong, remedy: signer.remedy };
      const seen = await hands.visit(await signer.token(0));
      if (seen.kind === "refused") return refusal(seen.status, seen.reason);
      if (seen.kind === "failed" && !seen.opened)
        return { verdict: "FAIL", detail: seen.reason, remedy: remedy("upgrade") };
      const shards = seen.kind === "welcomed" ? seen.shards : 1;
      const others = Array.from({ length: shards - 1 }, (_, at) => at + 1);
      const more = [
        { name: "uplink: shard 0", needs: [], run: async () => socketFinding(seen) },
        ...(seen.kind === "welcomed" ? [clockOf(seen.skewMs, seen.pingMs)] : []),
        ...others.map((shard) => ({
          name: `uplink: shard ${shard}`,
          needs: [],
          run: async () => socketFinding(await hands.visit(await signer.token(shard))),
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
  return { verdict: "FAIL", detail: `HTTP ${status}: ${reason}`, remedy: remedy(remedyOfRefusal(status, reason)) };
}

/** By the words of edge/api/uplink.ts. */
function remedyOfRefusal(status: number, reason: string): Remedy {
  if (/not known here/.test(reason)) return "tokenUnknown";
  if (/expired|clock/.test(reason)) return "tokenClock";
  if (/`aud`/.test(reason)) return "tokenAddress";
  if (/another connector/.test(reason)) return "tokenId";
  if (status === 401 || status === 403) return "tokenElse";
  return status === 404 ? "tokenPath" : "tokenAnswer";
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
    case "closed": {
      const detail = `closed with ${seen.code}${seen.reason === "" ? "" : `: ${seen.reason}`}`;
      if (seen.code === 4409 || seen.code === 4410) return { verdict: "WARN", detail, remedy: remedy("shardBusy") };
      return { verdict: "FAIL", detail, remedy: remedy(seen.code === 4406 ? "shardVersion" : "shard") };
    }
    case "failed":
      return { verdict: "FAIL", detail: seen.reason, remedy: remedy("shard") };
  }
}
