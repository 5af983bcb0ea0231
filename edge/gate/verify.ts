// What the backend's answer to a lookup means. Pure.
import { z } from "zod";
import { Failure, type PublicFailure } from "../../shared/errors.ts";
import type { Account } from "../../shared/hop.ts";
import { MAX_LIMIT } from "./bucket.ts";

// workerd forbids code generation.
z.config({ jitless: true });

const limit = z.int().min(1).max(MAX_LIMIT).optional();
const Limits = z.object({
  rpm: limit,
  tpm: limit,
  tokens_per_day: z.int().min(1).max(1e12).optional(),
  default_max_tokens: limit,
  max_tokens: limit,
});

const Verdict = z.discriminatedUnion("valid", [
  z.object({
    valid: z.literal(true),
    key_id: z.string().max(128),
    user_id: z.string().max(128),
    tier: z.enum(["free", "premium", "admin"]),
    age_verified: z.boolean(),
    expires_at: z.iso.datetime({ offset: true }).nullable(),
    limits: Limits.nullish(),
  }),
  z.object({ valid: z.literal(false) }),
]);

/** What came of a lookup: the backend's answer, or why there is none. */
export type Answer = { readonly status: number; readonly body: Uint8Array } | { readonly failure: PublicFailure };

/** Null: not a key. @throws Failure where the backend does not say */
export function accountOf(answer: Answer): Account | null {
  if ("failure" in answer) {
    const late = answer.failure.code === "auth_timeout" || answer.failure.code === "upstream_timeout";
    throw new Failure(late ? "auth_timeout" : "auth_unavailable", { detail: answer.failure.code });
  }
  const account = readVerdict(answer.status, answer.body);
  if (account === undefined) throw new Failure("auth_unavailable", { detail: `backend answered ${answer.status}` });
  return account;
}

/** An account; `null` for "not a key"; `undefined` for "the backend did not say": it is unavailable. */
export function readVerdict(status: number, body: Uint8Array): Account | null | undefined {
  if (status === 401 || status === 404) return null;
  if (status !== 200) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return undefined;
  }
  const verdict = Verdict.safeParse(value);
  if (!verdict.success) return undefined;
  if (!verdict.data.valid) return null;
  const { key_id, user_id, tier, age_verified, expires_at, limits } = verdict.data;
  return {
    keyId: key_id,
    userId: user_id,
    tier,
    ageVerified: age_verified,
    expiresAt: expires_at === null ? null : Date.parse(expires_at),
    ...(limits == null ? {} : { limits }),
  };
}
