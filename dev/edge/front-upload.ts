// Bodies on their way to workerd. The difficulty is a refusal while the body still comes: workerd closes behind it, and who is
// still writing then may lose the answer with the connection.
import { randomUUID } from "node:crypto";
import { type IncomingMessage, request, type ServerResponse } from "node:http";
import { INTAKE_CAPS } from "../../edge/api/intake.ts";
import { sharedAt } from "../../edge/cors.ts";
import { errorBody, errorHead } from "../../shared/errors.ts";
import { HOP_HEADERS, type Hop, headersFor, lengthOf } from "./front-headers.ts";

/** A body of at most so many bytes goes to workerd in one piece with its head. */
export const WHOLE_BYTES = 64 * 1024;

/** A client that leaves before its body is whole has asked for nothing. */
export function gather(incoming: IncomingMessage, length: number, whole: (body: Buffer) => void): void {
  const body = Buffer.allocUnsafe(length);
  let at = 0;
  incoming.on("data", (piece: Buffer) => {
    at += piece.copy(body, at);
  });
  incoming.once("end", () => whole(body));
}

/** The Worker's own words for it. The body is read away, or the client could not read them. */
export function refuseBody(incoming: IncomingMessage, response: ServerResponse): void {
  const failure = { code: "request_too_large" } as const;
  const { status, headers } = errorHead(failure);
  const text = JSON.stringify(errorBody(failure));
  const id = `req_${randomUUID().replaceAll("-", "")}`;
  const { headers: asked, url = "" } = incoming;
  const open = asked.origin === undefined ? {} : sharedAt(url);
  response.writeHead(status, { ...headers, ...open, "content-type": "application/json", "x-request-id": id });
  response.end(text);
  readAway(incoming);
}

/** Nobody wants it, but a client that is still sending could not read its answer. Bounded: some never stop. */
function readAway(incoming: IncomingMessage): void {
  let length = 0;
  incoming.on("data", (piece: Buffer) => {
    length += piece.byteLength;
    if (length > INTAKE_CAPS.dropped) incoming.destroy();
  });
  incoming.resume();
}

function letGo(incoming: IncomingMessage): void {
  incoming.removeAllListeners("data").unpipe();
}

/**
 * Passes a large body on as it comes. Not a byte of it leaves before workerd asks for it, which it does when the Worker begins to
 * read: what is refused for its head has its answer whole. What has grown too large is refused here, as the Worker would.
 */
export function upload(incoming: IncomingMessage, response: ServerResponse, hop: Hop): void {
  const isChunked = !Number.isFinite(lengthOf(incoming));
  const headers = [...headersFor(incoming, hop.cfHeader), "expect", "100-continue"];
  if (isChunked) headers.push("transfer-encoding", "chunked");
  const { method, url } = incoming;
  const asked = request({ socketPath: hop.socketPath, method, path: url, headers, agent: false });
  response.once("close", () => response.writableFinished || asked.destroy());
  asked.on("continue", () => {
    let length = 0;
    incoming.on("data", (piece: Buffer) => {
      length += piece.byteLength;
      if (length <= INTAKE_CAPS.bytes || response.headersSent) return;
      letGo(incoming);
      asked.destroy();
      refuseBody(incoming, response);
    });
    incoming.pipe(asked);
  });
  asked.on("response", (answer) => {
    for (const name of HOP_HEADERS) delete answer.headers[name];
    response.writeHead(answer.statusCode ?? 502, answer.headers).flushHeaders();
    answer.pipe(response);
    answer.once("end", () => {
      if (incoming.complete) return;
      letGo(incoming);
      readAway(incoming);
    });
    answer.on("error", () => response.destroy());
  });
  asked.on("error", () => {
    // Without a head there is an honest status; within an answer only a cut is honest.
    if (!response.headersSent) response.writeHead(502, { "content-length": "0" }).end();
    else if (!response.writableEnded) response.destroy();
  });
  asked.flushHeaders();
}
