// HTTP as bytes on a socket: for what no client library would send.
import { connect } from "node:net";

export interface RawAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** The first answer in what a server said, after any `100 Continue`. Null: it said nothing that begins like one. */
export function firstAnswer(all: string): RawAnswer | null {
  const said = all.replace(/^HTTP\/1\.1 100 [\s\S]*?\r\n\r\n/, "");
  const head = /^HTTP\/1\.1 (\d{3})[^\r\n]*\r\n([\s\S]*?)\r\n\r\n/.exec(said);
  if (head === null) return null;
  const headers = new Headers();
  for (const line of head[2]!.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  const rest = said.slice(head[0].length);
  const length = headers.get("content-length");
  const isChunked = headers.get("transfer-encoding") === "chunked";
  const body = isChunked ? unchunked(rest) : rest.slice(0, length === null ? undefined : Number(length));
  return { status: Number(head[1]), headers, body };
}

function unchunked(text: string): string {
  let body = "";
  let at = 0;
  for (;;) {
    const end = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, end), 16);
    if (end === -1 || !(size > 0)) return body;
    body += text.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}

/**
 * All that a server says to these bytes (text is Latin-1), until it closes the connection: ask it to, or end the writing
 * side with `half`. Rejects if it is still open after `withinMs`.
 */
export function say(
  port: number,
  bytes: string | Uint8Array,
  { half = false, withinMs = 15_000 }: { half?: boolean; withinMs?: number } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    let said = "";
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`still open after ${withinMs} ms; it said: ${said.slice(0, 200)}`));
    }, withinMs);
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(said);
    };
    socket.setEncoding("latin1").on("data", (piece: string) => {
      said += piece;
    });
    socket.once("end", done);
    socket.once("close", done);
    // A server may reset what it has refused.
    socket.on("error", () => {});
    socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
    if (half) socket.end();
  });
}
