// What the spans of an exchange say, in the words of OpenTelemetry's conventions for generative AI and for HTTP; `heartcode.*`
// is what they have no word for, `langfuse.*` what Langfuse wants on every span (docs/tracing.md). Pure.
import type { Attributes } from "@opentelemetry/api";
import type { End } from "../../shared/wire/messages.ts";
import type { Observed } from "../observe.ts";
import { type Content, finishReasonsIn } from "./trace-content.ts";

/** Of self-hosted engines the conventions leave the name to us. */
const PROVIDER = "heartcode";

const OPERATIONS: Readonly<Record<string, string>> = {
  "/v1/chat/completions": "chat",
  "/v1/completions": "text_completion",
  "/v1/embeddings": "embeddings",
};

/** Where upstreams stand is for the operator's own collector, and not for a service that may be somebody else's. */
export const PLACES: readonly string[] = ["server.address", "server.port"];
/** Prompts and answers. */
export const WORDS: readonly string[] = ["gen_ai.input.messages", "gen_ai.output.messages"];

/** One request to an upstream. */
export interface Attempt {
  readonly spanId: string;
  /** An origin. */
  readonly upstream: string;
  /** Attempts that were lost before it. */
  readonly resends: number;
  readonly startedAt: number;
  endedAt: number | null;
  /** How it was lost. */
  reason: string | null;
  /** Of the engine's answer. */
  status: number | null;
}

export function operationOf(path: string): string {
  return OPERATIONS[path] ?? "chat";
}

/** The name of an exchange's span, as the conventions want it. */
export function nameOf({ open }: Observed): string {
  return `${operationOf(open.path)} ${open.dialect?.model ?? open.target}`;
}

/** What somebody wants to see. What nobody wants is not made. */
export interface Wanted {
  readonly langfuse: boolean;
  readonly places: boolean;
}

/** Langfuse finds the owner of a trace on whichever span it sees first. */
export function commonAttributes({ open }: Observed, name: string, { langfuse }: Wanted): Attributes {
  const { exchange, tenant, tier } = open;
  if (!langfuse) return { "heartcode.request_id": exchange };
  return {
    "heartcode.request_id": exchange,
    "langfuse.user.id": tenant,
    "langfuse.trace.name": name,
    "langfuse.trace.tags": [tier],
    "langfuse.trace.metadata.request_id": exchange,
  };
}

export function exchangeAttributes(run: Observed, end: End, name: string, wanted: Wanted): Attributes {
  const { open, openedAt, firstChunkAt, status } = run;
  const isStream = open.dialect?.stream === true;
  const said = commonAttributes(run, name, wanted);
  said["gen_ai.operation.name"] = operationOf(open.path);
  said["gen_ai.provider.name"] = PROVIDER;
  said["gen_ai.request.model"] = open.dialect?.model ?? open.target;
  said["gen_ai.request.stream"] = isStream;
  // The pool that was asked; who has not begun to answer has no model.
  if (run.firstByteAt !== null) said["gen_ai.response.model"] = open.target;
  if (end.usage !== null) {
    said["gen_ai.usage.input_tokens"] = end.usage.prompt_tokens;
    said["gen_ai.usage.output_tokens"] = end.usage.completion_tokens;
    said["heartcode.usage.source"] = end.usage.source;
  }
  const reasons = open.path === "/v1/embeddings" ? [] : finishReasonsOf(run, end, isStream);
  if (reasons.length > 0) said["gen_ai.response.finish_reasons"] = reasons;
  if (isStream && firstChunkAt !== null) {
    said["gen_ai.response.time_to_first_chunk"] = (firstChunkAt - openedAt) / 1000;
    if (wanted.langfuse) said["langfuse.observation.completion_start_time"] = new Date(firstChunkAt).toISOString();
  }
  if (status !== null) said["http.response.status_code"] = status;
  const error = errorOf(end);
  if (error !== null) said["error.type"] = error;
  said["heartcode.tenant"] = open.tenant;
  said["heartcode.tier"] = open.tier;
  said["heartcode.outcome"] = end.outcome;
  said["heartcode.attempts"] = run.attempts;
  said["heartcode.answer.bytes"] = end.bytes;
  return said;
}

export function attemptAttributes(run: Observed, attempt: Attempt, name: string, wanted: Wanted): Attributes {
  const { upstream, resends, reason, status } = attempt;
  const said = commonAttributes(run, name, wanted);
  said["http.request.method"] = run.open.method;
  said["url.path"] = run.open.path;
  if (wanted.places) Object.assign(said, placeOf(upstream));
  if (resends > 0) said["http.request.resend_count"] = resends;
  if (status !== null) said["http.response.status_code"] = status;
  if (reason !== null) said["error.type"] = reason;
  return said;
}

export function contentAttributes(way: "input" | "output", { messages, isCut }: Content): Attributes {
  const said: Attributes = { [`gen_ai.${way}.messages`]: messages };
  if (isCut) said[`heartcode.${way}.cut`] = true;
  return said;
}

function placeOf(upstream: string): Attributes {
  const { hostname, port, protocol } = new URL(upstream);
  return {
    "server.address": hostname,
    "server.port": port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
  };
}

/** The code that the client was told; who leaves is no error. Null: all is well. */
export function errorOf({ outcome, failure }: End): string | null {
  if (failure !== null) return failure.code;
  return outcome === "truncated" ? outcome : null;
}

/** Engines say it at the end of a stream; of a plain answer at the end or at the beginning. */
const LOOKED_AT_BYTES = 8 * 1024;

function finishReasonsOf(run: Observed, { outcome, bytes }: End, isStream: boolean): string[] {
  if (outcome !== "complete") return [];
  const last = finishReasonsIn(run.answerBytes(bytes - LOOKED_AT_BYTES, bytes));
  if (isStream || last.length > 0 || bytes <= LOOKED_AT_BYTES) return last;
  return finishReasonsIn(run.answerBytes(0, LOOKED_AT_BYTES));
}
