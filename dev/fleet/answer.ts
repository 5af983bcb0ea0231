// Heads and ends of answers as llama.cpp's HTTP server sends them, and how an answer breaks.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { BreakKind } from "./faults.ts";
import { type Refusal, simulated } from "./refusals.ts";

/** cpp-httplib closes a connection with its 100th answer. */
const ANSWERS_PER_CONNECTION = 100;
const answered = new WeakMap<Socket, number>();

/** Writes a head with exactly these headers, in this order; no `Date`, and `Connection` only where it closes. */
function head(response: ServerResponse, status: number, headers: readonly string[]): void {
  const { req: request } = response;
  const count = (answered.get(request.socket) ?? 0) + 1;
  answered.set(request.socket, count);
  // Any error closes, so that what is left of its request cannot be taken for the next one.
  const closes = status >= 400 || count >= ANSWERS_PER_CONNECTION || !response.shouldKeepAlive;
  response.sendDate = false;
  response.removeHeader("connection");
  response.writeHead(status, [
    "Server",
    "llama.cpp",
    "Access-Control-Allow-Origin",
    origin(request),
    ...headers,
    ...(closes ? ["Connection", "close"] : ["Keep-Alive", "timeout=5, max=100"]),
  ]);
}

function origin(request: IncomingMessage): string {
  return request.headers.origin ?? "";
}

export function streamHead(response: ServerResponse): void {
  const type = ["Content-Type", "text/event-stream", "Transfer-Encoding", "chunked"];
  head(response, 200, ["X-Accel-Buffering", "no", ...type]);
}

export function plainHead(response: ServerResponse, length: number, status = 200): void {
  head(response, status, ["Content-Type", "application/json; charset=utf-8", "Content-Length", String(length)]);
}

export function plain(response: ServerResponse, body: string, status = 200): void {
  plainHead(response, Buffer.byteLength(body), status);
  response.end(body);
}

export function metricsText(response: ServerResponse, body: string, startedAt: number): void {
  head(response, 200, [
    "Process-Start-Time-Unix",
    String(startedAt),
    "Content-Type",
    "text/plain; version=0.0.4",
    "Content-Length",
    String(Buffer.byteLength(body)),
  ]);
  response.end(body);
}

export function refuse(response: ServerResponse, refusal: Refusal): void {
  plain(response, refusal.body, refusal.status);
}

/** RST instead of an orderly end. */
export function reset(response: ServerResponse): void {
  response.socket?.resetAndDestroy();
}

/** How a plain answer breaks: it has no middle that a client could understand. */
export function breakPlain(response: ServerResponse, kind: Exclude<BreakKind, "hang">, body: string): void {
  switch (kind) {
    case "reset":
      reset(response);
      break;
    case "error":
      refuse(response, simulated(500));
      break;
    case "truncate":
    case "cut": {
      const bytes = Buffer.from(body);
      plainHead(response, bytes.length);
      response.write(bytes.subarray(0, bytes.length >> 1));
      response.socket?.end();
      break;
    }
    default:
      kind satisfies never;
  }
}
