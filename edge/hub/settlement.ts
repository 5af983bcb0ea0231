// Who is told that an exchange is over, and when its END may be acknowledged: not before what it settles is on disk. Pure.
import type { Frame } from "../../shared/wire/frames.ts";
import { ATTEMPTS, type End, settledFrame } from "../../shared/wire/messages.ts";
import type { Exchange } from "./exchange.ts";
import type { Link } from "./link.ts";

/** What the gate is told of exchanges. Each call notes; {@link commit} is when it must be on disk. */
export interface SettlementEvents {
  /** An END has come: the first or a repeated one. */
  settle(end: End): void;
  /**
   * It is over, and no connector answers for it now.
   * @param unheard the last attempt that may have reached one that has said nothing; 0: none
   */
  unserved(id: string, unheard: number): void;
  /** A connector answers for it. Need not be on disk before anything leaves. */
  accepted(id: string): void;
  /** Its client or its connector is gone, and END may never come. */
  orphaned(id: string): void;
  /** It is opened once more: only the END of this attempt counts. */
  reopened(id: string, attempt: number): void;
  /** Something of it leaves the hub now. @returns false: it cannot be written down, and must not be acknowledged. */
  commit(): boolean;
  /** The hub has done with an exchange. */
  over(exchange: Exchange): void;
}

export class Settlement {
  readonly #events: SettlementEvents;
  #acks: { readonly link: Link; readonly frame: Frame }[] = [];

  constructor(events: SettlementEvents) {
    this.#events = events;
  }

  /** Something waits for {@link commit}. */
  get isOwed(): boolean {
    return this.#acks.length > 0;
  }

  ended(end: End, link: Link, channel: number): void {
    this.#events.settle(end);
    const attempt = link.state.features.includes(ATTEMPTS) ? end.attempt : null;
    this.#acks.push({ link, frame: settledFrame(channel, end.exchange, attempt) });
  }

  /** It is over without an END. */
  unanswered({ id, owner, link, unheard }: Exchange): void {
    // What was opened may run, although its ACCEPT has not come.
    if (owner === null && link === null) this.#events.unserved(id, unheard);
    else this.#events.orphaned(id);
  }

  /** It is to be opened once more: an END that comes before that is of an earlier attempt. */
  reopening({ id, attempts }: Exchange): void {
    this.#events.reopened(id, attempts + 1);
  }

  opened({ id, attempts }: Exchange): void {
    if (attempts === 1) return;
    this.#events.reopened(id, attempts);
    this.commit();
  }

  accepted({ id }: Exchange): void {
    this.#events.accepted(id);
  }

  over(exchange: Exchange): void {
    this.#events.over(exchange);
  }

  /** Nobody waits for SETTLED: it rides with the tick. */
  commit(): void {
    if (!this.#events.commit()) return;
    for (const { link, frame } of this.#acks) link.outbox.later(frame);
    this.#acks = [];
  }
}
