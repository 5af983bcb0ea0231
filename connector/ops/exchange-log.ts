// One line of the log for each exchange, written when it is over (docs/logs.md). It says who, where, how long and how
// much; never a key, a prompt, an answer, or the words of an engine.
import { isErrorCode } from "../../shared/errors.ts";
import type { End } from "../../shared/wire/messages.ts";
import type { Observed, Observer } from "../observe.ts";

export type ExchangeLevel = "debug" | "info" | "warn" | "error";

export interface ExchangeLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  isLevelEnabled(level: ExchangeLevel): boolean;
}

/** @param traceOf the trace that shows the exchange, if one does. */
export function logExchanges(log: ExchangeLog, traceOf?: (run: Observed) => string | undefined): Observer {
  return {
    ended: (run, end) => {
      const level = levelOf(run, end);
      if (!log.isLevelEnabled(level)) return;
      const trace = traceOf?.(run);
      const fields = run.open.dialect === null ? lookupFields(run, end) : exchangeFields(run, end);
      log[level](trace === undefined ? fields : { ...fields, trace_id: trace }, messageOf(run));
    },
  };
}

/** A client's own mistake and a client who left are normal; what the site owes and does not give is a warning. */
export function levelOf({ open, status, isWithdrawn }: Observed, { outcome, failure }: End): ExchangeLevel {
  if (isWithdrawn) return "debug";
  if (failure?.code === "internal_error") return "error";
  const isOurs = outcome === "truncated" || (outcome === "failed" && (status === null || !isClients(status)));
  // An answer of the backend passes as it is, whatever its status.
  if (isOurs || (status !== null && status >= 500)) return "warn";
  return open.dialect === null ? "debug" : "info";
}

function isClients(status: number): boolean {
  return status >= 400 && status < 500;
}

function messageOf({ open, isWithdrawn }: Observed): string {
  if (isWithdrawn) return "exchange withdrawn";
  return open.dialect === null ? "lookup" : "exchange";
}

function exchangeFields(run: Observed, end: End): object {
  const { open, upstream, attempts, status, detail } = run;
  return {
    request_id: open.exchange,
    tenant: open.tenant,
    tier: open.tier,
    model: open.dialect?.model ?? null,
    pool: open.target,
    path: open.path,
    stream: open.dialect?.stream ?? false,
    upstream,
    attempts,
    outcome: end.outcome,
    status,
    code: codeOf(end),
    ...timesOf(run, end),
    prompt_tokens: end.usage?.prompt_tokens ?? null,
    completion_tokens: end.usage?.completion_tokens ?? null,
    usage_source: end.usage?.source ?? null,
    request_bytes: open.length,
    answer_bytes: end.bytes,
    ...(detail === undefined ? {} : { detail }),
  };
}

/** Of a lookup even the size is nobody's business. */
function lookupFields(run: Observed, end: End): object {
  const { open, upstream, attempts, status, detail } = run;
  return {
    request_id: open.exchange,
    pool: open.target,
    upstream,
    attempts,
    outcome: end.outcome,
    status,
    code: codeOf(end),
    ...timesOf(run, end),
    ...(detail === undefined ? {} : { detail }),
  };
}

function timesOf({ openedAt, firstChunkAt }: Observed, { timings }: End): object {
  return {
    queue_ms: timings.queue_ms,
    first_byte_ms: timings.first_byte_ms,
    first_chunk_ms: firstChunkAt === null ? null : firstChunkAt - openedAt,
    total_ms: timings.total_ms,
  };
}

/** A row of the error table; what an engine may have put there is not repeated. */
function codeOf({ failure }: End): string | null {
  if (failure === null) return null;
  return isErrorCode(failure.code) ? failure.code : "upstream_error";
}
