// What an end means to the client: which failure of the table it is, if it is one.
import { ERRORS, isErrorCode, type PublicFailure } from "../../shared/errors.ts";
import { BACKEND } from "../../shared/openai.ts";
import type { End } from "../../shared/wire/messages.ts";
import type { Exchange } from "./exchange.ts";

/** END has come. Null: the answer is whole, or carries its own error event. */
export function failureOf(exchange: Exchange, end: End): PublicFailure | null {
  if (exchange.head === null) return refusalOf(end);
  // In an event stream the connector has written the error itself; the bytes are all there.
  if (exchange.wanted !== end.bytes || end.outcome === "cancelled") return { code: "stream_interrupted" };
  return end.outcome === "complete" || exchange.isStream ? null : { code: "stream_interrupted" };
}

/** The connector that answered for it is lost. */
export function brokenOff(exchange: Exchange): PublicFailure {
  if (exchange.target === BACKEND) return { code: "auth_unavailable" };
  return { code: exchange.head === null ? "upstream_error" : "stream_interrupted" };
}

/** It broke off for good, and was over then; only who reads it does not know yet. */
export function tellSpent(exchange: Exchange): Exchange {
  exchange.state = "over";
  exchange.failure = brokenOff(exchange);
  exchange.reader.fail(exchange.failure);
  return exchange;
}

function refusalOf(end: End): PublicFailure {
  const { failure } = end;
  if (failure === null || !isErrorCode(failure.code)) return { code: "upstream_error" };
  const { code, message, param, status, retry_after_ms } = failure;
  return { code, message, param, status: status ?? ERRORS[code].status, retryAfterMs: retry_after_ms };
}
