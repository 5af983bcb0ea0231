// One look at a hub shard, for `doctor`: dials it as the connector would, from a slot of its own and as a probe
// (wire/spec.md §3), so that a running connector keeps its socket and nothing is ever opened here. Then it leaves.
import WebSocket from "ws";
import { decode, encode } from "../../shared/wire/codec.ts";
import {
  CloseCode,
  EXCHANGE_WINDOW_BYTES,
  type Frame,
  FrameType,
  MAX_MESSAGE_BYTES,
  SOCKET_WINDOW_BYTES,
  SUBPROTOCOL,
  VERSION,
  WireViolation,
} from "../../shared/wire/frames.ts";
import { type Hello, jsonFrame, PROBE, readJson, Welcome } from "../../shared/wire/messages.ts";

/** No running connector uses it. */
export const PROBE_SLOT = 15;

export interface VisitOptions {
  readonly url: string;
  readonly token: string;
  readonly instance: string;
  readonly agent: string;
  readonly timeoutMs: number;
  readonly now: () => number;
}

export type Visit =
  /** `pingMs`: a PING and its PONG, through the hub's code. `skewMs`: our clock minus the hub's. */
  | {
      readonly kind: "welcomed";
      readonly shards: number;
      readonly openMs: number;
      readonly pingMs: number;
      readonly skewMs: number;
    }
  /** The upgrade was answered by HTTP. */
  | { readonly kind: "refused"; readonly status: number; readonly reason: string }
  | { readonly kind: "closed"; readonly code: number; readonly reason: string }
  /** `opened`: after the upgrade. */
  | { readonly kind: "failed"; readonly reason: string; readonly opened: boolean };

export function visit({ url, token, instance, agent, timeoutMs, now }: VisitOptions): Promise<Visit> {
  return new Promise((resolve) => {
    const dialledAt = now();
    let openedAt = dialledAt;
    let opened = false;
    let pingedAt = 0;
    let welcome: Welcome | null = null;
    let skewMs = 0;
    const socket = new WebSocket(url, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      followRedirects: false,
    });
    const end = (visit: Visit): void => {
      clearTimeout(timer);
      if (socket.readyState === WebSocket.OPEN) socket.close(CloseCode.NORMAL, "seen");
      else socket.terminate();
      resolve(visit);
    };
    const timer = setTimeout(() => {
      const what = welcome !== null ? "PONG" : opened ? "WELCOME" : "answer to the upgrade";
      fail(`no ${what} within ${timeoutMs} ms`);
    }, timeoutMs);
    const fail = (reason: string): void => end({ kind: "failed", reason, opened });
    socket.on("error", (error) => fail(error.message));
    socket.on("close", (code, reason) => end({ kind: "closed", code, reason: reason.toString() }));
    socket.on("unexpected-response", (_request, response) => {
      let reason = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        if (reason.length < 500) reason += piece;
      });
      const refused = () => end({ kind: "refused", status: response.statusCode ?? 0, reason: reason.trim() });
      response.on("end", refused);
      response.on("error", refused);
    });
    socket.on("open", () => {
      opened = true;
      openedAt = now();
      socket.send(encode([helloOf(instance, agent), goAway()]));
    });
    const heard = (frame: Frame): void => {
      if (frame.type === FrameType.WELCOME) {
        const at = now();
        welcome = readJson(Welcome, frame);
        skewMs = (openedAt + at) / 2 - welcome.now;
        pingedAt = at;
        socket.send(encode([{ type: FrameType.PING, channel: 0, payload: new Uint8Array(0) }]));
      } else if (frame.type === FrameType.PONG && welcome !== null) {
        const { shards } = welcome;
        end({ kind: "welcomed", shards, openMs: openedAt - dialledAt, pingMs: now() - pingedAt, skewMs });
      }
    };
    socket.on("message", (message: Buffer, isBinary: boolean) => {
      try {
        if (isBinary) for (const frame of decode(message)) heard(frame);
      } catch (error) {
        if (!(error instanceof WireViolation)) throw error;
        fail(`what it says is not the wire: ${error.message}`);
      }
    });
  });
}

function helloOf(instance: string, agent: string): Frame {
  const hello: Hello = {
    versions: [VERSION],
    features: [PROBE],
    instance,
    agent,
    windows: { exchange: EXCHANGE_WINDOW_BYTES, socket: SOCKET_WINDOW_BYTES },
    pools: [],
  };
  return jsonFrame(FrameType.HELLO, 0, hello);
}

/** For a hub that does not know what a probe is. */
function goAway(): Frame {
  return jsonFrame(FrameType.GOAWAY, 0, { reason: "a probe", deadline_ms: 0, ack: false });
}
