// What follows from a connector's picture of itself: can it serve a request, is it alive, and what is to be told of it in
// one line. No I/O, no clock.
import type { ConnectorStatus, SocketStatus } from "../status.ts";

/** A socket on which nothing has come in for so long is not alive (wire/spec.md §8). */
export const SILENT_AFTER_MS = 25_000;

/** A request can be served: a socket is up on every shard, some upstream has said that it is well, and we stay. */
export function isReady(status: ConnectorStatus): boolean {
  return !status.draining && status.sockets.filter(isUp).length >= status.shards && upstreamsUp(status) > 0;
}

/** An edge that refuses is asked again within 30 s, and answers within some seconds. */
const REFUSED_WITHIN_MS = 45_000;

/**
 * The road to the edge is open: at least one socket has brought something in lately, or an edge that refuses has said so.
 * A new process would be refused as well, and give up sooner.
 */
export function isHeard({ sockets, now }: ConnectorStatus): boolean {
  return sockets.some(({ state, heard_at, refused_at }) =>
    state === "up"
      ? heard_at !== null && now - heard_at < SILENT_AFTER_MS
      : refused_at !== null && now - refused_at < REFUSED_WITHIN_MS,
  );
}

/** Changes when something has changed that an operator wants to know, and not with every request. */
export function headline(status: ConnectorStatus): string {
  const { sockets, shards, pools, draining, exchanges } = status;
  const up = sockets.filter(isUp).length;
  const upstreams = pools.reduce((sum, pool) => sum + pool.upstreams.length, 0);
  const counts = `${up} of ${shards} sockets up, ${upstreamsUp(status)} of ${upstreams} upstreams up`;
  if (draining) return `draining: ${exchanges.running > 0 ? "answers are still running" : "nothing runs"}; ${counts}`;
  const refused = sockets.find((socket) => socket.state === "refused");
  if (refused !== undefined) return `refused by the edge: ${refused.trouble ?? "no reason given"}; ${counts}`;
  if (isReady(status)) return `ready: ${counts}`;
  const trouble = sockets.find((socket) => !isUp(socket) && socket.trouble !== null)?.trouble ?? null;
  return `not ready: ${counts}${trouble === null ? "" : `; the uplink says: ${trouble}`}`;
}

export function isUp({ state }: SocketStatus): boolean {
  return state === "up";
}

export function upstreamsUp({ pools }: ConnectorStatus): number {
  return pools.reduce((sum, { upstreams }) => sum + upstreams.filter(({ state }) => state === "up").length, 0);
}
