// One request to one upstream over undici: sockets, phases and their timeouts, pause and abort. It decides nothing: how an
// attempt ended is told, what that means is another file's business.
import { Client, type Dispatcher, Pool as Sockets } from "undici";
import type { HeaderPairs } from "../../shared/headers.ts";
import type { AttemptTimeouts, Clock, Timer } from "./request.ts";

/**
 * An idle connection is used again for so long. llama.cpp, uvicorn and Node close theirs after 5 s; a shorter hint by the
 * server counts, a longer one does not: an idle connection holds one of llama.cpp's HTTP threads.
 */
const KEEP_ALIVE_MS = 4_000;
/** A kept connection that breaks so soon after the request was written was being closed already. */
const STALE_WITHIN_MS = 1_000;

const TEAR_DOWN_MS = 1_000;

export interface Outgoing {
  readonly method: string;
  readonly path: string;
  readonly headers: HeaderPairs;
  readonly body: Uint8Array | null;
}

export type BreakKind =
  /** No connection, in time or at all. */
  | "connect"
  /** A kept connection was closed under the request. */
  | "stale"
  /** The connection broke, or what came was not HTTP. */
  | "reset"
  | "first_byte"
  | "idle";

/** Nothing is called after `abort`; onEnd or onBreak is the last call. */
export interface SendHandler {
  onHead(status: number, headers: HeaderPairs): void;
  /** false = stop reading until `resume`. */
  onData(chunk: Uint8Array): boolean;
  onEnd(): void;
  onBreak(kind: BreakKind, cause: Error | null): void;
}

/** One connection, which knows whether it is fresh. */
class Line extends Client {
  #requests = 0;

  constructor(origin: URL, options: Client.Options) {
    super(origin, options);
    this.on("connect", () => {
      this.#requests = 0;
    });
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    if (handler instanceof Sending) handler.ride(this);
    return super.dispatch(options, handler);
  }

  /** @returns whether the connection has carried a request before. */
  board(): boolean {
    this.#requests += 1;
    return this.#requests > 1;
  }
}

export class Sending implements Dispatcher.DispatchHandler {
  readonly #handler: SendHandler;
  readonly #timeouts: AttemptTimeouts;
  readonly #clock: Clock;
  #phase: "connecting" | "waiting" | "beginning" | "streaming" | "over" = "connecting";
  /** When the last thing happened that a timeout counts from. */
  #since: number;
  /** When the request was written. */
  #sentAt = 0;
  #timer: Timer | null = null;
  /** When it rings. */
  #alarmAt = Number.POSITIVE_INFINITY;
  #line: Line | null = null;
  #isReused = false;
  #isPaused = false;
  #controller: Dispatcher.DispatchController | null = null;

  constructor(handler: SendHandler, timeouts: AttemptTimeouts, clock: Clock) {
    this.#handler = handler;
    this.#timeouts = timeouts;
    this.#clock = clock;
    this.#since = clock.now();
    this.#arm();
  }

  get isOver(): boolean {
    return this.#phase === "over";
  }

