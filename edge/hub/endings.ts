// What an end means to the client: which failure of the table it is, if it is one.
import { ERRORS, isErrorCode, type PublicFailure } from "../../shared/errors.ts";
import { BACKEND } from "../../shared/openai.ts";
import type { End } from "../../shared/wire/messages.ts";
import type { Exchange } from "./exchange.ts";
import type { Link } from "./link.ts";
import { whyWaiting } from "./patience.ts";

/** END has come. Null: the answer is whole, or carries its own error event. */
export function failureOf(exchange: Exchange, end: End): PublicFailure | null {
  if (exchange.head === null) return refusalOf(end);
  // In an event stream the connector has written the error itself; the bytes are all there.
  const isWhole = exchange.wanted === end.bytes && end.outcome !== "cancelled";
  if (isWhole && (end.outcome === "complete" || exchange.isStream)) return null;
  return exchange.isUntold ? refusalOf(end) : { code: "stream_interrupted" };
}

/** It has waited for a place, and there was none in time. */
export function unplaced(exchange: Exchange, links: Iterable<Link>, now: number): PublicFailure {
  return { code: whyWaiting(exchange, links, now) };
}

/** The connector that answered for it is lost. */
export function brokenOff(exchange: Exchange): PublicFailure {
  if (exchange.target === BACKEND) return { code: "auth_unavailable" };
  return { code: hasNothing(exchange) ? "upstream_error" : "stream_interrupted" };
}

/** Nobody waits for it any longer. */
export function outOfTime(exchange: Exchange): PublicFailure {
  return { code: hasNothing(exchange) ? "upstream_timeout" : "stream_interrupted" };
}

/** It broke off for good, and was over then; only who reads it does not know yet. @param why as it was told then. */
export function tellSpent(exchange: Exchange, why: PublicFailure): Exchange {
  exchange.state = "over";
  exchange.failure = exchange.isUntold ? why : brokenOff(exchange);
  exchange.reader.fail(exchange.failure);
  return exchange;
}

function hasNothing(exchange: Exchange): boolean {
  return exchange.head === null || exchange.isUntold;
}

function refusalOf(end: End): PublicFailure {
  const { failure } = end;
  if (failure === null || !isErrorCode(failure.code)) return { code: "upstream_error" };
  const { code, message, param, status, retry_after_ms } = failure;
  return { code, message, param, status: status ?? ERRORS[code].status, retryAfterMs: retry_after_ms };
}
