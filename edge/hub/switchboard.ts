// The hub without its platform: links, exchanges, and who is connected to whom (spec.md §3, §4, §7, §8).
// No I/O, no clock, no chance: time comes in, messages go out through each link's transport, effects on the
// request's side through its reader. Frames that arrive are read in receive.ts and end up in the methods here.
import { isErrorCode, type PublicFailure } from "../../shared/errors.ts";
import type { ResumeRequest } from "../../shared/hop.ts";
import { CloseCode } from "../../shared/wire/frames.ts";
import type { End } from "../../shared/wire/messages.ts";
import type { Spool } from "../../shared/wire/spool.ts";
import { Abandoned } from "./abandoned.ts";
import { freeOn, leave, letGoOfSent, pushBody, sendOpen, sendReset, sendResume, takeAnswer } from "./boarding.ts";
import { brokenOff, failureOf, outOfTime, tellSpent, unplaced } from "./endings.ts";
import { Exchange, type Order, type Reader } from "./exchange.ts";
import { Link, type LinkState, type Transport } from "./link.ts";
import { ACCEPT_WITHIN_MS, HOLD_MS, isGivenUp, mayGoOn, patienceOf, placeFor, REATTACH_WITHIN_MS } from "./patience.ts";
import { rivalsOf, wayOut } from "./place.ts";
import { Recent } from "./recent.ts";
import { Settlement, type SettlementEvents } from "./settlement.ts";
import { Waiting } from "./waiting.ts";

const NEWER = "a newer socket of this connector is here";

export class Switchboard {
  readonly links = new Set<Link>();
  readonly shards: number;
  readonly settlement: Settlement;
  readonly #exchanges = new Set<Exchange>();
  readonly #waiting = new Waiting((exchange) => this.#dispatch(exchange, this.#now));
  /** What broke off for good while its answer ran, and why: a Worker that asks to go on is told so at once. */
  readonly #brokenOff = new Recent<PublicFailure>(1_000);
  readonly #abandoned = new Abandoned(this.#exchanges);
  #turn = 0;
  /** ms; when this was last told the time. */
  #now = 0;
  /** Sockets closed because the peer broke the wire. */
  violations = 0;
  resumed = 0;

  constructor(options: { shards: number; events: SettlementEvents }) {
    this.shards = options.shards;
    this.settlement = new Settlement(options.events);
  }

  /** Exchanges. While there are any, time matters: {@link tick} must be called. */
  get running(): number {
    return this.#exchanges.size;
  }

  /** Time matters. */
  get isBusy(): boolean {
    return this.#exchanges.size > 0 || this.settlement.isOwed || [...this.links].some((link) => link.suspect);
  }

