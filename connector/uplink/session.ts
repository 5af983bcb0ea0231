// The connector's end of one socket (shared/wire/spec.md), without the socket: messages in, messages out.
// No I/O, no clock, no chance. What an exchange does with its lane is the host's affair.
import { decode } from "../../shared/wire/codec.ts";
import {
  CloseCode,
  EXCHANGE_WINDOW_BYTES,
  FROM_CONNECTOR,
  FROM_HUB,
  type Frame,
  FrameType,
  SOCKET_WINDOW_BYTES,
  VERSION,
  WireViolation,
} from "../../shared/wire/frames.ts";
import { readOpen } from "../../shared/wire/hot.ts";
import { Inbox } from "../../shared/wire/inbox.ts";
import {
  ATTEMPTS,
  GoAway,
  type Hello,
  jsonFrame,
  pongFrame,
  Reset,
  Resume,
  readCredit,
  readJson,
  readSettled,
  Welcome,
} from "../../shared/wire/messages.ts";
import { Outbox } from "../../shared/wire/outbox.ts";
import type { Guest, Host } from "../lane.ts";
import { ChannelLane, type Ready } from "./channel.ts";

export interface SessionOptions {
  readonly host: Host;
  readonly instance: string;
  readonly agent: string;
  /** ms until it has left; null: it stays. */
  readonly leavesInMs: number | null;
  readonly send: (message: Uint8Array<ArrayBuffer>) => void;
  readonly close: (code: number, reason: string) => void;
  /** Told of what is ready to be sent: they call {@link Session.flush}. */
  readonly departures: Ready;
  readonly onWelcome: (welcome: Welcome) => void;
  /** The hub has acknowledged GOAWAY: it opens nothing more here. */
  readonly onDrained: () => void;
  /** The hub wants to be left: dial a new socket. */
  readonly onGoAway: () => void;
}

interface Passenger {
  readonly guest: Guest;
  readonly lane: ChannelLane;
}

