// The single call from the Worker to a hub shard: what is said, and how a failure comes back.
// Both ends are one deployment, but not always one version: members are only ever added.

import type { PublicFailure } from "./errors.ts";
import type { HeaderPairs } from "./headers.ts";
import type { Dialect, PoolReport } from "./wire/messages.ts";

/** Of every header between Worker and hub. A client sees none of them. */
export const HOP_PREFIX = "x-heartcode-";
/** Carries an {@link ExchangeRequest} as JSON; the body of the call is the client's body, unless it is in {@link BODY_HEADER}. */
export const EXCHANGE_HEADER = "x-heartcode-exchange";
/** A small body in base64, of a call or of an answer: a call without a body of its own costs the runtime a fifth to a third less (workerd 1.20261023). */
export const BODY_HEADER = "x-heartcode-body";
export const HEADER_BODY_BYTES = 8 * 1024;
/** On an answer of the hub that is not the engine's: a {@link PublicFailure} as JSON. */
export const FAILURE_HEADER = "x-heartcode-failure";
/** Instead of an answer: the connector was lost before it began, and the call is to be made again. How often it was opened so far. */
export const AGAIN_HEADER = "x-heartcode-again";
/** On a streamed answer: who serves it, so that it can be resumed. Whatever else a hub tells beside an answer comes with it or fails. */
export const CONNECTOR_HEADER = "x-heartcode-connector";
/**
 * On a small whole answer: its headers, as JSON. Its bytes are in {@link BODY_HEADER}, so that all of it comes with the head or not at
 * all: a body of its own may still be held by the hub's output gate when the hub is lost, and would break on its way to the client.
 */
export const WHOLE_HEADER = "x-heartcode-whole";

/** Who is asking, before the gate has looked. */
export type Credentials =
  /** `key` is the raw key: it goes to the backend and nowhere else. `digest` is its SHA-256 in hex. */
  { readonly mode: "backend"; readonly key: string; readonly digest: string } | { readonly mode: "master-key" };

export interface ExchangeRequest {
  /** The request id, unique for ever. */
  readonly id: string;
  readonly credentials: Credentials;
  readonly method: string;
  readonly path: string;
  /** The pool that serves it. */
  readonly target: string;
  readonly ageRestricted: boolean;
  readonly headers: HeaderPairs;
  readonly dialect: Dialect;
  /** So often it may have been opened before this call: the next OPEN has a higher number. */
  readonly attempts?: number;
  readonly demand: Demand;
}

/** What a request may cost, as far as its body says. */
export interface Demand {
  /** Roughly the text that the model reads, in UTF-8. */
  readonly promptBytes: number;
  /** False for embeddings: they write nothing. */
  readonly generates: boolean;
  /** The most that one choice may take; null where the client named no limit. */
  readonly maxTokens: number | null;
  readonly choices: number;
}

export const TIERS = ["free", "premium", "admin"] as const;
export type Tier = (typeof TIERS)[number];

/** Limits of one account in place of its tier's. */
export interface LimitOverrides {
  readonly rpm?: number | undefined;
  readonly tpm?: number | undefined;
  readonly tokens_per_day?: number | undefined;
  readonly default_max_tokens?: number | undefined;
  readonly max_tokens?: number | undefined;
}

/** What the backend says of a key. */
export interface Account {
  readonly keyId: string;
  readonly userId: string;
  readonly tier: Tier;
  readonly ageVerified: boolean;
  /** ms since the epoch. */
  readonly expiresAt: number | null;
  readonly limits?: LimitOverrides | undefined;
}

/** How much of one limit is left. */
export interface AllowanceReport {
  readonly limit: number;
  readonly remaining: number;
  /** ms until all of it is there again. */
  readonly resetMs: number;
}

export interface UsageReport {
  readonly tier: Tier;
  /** Null: nothing is limited. */
  readonly standing: {
    readonly requests: AllowanceReport;
    readonly tokens: AllowanceReport;
    readonly day: AllowanceReport;
  } | null;
}

export type UsageAnswer = { readonly usage: UsageReport } | { readonly failure: PublicFailure };
export type AccountAnswer = { readonly account: Account } | { readonly failure: PublicFailure };

/** Carries an {@link UplinkRequest} as JSON on a WebSocket upgrade whose token the Worker has verified. */
export const UPLINK_HEADER = "x-heartcode-uplink";

export interface UplinkRequest {
  readonly connector: string;
  readonly shard: number;
  readonly slot: number;
  readonly jti: string;
  /** Seconds since the epoch; until then `jti` is remembered. */
  readonly exp: number;
}

