// One socket to one hub shard, from its dial to its end: opened, greeted, watched for life. The protocol is in session.ts, whether
// it is alive in pulse.ts; which of several sockets is used, and when the next one is dialled, is for uplink.ts to say.
import WebSocket from "ws";
import { CloseCode, FINAL, MAX_MESSAGE_BYTES, REFUSAL_HEADER, SUBPROTOCOL } from "../../shared/wire/frames.ts";
import type { Welcome } from "../../shared/wire/messages.ts";
import type { Host } from "../lane.ts";
import { Departures, type Turns } from "./departures.ts";
import { maskingFor } from "./mask.ts";
import { type Finding, Pulse } from "./pulse.ts";
import { Session } from "./session.ts";

/** A dial into a road that swallows everything must not take longer to give up than the road takes to come back. */
const HANDSHAKE_MS = 5_000;
/** However slowly the answer to a dial trickles in. */
const DIAL_MS = 10_000;
/** WELCOME must come so soon after the socket. */
const WELCOME_MS = 5_000;
const WATCH_MS = 1_000;
/** The socket's own queue is kept short, so that a control frame written now is on the wire soon. */
const SEND_QUEUE_BYTES = 256 * 1024;
const CLOSE_WITHIN_MS = 1_000;
const TURNS: Turns = { immediate: setImmediate, after: (ms, call) => setTimeout(call, ms) };

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** `process`: another one of the same connector is in this place. */
export type Refuser = "edge" | "process";

export interface DialOptions {
  readonly url: string;
  readonly shard: number;
  readonly slot: number;
  readonly token: (shard: number, slot: number) => Promise<string>;
  readonly host: Host;
  readonly instance: string;
  readonly agent: string;
  /** ms until the process has left; null: it stays. */
  readonly leavesInMs: () => number | null;
  /** ms since anything; never goes back nor leaps, as the clock does when it is set. */
  readonly uptime: () => number;
  /** Between two looks at whether a socket is alive; a second. */
  readonly watchMs?: number;
  readonly log: Log;
}

/** Why a socket is gone. */
export interface Loss {
  /** As it is told to people; null: the same as before. */
  readonly trouble: string | null;
  /** The edge's last word about this connector, and whose fault that is. */
  readonly refusal: string | null;
  readonly by: Refuser;
  /** How a socket ended that was open. */
  readonly cut: { readonly code: number; readonly reason: string } | null;
}

export interface DialEvents {
  /** No token could be signed. */
  readonly unsigned: (reason: string) => void;
  /** Something at the edge's address answers, and refuses. */
  readonly refused: () => void;
  readonly opened: () => void;
  readonly welcomed: (welcome: Welcome) => void;
  /** About once a second while it is open. */
  readonly watched: (finding: Finding) => void;
  /** @param askedAt ms of uptime. */
  readonly answered: (askedAt: number) => void;
  readonly lost: (loss: Loss) => void;
}

export class Dial {
  readonly #options: DialOptions;
  readonly #events: DialEvents;
  #socket: WebSocket | null = null;
  #session: Session | null = null;
  /** ms of uptime; null until the socket is open. */
  #openedAt: number | null = null;
  #pulse: Pulse | null = null;
  /** Nobody waits for it any more. */
  #isAbandoned = false;

  constructor(options: DialOptions, events: DialEvents) {
    this.#options = options;
    this.#events = events;
  }

  get session(): Session | null {
    return this.#session;
  }

  get openedAt(): number | null {
    return this.#openedAt;
  }

  get isUp(): boolean {
    return this.#session?.isWelcomed === true;
  }

  /** Something has come in since it was last looked at. */
  get isHeardAnew(): boolean {
    return this.#pulse !== null && this.wire.bytesRead !== this.#pulse.bytes;
  }

