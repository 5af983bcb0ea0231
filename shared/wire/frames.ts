// The facts of the wire as tables (spec.md §1, §2, §10). No behaviour.

export const SUBPROTOCOL = "heartcode.uplink.v1";
export const VERSION = 1;

/** Spec §2. */
export const FrameType = {
  HELLO: 0x01,
  WELCOME: 0x02,
  OPEN: 0x03,
  BODY: 0x04,
  ACCEPT: 0x05,
  HEAD: 0x06,
  DATA: 0x07,
  END: 0x08,
  RESET: 0x09,
  CREDIT: 0x0a,
  RESUME: 0x0b,
  SETTLED: 0x0c,
  PING: 0x0d,
  PONG: 0x0e,
  GOAWAY: 0x0f,
  REPORT: 0x10,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export interface Frame {
  /** A number of {@link FrameType}, or one that this version does not know. */
  readonly type: number;
  /** An exchange on this socket; 0 is the socket itself. */
  readonly channel: number;
  readonly payload: Uint8Array;
}

/** What one end may receive; a frame of a known type from the wrong end is malformed. */
export const FROM_CONNECTOR: ReadonlySet<number> = new Set([
  FrameType.HELLO,
  FrameType.ACCEPT,
  FrameType.HEAD,
  FrameType.DATA,
  FrameType.END,
  FrameType.RESET,
  FrameType.CREDIT,
  FrameType.PING,
  FrameType.PONG,
  FrameType.GOAWAY,
  FrameType.REPORT,
]);
export const FROM_HUB: ReadonlySet<number> = new Set([
  FrameType.WELCOME,
  FrameType.OPEN,
  FrameType.BODY,
  FrameType.RESET,
  FrameType.CREDIT,
  FrameType.RESUME,
  FrameType.SETTLED,
  FrameType.PING,
  FrameType.PONG,
  FrameType.GOAWAY,
]);

export const HEADER_BYTES = 8;
/** One WebSocket message. Far below the platform's 32 MiB, so that a message is never what delays the next exchange. */
export const MAX_MESSAGE_BYTES = 256 * 1024;
/** One BODY or DATA payload: the quantum of the round robin. */
export const MAX_DATA_BYTES = 32 * 1024;
/** A JSON payload. HEAD is the largest: engines answer with a few short headers. */
export const MAX_JSON_BYTES = 64 * 1024;
export const MAX_PING_BYTES = 64;

export const EXCHANGE_WINDOW_BYTES = 256 * 1024;
export const SOCKET_WINDOW_BYTES = 4 * 1024 * 1024;

/** Of a refused upgrade (spec §1): `final` where dialling again would change nothing. */
export const REFUSAL_HEADER = "heartcode-refusal";
export const FINAL = "final";

/** Spec §10. */
export const CloseCode = {
  NORMAL: 1000,
  INTERNAL: 1011,
  MALFORMED: 4400,
  VERSION: 4406,
  SILENT: 4408,
  SUPERSEDED: 4409,
  REPLACED: 4410,
  FLOW_CONTROL: 4413,
} as const;
export type CloseCode = (typeof CloseCode)[keyof typeof CloseCode];

/** A peer broke the wire. Carries the close code that the socket is to be closed with. */
export class WireViolation extends Error {
  readonly closeCode: CloseCode;
  constructor(closeCode: CloseCode, reason: string) {
    super(reason);
    this.name = "WireViolation";
    this.closeCode = closeCode;
  }
}
