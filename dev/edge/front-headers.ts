// What of a request's head goes on to workerd.
import type { IncomingMessage } from "node:http";

/** The way to workerd. */
export interface Hop {
  /** Where workerd listens. */
  readonly socketPath: string;
  /** The header in which workerd takes `request.cf`: `cfBlobHeader` of its configuration. A client's own is dropped. */
  readonly cfHeader: string;
}

/** Of one connection only, so never passed on; the framing of a body is made anew. */
export const HOP_HEADERS: ReadonlySet<string> = new Set([
  "connection",
  "expect",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Of the body; infinite where it is not told. */
export function lengthOf({ headers }: IncomingMessage): number {
  if (headers["transfer-encoding"] !== undefined) return Number.POSITIVE_INFINITY;
  return Number(headers["content-length"] ?? 0);
}

/** What the client sent, less what is of its connection, and who it is. */
export function headersFor(incoming: IncomingMessage, cfHeader: string): string[] {
  const named = (incoming.headers.connection ?? "").toLowerCase().split(/[\s,]+/);
  const headers: string[] = [];
  const raw = incoming.rawHeaders;
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!.toLowerCase();
    if (HOP_HEADERS.has(name) || name === cfHeader || (named.includes(name) && name !== "host")) continue;
    headers.push(name, raw[at + 1]!);
  }
  headers.push(cfHeader, JSON.stringify({ clientIp: incoming.socket.remoteAddress ?? "" }));
  return headers;
}
