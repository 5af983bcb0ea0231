// What a request to an upstream is, and how its answer is handed on. Types only.
import type { Failure } from "../../shared/errors.ts";
import type { HeaderPairs } from "../../shared/headers.ts";

export interface UpstreamRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: HeaderPairs;
  readonly body: Uint8Array;
  readonly tier: string;
  readonly tenant: string;
  /** Absolute, by the pool's clock, ms. */
  readonly deadline: number;
  /** No stream is asked for. */
  readonly isPlain?: boolean;
}

/** Hears of one request. Anything here may be called before `serve` has returned, and nothing after `abort`. */
export interface UpstreamHandler {
  /** An upstream was chosen and the request, or a part of it, is being sent (again after each retry). `attempt` from 1. */
  onStart(upstream: string, attempt: number): void;
  /** After `onStart`: headers to be set on this attempt, over the request's own. */
  headers?(): HeaderPairs | undefined;
  /** The attempt is lost before its head; the request holds no slot and may be sent again. `reason` as retry.ts names it. */
  onLost?(reason: string, upstream: string): void;
  /** Status and headers of the attempt that is committed: no retry after this. */
  onHead(status: number, headers: HeaderPairs): void;
  /** false = stop reading until `resume` is called. What is already read may still come. */
  onData(chunk: Uint8Array): boolean;
  onEnd(): void;
  /** Exactly one of onEnd and onFailure is called, once, never after abort(). */
  onFailure(failure: Failure): void;
}

export interface Running {
  /** Stops in whatever state it is; the upstream sees its connection closed. */
  abort(): void;
  resume(): void;
  /**
   * The answer is whole: nothing more is told of it. The upstream has a moment to end its response by itself, so that its
   * connection is kept; then it is stopped.
   */
  letEnd(): void;
}

export type Timer = unknown;

export interface Clock {
  now(): number;
  setTimeout(callback: () => void, ms: number): Timer;
  clearTimeout(timer: Timer): void;
}

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** ms. */
export interface Timeouts {
  readonly connectMs: number;
  /** From the request to the first byte of the answer. */
  readonly firstByteMs: number;
  /** The same for an answer that an engine writes to its end before it says anything. */
  readonly wholeMs: number;
  /** Between two reads of the answer. */
  readonly idleMs: number;
  /** The whole request: queue, attempts, answer. */
  readonly totalMs: number;
}

/** Those of one attempt. */
export type AttemptTimeouts = Pick<Timeouts, "connectMs" | "firstByteMs" | "idleMs">;
