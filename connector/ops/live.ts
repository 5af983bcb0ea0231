// The live view of a running connector: asks it over its own listener, and says it for people.
import { get } from "node:http";
import { z } from "zod";
import type { ConnectorStatus } from "../status.ts";
import { columns, span } from "./columns.ts";
import type { RatesNow } from "./rates.ts";
import { headline } from "./readiness.ts";
import type { Trouble } from "./troubles.ts";

const ANSWER_WITHIN_MS = 5_000;

export interface LiveStatus extends ConnectorStatus {
  readonly pid: number;
  readonly ready: boolean;
  readonly rates: RatesNow;
  /** Newest first. */
  readonly troubles: readonly Trouble[];
}

/** Enough to tell a connector from whatever else may listen there. */
const Answer = z.looseObject({ id: z.string(), sockets: z.array(z.unknown()), pools: z.array(z.unknown()) });

/** @throws Error in one line, with what to do. */
export async function askStatus(host: string, port: number): Promise<LiveStatus> {
  const target = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  const text = await new Promise<string>((done, fail) => {
    const request = get({ host: target, port, path: "/status", timeout: ANSWER_WITHIN_MS }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        body += piece;
      });
      response.on("end", () =>
        response.statusCode === 200
          ? done(body)
          : fail(new Error(`${target}:${port} answers ${response.statusCode}: ${body.trim().slice(0, 200)}`)),
      );
      response.on("error", fail);
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${span(ANSWER_WITHIN_MS)}`)));
    request.on("error", (error: NodeJS.ErrnoException) => {
      const what = error.code === "ECONNREFUSED" ? "nothing listens there; is the connector running?" : error.message;
      fail(new Error(`no connector at ${target}:${port}: ${what}`));
    });
  });
  try {
    return Answer.parse(JSON.parse(text)) as unknown as LiveStatus;
  } catch {
    throw new Error(`what listens at ${target}:${port} is no connector; compare metrics.listen of the configuration`);
  }
}

/** Lines for a terminal. */
export function tellStatus(status: LiveStatus): string[] {
  const { now, sockets, pools, exchanges, rates, troubles } = status;
  const perSecond = (rate: number) => (rate >= 10 ? rate.toFixed(0) : rate.toFixed(1));
  return [
    `${status.id}  pid ${status.pid}  up ${span(now - status.started_at)}  ${status.agent}  ${status.edge}`,
    headline(status),
    "",
    ...columns([
      ["SOCKET", "STATE", "SINCE", "HEARD", "ROUND TRIP", "RUNNING", "DIALS", "CUTS", "STALLS", "TROUBLE"],
      ...sockets.map((socket) => [
        `shard ${socket.shard}`,
        socket.state,
        span(now - socket.since),
        socket.heard_at === null ? "-" : `${span(now - socket.heard_at)} ago`,
        socket.round_trip === null ? "-" : `${span(socket.round_trip.ms)}, ${span(now - socket.round_trip.at)} ago`,
        String(socket.running),
        `${socket.dials.up} up, ${socket.dials.failed} failed`,
        String(socket.cuts),
        String(socket.stalls),
        socket.trouble ?? "-",
      ]),
    ]),
    "",
    ...columns([
      ["POOL", "IN FLIGHT", "QUEUED", "RETRIES", "QUEUE FULL", "EJECTIONS", "UPSTREAMS"],
      ...pools.map((pool) => [
        pool.model,
        `${total(pool.upstreams, "in_flight")}/${total(pool.upstreams, "slots")}`,
        String(pool.queued),
        String(pool.retries),
        String(pool.refused),
        String(pool.ejections),
        pool.upstreams.map(({ url, state, in_flight }) => `${portOf(url)} ${state} ${in_flight}`).join(", "),
      ]),
    ]),
    "",
    `exchanges: ${exchanges.running} running, ${exchanges.undelivered} undelivered, ${exchanges.resumed} resumed, ` +
      `${exchanges.lost} lost, ${(exchanges.retained_bytes / 1024).toFixed(0)} KiB kept`,
    `last minute: ${perSecond(rates.exchanges)} exchanges/s, ${perSecond(rates.completion_tokens)} tokens/s, ` +
      `${perSecond(rates.lookups)} lookups/s, ${perSecond(rates.failures)} failures/s`,
    ...(troubles.length === 0 ? [] : ["", "last troubles:"]),
    ...troubles.slice(0, 5).map(({ at, level, what }) => `  ${span(now - at)} ago  ${level}  ${what}`),
  ];
}

function total(upstreams: ConnectorStatus["pools"][number]["upstreams"], field: "in_flight" | "slots"): number {
  return upstreams.reduce((sum, upstream) => sum + upstream[field], 0);
}

/** In a pool the host is nearly always the same: its port tells which one it is. */
function portOf(url: string): string {
  return `:${new URL(url).port || (url.startsWith("https:") ? "443" : "80")}`;
}
