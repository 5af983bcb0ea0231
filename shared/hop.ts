// The single call from the Worker to a hub shard: what is said, and how a failure comes back.
// Both ends are one deployment, but not always one version: members are only ever added.

import type { PublicFailure } from "./errors.ts";
import type { HeaderPairs } from "./headers.ts";
import type { Dialect, PoolReport } from "./wire/messages.ts";

/** Carries an {@link ExchangeRequest} as JSON; the body of the call is the client's body, unless it is in {@link BODY_HEADER}. */
export const EXCHANGE_HEADER = "x-heartcode-exchange";
/** A small body in base64: a call without a body of its own costs the runtime a fifth to a third less (workerd 1.20261023). */
export const BODY_HEADER = "x-heartcode-body";
export const HEADER_BODY_BYTES = 8 * 1024;
/** On an answer of the hub that is not the engine's: a {@link PublicFailure} as JSON. */
export const FAILURE_HEADER = "x-heartcode-failure";
/** On a streamed answer: who serves it, so that it can be resumed. */
export const CONNECTOR_HEADER = "x-heartcode-connector";

/** Who is asking, before the gate has looked. */
export type Credentials =
  /** `key` is the raw key: it goes to the backend and nowhere else. `digest` is its SHA-256 in hex. */
  { readonly mode: "backend"; readonly key: string; readonly digest: string } | { readonly mode: "master-key" };

export interface ExchangeRequest {
  /** The request id, unique for ever. */
  readonly id: string;
  readonly credentials: Credentials;
  readonly method: string;
  readonly path: string;
  /** The pool that serves it. */
  readonly target: string;
  readonly ageRestricted: boolean;
  readonly headers: HeaderPairs;
  readonly dialect: Dialect;
}

/** What the backend says of a key. */
export interface Account {
  readonly keyId: string;
  readonly userId: string;
  readonly tier: "free" | "premium" | "admin";
  readonly ageVerified: boolean;
  /** ms since the epoch. */
  readonly expiresAt: number | null;
}

export type AccountAnswer = { readonly account: Account } | { readonly failure: PublicFailure };

/** Carries an {@link UplinkRequest} as JSON on a WebSocket upgrade whose token the Worker has verified. */
export const UPLINK_HEADER = "x-heartcode-uplink";

export interface UplinkRequest {
  readonly connector: string;
  readonly shard: number;
  readonly slot: number;
  readonly jti: string;
  /** Seconds since the epoch; until then `jti` is remembered. */
  readonly exp: number;
}

/** Asks the same shard to go on with an exchange whose hub was lost. */
export interface ResumeRequest {
  readonly id: string;
  readonly target: string;
  readonly connector: string;
  readonly instance: string;
  /** Bytes of the answer that the Worker has. */
  readonly offset: number;
  /** The Worker does not have the head yet. */
  readonly head: boolean;
  /** An event stream: its connector tells of a failure inside it. */
  readonly stream: boolean;
}

/** One socket of a hub, for people and metrics. */
export interface LinkStatus {
  readonly connector: string;
  readonly slot: number;
  readonly live: boolean;
  readonly draining: boolean;
  readonly running: number;
  readonly pools: PoolReport[];
}

export interface HubStatus {
  readonly links: LinkStatus[];
  readonly exchanges: number;
  /** Bytes of answers that clients have not taken yet. */
  readonly held_bytes: number;
  readonly violations: number;
  readonly resumed: number;
  readonly window_stalls: number;
}

/** A failure as a header value: JSON may hold any character, a header may not. */
export function failureHeader(failure: PublicFailure): string {
  return encodeURIComponent(JSON.stringify(failure));
}

/** The failure that the hub answered instead of an engine's answer, or null. */
export function readFailure(headers: { get(name: string): string | null }): PublicFailure | null {
  const value = headers.get(FAILURE_HEADER);
  return value === null ? null : (JSON.parse(decodeURIComponent(value)) as PublicFailure);
}
