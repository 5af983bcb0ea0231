// W3C Trace Context, level 2: the header that says which trace a request belongs to, and under which span. Pure.
import type { HeaderPairs } from "../../shared/headers.ts";

export interface TraceParent {
  /** 32 hexadecimal digits, lower case. */
  readonly traceId: string;
  /** 16 of them. */
  readonly spanId: string;
}

export const TRACEPARENT = "traceparent";
export const TRACESTATE = "tracestate";

const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/**
 * Null where there is none, or more than one, or one that is not valid: then a new trace begins. The flags are left out on
 * purpose: whether a trace costs us something is not the client's to say.
 */
export function readTraceParent(headers: HeaderPairs): TraceParent | null {
  const values = headers.filter(([name]) => name.toLowerCase() === TRACEPARENT);
  const [, version, traceId, spanId, , rest] = FORM.exec(values[0]?.[1] ?? "") ?? [];
  if (values.length !== 1 || version === undefined || traceId === undefined || spanId === undefined) return null;
  // A later version may be longer; of version 0 that is an error.
  if (version === "ff" || (version === "00" && rest !== undefined)) return null;
  return isNone(traceId) || isNone(spanId) ? null : { traceId, spanId };
}

export function traceParentOf({ traceId, spanId }: TraceParent): string {
  return `00-${traceId}-${spanId}-01`;
}

function isNone(id: string): boolean {
  return /^0+$/.test(id);
}
