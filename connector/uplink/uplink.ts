// Keeps one socket to one hub shard: dials, watches for life, redials. The protocol is in session.ts, the waiting in backoff.ts.
import WebSocket from "ws";
import { CloseCode, FINAL, MAX_MESSAGE_BYTES, REFUSAL_HEADER, SUBPROTOCOL } from "../../shared/wire/frames.ts";
import type { Welcome } from "../../shared/wire/messages.ts";
import type { Host } from "../lane.ts";
import type { SocketStatus } from "../status.ts";
import { afterLoss, type Backoff, delayOf, RESTED } from "./backoff.ts";
import { Departures, type Turns } from "./departures.ts";
import { maskingFor } from "./mask.ts";
import { Patience } from "./patience.ts";
import { SocketRecord } from "./record.ts";
import { Session } from "./session.ts";

/** A dial into a road that swallows everything must not take longer to give up than the road takes to come back. */
const HANDSHAKE_MS = 5_000;
/** However slowly the answer to a dial trickles in. */
const DIAL_MS = 10_000;
/** WELCOME must come so soon after the socket. */
const WELCOME_MS = 5_000;
const WATCH_MS = 1_000;
const PING_EVERY_MS = 10_000;
/** While a client may be waiting: its answer is to go on within 25 s, the redial included. */
const BUSY_PING_EVERY_MS = 5_000;
/** The hub hears only this: the platform stamps it without waking anybody. */
const TEXT_PING_EVERY_MS = 15_000;
/** Without any inbound byte for so long a socket is dead, whatever its state says. */
const DEAD_AFTER_MS = 25_000;
const BUSY_DEAD_AFTER_MS = 20_000;
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

export interface UplinkOptions {
  readonly url: string;
  readonly shard: number;
  readonly slot: number;
  readonly token: (shard: number, slot: number) => Promise<string>;
  readonly host: Host;
  readonly instance: string;
  readonly agent: string;
  readonly now: () => number;
  /** ms since anything; never goes back nor leaps, as the clock does when it is set. */
  readonly uptime: () => number;
  /** The edge has welcomed this process, on whatever shard. */
  readonly isGuest: () => boolean;
  readonly chance: () => number;
  readonly log: Log;
  readonly onUp: (welcome: Welcome) => void;
  readonly onDown: () => void;
  /** The edge will never take this socket: it is not dialled again. */
  readonly onRefused: (reason: string, by: Refuser) => void;
}

