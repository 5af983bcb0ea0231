// What a connector tells on its own machine, over HTTP: /metrics for Prometheus, /ready and /healthz for probes, /status for
// `connector status`. Reads only; nothing here changes anything.
//
// The picture behind /status names upstreams and quotes the log, so it is given to callers from the same machine alone,
// wherever the address may be open to others. A browser on that machine is kept out by the Host header: a page of a
// stranger that has its own name resolve to 127.0.0.1 still names itself there.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { ConnectorStatus } from "../status.ts";
import { isHeard, isReady, isUp } from "./readiness.ts";

export interface ListenerOptions {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly status: () => ConnectorStatus;
  /** What /status says beyond the picture. */
  readonly more: () => object;
  readonly metrics: { readonly contentType: string; text(status: ConnectorStatus): Promise<string> };
}

export interface Listener {
  readonly port: number;
  close(): void;
}

/** @throws Error of node:net if it cannot listen there. */
export async function listen(options: ListenerOptions): Promise<Listener> {
  const server = createServer((request, response) => {
    void answer(options, request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : undefined);
    });
  });
  await new Promise<void>((done, fail) => {
    server.once("error", fail);
    server.listen(options.port, options.host, () => {
      server.off("error", fail);
      done();
    });
  });
  // It must not keep a process alive that is done.
  server.unref();
  return { port: portOf(server), close: () => server.close() };
}

async function answer(options: ListenerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    send(response, 405, "text/plain; charset=utf-8", "only GET\n", { allow: "GET, HEAD" });
    return;
  }
  switch ((request.url ?? "").split("?", 1)[0]) {
    case "/metrics":
      send(response, 200, options.metrics.contentType, await options.metrics.text(options.status()));
      return;
    case "/healthz":
      sendJson(response, 200, { status: "alive" });
      return;
    case "/ready": {
      const status = options.status();
      sendJson(response, isReady(status) ? 200 : 503, readiness(status));
      return;
    }
    case "/status":
      if (isLocal(request)) sendJson(response, 200, { ...options.status(), ...options.more() });
      else send(response, 403, "text/plain; charset=utf-8", "only from this machine\n");
      return;
    default:
      send(response, 404, "text/plain; charset=utf-8", "here are /metrics, /ready, /healthz and /status\n");
  }
}

/** For people: each socket with its last sign of life and its last round trip, without an address. */
function readiness(status: ConnectorStatus): object {
  const { now } = status;
  return {
    ready: isReady(status),
    draining: status.draining,
    heard: isHeard(status),
    shards: status.shards,
    sockets: status.sockets.map((socket) => ({
      shard: socket.shard,
      up: isUp(socket),
      state: socket.state,
      for_ms: now - socket.since,
      last_heard_ms_ago: socket.heard_at === null ? null : now - socket.heard_at,
      last_round_trip:
        socket.round_trip === null ? null : { ms_ago: now - socket.round_trip.at, took_ms: socket.round_trip.ms },
    })),
    pools: status.pools.map(({ model, upstreams }) => ({
      model,
      up: upstreams.filter(({ state }) => state === "up").length,
      upstreams: upstreams.length,
    })),
  };
}

function isLocal({ socket, headers }: IncomingMessage): boolean {
  const peer = (socket.remoteAddress ?? "").replace(/^::ffff:/, "");
  const host = (headers.host ?? "").replace(/:\d+$/, "");
  const isLoopback = peer === "::1" || /^127\./.test(peer) || peer === socket.localAddress?.replace(/^::ffff:/, "");
  return isLoopback && /^(localhost|127\.[\d.]+|\[[\da-f:.]+\]|\d+\.\d+\.\d+\.\d+)$/i.test(host);
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  send(response, status, "application/json", `${JSON.stringify(value)}\n`);
}

function send(
  response: ServerResponse,
  status: number,
  type: string,
  text: string,
  more: Record<string, string> = {},
): void {
  response.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    ...more,
  });
  response.end(text);
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
