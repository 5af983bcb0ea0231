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
  /** From 1. */
  readonly number: number;
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

/** On every span: Langfuse finds the owner of a trace on whichever it sees first. */
export function commonAttributes(run: Observed): Attributes {
  const { exchange, tenant, tier } = run.open;
  return {
    "heartcode.request_id": exchange,
    "heartcode.tenant": tenant,
    "heartcode.tier": tier,
    "langfuse.user.id": tenant,
    "langfuse.trace.name": nameOf(run),
    "langfuse.trace.tags": [tier],
    "langfuse.trace.metadata.request_id": exchange,
  };
}

export function exchangeAttributes(
  run: Observed,
  end: End,
  prompt: Content | undefined,
  answer: Content | undefined,
): Attributes {
  const { open, openedAt, firstChunkAt, status, attempts } = run;
  const isStream = open.dialect?.stream === true;
  const reasons = open.path === "/v1/embeddings" ? [] : finishReasonsOf(run, end, isStream);
  const error = errorOf(end);
  return {
    ...commonAttributes(run),
    "gen_ai.operation.name": operationOf(open.path),
    "gen_ai.provider.name": PROVIDER,
    "gen_ai.request.model": open.dialect?.model ?? open.target,
    "gen_ai.request.stream": isStream,
    // The pool that was asked; who has not begun to answer has no model.
    ...(run.firstByteAt === null ? {} : { "gen_ai.response.model": open.target }),
    ...(end.usage === null
      ? {}
      : {
          "gen_ai.usage.input_tokens": end.usage.prompt_tokens,
          "gen_ai.usage.output_tokens": end.usage.completion_tokens,
          "heartcode.usage.source": end.usage.source,
        }),
    ...(reasons.length === 0 ? {} : { "gen_ai.response.finish_reasons": reasons }),
    ...(isStream && firstChunkAt !== null
      ? {
          "gen_ai.response.time_to_first_chunk": (firstChunkAt - openedAt) / 1000,
          "langfuse.observation.completion_start_time": new Date(firstChunkAt).toISOString(),
        }
      : {}),
    ...(status === null ? {} : { "http.response.status_code": status }),
    ...(error === null ? {} : { "error.type": error }),
    ...contentAttributes("input", prompt),
    ...contentAttributes("output", answer),
    "heartcode.outcome": end.outcome,
    "heartcode.attempts": attempts,
    "heartcode.answer.bytes": end.bytes,
  };
}

export function attemptAttributes(run: Observed, { upstream, number, reason, status }: Attempt): Attributes {
  const { hostname, port, protocol } = new URL(upstream);
  return {
    ...commonAttributes(run),
    "http.request.method": run.open.method,
    "url.path": run.open.path,
    "server.address": hostname,
    "server.port": port === "" ? (protocol === "https:" ? 443 : 80) : Number(port),
    ...(number === 1 ? {} : { "http.request.resend_count": number - 1 }),
    ...(status === null ? {} : { "http.response.status_code": status }),
    ...(reason === null ? {} : { "error.type": reason }),
  };
}

/** The code that the client was told; who leaves is no error. Null: all is well. */
export function errorOf({ outcome, failure }: End): string | null {
  if (failure !== null) return failure.code;
  return outcome === "truncated" ? outcome : null;
}

function contentAttributes(way: "input" | "output", content: Content | undefined): Attributes {
  if (content === undefined) return {};
  return {
    [`gen_ai.${way}.messages`]: content.messages,
    ...(content.isCut ? { [`heartcode.${way}.cut`]: true } : {}),
  };
}

/** Engines say it at the end of a stream; of a plain answer at the end or at the beginning. */
const LOOKED_AT_BYTES = 8 * 1024;

function finishReasonsOf(run: Observed, { outcome, bytes }: End, isStream: boolean): string[] {
  if (outcome !== "complete") return [];
  const last = finishReasonsIn(run.answerBytes(bytes - LOOKED_AT_BYTES, bytes));
  if (isStream || last.length > 0 || bytes <= LOOKED_AT_BYTES) return last;
  return finishReasonsIn(run.answerBytes(0, LOOKED_AT_BYTES));
}