  /** The socket is destroyed: this is how an engine learns that nobody listens any more. */
  abort(): void {
    if (!this.#close()) return;
    this.#controller?.abort(new Error("aborted"));
  }

  resume(): void {
    if (!this.#isPaused || this.isOver) return;
    this.#isPaused = false;
    this.#since = this.#clock.now();
    this.#arm();
    // Never from inside the parser, of this connection or of another: undici 8.12 has one for all and asserts it.
    queueMicrotask(() => {
      if (!this.#isPaused && !this.isOver) this.#controller?.resume();
    });
  }

  // What undici calls.

  ride(line: Line): void {
    this.#line = line;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.isOver) {
      controller.abort(new Error("aborted"));
      return;
    }
    this.#controller = controller;
    this.#isReused = this.#line?.board() ?? false;
    this.#sentAt = this.#clock.now();
    this.#enter("waiting");
  }

  onResponseStart(_: unknown, status: number, headers: Record<string, string | string[] | undefined>): void {
    // 1xx is not the answer.
    if (this.isOver || status < 200) return;
    this.#enter("beginning");
    this.#handler.onHead(status, pairs(headers));
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.isOver) return;
    if (this.#phase === "beginning") this.#enter("streaming");
    else this.#since = this.#clock.now();
    if (this.#handler.onData(chunk) || this.isOver) return;
    this.#isPaused = true;
    controller.pause();
  }

  onResponseEnd(): void {
    if (this.#close()) this.#handler.onEnd();
  }

  onResponseError(_: unknown, error: Error): void {
    const phase = this.#phase;
    if (!this.#close()) return;
    const isStale = phase === "waiting" && this.#isReused && this.#clock.now() - this.#sentAt < STALE_WITHIN_MS;
    this.#handler.onBreak(phase === "connecting" ? "connect" : isStale ? "stale" : "reset", error);
  }

  // Phases and their ends.

  #enter(phase: "waiting" | "beginning" | "streaming"): void {
    this.#phase = phase;
    this.#since = this.#clock.now();
    this.#arm();
  }

  /** When the present phase has taken too long. */
  #limit(): number {
    const { connectMs, firstByteMs, idleMs } = this.#timeouts;
    switch (this.#phase) {
      case "connecting":
        return this.#since + connectMs;
      case "waiting":
        return this.#sentAt + firstByteMs;
      case "beginning":
        // Some engines send the head at once and think then.
        return Math.max(this.#sentAt + firstByteMs, this.#since + idleMs);
      case "streaming":
        return this.#since + idleMs;
      case "over":
        return Number.POSITIVE_INFINITY;
    }
  }

  /** A timer that rings too early is left alone: it looks where the limit is now. Most answers end before it does. */
  #arm(): void {
    const limit = this.#limit();
    if (this.#timer !== null) {
      if (this.#alarmAt <= limit) return;
      this.#clock.clearTimeout(this.#timer);
    }
    this.#alarmAt = limit;
    this.#timer = this.#clock.setTimeout(this.#check, Math.max(0, limit - this.#clock.now()));
  }

  readonly #check = (): void => {
    this.#timer = null;
    // A reader who does not read is not the engine's fault.
    if (this.#isPaused) return;
    if (this.#clock.now() < this.#limit()) {
      this.#arm();
      return;
    }
    const kind = this.#phase === "connecting" ? "connect" : this.#phase === "waiting" ? "first_byte" : "idle";
    this.abort();
    this.#handler.onBreak(kind, null);
  };

  /** @returns false if it was over before. */
  #close(): boolean {
    if (this.isOver) return false;
    this.#phase = "over";
    if (this.#timer !== null) this.#clock.clearTimeout(this.#timer);
    this.#timer = null;
    return true;
  }
}

/** The connections to one server. */
export class Origin {
  readonly #sockets: Sockets;
  readonly #timeouts: AttemptTimeouts;
  readonly #clock: Clock;

  constructor(url: string, timeouts: AttemptTimeouts, clock: Clock) {
    this.#timeouts = timeouts;
    this.#clock = clock;
    this.#sockets = new Sockets(url, {
      factory: (origin, options) => new Line(origin, options),
      // Callers bound what they send at once. A limit here would let an aborted dial hold up the next request.
      connections: null,
      pipelining: 1,
      // An abort must close the connection.
      allowH2: false,
      // Only tears the socket down: the attempt has ended before, by our own clock, as do the phases after it.
      connectTimeout: timeouts.connectMs + TEAR_DOWN_MS,
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
    });
  }

  send(outgoing: Outgoing, handler: SendHandler, timeouts: AttemptTimeouts = this.#timeouts): Sending {
    const { method, path, headers, body } = outgoing;
    const sending = new Sending(handler, timeouts, this.#clock);
    // A dispatch may read from an idle socket, which the parser forbids while it is in a callback.
    queueMicrotask(() => {
      if (!sending.isOver) this.#sockets.dispatch({ method, path, headers: headers.flat(), body }, sending);
    });
    return sending;
  }

  /** Breaks what is running. */
  async destroy(): Promise<void> {
    await this.#sockets.destroy();
  }
}

function pairs(headers: Record<string, string | string[] | undefined>): HeaderPairs {
  const list: HeaderPairs = [];
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === "string") list.push([name, value]);
    else for (const one of value ?? []) list.push([name, one]);
  }
  return list;
}