export class Uplink {
  readonly #options: UplinkOptions;
  readonly #record: SocketRecord;
  #socket: WebSocket | null = null;
  #session: Session | null = null;
  #backoff: Backoff = RESTED;
  readonly #patience = new Patience();
  #redial: NodeJS.Timeout | null = null;
  #stopped = false;
  /** The socket that there is, if it is up, is the last one. */
  #isLast = false;
  /** ms of uptime; null until the socket is open. */
  #openedAt: number | null = null;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#record = new SocketRecord(options.uptime());
  }

  get session(): Session | null {
    return this.#session;
  }

  get isUp(): boolean {
    return this.#session?.isWelcomed === true;
  }

  /** Nothing crosses it any more, and never will. */
  get isOver(): boolean {
    return this.#isLast && !this.isUp;
  }

  status(): SocketStatus {
    const { shard, slot, now, uptime } = this.#options;
    const { running = 0, stalls = 0 } = this.#session ?? {};
    return this.#record.status({ shard, slot, running, stalls }, uptime(), now());
  }

  start(): void {
    void this.#dial();
  }

  /** Dials no more, and gives up a socket that is not up: not even HELLO may be said there. One that is up stays. */
  retire(): void {
    this.#isLast = true;
    if (this.#redial !== null) clearTimeout(this.#redial);
    this.#redial = null;
    if (this.isUp) return;
    this.#record.retired(this.#options.uptime());
    this.#session?.lost();
    this.#socket?.terminate();
  }

  /** Closes the socket behind everything that is written to it, and dials no more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#redial !== null) clearTimeout(this.#redial);
    this.#redial = null;
    this.#session?.lost();
    const socket = this.#socket;
    if (socket === null) return;
    const closed = new Promise<void>((done) => socket.once("close", () => done()));
    socket.close(CloseCode.NORMAL, "bye");
    // A peer that does not answer the close must not hold the process.
    const force = setTimeout(() => socket.terminate(), CLOSE_WITHIN_MS);
    await closed;
    clearTimeout(force);
  }

  async #dial(): Promise<void> {
    const { url, shard, slot, token, log } = this.#options;
    this.#redial = null;
    let authorization: string;
    try {
      authorization = `Bearer ${await token(shard, slot)}`;
    } catch (error) {
      this.#isLast = true;
      this.#options.onRefused(`no token could be signed: ${String(error)}`, "edge");
      return;
    }
    if (this.#stopped || this.#isLast) return;
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
    this.#openedAt = null;
    const limit = setTimeout(() => socket.terminate(), DIAL_MS);
    let refusal: string | null = null;
    socket.on("unexpected-response", (request, response) => {
      const isRefusal = response.statusCode === 401 || response.statusCode === 403;
      const isFinal = isRefusal && response.headers[REFUSAL_HEADER] === FINAL;
      if (isRefusal) this.#record.refused(this.#options.uptime());
      let reason = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        if (reason.length < 500) reason += part;
      });
      response.on("close", () => {
        clearTimeout(limit);
        const said = `HTTP ${response.statusCode}: ${reason.trim()}`;
        this.#record.trouble = said;
        if (isFinal) refusal = said;
        else log.warn({ shard, slot, answer: said }, "the edge did not open the uplink");
        this.#lost(socket, refusal);
      });
      response.on("end", () => request.destroy());
    });
    socket.on("error", (error) => {
      if (this.#openedAt !== null || refusal !== null || this.#isLast) return;
      this.#record.trouble = error.message;
      log.warn({ shard, slot, error: error.message }, "dialling the edge failed");
    });
    socket.on("open", () => {
      clearTimeout(limit);
      this.#opened(socket);
    });
    socket.on("close", (code, reason) => {
      clearTimeout(limit);
      this.#closed(socket, code, reason.toString());
    });
  }

  #opened(socket: WebSocket): void {
    const { host, instance, agent, uptime, shard, slot, log } = this.#options;
    this.#openedAt = uptime();
    const departures = new Departures(TURNS, (all) => {
      session.flush(() => socket.bufferedAmount < SEND_QUEUE_BYTES, all);
    });
    const session = new Session({
      host,
      instance,
      agent,
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
        log.info({ shard, slot, shards: welcome.shards }, "uplink is up");
        this.#record.up(uptime());
        this.#patience.restore();
        this.#options.onUp(welcome);
      },
      onDrained: () => {},
      onGoAway: () => socket.close(CloseCode.NORMAL, "asked to leave"),
    });
    this.#session = session;
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (isBinary) session.receive(data);
    });
    this.#watch(socket, session, this.#openedAt);
  }

  /** Liveness (spec.md §8): any inbound byte counts, also those of a message that is not complete yet. */
  #watch(socket: WebSocket, session: Session, openedAt: number): void {
    const { uptime, log, shard, slot } = this.#options;
    const record = this.#record;
    const wire = (socket as unknown as { _socket: { bytesRead: number } })._socket;
    record.opened(wire, openedAt);
    let bytes = wire.bytesRead;
    let heardAt = openedAt;
    let pingedAt = openedAt;
    let textAt = openedAt;
    socket.on("pong", () => record.answered(pingedAt, uptime()));
    const timer = setInterval(() => {
      const at = uptime();
      record.heardAt(at);
      if (wire.bytesRead !== bytes) {
        bytes = wire.bytesRead;
        heardAt = at;
      }
      const isLate = !session.isWelcomed && at - openedAt >= WELCOME_MS;
      const { isBusy } = session;
      if (isLate || at - heardAt >= (isBusy ? BUSY_DEAD_AFTER_MS : DEAD_AFTER_MS)) {
        log.warn({ shard, slot, silent_ms: at - heardAt }, "the uplink is silent: dropping it");
        socket.terminate();
        return;
      }
      if (at - pingedAt >= (isBusy ? BUSY_PING_EVERY_MS : PING_EVERY_MS)) {
        pingedAt = at;
        socket.ping();
        if (isBusy) session.ping();
      }
      if (at - textAt >= TEXT_PING_EVERY_MS) {
        textAt = at;
        socket.send("ping");
      }
    }, WATCH_MS);
    socket.once("close", () => clearInterval(timer));
  }

  #closed(socket: WebSocket, code: number, reason: string): void {
    const { log, shard, slot } = this.#options;
    const said = `closed with ${code}${reason === "" ? "" : `: ${reason}`}`;
    if (this.#openedAt !== null) this.#record.trouble = said;
    if (this.#openedAt !== null && !this.#stopped) log.warn({ shard, slot, code, reason }, "the uplink was cut");
    const isFinal = code === CloseCode.VERSION || code === CloseCode.SUPERSEDED;
    this.#lost(socket, isFinal ? said : null, code === CloseCode.SUPERSEDED ? "process" : "edge");
  }

  /** @param by another process: then at once for good, as two would take the sockets from each other for ever. */
  #lost(socket: WebSocket, refusal: string | null, by: Refuser = "edge"): void {
    if (this.#socket !== socket) return;
    const { uptime, isGuest, chance, onDown, onRefused, log, shard, slot } = this.#options;
    const lived = this.#openedAt === null ? 0 : uptime() - this.#openedAt;
    const wasUp = this.isUp;
    if (refusal === null) this.#patience.restore();
    const isNews = refusal !== null && !this.#isLast;
    const isForGood = isNews && (by === "process" || this.#patience.refused(isGuest(), uptime()));
    this.#isLast ||= isForGood;
    this.#record.lost(this.#isLast, this.#session?.stalls ?? 0, uptime());
    this.#socket = null;
    this.#session?.lost();
    this.#session = null;
    if (wasUp) onDown();
    if (this.#stopped) return;
    if (isForGood) onRefused(refusal, by);
    if (this.#isLast) return;
    if (refusal !== null) {
      this.#record.refused(uptime());
      log.error({ shard, slot, answer: refusal }, "the edge refuses this connector; it is dialled again for a while");
    }
    this.#backoff = afterLoss(this.#backoff, lived);
    this.#redial = setTimeout(() => void this.#dial(), delayOf(this.#backoff, chance()));
  }
}
