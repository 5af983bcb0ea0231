// What the hubs of the product counted while something was measured: a stall is explained by it, or not theirs.
import { Connection, requestBytes } from "./connection.ts";

/** Over all shards, since their start. */
export interface HubCounts {
  /** Answers that went on over another socket. */
  readonly resumed: number;
  /** Sockets closed because the connector broke the wire. */
  readonly violations: number;
  /** Channels that had bytes to send and no credit; since the socket's opening. */
  readonly window_stalls: number;
}

const NAMES = ["resumed", "violations", "window_stalls"] as const;
const TIMEOUT_MS = 5_000;

export async function countHubs(port: number, adminToken: string): Promise<HubCounts> {
  const connection = new Connection(port);
  const late = setTimeout(() => connection.destroy(), TIMEOUT_MS);
  const pieces: Buffer[] = [];
  try {
    const request = requestBytes({ method: "GET", path: "/admin/status", authorization: `Bearer ${adminToken}` });
    const status = await connection.ask(request, (piece) => pieces.push(Buffer.from(piece)));
    if (status !== 200) throw new Error(`/admin/status answered ${status}`);
  } finally {
    clearTimeout(late);
    connection.destroy();
  }
  return addCounts((JSON.parse(Buffer.concat(pieces).toString()) as { shards: HubCounts[] }).shards);
}

export function addCounts(all: readonly HubCounts[]): HubCounts {
  const sum = (name: (typeof NAMES)[number]) => all.reduce((total, counts) => total + counts[name], 0);
  return { resumed: sum("resumed"), violations: sum("violations"), window_stalls: sum("window_stalls") };
}

/** In words: what was counted from `before` to `after`. */
export function tellCounts(before: HubCounts, after: HubCounts): string {
  return `hub: ${NAMES.map((name) => `${name} ${after[name] - before[name]}`).join(", ")}`;
}
