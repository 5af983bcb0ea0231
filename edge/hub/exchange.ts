// The hub's end of one exchange: what has come of the answer, and where it stands. Knows no socket; the switchboard moves it.
import type { ErrorCode, PublicFailure } from "../../shared/errors.ts";
import type { ResumeRequest } from "../../shared/hop.ts";
import type { End, Head, Open } from "../../shared/wire/messages.ts";
import { Spool } from "../../shared/wire/spool.ts";
import type { Link } from "./link.ts";
import { HOLD_MS, LONGEST_MS, OVERTIME_MS } from "./patience.ts";

/** What the switchboard is asked to open: all of OPEN but the window, which depends on when and where. */
export type Order = Omit<Open, "limit" | "attempt">;

/** The reader's hands. Each is called from inside the switchboard: they note, they do not call back. */
export interface Reader {
  head(head: Head): void;
  /** The answer has grown or is over. */
  data(): void;
  /** It ended without an answer, or the answer broke off. */
  fail(failure: PublicFailure): void;
  /** A connector answers for it. */
  accepted(): void;
  /** Some of the request's body was sent: there is room for more of it. */
  room(): void;
  /** Nothing of it has begun, and its body is not here any more: it is to be asked for once more. */
  again(): void;
}

/**
 * - `waiting`: no socket yet, or none any more before ACCEPT; may be opened anywhere
 * - `opened`: OPEN or RESUME is out, ACCEPT is not here
 * - `accepted`: a connector answers for it
 * - `detached`: accepted, but the socket is gone; only the same process of the connector can go on
 * - `over`
 */
export type ExchangeState = "waiting" | "opened" | "accepted" | "detached" | "over";

export class Exchange {
  readonly id: string;
  readonly target: string;
  /** Null for an exchange that was opened by another hub in another life and is only resumed here. */
  readonly order: Order | null;
  readonly body: Spool;
  readonly reader: Reader;
  /** The answer, from `read` on. */
  readonly answer = new Spool();

  state: ExchangeState = "waiting";
  /** ms; when the present state is given up. */
  deadline = Number.POSITIVE_INFINITY;
  link: Link | null = null;
  channel = 0;
  attempts: number;
  /** The last attempt whose socket was lost, or silent, before it was accepted or refused: it may run. 0: none. */
  unheard = 0;
  head: Head | null = null;
  end: End | null = null;
  /** Why there is no answer, or no more of it. */
  failure: PublicFailure | null = null;
  /** What the gate took. */
  gateMs = 0;
  /** ms; when this hub first had it. */
  openedAt = 0;
  /** The connector and its process that answer for it. */
  owner: { readonly connector: string; readonly instance: string } | null = null;
  /** Why the last connector refused it. */
  refusal: ErrorCode = "model_unavailable";
  /** ms; when it is looked at whether its reader still takes something, and what that had taken before. */
  overtimeAt = Number.POSITIVE_INFINITY;
  takenBefore = 0;
  /** Offset in the whole answer of the first byte that was asked for on the present socket. */
  boardedAt = 0;
  /** ms; since when it has no socket. */
  detachedAt: number | null = null;
  /** Processes of connectors that refused it. */
  readonly refusedBy = new Set<string>();
  /** An event stream: a failure is told inside it, not by breaking it. */
  isStream: boolean;
  /** Offset in the whole answer at which `answer` begins: not 0 if it was resumed. */
  readonly base: number;
  #read = 0;

  constructor(
    id: string,
    target: string,
    order: Order | null,
    body: Spool,
    reader: Reader,
    resumed = { offset: 0, stream: order?.dialect?.stream === true },
    attempts = 0,
  ) {
    this.id = id;
    this.target = target;
    this.order = order;
    this.body = body;
    this.reader = reader;
    this.base = resumed.offset;
    this.isStream = resumed.stream;
    this.attempts = attempts;
  }

  static opened(order: Order, body: Spool, reader: Reader, attempts: number, now: number): Exchange {
    const exchange = new Exchange(order.exchange, order.target, order, body, reader, undefined, attempts);
    exchange.openedAt = now;
    exchange.deadline = now + HOLD_MS;
    exchange.overtimeAt = now + order.deadline_ms + OVERTIME_MS;
    return exchange;
  }

  /** As another hub had it, or this one in another life. */
  static resumed(from: ResumeRequest, reader: Reader, now: number): Exchange {
    const exchange = new Exchange(from.id, from.target, null, new Spool(), reader, from);
    exchange.overtimeAt = now + LONGEST_MS + OVERTIME_MS;
    exchange.takenBefore = from.offset;
    if (!from.head) exchange.head = { status: 200, headers: [] };
    exchange.owner = { connector: from.connector, instance: from.instance };
    exchange.openedAt = now;
    return exchange;
  }

  /** Offset of the next byte that is wanted from the connector. */
  get wanted(): number {
    return this.base + this.answer.end;
  }

  /** Nobody answers for it any more. @param deadline ms; until when it waits for a place. */
  waitAgain(deadline: number): void {
    this.owner = null;
    this.detachedAt = null;
    this.state = "waiting";
    this.deadline = deadline;
  }

  /** No byte of an answer can have reached the client, and what was asked is known: any connector may serve it. */
  get hasNotBegun(): boolean {
    return this.head === null && this.order !== null;
  }

  /** Offset in the whole answer behind what its reader has taken. */
  get taken(): number {
    return this.base + this.#read;
  }

  /** A plain answer of which nothing has left the hub: that it broke can still be told by a status. */
  get isUntold(): boolean {
    return !this.isStream && this.taken === 0;
  }

  get unread(): number {
    return this.answer.end - this.#read;
  }

  /** The whole answer is here and was read. */
  get isDrained(): boolean {
    return this.end !== null && this.unread === 0;
  }

  /** The next bytes of the answer, at most `max`; empty if there are none now. */
  read(max: number): Uint8Array {
    const wanted = Math.min(this.unread, max);
    let bytes = this.answer.read(this.#read, wanted);
    // In one piece: each chunk costs two more turns of the event loop on its way to the client, a copy costs nothing.
    if (bytes.byteLength < wanted) bytes = this.#gather(bytes, wanted);
    this.#read += wanted;
    this.answer.release(this.#read);
    return bytes;
  }

  /** Nobody will read it. */
  drop(): void {
    this.#read = this.answer.end;
    this.answer.release(this.#read);
  }

  #gather(first: Uint8Array, wanted: number): Uint8Array {
    const whole = new Uint8Array(wanted);
    whole.set(first);
    for (let at = first.byteLength; at < wanted; ) {
      const part = this.answer.read(this.#read + at, wanted - at);
      whole.set(part, at);
      at += part.byteLength;
    }
    return whole;
  }
}
