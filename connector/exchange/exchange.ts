// The connector's end of one exchange. The answer belongs to it and not to a socket: it is retained here and sent on
// whichever lane the exchange is bound to. No I/O, no clock.
import type { HeaderPairs } from "../../shared/headers.ts";
import type { End, Open, Timings, Usage, WireFailure } from "../../shared/wire/messages.ts";
import { Spool } from "../../shared/wire/spool.ts";
import type { Lane } from "../lane.ts";

/** What of an answer can be sent again. More than a hub ever holds of one answer, so a resume always finds its byte. */
export const RETAINED_BYTES = 1024 * 1024;
/** Where memory is short: what a hub may still have to ask for when nothing but a socket was lost. */
const RETAINED_AT_LEAST_BYTES = 256 * 1024;
/** An engine is not read further than so far ahead of what has gone out. */
const AHEAD_BYTES = 256 * 1024;

const NOTHING = new Uint8Array(0);

/** What the exchange asks of whoever serves it. */
export interface Service {
  /** The body is complete: begin. */
  begin(body: Uint8Array): void;
  /** The client is gone. */
  abort(): void;
  /** There is room for more of the answer. */
  resume(): void;
  usage(): Usage | null;
  timings(): Timings;
  /** END is known. Called once, after everything else. */
  ended?(end: End, isWithdrawn: boolean): void;
}

export class Exchange {
  readonly open: Open;
  readonly answer = new Spool();
  readonly #onOver: (exchange: Exchange) => void;
  #service: Service | null = null;
  #body: Uint8Array;
  #bodyBytes = 0;
  #lane: Lane | null = null;
  #head: { status: number; headers: HeaderPairs } | null = null;
  #end: End | null = null;
  #attempt: number;
  /** Of the last OPEN: END gives it back. */
  #lease: string | undefined;
  #sent = 0;
  #paused = false;

  /** @param onOver END is known: to be kept until it is settled. */
  constructor(open: Open, onOver: (exchange: Exchange) => void) {
    this.open = open;
    this.#onOver = onOver;
    this.#attempt = open.attempt;
    this.#lease = open.lease;
    this.#body = new Uint8Array(open.length);
  }

  get id(): string {
    return this.open.exchange;
  }

  get end(): End | null {
    return this.#end;
  }

  get hasHead(): boolean {
    return this.#head !== null;
  }

  /** Of the head; null before it. */
  get status(): number | null {
    return this.#head?.status ?? null;
  }

  isBoundTo(lane: Lane): boolean {
    return this.#lane === lane;
  }

  /** Its end is known, but a reader is still taking the answer. */
  get isSending(): boolean {
    return this.#lane !== null && this.#sent < this.answer.end;
  }

  /** Its engine is not read further until a reader takes more: what that has taken; null while it is read. */
  get heldAt(): number | null {
    return this.#paused ? this.#sent : null;
  }

  get isBodyComplete(): boolean {
    return this.#bodyBytes === this.open.length;
  }

