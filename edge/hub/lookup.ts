// A lookup at the backend, as an exchange like any other: a small question, and a small answer that is read to its end.
import type { PublicFailure } from "../../shared/errors.ts";
import { readFailure, readServed, readWhole } from "../../shared/hop.ts";
import { BACKEND } from "../../shared/openai.ts";
import { Spool } from "../../shared/wire/spool.ts";
import { Answer } from "./answer.ts";
import type { Order } from "./exchange.ts";
import type { Switchboard } from "./switchboard.ts";

export interface Question {
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly body: Uint8Array;
  readonly timeoutMs: number;
}

export type LookupAnswer = { readonly status: number; readonly body: Uint8Array } | { readonly failure: PublicFailure };

/** What a backend may answer to a lookup. */
const LOOKUP_ANSWER_BYTES = 64 * 1024;

/** Asks through whichever connector is there. */
export async function ask(board: Switchboard, question: Question, now: number): Promise<LookupAnswer> {
  const { id, method, path, body, timeoutMs } = question;
  const order: Order = {
    exchange: id,
    target: BACKEND,
    method,
    path,
    headers: [["content-type", "application/json"]],
    length: body.byteLength,
    deadline_ms: timeoutMs,
    tier: "",
    tenant: "",
    dialect: null,
  };
  const spool = Spool.of(body);
  const answer = new Answer(board);
  const exchange = board.open(order, spool, answer, now);
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), timeoutMs);
  try {
    const read = answer.started.then(() => readAnswer(answer.response(exchange, [])));
    const settled = await Promise.race([read, late.promise]);
    if (settled !== null) return settled;
    board.cancel(exchange);
    return { failure: { code: "auth_timeout" } };
  } finally {
    clearTimeout(timer);
  }
}

async function readAnswer(response: Response): Promise<LookupAnswer> {
  const refusal = readFailure(response.headers);
  if (refusal !== null) return { failure: refusal };
  const whole = readWhole(response.headers);
  if (whole !== null) return { status: response.status, body: Uint8Array.fromBase64(whole.body) };
  const chunks = new Spool();
  try {
    for await (const chunk of response.body ?? []) {
      chunks.append(chunk);
      if (chunks.end > LOOKUP_ANSWER_BYTES) return { failure: { code: "auth_unavailable" } };
    }
  } catch {
    // The connector was lost behind the backend's head.
    return { failure: { code: "auth_unavailable" } };
  }
  const body = new Uint8Array(chunks.end);
  for (let at = 0; at < body.byteLength; ) {
    const part = chunks.read(at, body.byteLength);
    body.set(part, at);
    at += part.byteLength;
  }
  return { status: readServed(response)?.status ?? response.status, body };
}
