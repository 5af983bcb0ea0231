// How limits are told to a client: OpenAI's six `x-ratelimit-*` headers (OpenAI, rate limits guide), three more for the
// day, and the texts of denials. Pure.
import type { PublicFailure } from "../../shared/errors.ts";
import type { HeaderPairs } from "../../shared/headers.ts";
import type { Allowance, Denial, Standing } from "./ledger.ts";

export function limitHeaders({ requests, tokens, day }: Standing): HeaderPairs {
  return [
    ["x-ratelimit-limit-requests", String(requests.limit)],
    ["x-ratelimit-limit-tokens", String(tokens.limit)],
    ["x-ratelimit-remaining-requests", String(requests.remaining)],
    ["x-ratelimit-remaining-tokens", String(tokens.remaining)],
    ["x-ratelimit-reset-requests", duration(requests.resetMs)],
    ["x-ratelimit-reset-tokens", duration(tokens.resetMs)],
    ["x-ratelimit-limit-tokens-day", String(day.limit)],
    ["x-ratelimit-remaining-tokens-day", String(day.remaining)],
    ["x-ratelimit-reset-tokens-day", duration(day.resetMs)],
  ];
}

const NOTHING: Allowance = { limit: 0, remaining: 0, resetMs: 0 };
/** Their names. */
export const LIMIT_HEADERS: readonly string[] = limitHeaders({
  requests: NOTHING,
  tokens: NOTHING,
  day: NOTHING,
}).map(([name]) => name);

/** Go's form of a duration, as OpenAI sends it: `6ms`, `1.78s`, `1m30s`, `6m0s`, `23h59m59s`. */
export function duration(ms: number): string {
  const whole = Math.ceil(ms);
  if (whole === 0) return "0s";
  if (whole < 1_000) return `${whole}ms`;
  const hours = Math.floor(whole / 3_600_000);
  const minutes = Math.floor((whole % 3_600_000) / 60_000);
  const seconds = `${Number(((whole % 60_000) / 1_000).toFixed(3))}s`;
  if (hours > 0) return `${hours}h${minutes}m${seconds}`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}

/** What a client is told of a denial. */
export function denied(denial: Denial, model: string): PublicFailure {
  const { kind, limit, used, requested, retryAfterMs } = denial;
  const numbers = `Limit ${limit}, Used ${used}, Requested ${requested}`;
  switch (kind) {
    case "too_large":
      return {
        code: "request_too_large",
        status: 429,
        type: "tokens",
        shouldRetry: false,
        message:
          `Request too large for ${model}: Limit ${limit}, Requested ${requested}. ` +
          "The prompt or the maximum of output tokens must be reduced.",
      };
    case "daily":
      return {
        code: "daily_token_limit_exceeded",
        retryAfterMs: retryAfterMs ?? undefined,
        message:
          `Daily token limit reached for ${model}: ${numbers}. ` +
          `The day ends at 00:00 UTC, in ${duration(retryAfterMs ?? 0)}.`,
      };
    case "requests":
    case "tokens": {
      const what = kind === "requests" ? "requests per min (RPM)" : "tokens per min (TPM)";
      return {
        code: "rate_limit_exceeded",
        type: kind,
        retryAfterMs: retryAfterMs ?? undefined,
        message: `Rate limit reached for ${model} on ${what}: ${numbers}. Please try again in ${duration(retryAfterMs ?? 0)}.`,
      };
    }
    default: {
      const never: never = kind;
      return never;
    }
  }
}
