// What the payloads mean (spec.md §3, §4): a schema for each JSON frame, and the constructors of frames.
import { z } from "zod";
import { EMPTY } from "./codec.ts";
import { CloseCode, type Frame, FrameType, MAX_JSON_BYTES, MAX_PING_BYTES, WireViolation } from "./frames.ts";

// workerd forbids code generation; zod would otherwise probe for it with an exception at the first parse.
z.config({ jitless: true });

const id = z.string().min(1).max(128);
const bytes = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
/** Of tokens. */
export const MAX_COUNT = 1e12;
const count = z.number().int().min(0).max(MAX_COUNT);
/** Characters, and how many pairs. */
export const MAX_HEADERS = { name: 256, value: 16_384, pairs: 64 } as const;
const headers = z
  .array(z.tuple([z.string().max(MAX_HEADERS.name), z.string().max(MAX_HEADERS.value)]))
  .max(MAX_HEADERS.pairs);

/** What the hub reserved for an exchange, in its own words: opaque to the connector. */
export const MAX_LEASE_LENGTH = 256;
const lease = z.string().max(MAX_LEASE_LENGTH).optional();

const windows = z.object({ exchange: bytes, socket: bytes });

/** One pool as the hub needs to see it: who can serve a model, and how well. */
export const PoolReport = z.object({
  model: id,
  kind: z.enum(["chat", "embedding"]),
  upstreams: count,
  healthy: count,
  /** Concurrent requests that the healthy upstreams can run. */
  slots: count,
  in_flight: count,
  queued: count,
});
export type PoolReport = z.infer<typeof PoolReport>;
const pools = z.array(PoolReport).max(64);

/** A feature (spec.md §3): the socket only looks whether it would be welcome. Nothing is ever opened on it. */
export const PROBE = "probe";
/** A feature (spec.md §4): SETTLED names the attempt. */
export const ATTEMPTS = "attempts";
/** An id, and behind it more digits than an attempt has. */
const MAX_SETTLED_BYTES = 136;

export const Hello = z.object({
  versions: z.array(z.number().int()).min(1).max(16),
  features: z.array(z.string().max(64)).max(64),
  /** Random per process: tells a redial from a restart. */
  instance: id,
  agent: z.string().max(128),
  windows,
  pools,
});
export type Hello = z.infer<typeof Hello>;

export const Welcome = z.object({
  version: z.number().int(),
  features: z.array(z.string().max(64)).max(64),
  shard: count,
  shards: z.number().int().min(1).max(1024),
  windows,
  /** The hub's clock in ms since the epoch; the connector warns of skew. */
  now: z.number(),
});
export type Welcome = z.infer<typeof Welcome>;

/** How the answer is to be rewritten for the client. */
export const Dialect = z.object({
  /** The model name that stands in every object of the answer. */
  model: id,
  stream: z.boolean(),
  /** The client asked for usage in the stream itself. */
  usage: z.boolean(),
  /** Sent to the engine where the client named none. */
  max_tokens: count.optional(),
});
export type Dialect = z.infer<typeof Dialect>;

export const Open = z.object({
  exchange: id,
  /** From 1; rises each time the hub opens the exchange anew. */
  attempt: z.number().int().min(1).max(1_000),
  /** A pool's model, or `backend`. Never an address. */
  target: id,
  method: z.string().max(16),
  path: z.string().max(256),
  headers,
  /** Exact size of the body in bytes. */
  length: bytes,
  /** First limit of DATA, an absolute offset. */
  limit: bytes,
  /** Time left, ms. */
  deadline_ms: bytes,
  tier: z.string().max(32),
  /** Opaque; the same for all requests of one account. */
  tenant: z.string().max(128),
  dialect: Dialect.nullable(),
  /** To be given back in END. */
  lease,
});
export type Open = z.infer<typeof Open>;

export const Head = z.object({ status: z.number().int().min(200).max(599), headers });
export type Head = z.infer<typeof Head>;

export const Usage = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  /** `engine`: the engine's own figures. `counted`: deltas counted by the connector. */
  source: z.enum(["engine", "counted"]),
});
export type Usage = z.infer<typeof Usage>;

export const WireFailure = z.object({
  code: z.string().max(64),
  message: z.string().max(2048).optional(),
  param: z.string().max(256).optional(),
  /** Status of the engine's own refusal; only with a 4xx that passes through. */
  status: z.number().int().min(400).max(599).optional(),
  retry_after_ms: bytes.optional(),
});
export type WireFailure = z.infer<typeof WireFailure>;

export const Timings = z.object({ queue_ms: z.number(), first_byte_ms: z.number().nullable(), total_ms: z.number() });
export type Timings = z.infer<typeof Timings>;