  /** Bytes of answers that readers have not taken yet. */
  get held(): number {
    return [...this.#exchanges].reduce((sum, { unread }) => sum + unread, 0);
  }

  attach(transport: Transport, state: LinkState): Link {
    const link = new Link(transport, state);
    this.links.add(link);
    return link;
  }

  /** Opens an exchange. `body` may still grow; say so by `pushBody`. */
  open(order: Order, body: Spool, reader: Reader, now: number, attempts = 0): Exchange {
    const exchange = Exchange.opened(order, body, reader, attempts, now);
    this.#exchanges.add(exchange);
    this.#now = now;
    this.#dispatch(exchange, now);
    return exchange;
  }

  /** Goes on with an exchange whose hub was lost, at the connector that answers for it. */
  resume(from: ResumeRequest, reader: Reader, now: number): Exchange {
    const exchange = Exchange.resumed(from, reader, now);
    const why = this.#brokenOff.get(from.id);
    if (why !== undefined) return tellSpent(exchange, why);
    this.#exchanges.add(exchange);
    this.#await(exchange, now);
    return exchange;
  }

  /** Takes bytes of the answer for the reader, and grants credit for them. */
  take(exchange: Exchange, max: number, now: number): Uint8Array {
    const bytes = takeAnswer(this.links, exchange, max, now);
    if (exchange.isDrained && exchange.state !== "over") this.#forget(exchange);
    return bytes;
  }

  /** The client has gone. */
  cancel(exchange: Exchange): void {
    if (exchange.state === "over") return;
    if (exchange.end === null) {
      sendReset(exchange, "cancelled", false);
      this.settlement.unanswered(exchange);
    }
    if (exchange.state === "detached") this.#abandoned.add(exchange, this.links, this.#now);
    this.#forget(exchange);
  }

  /** A socket is gone. What it carried is opened elsewhere, or waits for its connector. */
  lost(link: Link, now: number): void {
    if (!this.links.delete(link)) return;
    for (const exchange of [...link.exchanges.values()]) {
      if (exchange.end !== null) leave(exchange);
      else this.#unseated(exchange, now);
    }
  }

  /** Must be called a few times a second while something runs. */
  tick(now: number): void {
    this.#now = now;
    this.settlement.commit();
    this.#waiting.offer(); // Who was refused has left room, too.
    for (const exchange of [...this.#exchanges]) {
      if (isGivenUp(exchange, now)) this.#giveUp(exchange);
      if (now < exchange.deadline) continue;
      if (exchange.state === "opened") this.#missedAccept(exchange, now);
      else if (exchange.state === "waiting") this.fail(exchange, unplaced(exchange, this.links, now));
      else if (exchange.state === "detached") this.#overdue(exchange, now);
    }
    for (const link of [...this.links]) {
      if (link.isDead(now)) {
        this.#drop(link, CloseCode.SILENT, "no sign of life", now);
        continue;
      }
      link.flush(true);
      if (this.running === 0 && link.welcomed) link.rest();
    }
  }

  /** A later socket of its place is here: what it says now was said long ago. @returns whether it is gone for that. */
  isSuperseded(link: Link, instance: string, now: number): boolean {
    const { later } = rivalsOf(link, this.links);
    if (later.length > 0) this.#drop(link, wayOut(link, later, instance), NEWER, now);
    return later.length > 0;
  }

  welcome(link: Link, now: number): void {
    for (const other of rivalsOf(link, this.links).earlier) this.#drop(other, wayOut(other, [link]), NEWER, now);
    if (link.draining) return; // A probe: its process says nothing of the one that answers for what is detached.
    this.#abandoned.tell(link, now);
    for (const exchange of [...this.#exchanges])
      if (exchange.state === "detached" && link.isAfter(exchange.owner)) this.#ownerIsGone(exchange, now);
  }

  /** Capacity has come or changed: what waits may now find a place, and what lost its socket may go on. */
  offer(now: number): void {
    this.#now = now;
    this.#waiting.offer();
    for (const exchange of [...this.#exchanges]) if (exchange.state === "detached") this.#await(exchange, now);
  }

  accepted(exchange: Exchange): void {
    const { link } = exchange;
    if (exchange.state !== "opened" || link === null) return;
    link.missedAccepts = 0;
    exchange.state = "accepted";
    exchange.detachedAt = null;
    exchange.deadline = Number.POSITIVE_INFINITY;
    if (exchange.owner === null) this.settlement.accepted(exchange);
    exchange.owner ??= { connector: link.state.connector, instance: link.state.instance ?? "" };
    exchange.reader.accepted();
    letGoOfSent(exchange);
  }

  ended(exchange: Exchange, end: End): void {
    exchange.end = end;
    exchange.deadline = Number.POSITIVE_INFINITY;
    exchange.link?.outbox.drop(exchange.channel);
    const broken = failureOf(exchange, end);
    if (broken !== null) {
      this.fail(exchange, broken);
      return;
    }
    exchange.reader.data();
    if (exchange.isDrained) this.#forget(exchange);
  }

  /** The connector refuses: nothing has begun there. */
  refused(exchange: Exchange, code: string, retryable: boolean, now: number): void {
    const wasResumed = exchange.order === null || exchange.owner !== null;
    if (exchange.link !== null && !wasResumed) exchange.refusedBy.add(exchange.link.state.instance ?? "");
    if (isErrorCode(code)) exchange.refusal = code;
    leave(exchange);
    if (wasResumed) this.#ownerIsGone(exchange, now);
    else if (retryable) this.#redispatch(exchange, now);
    else this.fail(exchange, { code: isErrorCode(code) ? code : "upstream_error" });
  }

  fail(exchange: Exchange, failure: PublicFailure): void {
    if (exchange.state === "over") return;
    if (exchange.end === null) this.settlement.unanswered(exchange);
    exchange.failure = failure;
    this.#forget(exchange);
    if (exchange.head !== null) this.#brokenOff.add(exchange.id, failure);
    exchange.reader.fail(failure);
  }

  #drop(link: Link, code: CloseCode, reason: string, now: number): void {
    link.transport.close(code, reason);
    this.lost(link, now);
  }

  #dispatch(exchange: Exchange, now: number): void {
    const { order } = exchange;
    if (order === null) return;
    this.#turn += 1;
    const link = placeFor(exchange, this.links, now, this.#turn);
    if (link === undefined) {
      this.#waiting.add(exchange);
      return;
    }
    this.#waiting.delete(exchange);
    exchange.state = "opened";
    exchange.deadline = now + ACCEPT_WITHIN_MS;
    sendOpen(exchange, order, link, freeOn(this.links, link), now);
    this.settlement.opened(exchange);
    pushBody(exchange);
  }

  #missedAccept(exchange: Exchange, now: number): void {
    const { link } = exchange;
    if (link === null) return;
    link.doubt(now);
    sendReset(exchange, "no_accept", true);
    link.flush();
    this.#unseated(exchange, now);
    if (link.hasFailed) this.#drop(link, CloseCode.SILENT, "OPEN was not accepted in time", now);
  }

  #giveUp(exchange: Exchange): void {
    if (exchange.end === null) sendReset(exchange, "cancelled", false);
    this.fail(exchange, outOfTime(exchange));
    exchange.drop();
  }

  #unseated(exchange: Exchange, now: number): void {
    leave(exchange);
    exchange.unheard = exchange.attempts;
    if (exchange.owner !== null) this.#await(exchange, now);
    else this.#redispatch(exchange, now);
  }

  #redispatch(exchange: Exchange, now: number): void {
    exchange.waitAgain(now + HOLD_MS);
    this.settlement.reopening(exchange);
    // Where part of the body is gone, the Worker still has it all.
    if (exchange.body.start > 0) this.#end(exchange, "again");
    else this.#dispatch(exchange, now);
  }

  #await(exchange: Exchange, now: number): void {
    exchange.state = "detached";
    exchange.detachedAt ??= now;
    exchange.deadline = exchange.detachedAt + patienceOf(exchange);
    const link = [...this.links].find((one) => mayGoOn(exchange, one, now));
    if (link === undefined) return;
    exchange.state = "opened";
    exchange.deadline = now + ACCEPT_WITHIN_MS;
    sendResume(exchange, link, freeOn(this.links, link), now);
    link.flush();
    this.resumed += 1;
  }