  /** Counts the bytes. Only while it is open. */
  get wire(): { readonly bytesRead: number; readonly bytesWritten: number } {
    return (this.#socket as unknown as { _socket: { bytesRead: number; bytesWritten: number } })._socket;
  }

  async start(): Promise<void> {
    const { url, shard, slot, token, log } = this.#options;
    let authorization: string;
    try {
      authorization = `Bearer ${await token(shard, slot)}`;
    } catch (error) {
      if (!this.#isAbandoned) this.#events.unsigned(`no token could be signed: ${String(error)}`);
      return;
    }
    if (this.#isAbandoned) return;
    const socket = new WebSocket(url, SUBPROTOCOL, {
      headers: { authorization },
      // Deflate costs four times the throughput, and tokens do not compress in frames of 300 bytes.
      perMessageDeflate: false,
      ...maskingFor(url),
      maxPayload: MAX_MESSAGE_BYTES,
      handshakeTimeout: HANDSHAKE_MS,
      followRedirects: false,
    });
    this.#socket = socket;
    const limit = setTimeout(() => socket.terminate(), DIAL_MS);
    let loss: Loss | null = null;
    socket.on("unexpected-response", (request, response) => {
      const isRefusal = response.statusCode === 401 || response.statusCode === 403;
      const isFinal = isRefusal && response.headers[REFUSAL_HEADER] === FINAL;
      if (isRefusal) this.#events.refused();
      let reason = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        if (reason.length < 500) reason += part;
      });
      response.on("close", () => {
        clearTimeout(limit);
        const said = `HTTP ${response.statusCode}: ${reason.trim()}`;
        if (!isFinal) log.warn({ shard, slot, answer: said }, "the edge did not open the uplink");
        loss = { trouble: said, refusal: isFinal ? said : null, by: "edge", cut: null };
        this.#lost(loss);
      });
      response.on("end", () => request.destroy());
    });
    socket.on("error", (error) => {
      if (this.#openedAt !== null || loss !== null || this.#isAbandoned) return;
      loss = { trouble: error.message, refusal: null, by: "edge", cut: null };
      log.warn({ shard, slot, error: error.message }, "dialling the edge failed");
    });
    socket.on("open", () => {
      clearTimeout(limit);
      this.#opened(socket);
    });
    socket.on("close", (code, reason) => {
      clearTimeout(limit);
      this.#lost(loss ?? this.#closed(code, reason.toString()));
    });
  }

  /** Nothing is heard of it any more, and what it carried is free for another one. */
  abandon(): void {
    this.#isAbandoned = true;
    this.#session?.lost();
    this.#socket?.terminate();
  }

  /** Closes the socket behind everything that is written to it. */
  async close(): Promise<void> {
    this.#isAbandoned = true;
    this.#session?.lost();
    const socket = this.#socket;
    if (socket === null || socket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise<void>((done) => socket.once("close", () => done()));
    socket.close(CloseCode.NORMAL, "bye");
    // A peer that does not answer the close must not hold the process.
    const force = setTimeout(() => socket.terminate(), CLOSE_WITHIN_MS);
    await closed;
    clearTimeout(force);
  }

  #opened(socket: WebSocket): void {
    const { host, instance, agent, leavesInMs, uptime, shard, slot, log } = this.#options;
    const openedAt = uptime();
    this.#openedAt = openedAt;
    const departures = new Departures(TURNS, (all) => {
      session.flush(() => socket.bufferedAmount < SEND_QUEUE_BYTES, all);
    });
    const session = new Session({
      host,
      instance,
      agent,
      leavesInMs: leavesInMs(),
      send: (message) => {
        socket.send(message, () => {
          if (socket.bufferedAmount < SEND_QUEUE_BYTES) departures.soon();
        });
      },
      close: (code, reason) => {
        log.error({ shard, slot, code, reason }, "the hub broke the wire");
        socket.close(code, reason);
      },
      departures,
      onWelcome: (welcome) => {
        if (!this.#isAbandoned) this.#events.welcomed(welcome);
      },
      onDrained: () => {},
      onGoAway: () => socket.close(CloseCode.NORMAL, "asked to leave"),
    });
    this.#session = session;
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) session.receive(data);
    });
    this.#events.opened();
    this.#watch(socket, session, openedAt);
  }

  /** Liveness (spec.md §8): any inbound byte counts, also those of a message that is not complete yet. */
  #watch(socket: WebSocket, session: Session, openedAt: number): void {
    const { uptime, log, shard, slot, watchMs = WATCH_MS } = this.#options;
    const { wire } = this;
    const pulse = new Pulse(openedAt, wire.bytesRead, wire.bytesWritten);
    this.#pulse = pulse;
    // A ping says when it left: on a slow road the next one leaves before the pong comes.
    socket.on("pong", (data) => {
      const askedAt = Number.parseInt(data.toString(), 10);
      if (Number.isNaN(askedAt)) return;
      pulse.answered(askedAt, uptime());
      this.#events.answered(askedAt);
    });
    const look = () => {
      if (socket.readyState === WebSocket.CLOSED) return;
      const at = uptime();
      const { isBusy } = session;
      const found = pulse.look(at, {
        bytes: wire.bytesRead,
        written: wire.bytesWritten,
        isBusy,
        isBehind: socket.bufferedAmount > 0,
      });
      const isLate = !session.isWelcomed && at - openedAt >= WELCOME_MS;
      if (isLate || found.state === "dead") {
        log.warn({ shard, slot, silent_ms: found.silentMs }, "the uplink is silent: dropping it");
        socket.terminate();
        return;
      }
      if (found.ping) socket.ping(String(Math.floor(at)));
      if (found.word) session.ping();
      if (found.text) socket.send("ping");
      if (!this.#isAbandoned) this.#events.watched(found);
    };
    // Where the process stood still, what has come meanwhile is read before the road is blamed.
    const timer = setInterval(() => setImmediate(look), watchMs);
    socket.once("close", () => clearInterval(timer));
  }

  #closed(code: number, reason: string): Loss {
    const said = `closed with ${code}${reason === "" ? "" : `: ${reason}`}`;
    const wasOpen = this.#openedAt !== null;
    const isFinal = code === CloseCode.VERSION || code === CloseCode.SUPERSEDED;
    const by = code === CloseCode.SUPERSEDED ? "process" : "edge";
    return {
      trouble: wasOpen ? said : null,
      refusal: isFinal ? said : null,
      by,
      cut: wasOpen ? { code, reason } : null,
    };
  }

  #lost(loss: Loss): void {
    if (this.#isAbandoned) return;
    this.#isAbandoned = true;
    this.#session?.lost();
    this.#events.lost(loss);
  }
}
