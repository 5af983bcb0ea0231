// Puts an exchange on a link and takes it off again: the channel, the window, and the frame that says so.
import { FrameType } from "../../shared/wire/frames.ts";
import { jsonFrame, type Open, type Resume } from "../../shared/wire/messages.ts";
import { firstWindow } from "../../shared/wire/windows.ts";
import type { Exchange, Order } from "./exchange.ts";
import type { Link } from "./link.ts";

/** What all readers together may make a hub hold: an isolate has 128 MB, and may be shared. */
export const HUB_WINDOW_BYTES = 32 * 1024 * 1024;
/** What may still be granted on a link: its own share, and the hub's. */
export function freeOn(links: Iterable<Link>, link: Link): number {
  let hub = HUB_WINDOW_BYTES;
  for (const other of links) hub -= other.inbox.outstanding;
  return Math.min(link.inbox.free, hub);
}

/** OPEN, and as much of the body as there is credit for. */
export function sendOpen(exchange: Exchange, order: Order, link: Link, free: number, now: number): void {
  const limit = firstWindow(free, order.dialect?.stream === true);
  board(exchange, link, 0, limit, now);
  exchange.attempts += 1;
  const left = Math.max(0, order.deadline_ms - (now - exchange.openedAt));
  const open: Open = { ...order, attempt: exchange.attempts, limit, deadline_ms: left };
  link.control(jsonFrame(FrameType.OPEN, exchange.channel, open));
  link.outbox.open(exchange.channel, exchange.body, 0, link.state.windows.exchange);
}

export function sendResume(exchange: Exchange, link: Link, free: number, now: number): void {
  const window = firstWindow(free, false);
  const offset = exchange.wanted;
  board(exchange, link, offset, window, now);
  const head = exchange.head === null;
  const resume: Resume = { exchange: exchange.id, offset, head, limit: offset + window };
  link.control(jsonFrame(FrameType.RESUME, exchange.channel, resume));
}

export function sendReset({ link, channel }: Exchange, code: string, retryable: boolean): void {
  link?.control(jsonFrame(FrameType.RESET, channel, { code, retryable }));
}

/** A body that is no larger is kept as long as its exchange: it can be sent to another connector without a word to the Worker. */
const KEPT_BODY_BYTES = 8 * 1024;

/** Lets go of what was sent of a body, once a connector answers for it: until then it may have to be sent again. */
export function letGoOfSent(exchange: Exchange): void {
  const { link, order } = exchange;
  if (link === null || order === null || exchange.state !== "accepted" || order.length <= KEPT_BODY_BYTES) return;
  const sent = link.outbox.sentOn(exchange.channel) ?? exchange.body.end;
  if (sent <= exchange.body.start) return;
  exchange.body.release(sent);
  exchange.reader.room();
}

/** The body of a request has grown, or may be sent now. */
export function pushBody(exchange: Exchange): void {
  const { link, channel, order, body } = exchange;
  if (link === null || order === null) return;
  link.outbox.wake(channel);
  if (body.end === order.length) {
    link.outbox.finish(channel, null);
    link.flushOpen();
  } else link.flush();
  letGoOfSent(exchange);
}

/** CREDIT for bodies: of one channel, or of all. */
export function creditBodies(link: Link, channel: number, limit: number): void {
  link.outbox.credit(channel, limit);
  link.flush();
  const exchange = link.exchanges.get(channel);
  for (const moved of exchange === undefined ? link.exchanges.values() : [exchange]) letGoOfSent(moved);
}

/** Bytes of the answer for the reader; credit is granted for what is taken, and only for that. */
export function takeAnswer(links: Iterable<Link>, exchange: Exchange, max: number, now: number): Uint8Array {
  const bytes = exchange.read(max);
  const { link, channel } = exchange;
  // What an earlier socket brought was never counted on this one.
  const counted = Math.min(bytes.byteLength, exchange.taken - exchange.boardedAt);
  if (link === null || counted <= 0) return bytes;
  const credit = link.inbox.consume(channel, counted, freeOn(links, link), now);
  if (exchange.end === null && credit !== null) link.control(credit);
  link.credit();
  link.flush();
  return bytes;
}

/** Takes an exchange off its link, telling nobody. */
export function leave(exchange: Exchange): void {
  const { link, channel } = exchange;
  if (link === null) return;
  link.inbox.close(channel);
  link.release(channel);
  exchange.link = null;
}

function board(exchange: Exchange, link: Link, offset: number, window: number, now: number): void {
  exchange.link = link;
  exchange.channel = link.take(exchange);
  exchange.boardedAt = offset;
  link.inbox.open(exchange.channel, offset, window, now);
}
