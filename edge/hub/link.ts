// One uplink socket as the hub sees it. What must survive hibernation is `state`, which the shell keeps in the socket's
// attachment; the rest is only worth anything while exchanges run, and while they run the hub is not evicted.
import { EMPTY } from "../../shared/wire/codec.ts";
import { type Frame, FrameType, SOCKET_WINDOW_BYTES } from "../../shared/wire/frames.ts";
import { Inbox, type SocketCount } from "../../shared/wire/inbox.ts";
import type { PoolReport } from "../../shared/wire/messages.ts";
import { Outbox } from "../../shared/wire/outbox.ts";
import { isFull } from "../../shared/wire/windows.ts";
import type { Exchange } from "./exchange.ts";
import type { Candidate } from "./roster.ts";

/** Fits the attachment (16 KiB) with 64 pools to spare. */
export interface LinkState {
  readonly connector: string;
  readonly shard: number;
  readonly slot: number;
  /** The connector's process; null until HELLO. */
  instance: string | null;
  features: string[];
  pools: PoolReport[];
  draining: boolean;
  /** Windows of the connector for what the hub sends. */
  windows: { exchange: number; socket: number };
  /** Channels are numbered in blocks of 65,536; the block in use. A hub that wakes starts a new one. */
  block: number;
  /** Bytes are counted from the opening of the socket, in absolute numbers; so far they were when the link last rested. */
  received: SocketCount;
  sent: SocketCount;
  /** ms; last sign of life when this was kept. */
  heardAt: number;
  /** ms; missing where an earlier version kept it. */
  readonly openedAt?: number;
}

/** The hands of a link: the shell's WebSocket, or a test's. */
export interface Transport {
  send(message: Uint8Array<ArrayBuffer>): void;
  close(code: number, reason: string): void;
  save(state: LinkState): void;
  /** Calls back in about a millisecond. Without it nothing waits for company. */
  soon?(work: () => void): void;
  /** ms; last sign of life that did not reach this code, or 0. */
  heardAt(): number;
}

export function newLinkState(connector: string, shard: number, slot: number, now: number, openedAt = now): LinkState {
  return {
    connector,
    shard,
    slot,
    instance: null,
    features: [],
    pools: [],
    draining: false,
    windows: { exchange: 0, socket: 0 },
    block: 0,
    received: { bytes: 0, limit: SOCKET_WINDOW_BYTES },
    sent: { bytes: 0, limit: 0 },
    heardAt: now,
    openedAt,
  };
}

const BLOCK_BITS = 16;
/** A connector that carries exchanges pings every 5 s: after such a silence it is asked for a sign of life. */
export const QUIET_AFTER_MS = 20_000;
/** So many ACCEPTs missed in a row are too many. */
const MISSED_ACCEPTS = 2;
/** How soon the sign must come. */
const SIGN_WITHIN_MS = 2_000;
/** From so many exchanges on, an OPEN waits for others: a message costs the platform as much as five OPENs do. */
const MANY_EXCHANGES = 3;
const MANY_OPENS = 6;

export class Link implements Candidate {
  readonly state: LinkState;
  readonly transport: Transport;
  readonly inbox: Inbox;
  readonly outbox: Outbox;
  /** By channel. */
  readonly exchanges = new Map<number, Exchange>();
  suspect = false;
  missedAccepts = 0;
  /** OPENs that wait for company. */
  #opens = 0;
  #isFlushDue = false;
  /** ms; since when it is suspect. */
  #suspectAt = 0;
  #heardAt: number;
  #sequence = 0;
  readonly #load = new Map<string, number>();

  constructor(transport: Transport, state: LinkState) {
    this.transport = transport;
    this.state = state;
    this.inbox = new Inbox(SOCKET_WINDOW_BYTES, state.received);
    this.outbox = new Outbox(FrameType.BODY, state.sent);
    this.#heardAt = state.heardAt;
  }

