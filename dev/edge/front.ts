// The listener of a self-hosted edge: ends TLS, says who the client is, and hands every request to workerd over a unix socket.
// workerd alone can do none of that for a service: it reads certificates once at its start, after SIGTERM it still lets clients
// connect and never answers them, and it does not notice a client that closes without a reset before the answer has begun
// (1.20261023). An end of a unix socket it notices at once.
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  request,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { type Dispatcher, errors, Pool } from "undici";
import { INTAKE_CAPS } from "../../edge/api/intake.ts";
import { HOP_HEADERS, type Hop, headersFor, lengthOf } from "./front-headers.ts";
import { gather, refuseBody, upload, WHOLE_BYTES } from "./front-upload.ts";

/** workerd closes a connection that was idle for 5 s. The one who asks must be the first to let go of it. ms. */
const IDLE_TO_WORKERD_MS = 2_000;
/** Longer than a proxy in front keeps its idle connections (nginx: 60 s), for the same reason. ms. */
const IDLE_FROM_CLIENT_MS = 75_000;
/** A head must have come by then. ms. */
const HEAD_MS = 15_000;
const HEAD_BYTES = 32 * 1024;
/** How long a client may take to accept the end of its connection. ms. */
const LAST_BYTES_MS = 500;

export interface FrontOptions extends Hop {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** A socket that listens already, instead of both. */
  readonly fd?: number;
  /** Requests wait for it: workerd may still be starting. */
  readonly after?: Promise<void>;
  /** PEM. Without it the front speaks plain HTTP. */
  readonly tls?: KeyPair;
}

export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

export interface Front {
  readonly port: number;
  /** Requests that are not answered to their end. Uplinks do not count. */
  readonly running: number;
  /** New connections get the new certificate, the old ones go on as they are. @throws Error if the pair does not fit. */
  renew(tls: KeyPair): void;
  /** Takes no more connections, and resolves when the last request is answered. */
  drain(): Promise<void>;
  /** Ends the uplinks and cuts whatever is left. */
  close(): Promise<void>;
}

/** @throws Error with `code` EADDRINUSE and its like. */
export async function startFront(options: FrontOptions): Promise<Front> {
  const { host, port, fd, socketPath, cfHeader, after, tls } = options;
  const pool = new Pool("http://edge", {
    socketPath,
    connections: null,
    pipelining: 1,
    keepAliveTimeout: IDLE_TO_WORKERD_MS,
    // How long an answer may take is the Worker's decision.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const hop = { socketPath, cfHeader };
  const answers = new Set<ServerResponse>();
  const uplinks = new Set<Duplex>();
  let idle: (() => void) | null = null;

  const serve: RequestListener = (incoming, response) => {
    if (response.destroyed) return;
    answers.add(response);
    // Also where the client left: FIN and reset are the same here.
    response.once("close", () => {
      answers.delete(response);
      if (answers.size === 0) idle?.();
    });
    if (idle !== null) response.setHeader("connection", "close");
    const { method, url: path } = incoming;
    if (!isPath(path)) return void response.writeHead(400).end();
    const length = lengthOf(incoming);
    // workerd would refuse it and close while the body still comes, and its answer could be lost with the connection.
    if (Number.isFinite(length) && length > INTAKE_CAPS.bytes) return refuseBody(incoming, response);
    if (length > WHOLE_BYTES) return upload(incoming, response, hop);
    const dispatch = (body: Buffer | null): void => {
      const headers = headersFor(incoming, cfHeader);
      pool.dispatch({ method: method as Dispatcher.HttpMethod, path, headers, body }, answerTo(response));
    };
    if (length === 0) dispatch(null);
    else gather(incoming, length, dispatch);
  };

  let isUp = after === undefined;
  void after?.then(() => {
    isUp = true;
  });
  const whenUp = (work: () => void): void => {
    if (isUp) work();
    else void after?.then(work);
  };

  const limits = {
    maxHeaderSize: HEAD_BYTES,
    headersTimeout: HEAD_MS,
    keepAliveTimeout: IDLE_FROM_CLIENT_MS,
    noDelay: true,
    shouldUpgradeCallback: isWebSocket,
  };
  const server: Server | TlsServer =
    tls === undefined
      ? createServer(limits)
      : createTlsServer({ ...limits, ...tlsOptions(tls), ALPNProtocols: ["http/1.1"] });
  server.on("request", (incoming, response) => whenUp(() => serve(incoming, response)));
  server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, first: Buffer) => {
    socket.on("error", () => {});
    if (!isPath(incoming.url)) return void socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
    uplinks.add(socket);
    socket.once("close", () => uplinks.delete(socket));
    whenUp(() => upgrade(incoming, socket, first, hop));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(fd === undefined ? { port, host } : { fd }, resolve);
  });

  const closed = new Promise((resolve) => server.once("close", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get running() {
      return answers.size;
    },
    renew(pair) {
      (server as TlsServer).setSecureContext(tlsOptions(pair));
    },
    drain() {
      const drained = new Promise<void>((resolve) => {
        idle = resolve;
      });
      // Idle connections go at once, the others after their answer.
      server.close();
      for (const response of answers) if (!response.headersSent) response.setHeader("connection", "close");
      if (answers.size === 0) idle?.();
      return drained;
    },
    async close() {
      if (server.listening) server.close();
      for (const socket of uplinks) socket.destroy();
      server.closeIdleConnections();
      for (const response of answers) response.destroy();
      // The last bytes of an answer that has just ended are on their way.
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, LAST_BYTES_MS))]);
      server.closeAllConnections();
      await pool.destroy();
    },
  };
}

