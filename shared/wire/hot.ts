// The payloads that every exchange has (OPEN, HEAD, END), read by hand: zod took a twentieth of the processor time of a small
// request at both ends. The schemas in messages.ts remain what they mean, and a test holds the two together.

import type { HeaderPairs } from "../headers.ts";
import { CloseCode, type Frame, WireViolation } from "./frames.ts";
import {
  type Dialect,
  type End,
  type Head,
  MAX_COUNT,
  MAX_HEADERS,
  MAX_LEASE_LENGTH,
  type Open,
  OUTCOMES,
  parseJson,
  type Timings,
  type Usage,
  type WireFailure,
} from "./messages.ts";

type Members = Readonly<Record<string, unknown>>;

/** @throws WireViolation 4400 */
export function readOpen(frame: Frame): Open {
  return read(frame, openOf);
}

/** @throws WireViolation 4400 */
export function readHead(frame: Frame): Head {
  return read(frame, headOf);
}

/** @throws WireViolation 4400 */
export function readEnd(frame: Frame): End {
  return read(frame, endOf);
}

function openOf(open: Members): Open {
  const read: Open = {
    exchange: text(open, "exchange", 128, 1),
    attempt: int(open, "attempt", 1, 1_000),
    target: text(open, "target", 128, 1),
    method: text(open, "method", 16),
    path: text(open, "path", 256),
    headers: pairs(open),
    length: int(open, "length"),
    limit: int(open, "limit"),
    deadline_ms: int(open, "deadline_ms"),
    tier: text(open, "tier", 32),
    tenant: text(open, "tenant", 128),
    dialect: open["dialect"] === null ? null : dialectOf(object(open, "dialect")),
  };
  if (open["lease"] !== undefined) read.lease = text(open, "lease", MAX_LEASE_LENGTH);
  return read;
}

function dialectOf(dialect: Members): Dialect {
  const read: Dialect = {
    model: text(dialect, "model", 128, 1),
    stream: flag(dialect, "stream"),
    usage: flag(dialect, "usage"),
  };
  if (dialect["max_tokens"] !== undefined) read.max_tokens = int(dialect, "max_tokens", 0, MAX_COUNT);
  return read;
}

function headOf(head: Members): Head {
  return { status: int(head, "status", 200, 599), headers: pairs(head) };
}

function endOf(end: Members): End {
  const outcome = OUTCOMES.find((known) => known === end["outcome"]);
  if (outcome === undefined) throw new Wrong("outcome");
  const read: End = {
    exchange: text(end, "exchange", 128, 1),
    attempt: int(end, "attempt", 1, 1_000),
    outcome,
    bytes: int(end, "bytes"),
    usage: end["usage"] === null ? null : usageOf(object(end, "usage")),
    timings: timingsOf(object(end, "timings")),
    failure: end["failure"] === null ? null : failureOf(object(end, "failure")),
  };
  if (end["lease"] !== undefined) read.lease = text(end, "lease", MAX_LEASE_LENGTH);
  return read;
}

function usageOf(usage: Members): Usage {
  const { source } = usage;
  if (source !== "engine" && source !== "counted") throw new Wrong("source");
  return {
    prompt_tokens: int(usage, "prompt_tokens", 0, MAX_COUNT),
    completion_tokens: int(usage, "completion_tokens", 0, MAX_COUNT),
    source,
  };
}

function timingsOf(timings: Members): Timings {
  return {
    queue_ms: number(timings, "queue_ms"),
    first_byte_ms: timings["first_byte_ms"] === null ? null : number(timings, "first_byte_ms"),
    total_ms: number(timings, "total_ms"),
  };
}

function failureOf(failure: Members): WireFailure {
  const read: WireFailure = { code: text(failure, "code", 64) };
  if (failure["message"] !== undefined) read.message = text(failure, "message", 2048);
  if (failure["param"] !== undefined) read.param = text(failure, "param", 256);
  if (failure["status"] !== undefined) read.status = int(failure, "status", 400, 599);
  if (failure["retry_after_ms"] !== undefined) read.retry_after_ms = int(failure, "retry_after_ms");
  return read;
}

/** The member that is not what it must be. */
class Wrong extends Error {}

function read<T>(frame: Frame, of: (value: Members) => T): T {
  const value = parseJson(frame);
  try {
    if (!isObject(value)) throw new Wrong("shape");
    return of(value);
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    throw new WireViolation(CloseCode.MALFORMED, `frame 0x${frame.type.toString(16)}: ${error.message}`);
  }
}

function isObject(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function object(of: Members, name: string): Members {
  const value = of[name];
  if (!isObject(value)) throw new Wrong(name);
  return value;
}

function text(of: Members, name: string, most: number, least = 0): string {
  const value = of[name];
  if (typeof value !== "string" || value.length > most || value.length < least) throw new Wrong(name);
  return value;
}

function flag(of: Members, name: string): boolean {
  const value = of[name];
  if (typeof value !== "boolean") throw new Wrong(name);
  return value;
}

function int(of: Members, name: string, least = 0, most = Number.MAX_SAFE_INTEGER): number {
  const value = of[name];
  if (!Number.isSafeInteger(value) || (value as number) < least || (value as number) > most) throw new Wrong(name);
  return value as number;
}

function number(of: Members, name: string): number {
  const value = of[name];
  if (typeof value !== "number" || !Number.isFinite(value)) throw new Wrong(name);
  return value;
}

function pairs({ headers }: Members): HeaderPairs {
  if (!Array.isArray(headers) || headers.length > MAX_HEADERS.pairs) throw new Wrong("headers");
  return headers.map((pair: unknown) => {
    if (!Array.isArray(pair) || pair.length !== 2) throw new Wrong("headers");
    const [name, value]: unknown[] = pair;
    const isName = typeof name === "string" && name.length <= MAX_HEADERS.name;
    if (!isName || typeof value !== "string" || value.length > MAX_HEADERS.value) throw new Wrong("headers");
    return [name, value];
  });
}