export const OUTCOMES = ["complete", "failed", "truncated", "cancelled"] as const;
export const End = z.object({
  exchange: id,
  /** That of the OPEN which is answered. */
  attempt: z.number().int().min(1).max(1_000),
  outcome: z.enum(OUTCOMES),
  bytes,
  usage: Usage.nullable(),
  timings: Timings,
  failure: WireFailure.nullable(),
  /** Of the OPEN which is answered, if it had one. */
  lease,
});
export type End = z.infer<typeof End>;

export const Reset = z.object({ code: z.string().max(64), retryable: z.boolean() });
export type Reset = z.infer<typeof Reset>;

export const Resume = z.object({ exchange: id, offset: bytes, head: z.boolean(), limit: bytes });
export type Resume = z.infer<typeof Resume>;

export const GoAway = z.object({ reason: z.string().max(128), deadline_ms: bytes, ack: z.boolean() });
export type GoAway = z.infer<typeof GoAway>;

export const Report = z.object({ pools });
export type Report = z.infer<typeof Report>;

const text = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A frame whose payload is `value` as JSON. */
export function jsonFrame(type: FrameType, channel: number, value: unknown): Frame {
  return { type, channel, payload: text.encode(JSON.stringify(value)) };
}

/**
 * Reads a JSON payload by its schema.
 * @throws WireViolation 4400 if it is too long, not UTF-8, not JSON, or not of the schema.
 */
export function readJson<T>(schema: z.ZodType<T>, frame: Frame): T {
  const parsed = schema.safeParse(parseJson(frame));
  if (!parsed.success) throw malformed(frame, parsed.error.issues[0]?.path.join(".") ?? "shape");
  return parsed.data;
}

/** @throws WireViolation 4400 if it is too long, not UTF-8 or not JSON. */
export function parseJson(frame: Frame): unknown {
  if (frame.payload.byteLength > MAX_JSON_BYTES) throw malformed(frame, "too long");
  try {
    return JSON.parse(strict.decode(frame.payload));
  } catch {
    throw malformed(frame, "not JSON");
  }
}

/** CREDIT: `limit` is an absolute offset (spec §5). */
export function creditFrame(channel: number, limit: number): Frame {
  const payload = new Uint8Array(8);
  new DataView(payload.buffer).setBigUint64(0, BigInt(limit));
  return { type: FrameType.CREDIT, channel, payload };
}

export function readCredit(frame: Frame): number {
  const { payload } = frame;
  if (payload.byteLength !== 8) throw malformed(frame, "not 8 bytes");
  const limit = new DataView(payload.buffer, payload.byteOffset, 8).getBigUint64(0);
  if (limit > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed(frame, "limit out of range");
  return Number(limit);
}

/** Of the END that is acknowledged. */
export interface Settled {
  readonly exchange: string;
  /** Null: of whichever there is. */
  readonly attempt: number | null;
}

/** @param attempt null for a connector that does not know the feature {@link ATTEMPTS}: it would take all of it for the id. */
export function settledFrame(channel: number, exchange: string, attempt: number | null): Frame {
  const settled = attempt === null ? exchange : `${exchange}\n${attempt}`;
  return { type: FrameType.SETTLED, channel, payload: text.encode(settled) };
}

export function readSettled(frame: Frame): Settled {
  if (frame.payload.byteLength > MAX_SETTLED_BYTES) throw malformed(frame, "id length");
  let settled: string;
  try {
    settled = strict.decode(frame.payload);
  } catch {
    throw malformed(frame, "not UTF-8");
  }
  const at = settled.indexOf("\n");
  const exchange = at === -1 ? settled : settled.slice(0, at);
  if (exchange.length === 0 || exchange.length > 128) throw malformed(frame, "id length");
  if (at === -1) return { exchange, attempt: null };
  const attempt = settled.slice(at + 1);
  if (!/^[1-9]\d{0,3}$/.test(attempt)) throw malformed(frame, "attempt");
  return { exchange, attempt: Number(attempt) };
}

export function acceptFrame(channel: number): Frame {
  return { type: FrameType.ACCEPT, channel, payload: EMPTY };
}

/** The PONG of a PING: the same bytes. */
export function pongFrame(ping: Frame): Frame {
  if (ping.payload.byteLength > MAX_PING_BYTES) throw malformed(ping, "too long");
  return { type: FrameType.PONG, channel: 0, payload: ping.payload };
}

function malformed(frame: Frame, what: string): WireViolation {
  return new WireViolation(CloseCode.MALFORMED, `frame 0x${frame.type.toString(16)}: ${what}`);
}