export class Session {
  readonly #options: SessionOptions;
  readonly #inbox = new Inbox(SOCKET_WINDOW_BYTES);
  readonly #outbox = new Outbox(FrameType.DATA);
  readonly #passengers = new Map<number, Passenger>();
  /** The pools, as HELLO tells them. */
  readonly #told: string;
  #welcomed = false;
  #drained = false;
  #closed = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    const hello: Hello = {
      versions: [VERSION],
      features: [ATTEMPTS],
      instance: options.instance,
      agent: options.agent,
      windows: { exchange: EXCHANGE_WINDOW_BYTES, socket: SOCKET_WINDOW_BYTES },
      pools: options.host.pools(),
    };
    this.#told = JSON.stringify(hello.pools);
    this.#control(jsonFrame(FrameType.HELLO, 0, hello));
    // In the same message: what waits at the hub would come to one that leaves.
    if (options.leavesInMs !== null) this.goAway(options.leavesInMs);
  }

  get running(): number {
    return this.#passengers.size;
  }

  /** A client may be waiting: something runs here, or the hub has not said that it has what is over. */
  get isBusy(): boolean {
    return this.#passengers.size > 0 || this.#options.host.unsettled().length > 0;
  }

  get isWelcomed(): boolean {
    return this.#welcomed;
  }

  /** The hub opens nothing more here, and has said so. */
  get isDrained(): boolean {
    return this.#drained;
  }

  get stalls(): number {
    return this.#outbox.stalls;
  }

  /** Handles one message. A hub that breaks the wire is closed with the code of its offence. */
  receive(message: Uint8Array): void {
    if (this.#closed) return;
    try {
      for (const frame of decode(message)) this.#frame(frame);
      const credit = this.#inbox.socketCredit();
      if (credit !== null) this.#control(credit);
    } catch (error) {
      if (!(error instanceof WireViolation)) throw error;
      this.#options.close(error.closeCode, error.message);
      this.lost();
    }
  }

  /** Sends what may be sent while `isWritable`. */
  flush(isWritable: () => boolean, all = false): void {
    const moved: number[] = [];
    while (!this.#closed && isWritable()) {
      const message = this.#outbox.take(moved, all);
      if (message === null) break;
      this.#options.send(message);
    }
    for (const channel of moved) {
      const passenger = this.#passengers.get(channel);
      if (passenger === undefined) continue;
      passenger.guest.drained(passenger.lane.sent());
      if (passenger.lane.hasEnded()) passenger.lane.release();
    }
  }

  /** Tells the hub how the pools are. */
  report(): void {
    if (this.#welcomed) this.#control(jsonFrame(FrameType.REPORT, 0, { pools: this.#options.host.pools() }));
  }

  ping(): void {
    this.#control({ type: FrameType.PING, channel: 0, payload: new Uint8Array(0) });
  }

  /** Announces that this connector leaves; exchanges are still accepted until the hub has said that it knows. */
  goAway(deadlineMs: number): void {
    // What is left of a time that is measured is no whole number, and the hub would close the socket for one that is not.
    const goAway: GoAway = { reason: "the connector stops", deadline_ms: Math.ceil(deadlineMs), ack: false };
    this.#control(jsonFrame(FrameType.GOAWAY, 0, goAway));
  }

  /** Repeats every END that is not acknowledged. */
  repeatEnds(): void {
    for (const end of this.#options.host.unsettled()) this.#control(jsonFrame(FrameType.END, 0, end));
  }

  /** The socket is gone. */
  lost(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const { guest, lane } of [...this.#passengers.values()]) {
      lane.close();
      guest.detached();
    }
  }

  #control(frame: Frame): void {
    this.#outbox.control(frame);
    this.#options.departures.soon();
  }

  #frame(frame: Frame): void {
    if (FROM_CONNECTOR.has(frame.type) && !FROM_HUB.has(frame.type)) {
      throw new WireViolation(CloseCode.MALFORMED, `frame 0x${frame.type.toString(16)} comes from the connector only`);
    }
    if (!this.#welcomed && frame.type !== FrameType.WELCOME) {
      throw new WireViolation(CloseCode.MALFORMED, "the first frame must be WELCOME");
    }
    switch (frame.type) {
      case FrameType.WELCOME:
        this.#onWelcome(frame);
        break;
      case FrameType.OPEN:
        this.#onOpen(frame);
        break;
      case FrameType.RESUME:
        this.#onResume(frame);
        break;
      case FrameType.BODY:
        this.#onBody(frame);
        break;
      case FrameType.RESET:
        this.#passengers.get(frame.channel)?.guest.cancel(readJson(Reset, frame).code);
        break;
      case FrameType.CREDIT:
        this.#outbox.credit(frame.channel, readCredit(frame));
        this.#options.departures.soon();
        break;
      case FrameType.SETTLED:
        this.#options.host.settled(readSettled(frame));
        break;
      case FrameType.PING:
        this.#control(pongFrame(frame));
        break;
      case FrameType.GOAWAY:
        this.#onGoAway(frame);
        break;
      default:
      // PONG has done its work by arriving, and a frame of unknown type is skipped: that is how the wire grows.
    }
  }

  #onWelcome(frame: Frame): void {
    if (this.#welcomed) throw new WireViolation(CloseCode.MALFORMED, "a second WELCOME");
    const welcome = readJson(Welcome, frame);
    this.#welcomed = true;
    this.#outbox.credit(0, welcome.windows.socket);
    this.repeatEnds();
    // What was news while HELLO was under way could not be told.
    if (JSON.stringify(this.#options.host.pools()) !== this.#told) this.report();
    this.#options.onWelcome(welcome);
  }

  #onOpen(frame: Frame): void {
    const open = readOpen(frame);
    const lane = this.#lane(frame.channel, open.limit);
    if (this.#drained) {
      lane.refuse({ code: "model_unavailable", retryable: true });
      return;
    }
    this.#inbox.open(frame.channel, 0, EXCHANGE_WINDOW_BYTES, 0);
    this.#board(lane, this.#options.host.open(open, lane));
  }

  #onResume(frame: Frame): void {
    const resume = readJson(Resume, frame);
    const lane = this.#lane(frame.channel, resume.limit);
    this.#board(lane, this.#options.host.resume(resume, lane));
  }

  #onBody(frame: Frame): void {
    const bytes = frame.payload.byteLength;
    if (!this.#inbox.receive(frame.channel, bytes)) return;
    this.#passengers.get(frame.channel)?.guest.body(frame.payload);
    const credit = this.#inbox.consume(frame.channel, bytes, Number.MAX_SAFE_INTEGER, 0);
    if (credit !== null) this.#control(credit);
  }

  #onGoAway(frame: Frame): void {
    const { reason, deadline_ms, ack } = readJson(GoAway, frame);
    if (ack) {
      this.#drained = true;
      this.#options.onDrained();
      return;
    }
    this.#control(jsonFrame(FrameType.GOAWAY, 0, { reason, deadline_ms, ack: true }));
    this.#options.onGoAway();
  }

  #lane(channel: number, limit: number): ChannelLane {
    if (channel === 0 || this.#passengers.has(channel)) {
      throw new WireViolation(CloseCode.MALFORMED, `channel ${channel} is in use`);
    }
    const leave = () => {
      this.#passengers.delete(channel);
      this.#inbox.close(channel);
    };
    return new ChannelLane(channel, limit, this.#outbox, this.#options.departures, leave);
  }

  #board(lane: ChannelLane, guest: Guest | null): void {
    if (guest === null) this.#inbox.close(lane.channel);
    // A lane may be over already: an answer that was complete before it was asked for again.
    else if (!lane.isOver) this.#passengers.set(lane.channel, { guest, lane });
  }
}