  get welcomed(): boolean {
    return this.state.instance !== null;
  }

  get draining(): boolean {
    return this.state.draining;
  }

  get isFull(): boolean {
    return isFull(this.inbox.free);
  }

  get pools(): readonly PoolReport[] {
    return this.state.pools;
  }

  get heardAt(): number {
    return Math.max(this.#heardAt, this.transport.heardAt());
  }

  heard(now: number): void {
    this.#heardAt = now;
    this.suspect = false;
  }

  /** An ACCEPT was missed; a hundred that miss it together are one miss. PING asks for a sign of life: silence is the second one. */
  doubt(now: number): void {
    if (this.suspect) return;
    this.suspect = true;
    this.#suspectAt = now;
    this.missedAccepts += 1;
    this.control({ type: FrameType.PING, channel: 0, payload: EMPTY });
  }

  /** It is of the same connector, but of a later process: that knows nothing of what the earlier one had. */
  isAfter(owner: { readonly connector: string; readonly instance: string } | null): boolean {
    return owner !== null && owner.connector === this.state.connector && owner.instance !== this.state.instance;
  }

  get hasFailed(): boolean {
    return this.missedAccepts >= MISSED_ACCEPTS;
  }

  /** Must be asked a few times a second while something runs. */
  isDead(now: number): boolean {
    if (this.exchanges.size > 0 && now - this.heardAt >= QUIET_AFTER_MS) this.doubt(now);
    return this.suspect && now - this.#suspectAt >= SIGN_WITHIN_MS;
  }

  load(target: string): number {
    return this.#load.get(target) ?? 0;
  }

  /** A channel number that was never used on this socket, also not before a hibernation. */
  newChannel(): number {
    this.#sequence += 1;
    if (this.#sequence === 1 || this.#sequence >> BLOCK_BITS > 0) {
      this.#sequence = 1;
      this.state.block += 1;
      this.save();
    }
    return ((this.state.block << BLOCK_BITS) | this.#sequence) >>> 0;
  }

  take(exchange: Exchange): number {
    const channel = this.newChannel();
    this.exchanges.set(channel, exchange);
    this.#load.set(exchange.target, this.load(exchange.target) + 1);
    return channel;
  }

  /** The channel carries nothing more in either direction. */
  release(channel: number): void {
    const exchange = this.exchanges.get(channel);
    if (exchange === undefined) return;
    this.exchanges.delete(channel);
    this.#load.set(exchange.target, this.load(exchange.target) - 1);
    this.outbox.drop(channel);
  }

  control(frame: Frame): void {
    this.outbox.control(frame);
  }

  /** The CREDIT of the socket, if it is time for one. */
  credit(): void {
    const credit = this.inbox.socketCredit();
    if (credit !== null) this.control(credit);
  }

  /** Nothing runs: keeps the numbers that the link needs if the hub sleeps now. */
  rest(): void {
    this.state.received = this.inbox.rest();
    this.state.sent = this.outbox.rest();
    this.save();
  }

  save(): void {
    this.state.heardAt = this.#heardAt;
    this.transport.save(this.state);
  }

  /**
   * Sends what may be sent: everything of this turn in as few messages as possible.
   * @param all also what could wait for company.
   */
  flush(all = false): void {
    this.#opens = 0;
    for (;;) {
      const message = this.outbox.take(undefined, all);
      if (message === null) return;
      this.transport.send(message);
    }
  }

  /** An OPEN with its whole body is to be sent: at once among few; among many with the next ones, or in a millisecond. */
  flushOpen(): void {
    const { soon } = this.transport;
    this.#opens += 1;
    if (soon === undefined || this.exchanges.size < MANY_EXCHANGES || this.#opens >= MANY_OPENS) {
      this.flush();
    } else if (!this.#isFlushDue) {
      this.#isFlushDue = true;
      soon(() => {
        this.#isFlushDue = false;
        if (this.#opens > 0) this.flush();
      });
    }
  }
}
