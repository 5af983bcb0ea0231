// Where exchanges and whoever watches them meet: logs, metrics, traces. Types only. Beside the rooms and not in one, so
// that connector/exchange can call what connector/ops offers.
//
// For each exchange that a service was found for, lookups at the backend included (`open.dialect` is null), in this order:
//
//   opened                     OPEN was accepted; the body is on its way
//   begun                      the body is whole; the wait for an upstream begins
//   ( sending  lost? )*        one attempt at `upstream`; it may be lost before its head, and another may follow. Parts of
//                              one request may be at several upstreams at once
//   answering                  the engine's status is known, and nothing is tried again
//   passing*                   bytes for the client, as the dialect has made them
//   ended                      END is known; nothing follows
//
// Every exchange that was opened ends, once; whatever stands between may be missing. A refused OPEN (no such pool, no room
// for the body) and a denial at the edge's gate never get here. Times are ms since the epoch.
//
// All of it runs in the path of the data: a method does arithmetic and comes back, or it is left out. It must not throw
// (connector/ops/observers.ts takes care of that), wait, or keep `body` or `bytes`.
import type { HeaderPairs } from "../shared/headers.ts";
import type { End, Open } from "../shared/wire/messages.ts";

/** What is known of an exchange until now. The same object from `opened` to `ended`, so it may be the key of a map. */
export interface Observed {
  readonly open: Open;
  readonly openedAt: number;
  /** The first attempt was sent: the end of the wait. */
  readonly startedAt: number | null;
  /** The head of the engine's answer. */
  readonly firstByteAt: number | null;
  /** The first bytes of the answer to the client. */
  readonly firstChunkAt: number | null;
  /** Attempts that were sent. */
  readonly attempts: number;
  /** Of the latest attempt: an origin, or the backend's address. For operators only. */
  readonly upstream: string | null;
  /** What the client was told; null before that, and where it left earlier. */
  readonly status: number | null;
  /** In our own words why it failed; never an engine's. For operators only. */
  readonly detail: string | undefined;
  /** The hub did not hear our ACCEPT and has opened the exchange elsewhere: this run counts for nothing. */
  readonly isWithdrawn: boolean;
  /** Bytes `from` to `to` of the answer as far as they are still retained. Copies. */
  answerBytes(from: number, to: number): Uint8Array;
}

export interface Observer {
  opened?(run: Observed): void;
  /** @param body as the client has sent it. */
  begun?(run: Observed, body: Uint8Array): void;
  /** @returns headers to be set on this attempt, over the client's own. Names in lower case. */
  sending?(run: Observed, at: number): HeaderPairs | undefined;
  /** @param reason a Loss, as connector/upstream/retry.ts names them: `connect`, `refused`, `silent`, … */
  lost?(run: Observed, reason: string, at: number, upstream: string): void;
  /** @param status the engine's own. */
  answering?(run: Observed, status: number, at: number): void;
  /** The only call for each chunk. */
  passing?(run: Observed, bytes: Uint8Array): void;
  ended?(run: Observed, end: End, at: number): void;
}
