// An edge alone, and a connector made by hand: for what a well-behaved connector never does.
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll } from "vitest";
import WebSocket from "ws";
import { Crew } from "../../dev/crew.ts";
import { decode, encode } from "../../shared/wire/codec.ts";
import { FINAL, type Frame, FrameType, REFUSAL_HEADER, SUBPROTOCOL } from "../../shared/wire/frames.ts";
import { type Hello, jsonFrame, type PoolReport } from "../../shared/wire/messages.ts";
import { until } from "./stack.ts";

const EDGE = fileURLToPath(new URL("../../dev/edge/main.ts", import.meta.url));
export const MASTER_KEY = "test-master-key";
export const CONNECTOR = "hand-made";

export interface TestEdge {
  readonly port: number;
  readonly url: string;
  /** The private keys that the edge knows by their `kid`. */
  readonly keys: ReadonlyMap<string, CryptoKey>;
}

/** An edge that knows two keys of the connector {@link CONNECTOR} and one of another. */
export function useEdge(settings: Record<string, string> = {}): () => TestEdge {
  const crew = new Crew();
  let directory: string;
  let edge: TestEdge | undefined;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "heartcode-"));
    const keys = new Map<string, CryptoKey>();
    const set = [];
    for (const kid of [`${CONNECTOR}#old`, `${CONNECTOR}#new`, "other"]) {
      const pair = await generateKeyPair("EdDSA", { crv: "Ed25519" });
      keys.set(kid, pair.privateKey);
      set.push({ ...(await exportJWK(pair.publicKey)), kid });
    }
    const file = join(directory, "keys.json");
    await writeFile(file, JSON.stringify({ keys: set }));
    const child = crew.start({
      name: "edge",
      command: process.execPath,
      args: [EDGE, "--port", "0", "--state", join(directory, "state"), "--connector-keys", file, "--drain", "0"],
      env: { ...process.env, AUTH_MODE: "master-key", MASTER_KEY, ADMIN_TOKEN: "test-admin-token", ...settings },
      ipc: true,
    });
    const { port } = (await child.ready(60_000)) as { port: number };
    edge = { port, url: `http://127.0.0.1:${port}`, keys };
  });
  afterAll(async () => {
    await crew.dismiss();
    await rm(directory, { recursive: true, force: true });
  });
  return () => {
    if (edge === undefined) throw new Error("the edge is not up");
    return edge;
  };
}

export interface TokenClaims {
  readonly kid?: string;
  readonly iss?: string;
  readonly aud?: string;
  readonly jti?: string;
  readonly shard?: number;
  readonly slot?: number;
  readonly iat?: number;
  readonly lifetime?: number;
}

export async function tokenFor(edge: TestEdge, claims: TokenClaims = {}, key?: CryptoKey): Promise<string> {
  const { kid = `${CONNECTOR}#new`, shard = 0, slot = 0, lifetime = 60 } = claims;
  const iat = claims.iat ?? Math.floor(Date.now() / 1000);
  return new SignJWT({ shard, slot })
    .setProtectedHeader({ alg: "EdDSA", kid })
    .setIssuer(claims.iss ?? CONNECTOR)
    .setAudience(claims.aud ?? `127.0.0.1:${edge.port}/uplink`)
    .setIssuedAt(iat)
    .setExpirationTime(iat + lifetime)
    .setJti(claims.jti ?? randomUUID())
    .sign(key ?? edge.keys.get(kid)!);
}

/** How an upgrade went: a socket, or the status and text of a refusal. */
export async function dial(
  edge: TestEdge,
  token: string | null,
  subprotocol = SUBPROTOCOL,
  more: Readonly<Record<string, string>> = {},
): Promise<HandSocket | string> {
  const socket = new WebSocket(`ws://127.0.0.1:${edge.port}/uplink`, subprotocol, {
    headers: token === null ? more : { ...more, authorization: `Bearer ${token}` },
    perMessageDeflate: false,
  });
  const hand = new HandSocket(socket);
  return new Promise((resolve) => {
    socket.once("open", () => resolve(hand));
    socket.once("unexpected-response", (request, response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      response.once("end", () => {
        request.destroy();
        const isFinal = response.headers[REFUSAL_HEADER] === FINAL;
        resolve(`${response.statusCode} ${text.trim()}${isFinal ? " (final)" : ""}`);
      });
    });
    socket.on("error", () => {});
  });
}

const POOLS: PoolReport[] = [
  { model: "heartcode-embed", kind: "embedding", upstreams: 1, healthy: 1, slots: 8, in_flight: 0, queued: 0 },
  { model: "heartcode-chat-sfw", kind: "chat", upstreams: 1, healthy: 1, slots: 8, in_flight: 0, queued: 0 },
];

export const hello = (changes: Partial<Hello> = {}): Frame =>
  jsonFrame(FrameType.HELLO, 0, {
    versions: [1],
    features: [],
    // As of a new process each time: what an earlier socket left open is not to be resumed here.
    instance: randomUUID(),
    agent: "test",
    windows: { exchange: 262_144, socket: 4_194_304 },
    pools: POOLS,
    ...changes,
  });

/** A connector's socket in a test's hands. */
export class HandSocket {
  readonly socket: WebSocket;
  readonly frames: Frame[] = [];
  closed: { code: number; reason: string } | null = null;

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) this.frames.push(...decode(data));
    });
    socket.on("close", (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
  }

  say(...frames: Frame[]): void {
    this.socket.send(encode(frames));
  }

  /** The next frame of a type, taken out of what has come. */
  async hear(type: number): Promise<Frame> {
    let at = -1;
    await until(() => {
      at = this.frames.findIndex((frame) => frame.type === type);
      if (at < 0 && this.closed !== null) throw new Error(`closed: ${this.closed.code} ${this.closed.reason}`);
      return at >= 0;
    });
    return this.frames.splice(at, 1)[0]!;
  }

  async hearClose(): Promise<{ code: number; reason: string }> {
    await until(() => this.closed !== null);
    return this.closed!;
  }
}

export const json = (frame: Frame): Record<string, unknown> => JSON.parse(new TextDecoder().decode(frame.payload));
