// What may stand at the edge's address instead of one that is well: anything that doctor has to tell apart.
import { spawn } from "node:child_process";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { decode, encode } from "../../shared/wire/codec.ts";
import { EXCHANGE_WINDOW_BYTES, FrameType, SOCKET_WINDOW_BYTES, SUBPROTOCOL } from "../../shared/wire/frames.ts";
import { jsonFrame } from "../../shared/wire/messages.ts";

/** What happens to a connector that dials. */
export type Upgrade =
  /** The connection is gone. */
  | "drop"
  /** It stays, and nothing is said; this is called when its dialler has left. */
  | { readonly left: () => void }
  /** HTTP's answer. */
  | { readonly status: number; readonly text: string; readonly headers?: Readonly<Record<string, string>> }
  /** A WebSocket, and this is done with it. */
  | ((socket: WebSocket, shard: number) => void);

export interface FalseEdgeOptions {
  /** How `GET /health` is answered; null: not at all. */
  readonly health?: ((response: ServerResponse) => void) | null;
  readonly upgrade?: Upgrade;
  /** Instead: one for each dial, and the last one for all that follow. */
  readonly upgrades?: readonly Upgrade[];
  readonly tls?: { readonly cert: Buffer; readonly key: Buffer };
  readonly host?: string;
}

export interface Address {
  readonly port: number;
  close(): Promise<void>;
}

/** As a real edge says it. */
export const well = (response: ServerResponse): void => {
  response.end('{"status":"ok"}');
};

export async function falseEdge(options: FalseEdgeOptions): Promise<Address> {
  const { health = well, upgrade: always = "drop", upgrades = [always], tls, host = "127.0.0.1" } = options;
  const answer = (request: IncomingMessage, response: ServerResponse): void =>
    health === null ? void request.socket.destroy() : health(response);
  const server = tls === undefined ? createServer(answer) : createSecureServer(tls, answer);
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => SUBPROTOCOL });
  const silent: Duplex[] = [];
  let dials = 0;
  server.on("upgrade", (request, socket, head) => {
    const upgrade = upgrades[Math.min(dials, upgrades.length - 1)]!;
    dials += 1;
    if (upgrade === "drop") socket.destroy();
    else if ("left" in upgrade)
      silent.push(
        socket
          .resume()
          .on("error", () => {})
          .on("end", upgrade.left)
          .on("close", upgrade.left),
      );
    else if (typeof upgrade === "function")
      sockets.handleUpgrade(request, socket, head, (ours) => upgrade(ours, shardOf(request)));
    else {
      const { status, text, headers = {} } = upgrade;
      const lines = Object.entries({ "content-length": text.length, ...headers }).map(
        ([name, is]) => `${name}: ${is}\r\n`,
      );
      socket.end(`HTTP/1.1 ${status} No\r\n${lines.join("")}\r\n${text}`, () => socket.destroy());
    }
  });
  await new Promise<void>((done) => server.listen(0, host, done));
  const close = async (): Promise<void> => {
    for (const one of sockets.clients) one.terminate();
    for (const one of silent) one.destroy();
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  };
  return { port: (server.address() as AddressInfo).port, close };
}

function shardOf(request: IncomingMessage): number {
  const claims = request.headers.authorization?.split(".")[1] ?? "";
  return (JSON.parse(Buffer.from(claims, "base64url").toString()) as { shard: number }).shard;
}

/** Welcomes and answers PING as a hub does, whose clock is off by `skewMs`. */
export const hub =
  (shards: number, skewMs = 0) =>
  (socket: WebSocket, shard: number): void => {
    socket.on("message", (message: Buffer, isBinary: boolean) => {
      for (const { type } of isBinary ? decode(message) : []) {
        if (type === FrameType.HELLO) socket.send(encode([jsonFrame(FrameType.WELCOME, 0, welcome(shard))]));
        if (type === FrameType.PING)
          socket.send(encode([{ type: FrameType.PONG, channel: 0, payload: new Uint8Array(0) }]));
      }
    });
    const welcome = (at: number): object => ({
      version: 1,
      features: [],
      shard: at,
      shards,
      windows: { exchange: EXCHANGE_WINDOW_BYTES, socket: SOCKET_WINDOW_BYTES },
      now: Date.now() + skewMs,
    });
  };

/** A proxy before a real edge that does not pass `Host` on. */
export async function renamingProxy(edgePort: number): Promise<Address> {
  const server = createTcpServer((client) => {
    const edge = connect(edgePort, "127.0.0.1");
    client.once("data", (head) => {
      edge.write(head.toString("latin1").replace(/\r\nhost: [^\r\n]*/i, "\r\nHost: behind.internal"), "latin1");
      client.pipe(edge).pipe(client);
    });
    const end = () => [client, edge].forEach((one) => void one.destroy());
    for (const one of [client, edge]) one.on("error", end).on("close", end);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => new Promise((done) => void server.close(() => done())),
  };
}

/** Takes connections and says nothing. */
export async function silentPort(): Promise<Address> {
  const held: { destroy(): void }[] = [];
  const server = createTcpServer((socket) => held.push(socket.on("error", () => {})));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      for (const socket of held) socket.destroy();
      return new Promise((done) => void server.close(() => done()));
    },
  };
}

/** Answers no SYN, as behind a firewall that drops: a process that stands still, and whose queue is full. */
export async function droppingPort(): Promise<Address> {
  const program = `const s = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 },
    () => console.log(s.address().port))`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  const port = Number(await new Promise((done) => child.stdout.setEncoding("utf8").once("data", done)));
  child.kill("SIGSTOP");
  // The queue holds one more than it is said to.
  const fillers = Array.from({ length: 4 }, () => connect(port, "127.0.0.1").on("error", () => {}));
  await Promise.all(fillers.slice(0, 2).map((one) => new Promise((done) => one.once("connect", done))));
  return {
    port,
    close: async () => {
      for (const filler of fillers) filler.destroy();
      const exited = new Promise((done) => child.once("exit", done));
      child.kill("SIGKILL");
      await exited;
    },
  };
}