  /** Its socket has not come back yet: once it may, it goes to another connector, if there is one that serves it. */
  #overdue(exchange: Exchange, now: number): void {
    if (placeFor(exchange, this.links, now, this.#turn) !== undefined) {
      this.#abandoned.add(exchange, this.links, now);
      this.#redispatch(exchange, now);
    } else if (now - (exchange.detachedAt ?? 0) >= REATTACH_WITHIN_MS) this.fail(exchange, brokenOff(exchange));
  }

  /** The connector that answered for it will never go on with it. */
  #ownerIsGone(exchange: Exchange, now: number): void {
    if (exchange.hasNotBegun) this.#redispatch(exchange, now);
    else this.fail(exchange, brokenOff(exchange));
  }

  /** The end of an exchange for the hub. The reader keeps what is in `answer`. */
  #forget(exchange: Exchange): void {
    const { link } = exchange;
    const wasFull = link?.isFull === true;
    this.#end(exchange);
    this.settlement.over(exchange);
    link?.credit();
    link?.flush();
    // What it had granted is free for those that wait for it, and not for a connector.
    if (wasFull) this.#waiting.offer();
  }

  #end(exchange: Exchange, word: "room" | "again" = "room"): void {
    exchange.state = "over";
    this.#exchanges.delete(exchange);
    this.#waiting.delete(exchange);
    leave(exchange);
    exchange.reader[word]();
  }
}
