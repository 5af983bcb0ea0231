// What the backend's answer to a lookup means. Pure.
import { z } from "zod";
import type { Account } from "../../shared/hop.ts";

// workerd forbids code generation.
z.config({ jitless: true });

const Verdict = z.discriminatedUnion("valid", [
  z.object({
    valid: z.literal(true),
    key_id: z.string().max(128),
    user_id: z.string().max(128),
    tier: z.enum(["free", "premium", "admin"]),
    age_verified: z.boolean(),
    expires_at: z.iso.datetime({ offset: true }).nullable(),
  }),
  z.object({ valid: z.literal(false) }),
]);

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
  const { key_id, user_id, tier, age_verified, expires_at } = verdict.data;
  return {
    keyId: key_id,
    userId: user_id,
    tier,
    ageVerified: age_verified,
    expiresAt: expires_at === null ? null : Date.parse(expires_at),
  };
}
