// The receiving side of one socket (spec.md §5): what each channel and the socket may still receive, and when to grant
// more. Knows numbers only; the bytes are elsewhere. Credit is granted by `consume`, never by `receive`.
import { CloseCode, EXCHANGE_WINDOW_BYTES, type Frame, WireViolation } from "./frames.ts";
import { creditFrame } from "./messages.ts";
import { CHANNEL_SHARE, growth } from "./windows.ts";

/** Absolute numbers of one direction of a socket. */
export interface SocketCount {
  readonly bytes: number;
  readonly limit: number;
}

interface Account {
  received: number;
  consumed: number;
  limit: number;
  /** What limit and consumed were apart when credit was last given. */
  window: number;
  /** Consumed since then. */
  ungranted: number;
  grantedAt: number;
}

/** Raising the socket's limit in steps of an eighth keeps at least 7/8 of the window usable at any time. */
const SOCKET_STEP = 8;
/** Four times what tokens come to: 50 a second, 300 bytes each. */
const BULK_BYTES_PER_MS = 60;

export class Inbox {
  readonly #window: number;
  #socketReceived = 0;
  #socketConsumed = 0;
  #socketLimit: number;
  readonly #channels = new Map<number, Account>();
  #outstanding = 0;

  /**
   * @param window bytes that may be on their way and unconsumed on the whole socket; said to the peer at the start.
   * @param rest what {@link rest} said before this end slept.
   */
  constructor(window: number, rest: SocketCount = { bytes: 0, limit: window }) {
    this.#window = window;
    this.#socketReceived = rest.bytes;
    this.#socketConsumed = rest.bytes;
    this.#socketLimit = rest.limit;
  }

  /** The socket's numbers while no channel is open: all that must be kept to go on later. */
  rest(): SocketCount {
    return { bytes: this.#socketReceived, limit: this.#socketLimit };
  }

  /**
   * Granted and not consumed, over all channels, with what was consumed and is granted anew as soon as it is half a window: it is
   * nobody else's. Bounds what this socket can make its owner hold.
   */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** What may still be granted to channels, so that the socket's own limit never stops them. */
  get free(): number {
    return this.#window * CHANNEL_SHARE - this.#outstanding;
  }

  /** Received and not consumed: what its owner holds now. */
  get held(): number {
    return this.#socketReceived - this.#socketConsumed;
  }

  /** A channel whose next byte has offset `from` and that may be sent `window` bytes from there. */
  open(channel: number, from: number, window: number, now: number): void {
    this.#channels.set(channel, {
      received: from,
      consumed: from,
      limit: from + window,
      window,
      ungranted: 0,
      grantedAt: now,
    });
    this.#outstanding += window;
  }

  /**
   * Bytes have come.
   * @returns false if the channel is not open (any more): the bytes count as consumed and belong to nobody.
   * @throws WireViolation 4413 beyond a limit.
   */
  receive(channel: number, bytes: number): boolean {
    this.#socketReceived += bytes;
    if (this.#socketReceived > this.#socketLimit) throw violation("socket");
    const account = this.#channels.get(channel);
    if (account === undefined) {
      this.#socketConsumed += bytes;
      return false;
    }
    account.received += bytes;
    if (account.received > account.limit) throw violation("exchange");
    return true;
  }

  /**
   * Bytes have been taken by the reader.
   * A channel that moves in bulk gets twice the window next time; one that carries tokens keeps what it has. More than was just
   * consumed is only granted out of what is free (windows.ts), so what is outstanding never outgrows it.
   * @param free bytes that may still be granted, over everything that this channel shares with others.
   * @param now ms.
   * @returns the CREDIT of the channel, if it is time for one: at half a window.
   */
  consume(channel: number, bytes: number, free: number, now: number): Frame | null {
    const account = this.#channels.get(channel);
    if (account === undefined) return null;
    account.consumed += bytes;
    this.#socketConsumed += bytes;
    account.ungranted += bytes;
    const ahead = account.limit - account.consumed;
    if (ahead > account.window / 2) return null;
    // A sender that stands at its limit is held back by it, however slow the road makes it look.
    const isBulk =
      account.received === account.limit || account.ungranted > BULK_BYTES_PER_MS * (now - account.grantedAt);
    const wanted = isBulk ? Math.min(account.window * 2, EXCHANGE_WINDOW_BYTES) : account.window;
    const affordable = Math.max(account.ungranted, growth(free + account.ungranted, account.window));
    const grant = Math.min(wanted - ahead, affordable);
    this.#outstanding += grant - account.ungranted;
    account.window = ahead + grant;
    account.limit += grant;
    account.ungranted = 0;
    account.grantedAt = now;
    return creditFrame(channel, account.limit);
  }

  /** The CREDIT of the socket, if it is time for one. */
  socketCredit(): Frame | null {
    const limit = this.#socketConsumed + this.#window;
    if (limit - this.#socketLimit < this.#window / SOCKET_STEP) return null;
    this.#socketLimit = limit;
    return creditFrame(0, limit);
  }

  /** Offset of the next byte of a channel. */
  receivedOn(channel: number): number | undefined {
    return this.#channels.get(channel)?.received;
  }

  /** The channel is over; what its reader never took counts as consumed. */
  close(channel: number): void {
    const account = this.#channels.get(channel);
    if (account === undefined) return;
    this.#channels.delete(channel);
    this.#socketConsumed += account.received - account.consumed;
    this.#outstanding -= account.window;
  }
}

function violation(of: string): WireViolation {
  return new WireViolation(CloseCode.FLOW_CONTROL, `bytes beyond the limit of the ${of}`);
}