  serveBy(service: Service): void {
    this.#service = service;
    if (this.open.length === 0) service.begin(this.#body);
  }

  /** Goes on, or begins, on a lane. */
  bind(lane: Lane, from: number, withHead: boolean): void {
    // Where it was before nobody listens any more, whatever that socket believes.
    if (this.#lane !== lane) this.#lane?.close();
    this.#lane = lane;
    this.#sent = from;
    lane.accept();
    if (withHead && this.#head !== null) lane.head(this.#head);
    lane.start(this.answer, from);
    if (this.#end !== null) lane.end(this.#end);
  }

  /** Bytes from `offset` on can still be sent. */
  canResume(offset: number): boolean {
    return offset >= this.answer.start && offset <= this.answer.end && this.#end?.outcome !== "cancelled";
  }

  // What comes from the hub.

  body(chunk: Uint8Array): void {
    // A body that comes a second time, because the exchange was opened a second time, is not needed.
    if (this.isBodyComplete || this.#end !== null) return;
    const part = chunk.subarray(0, this.open.length - this.#bodyBytes);
    this.#body.set(part, this.#bodyBytes);
    this.#bodyBytes += part.byteLength;
    if (!this.isBodyComplete) return;
    const body = this.#body;
    this.#body = NOTHING;
    this.#service?.begin(body);
  }

  /** The hub opens it once more: END is to name the last attempt and its lease, and the body comes from its beginning. */
  reopen({ attempt, lease }: Open): void {
    if (attempt >= this.#attempt) {
      this.#attempt = attempt;
      this.#lease = lease;
    }
    if (this.#end !== null) {
      const { lease: _, ...end } = this.#end;
      this.#end = { ...end, attempt: this.#attempt, ...(this.#lease === undefined ? {} : { lease: this.#lease }) };
    }
    if (!this.isBodyComplete) this.#bodyBytes = 0;
  }

  cancel(): void {
    if (this.#end !== null) {
      // It was over already; what is left of it goes nowhere, but END does.
      this.#lane?.abandon(this.#end);
      this.#lane = null;
      return;
    }
    this.#service?.abort();
    const end = this.#finish("cancelled", null);
    this.#lane?.abandon(end);
    this.#lane = null;
    this.#onOver(this);
  }

  /** Stops without an END. */
  withdraw(): void {
    this.#service?.abort();
    this.#finish("cancelled", null, true);
    this.#lane?.close();
    this.#lane = null;
  }

  drained(sent: number): void {
    this.#sent = sent;
    this.answer.release(sent - RETAINED_BYTES);
    // END has gone out behind the last byte: what is kept from now on is the answer alone.
    if (this.#end !== null && sent >= this.answer.end) this.#lane = null;
    if (this.#paused && !this.#isFull()) {
      this.#paused = false;
      this.#service?.resume();
    }
  }

  detached(): void {
    this.#lane = null;
  }

  /** Keeps no more of what has gone out than it must. */
  letGo(): void {
    this.answer.release(this.#sent - RETAINED_AT_LEAST_BYTES);
  }

  /** Bytes `from` to `to` of the answer, as far as they are retained. */
  answerBytes(from: number, to: number): Uint8Array {
    const start = Math.max(from, this.answer.start);
    const copy = new Uint8Array(Math.max(0, Math.min(to, this.answer.end) - start));
    for (let at = 0; at < copy.byteLength; ) {
      const part = this.answer.read(start + at, copy.byteLength - at);
      copy.set(part, at);
      at += part.byteLength;
    }
    return copy;
  }

  // What comes from the service.

  head(status: number, headers: HeaderPairs): void {
    if (this.#end !== null) return;
    this.#head = { status, headers };
    this.#lane?.head(this.#head);
  }

  /** @returns false if the engine should not be read further until `resume`. */
  data(chunk: Uint8Array): boolean {
    if (this.#end !== null) return false;
    this.answer.append(chunk);
    this.#lane?.wake();
    this.#paused = this.#isFull();
    return !this.#paused;
  }

  over(outcome: "complete" | "failed" | "truncated", failure: WireFailure | null): void {
    if (this.#end !== null) return;
    const end = this.#finish(outcome, failure);
    this.#lane?.end(end);
    this.#onOver(this);
  }

  #finish(outcome: End["outcome"], failure: WireFailure | null, isWithdrawn = false): End {
    const service = this.#service;
    const end: End = {
      exchange: this.id,
      attempt: this.#attempt,
      outcome,
      bytes: this.answer.end,
      usage: service?.usage() ?? null,
      timings: service?.timings() ?? { queue_ms: 0, first_byte_ms: null, total_ms: 0 },
      failure,
    };
    if (this.#lease !== undefined) end.lease = this.#lease;
    this.#end = end;
    service?.ended?.(this.#end, isWithdrawn);
    // What is kept of it for a resume is the answer, and not all that made it.
    this.#service = null;
    this.#body = NOTHING;
    return this.#end;
  }

  #isFull(): boolean {
    return this.answer.end - this.#sent > AHEAD_BYTES;
  }
}
