// What may be tried again elsewhere while the client has seen nothing, at what price, and what it is told if not. A table;
// no I/O.
import type { ErrorCode } from "../../shared/errors.ts";

/** How an attempt was lost before its head. */
export type Loss =
  /** No connection: the engine has seen nothing. */
  | "connect"
  /** A kept connection that the engine was just closing: it has seen nothing. */
  | "stale"
  /** 503: it refused, and has done no work. */
  | "refused"
  | "reset"
  /** 502, 504: something between us and an engine. */
  | "gateway"
  /** 500. */
  | "error"
  /** No first byte in time: the engine works for nothing. */
  | "silent"
  /** A status that an engine does not give. */
  | "strange";

interface Rule {
  /** Losses of this kind that one request may survive. */
  readonly most: number;
  /** Work is done twice: taken from the retry budget. */
  readonly isCharged: boolean;
}

/** A request that kills engines must not visit them all, hence the small numbers. */
const RULES: Readonly<Record<Loss, Rule>> = {
  connect: { most: Number.POSITIVE_INFINITY, isCharged: false },
  stale: { most: 1, isCharged: false },
  refused: { most: Number.POSITIVE_INFINITY, isCharged: false },
  reset: { most: 2, isCharged: true },
  gateway: { most: 2, isCharged: true },
  error: { most: 1, isCharged: true },
  silent: { most: 1, isCharged: true },
  strange: { most: 0, isCharged: true },
};

/**
 * @param times losses of this kind that this request has had, this one included.
 * @param charge takes one from the retry budget.
 */
export function mayRetry(loss: Loss, times: number, charge: () => boolean): boolean {
  const { most, isCharged } = RULES[loss];
  return times <= most && (!isCharged || charge());
}

/** Null: the status is an answer to hand on. An engine does not redirect, and its 4xx is the client's own. */
export function lossOfStatus(status: number): Loss | null {
  if ((status >= 200 && status < 300) || (status >= 400 && status < 500)) return null;
  if (status === 500) return "error";
  if (status === 503) return "refused";
  return status === 502 || status === 504 ? "gateway" : "strange";
}

/** @param wasLast nobody usable is left in the pool: the attempt has found that nobody was there. */
export function codeOf(loss: Loss, wasLast: boolean): ErrorCode {
  if (loss === "silent") return "upstream_timeout";
  return wasLast && (loss === "connect" || loss === "refused") ? "model_unavailable" : "upstream_error";
}