const tlsOptions = ({ cert, key }: KeyPair) => ({ cert, key, minVersion: "TLSv1.2" as const });

/** The parser lets more through than a request of ours may say. */
const isPath = (url: string | undefined): url is string => /^\/[\x21-\x7e]*$/.test(url ?? "");

const isWebSocket = (incoming: IncomingMessage): boolean => incoming.headers.upgrade?.toLowerCase() === "websocket";

/** Takes workerd's answer to the client, no faster than the client reads. */
function answerTo(response: ServerResponse): Dispatcher.DispatchHandler {
  return {
    onRequestStart(controller) {
      if (response.destroyed) return controller.abort(new Error("the client left"));
      response.once("close", () => {
        if (!response.writableFinished) controller.abort(new Error("the client left"));
      });
    },
    onResponseStart(_controller, status, headers) {
      for (const name of HOP_HEADERS) delete headers[name];
      response.writeHead(status, headers);
      // A head does not wait for the first token, but shares a packet with what comes in the same turn.
      process.nextTick(() => response.destroyed || response.flushHeaders());
    },
    onResponseData(controller, chunk) {
      if (response.write(chunk)) return;
      controller.pause();
      response.once("drain", () => controller.resume());
    },
    onResponseEnd() {
      response.end();
    },
    onResponseError(_controller, error) {
      // Without a head there is an honest status; within an answer only a cut is honest.
      if (response.headersSent) response.destroy();
      else
        response.writeHead(error instanceof errors.InvalidArgumentError ? 400 : 502, { "content-length": "0" }).end();
    },
  };
}

/** One WebSocket. What workerd refuses is answered and closed: nothing may follow on a connection that is no longer read. */
function upgrade(incoming: IncomingMessage, socket: Duplex, first: Buffer, { socketPath, cfHeader }: Hop): void {
  const asked = request({
    socketPath,
    method: "GET",
    path: incoming.url,
    headers: [...headersFor(incoming, cfHeader), "connection", "Upgrade", "upgrade", "websocket"],
    agent: false,
  });
  socket.on("error", () => asked.destroy());
  socket.once("close", () => asked.destroy());
  asked.on("upgrade", (answer, inner, early) => {
    socket.write(headOf(answer));
    if (early.length > 0) socket.write(early);
    if (first.length > 0) inner.write(first);
    inner.on("error", () => socket.destroy());
    inner.once("close", () => socket.destroy());
    socket.once("close", () => inner.destroy());
    inner.pipe(socket).pipe(inner);
  });
  asked.on("response", (answer) => {
    for (const name of HOP_HEADERS) delete answer.headers[name];
    socket.write(headOf(answer, "close"));
    answer.pipe(socket);
  });
  asked.on("error", () => socket.destroy());
  asked.end();
}

function headOf(answer: IncomingMessage, connection?: "close"): string {
  const lines = [`HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}`];
  if (connection === undefined) {
    for (let at = 0; at < answer.rawHeaders.length; at += 2) {
      lines.push(`${answer.rawHeaders[at]}: ${answer.rawHeaders[at + 1]}`);
    }
  } else {
    for (const [name, value] of Object.entries(answer.headers)) lines.push(`${name}: ${value}`);
    lines.push(`connection: ${connection}`);
  }
  return `${lines.join("\r\n")}\r\n\r\n`;
}
