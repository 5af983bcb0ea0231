// What a client is told when an engine refuses. An engine's own complaint about the request passes, in OpenAI's shape
// and scrubbed; what is really a fault of the site or of the engine does not look like the client's.
import type { ErrorCode } from "../../shared/errors.ts";
import type { WireFailure } from "../../shared/wire/messages.ts";
import { parsed } from "./answer.ts";
import type { Scrub } from "./scrub.ts";

/** Longest body that is read; what engines send is a few hundred bytes. */
const MAX_BODY_BYTES = 64 * 1024;
const MAX_PARAM = 256;

/** Statuses that are not passed on: whose fault they are. Any other 4xx is the client's. */
const NOT_THE_CLIENTS: Readonly<Record<number, ErrorCode>> = {
  // Credentials, paths, methods and media types between connector and engine are the site's own.
  401: "upstream_error",
  403: "upstream_error",
  404: "upstream_error",
  405: "upstream_error",
  406: "upstream_error",
  407: "upstream_error",
  411: "upstream_error",
  415: "upstream_error",
  421: "upstream_error",
  426: "upstream_error",
  // TEI: the model behind it failed.
  424: "upstream_error",
  // Too busy. TEI says 429 when its own queue is full.
  408: "queue_full",
  429: "queue_full",
  // Loading its model, or going down.
  503: "model_unavailable",
};

export function engineRefusal(status: number, body: Uint8Array, scrub: Scrub): WireFailure {
  const code = NOT_THE_CLIENTS[status];
  if (code !== undefined) return { code };
  if (status < 400 || status > 499) return { code: "upstream_error" };
  const told = body.byteLength > MAX_BODY_BYTES ? undefined : parsed(body);
  const overflow = overflowOf(told);
  if (overflow !== undefined) return { code: "invalid_request", status, message: overflow };
  const message = messageOf(told, scrub);
  const param = paramOf(told, scrub);
  return {
    code: "invalid_request",
    status,
    ...(message === undefined ? {} : { message }),
    ...(param === undefined ? {} : { param }),
  };
}

/**
 * The message of an error body, scrubbed: llama.cpp and vLLM `error.message`, TEI `error`, older vLLM `message`,
 * FastAPI `detail`. Undefined if there is none.
 */
export function messageOf(body: unknown, scrub: Scrub): string | undefined {
  const error = memberOf(body, "error");
  const detail = memberOf(body, "detail");
  const candidates = [
    memberOf(error, "message"),
    error,
    memberOf(body, "message"),
    detail,
    Array.isArray(detail) ? memberOf(detail[0], "msg") : undefined,
    body,
  ];
  const found = candidates.find((value) => typeof value === "string" && value.trim() !== "");
  const told = typeof found === "string" ? scrub(found).trim() : "";
  return told === "" ? undefined : told;
}

/** The field at fault, where the engine names it (vLLM). */
function paramOf(body: unknown, scrub: Scrub): string | undefined {
  const param = memberOf(memberOf(body, "error"), "param") ?? memberOf(body, "param");
  if (typeof param !== "string" || param === "") return undefined;
  return scrub(param).slice(0, MAX_PARAM);
}

/**
 * llama.cpp advises its operator to increase the context. A client is told the figures, in the words that clients look
 * for to shorten their history (vLLM uses them itself).
 */
function overflowOf(body: unknown): string | undefined {
  const error = memberOf(body, "error");
  if (memberOf(error, "type") !== "exceed_context_size_error") return undefined;
  const asked = memberOf(error, "n_prompt_tokens");
  const limit = memberOf(error, "n_ctx");
  if (!Number.isSafeInteger(asked) || !Number.isSafeInteger(limit)) return undefined;
  return `This model's maximum context length is ${limit} tokens. However, your request has ${asked} tokens. Please reduce its length.`;
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}