/** Asks the same shard to go on with an exchange whose hub was lost. */
export interface ResumeRequest {
  readonly id: string;
  readonly target: string;
  readonly connector: string;
  readonly instance: string;
  /** Bytes of the answer that the Worker has. */
  readonly offset: number;
  /** The Worker does not have the head yet. */
  readonly head: boolean;
  /** An event stream: its connector tells of a failure inside it. */
  readonly stream: boolean;
}

/** One socket of a hub, for people and metrics. */
export interface LinkStatus {
  readonly connector: string;
  readonly slot: number;
  readonly live: boolean;
  readonly draining: boolean;
  readonly running: number;
  readonly pools: PoolReport[];
}

export interface HubStatus {
  readonly links: LinkStatus[];
  readonly exchanges: number;
  /** Bytes of answers that clients have not taken yet. */
  readonly held_bytes: number;
  readonly violations: number;
  readonly resumed: number;
  readonly window_stalls: number;
  /** Since this hub woke. */
  readonly outcomes: readonly OutcomeCount[];
  readonly gate: GateStatus;
  /** What is decided here can be written down. */
  readonly writable: boolean;
}

export interface OutcomeCount {
  /** As clients name it. */
  readonly model: string;
  /** Of END; `refused` where no engine answered, `cancelled` where the client left first. */
  readonly outcome: string;
  readonly count: number;
}

export interface GateStatus {
  /** Exchanges that have tokens reserved. */
  readonly leases: number;
  /** Key lookups by how they ended. */
  readonly lookups: Readonly<Record<string, number>>;
  /** Denials by the limit that was reached. */
  readonly denials: Readonly<Record<string, number>>;
  readonly settled: number;
  /** Of these, by an END alone: their admission was lost with a hub. */
  readonly recovered: number;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  /** Leases that ran out, and the tokens they cost. */
  readonly expired: number;
  readonly forfeited_tokens: number;
  /** Keys in use, by the beginning of their digests. */
  readonly keys: readonly KeyStatus[];
}

export interface KeyStatus {
  readonly key: string;
  readonly leases: number;
  readonly standing: NonNullable<UsageReport["standing"]>;
}

/** A failure as a header value: JSON may hold any character, a header may not. */
export function failureHeader(failure: PublicFailure): string {
  return encodeURIComponent(JSON.stringify(failure));
}

/** The failure that the hub answered instead of an engine's answer, or null. */
export function readFailure(headers: { get(name: string): string | null }): PublicFailure | null {
  const value = headers.get(FAILURE_HEADER);
  return value === null ? null : (JSON.parse(decodeURIComponent(value)) as PublicFailure);
}

/** Who serves a streamed answer. */
export interface Served {
  readonly connector: string;
  readonly instance: string;
  /** What the client is to have for its status. */
  readonly status: number;
}

export function servedHeader({ connector, instance }: Omit<Served, "status">): [name: string, value: string] {
  return [CONNECTOR_HEADER, JSON.stringify([connector, instance])];
}

/** Null for a whole answer. */
export function readServed(answer: { status: number; headers: { get(name: string): string | null } }): Served | null {
  const value = answer.headers.get(CONNECTOR_HEADER);
  if (value === null) return null;
  // A hub of another version may put the status here, behind one that says no more than "streamed".
  const [connector, instance, status = answer.status] = JSON.parse(value) as [string, string, number?];
  return { connector, instance, status };
}

/** A whole answer of at most {@link HEADER_BODY_BYTES}. */
export interface WholeAnswer {
  readonly headers: Record<string, string>;
  /** In base64. */
  readonly body: string;
}

export function wholeHeaders({ headers, body }: WholeAnswer): Record<string, string> {
  const json = JSON.stringify(headers);
  // To write it otherwise costs as much as all the rest, and nothing but a defect has a header value that is not plain.
  return { [WHOLE_HEADER]: /^[\x20-\x7e]*$/.test(json) ? json : encodeURIComponent(json), [BODY_HEADER]: body };
}

/** Null for an answer that has a body of its own, or none. */
export function readWhole(headers: { get(name: string): string | null }): WholeAnswer | null {
  const value = headers.get(WHOLE_HEADER);
  if (value === null) return null;
  return {
    headers: JSON.parse(value.startsWith("{") ? value : decodeURIComponent(value)) as Record<string, string>,
    body: headers.get(BODY_HEADER) ?? "",
  };
}
