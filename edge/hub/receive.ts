// What each frame of a connector means to the hub: one row a type (spec.md §2).

import { ANSWER_HEADERS, allowHeaders } from "../../shared/headers.ts";
import { decode } from "../../shared/wire/codec.ts";
import {
  CloseCode,
  FROM_CONNECTOR,
  type Frame,
  FrameType,
  SOCKET_WINDOW_BYTES,
  VERSION,
  WireViolation,
} from "../../shared/wire/frames.ts";
import { readEnd, readHead } from "../../shared/wire/hot.ts";
import {
  ATTEMPTS,
  GoAway,
  type Head,
  Hello,
  jsonFrame,
  PROBE,
  pongFrame,
  Report,
  Reset,
  readCredit,
  readJson,
  type Welcome,
} from "../../shared/wire/messages.ts";
import { creditBodies } from "./boarding.ts";
import type { Exchange } from "./exchange.ts";
import type { Link } from "./link.ts";
import type { Switchboard } from "./switchboard.ts";

/** What both ends must know to use it. */
export const FEATURES: readonly string[] = [PROBE, ATTEMPTS];

type Handler = (board: Switchboard, link: Link, frame: Frame, now: number) => void;

const HANDLERS: Readonly<Record<number, Handler>> = {
  [FrameType.HELLO]: hello,
  [FrameType.ACCEPT]: (board, link, frame) => {
    const exchange = link.exchanges.get(frame.channel);
    if (exchange !== undefined) board.accepted(exchange);
  },
  [FrameType.HEAD]: (_board, link, frame) => {
    const exchange = answering(link, frame);
    if (exchange === undefined) return;
    if (exchange.head !== null) throw new WireViolation(CloseCode.MALFORMED, "a second HEAD");
    const { status, headers } = readHead(frame);
    exchange.head = { status, headers: allowHeaders(headers, ANSWER_HEADERS) };
    // What was asked for is not what has come: only in a stream of events an error can stand.
    exchange.isStream = isEventStream(exchange.head);
    exchange.reader.head(exchange.head);
  },
  [FrameType.DATA]: (_board, link, frame) => {
    const mine = link.inbox.receive(frame.channel, frame.payload.byteLength);
    const exchange = mine ? answering(link, frame) : undefined;
    if (exchange === undefined) return;
    if (exchange.head === null) throw new WireViolation(CloseCode.MALFORMED, "DATA before HEAD");
    exchange.answer.append(frame.payload);
    exchange.reader.data();
  },
  [FrameType.END]: (board, link, frame) => {
    const end = readEnd(frame);
    const exchange = link.exchanges.get(frame.channel);
    if (exchange !== undefined && exchange.id !== end.exchange) {
      throw new WireViolation(CloseCode.MALFORMED, "END of another exchange");
    }
    board.settlement.ended(end, link, frame.channel);
    if (exchange !== undefined && exchange.end === null) board.ended(exchange, end);
  },
  [FrameType.RESET]: (board, link, frame, now) => {
    const { code, retryable } = readJson(Reset, frame);
    const exchange = link.exchanges.get(frame.channel);
    if (exchange !== undefined && exchange.end === null) board.refused(exchange, code, retryable, now);
  },
  [FrameType.CREDIT]: (_board, link, frame) => creditBodies(link, frame.channel, readCredit(frame)),
  [FrameType.PING]: (_board, link, frame) => link.control(pongFrame(frame)),
  [FrameType.PONG]: () => {},
  [FrameType.GOAWAY]: (_board, link, frame) => {
    const { reason, deadline_ms, ack } = readJson(GoAway, frame);
    if (ack) return;
    link.state.draining = true;
    link.save();
    link.control(jsonFrame(FrameType.GOAWAY, 0, { reason, deadline_ms, ack: true }));
  },
  [FrameType.REPORT]: (board, link, frame, now) => {
    link.state.pools = readJson(Report, frame).pools;
    link.save();
    board.offer(now);
  },
};

/**
 * Handles one message of a link. Never throws: a connector that breaks the wire is closed with the code of its offence,
 * and what it carried goes on elsewhere.
 */
export function receive(board: Switchboard, link: Link, message: Uint8Array, now: number): void {
  // It was closed here, and its peer did not know that yet.
  if (!board.links.has(link)) return;
  const { suspect: wasSuspect, welcomed: wasWelcomed } = link;
  link.heard(now);
  try {
    for (const frame of decode(message)) {
      const handler = HANDLERS[frame.type];
      if (handler === undefined) {
        if (Object.values(FrameType).includes(frame.type as FrameType)) throw wrongWay(frame);
        continue;
      }
      if (!FROM_CONNECTOR.has(frame.type)) throw wrongWay(frame);
      if (!link.welcomed && frame.type !== FrameType.HELLO) {
        throw new WireViolation(CloseCode.MALFORMED, "the first frame must be HELLO");
      }
      handler(board, link, frame, now);
    }
    link.credit();
    link.flush();
    // Behind the whole message: GOAWAY may stand behind HELLO.
    if (wasSuspect || (link.welcomed && !wasWelcomed)) board.offer(now);
    // What comes late moves the numbers of the credit; a hub that sleeps now must wake with them.
    if (board.running === 0 && link.welcomed) link.rest();
  } catch (error) {
    board.violations += 1;
    const isTheirs = error instanceof WireViolation;
    link.transport.close(isTheirs ? error.closeCode : CloseCode.INTERNAL, isTheirs ? error.message : "internal error");
    board.lost(link, now);
    // Half a message was handled: the socket cannot be trusted any more, and neither can we.
    if (!isTheirs) throw error;
  }
}

function isEventStream({ headers }: Head): boolean {
  return headers.some(([name, value]) => name === "content-type" && value.startsWith("text/event-stream"));
}

/** The exchange of an answer frame; undefined if it is over: late frames of a cancelled exchange are routine. */
function answering(link: Link, frame: Frame): Exchange | undefined {
  const exchange = link.exchanges.get(frame.channel);
  if (exchange === undefined || exchange.end !== null) return undefined;
  if (exchange.state !== "accepted") throw new WireViolation(CloseCode.MALFORMED, "an answer before ACCEPT");
  return exchange;
}

function hello(board: Switchboard, link: Link, frame: Frame, now: number): void {
  if (link.welcomed) throw new WireViolation(CloseCode.MALFORMED, "a second HELLO");
  const { versions, features, instance, windows, pools } = readJson(Hello, frame);
  if (!versions.includes(VERSION)) throw new WireViolation(CloseCode.VERSION, `this hub speaks version ${VERSION}`);
  if (board.isSuperseded(link, instance, now)) return;
  link.state.instance = instance;
  link.state.features = features.filter((feature) => FEATURES.includes(feature));
  link.state.pools = pools;
  link.state.draining = link.state.features.includes(PROBE);
  link.state.windows = windows;
  link.outbox.credit(0, windows.socket);
  // All of it is kept, the credit too: the hub may sleep before its first exchange.
  link.rest();
  const welcome: Welcome = {
    version: VERSION,
    features: link.state.features,
    shard: link.state.shard,
    shards: board.shards,
    windows: { exchange: 0, socket: SOCKET_WINDOW_BYTES },
    now,
  };
  link.control(jsonFrame(FrameType.WELCOME, 0, welcome));
  board.welcome(link, now);
}

function wrongWay(frame: Frame): WireViolation {
  return new WireViolation(CloseCode.MALFORMED, `frame 0x${frame.type.toString(16)} comes from the hub only`);
}
