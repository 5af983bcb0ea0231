// What a lookup at the backend brought: a small answer, read to its end, or why there is none.
import type { PublicFailure } from "../../shared/errors.ts";
import { readFailure } from "../../shared/hop.ts";
import { Spool } from "../../shared/wire/spool.ts";

export type LookupAnswer = { readonly status: number; readonly body: Uint8Array } | { readonly failure: PublicFailure };

/** What a backend may answer to a lookup. */
const LOOKUP_ANSWER_BYTES = 64 * 1024;

export async function readAnswer(response: Response): Promise<LookupAnswer> {
  const refusal = readFailure(response.headers);
  if (refusal !== null) return { failure: refusal };
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
  return { status: response.status, body };
}
