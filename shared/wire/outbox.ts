// The sending side of one socket (spec.md §5, §6): control frames first, then DATA or BODY of the lanes round robin,
// never a byte beyond a limit. Knows no socket and no clock; the owner takes messages from it and sends them.
import { encode, frameBytes } from "./codec.ts";
import { type Frame, type FrameType, HEADER_BYTES, MAX_DATA_BYTES } from "./frames.ts";
import type { SocketCount } from "./inbox.ts";
import type { Spool } from "./spool.ts";

/** What one message aims at. Smaller than the limit of a message, so that a control frame waits behind little. */
const TARGET_MESSAGE_BYTES = 128 * 1024;

interface Lane {
  readonly channel: number;
  readonly spool: Spool;
  sent: number;
  limit: number;
  /** No byte will follow those in the spool. */
  ended: boolean;
  /** Goes out behind the last byte. */
  trailer: Frame | null;
  ready: boolean;
}

export class Outbox {
  readonly #dataType: FrameType;
  #control: Frame[] = [];
  /** Control frames that are in no hurry. */
  #later: Frame[] = [];
  readonly #lanes = new Map<number, Lane>();
  /** Lanes that may send, in the order of their turns. */
  #ready: Lane[] = [];
  #socketLimit: number;
  #socketSent: number;
  #stalls = 0;

  /** @param rest what {@link rest} said before this end slept; by default nothing may be sent until CREDIT comes. */
  constructor(dataType: FrameType, rest: SocketCount = { bytes: 0, limit: 0 }) {
    this.#dataType = dataType;
    this.#socketSent = rest.bytes;
    this.#socketLimit = rest.limit;
  }

  /** The socket's numbers: all that must be kept to go on later, when no lane is open. */
  rest(): SocketCount {
    return { bytes: this.#socketSent, limit: this.#socketLimit };
  }

  /** How often a lane with bytes to send had no credit left, on its channel or on the socket. */
  get stalls(): number {
    return this.#stalls;
  }

  get lanes(): number {
    return this.#lanes.size;
  }

  control(frame: Frame): void {
    this.#control.push(frame);
  }

  /** A control frame that goes ahead of the next one that is in a hurry, or when the owner asks for all. */
  later(frame: Frame): void {
    this.#later.push(frame);
  }

  /** Starts to send `spool` from offset `from` on a channel. */
  open(channel: number, spool: Spool, from: number, limit: number): void {
    const lane: Lane = { channel, spool, sent: from, limit, ended: false, trailer: null, ready: false };
    this.#lanes.set(channel, lane);
    this.#wake(lane);
  }

  /** The spool of a channel has grown. */
  wake(channel: number): void {
    const lane = this.#lanes.get(channel);
    if (lane !== undefined) this.#wake(lane);
  }

  /** No more bytes will come: `trailer`, if there is one, follows the last one, and the lane is gone. */
  finish(channel: number, trailer: Frame | null): void {
    const lane = this.#lanes.get(channel);
    if (lane === undefined) return;
    lane.ended = true;
    lane.trailer = trailer;
    this.#wake(lane);
  }

  /** Forgets what a channel had still to send. */
  drop(channel: number): void {
    const lane = this.#lanes.get(channel);
    if (lane === undefined) return;
    this.#lanes.delete(channel);
    if (lane.ready) this.#ready.splice(this.#ready.indexOf(lane), 1);
  }

  /** Offset up to which a channel was sent, or undefined if it has no lane. */
  sentOn(channel: number): number | undefined {
    return this.#lanes.get(channel)?.sent;
  }

  /** CREDIT. Limits only rise: a late or repeated one is harmless. */
  credit(channel: number, limit: number): void {
    if (channel === 0) {
      if (limit <= this.#socketLimit) return;
      this.#socketLimit = limit;
      for (const lane of this.#lanes.values()) this.#wake(lane);
      return;
    }
    const lane = this.#lanes.get(channel);
    if (lane === undefined || limit <= lane.limit) return;
    lane.limit = limit;
    this.#wake(lane);
  }

  /**
   * The next message, or null if nothing may be sent now.
   * @param moved collects the channels of which something goes out.
   * @param all also what is in no hurry, if there is nothing else.
   */
  take(moved?: number[], all = false): Uint8Array<ArrayBuffer> | null {
    if (this.#later.length > 0 && (all || this.#control.length > 0 || this.#ready.length > 0)) {
      this.#control = [...this.#later, ...this.#control];
      this.#later = [];
    }
    const frames: Frame[] = [];
    let size = 0;
    let taken = 0;
    for (const frame of this.#control) {
      if (taken > 0 && size + frameBytes(frame.payload.byteLength) > TARGET_MESSAGE_BYTES) break;
      size += frameBytes(frame.payload.byteLength);
      frames.push(frame);
      taken += 1;
    }
    if (taken > 0) this.#control = taken === this.#control.length ? [] : this.#control.slice(taken);
    while (this.#control.length === 0 && size < TARGET_MESSAGE_BYTES) {
      const lane = this.#ready.shift();
      if (lane === undefined) break;
      lane.ready = false;
      size += this.#turn(lane, frames);
      moved?.push(lane.channel);
      if (this.#lanes.has(lane.channel)) this.#wake(lane);
    }
    return frames.length === 0 ? null : encode(frames);
  }

  /** One turn of one lane: at most one DATA frame, and the trailer if that was the end. */
  #turn(lane: Lane, frames: Frame[]): number {
    let size = 0;
    const room = this.#room(lane);
    if (room > 0) {
      const payload = lane.spool.read(lane.sent, Math.min(room, MAX_DATA_BYTES));
      lane.sent += payload.byteLength;
      this.#socketSent += payload.byteLength;
      frames.push({ type: this.#dataType, channel: lane.channel, payload });
      size += HEADER_BYTES + payload.byteLength;
    }
    if (lane.ended && lane.sent >= lane.spool.end) {
      this.#lanes.delete(lane.channel);
      if (lane.trailer !== null) {
        frames.push(lane.trailer);
        size += frameBytes(lane.trailer.payload.byteLength);
      }
    }
    return size;
  }

  #room(lane: Lane): number {
    return Math.min(lane.spool.end, lane.limit, lane.sent + this.#socketLimit - this.#socketSent) - lane.sent;
  }

  #wake(lane: Lane): void {
    if (lane.ready) return;
    if (this.#room(lane) > 0 || (lane.ended && lane.sent >= lane.spool.end)) {
      lane.ready = true;
      this.#ready.push(lane);
    } else if (lane.sent < lane.spool.end) {
      this.#stalls += 1;
    }
  }
}
