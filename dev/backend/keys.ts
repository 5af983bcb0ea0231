// What a key is: as an operator writes it, as it is stored, and what is said of it. Pure but for the digest.
import { createHash } from "node:crypto";
import { z } from "zod";
import { complaint } from "../complaint.ts";

const KEY = /^hc-sk-[A-Za-z0-9_-]{4,200}$/;

/** A key as it is written down. Strict: a misspelt `age_verifed` must not quietly mean false. */
export const GivenKey = z.strictObject({
  api_key: z.string().regex(KEY, "must be hc-sk- and 4 to 200 letters, digits, _ or -"),
  key_id: z.string().min(1).max(128).optional(),
  user_id: z.string().min(1).max(128).optional(),
  tier: z.enum(["free", "premium", "admin"]),
  age_verified: z.boolean().default(false),
  expires_at: z.iso.datetime({ offset: true }).nullable().default(null),
  revoked: z.boolean().default(false),
  /** Passed through to whoever asks; this program does not enforce it. */
  limits: z.record(z.string(), z.number().min(0)).optional(),
});
export type GivenKey = z.infer<typeof GivenKey>;

const KeyList = z.array(GivenKey);
const KeysFile = z.strictObject({ keys: KeyList });

/** A key as it is stored: by its digest. The key itself cannot be had from it. */
export interface StoredKey {
  readonly digest: string;
  readonly keyId: string;
  readonly userId: string;
  readonly tier: GivenKey["tier"];
  readonly ageVerified: boolean;
  readonly expiresAt: string | null;
  readonly revoked: boolean;
  readonly limits: GivenKey["limits"] | null;
}

export function digestOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

export function stored(given: GivenKey): StoredKey {
  const digest = digestOf(given.api_key);
  return {
    digest,
    keyId: given.key_id ?? `key-${digest.slice(0, 16)}`,
    userId: given.user_id ?? `user-${digest.slice(0, 16)}`,
    tier: given.tier,
    ageVerified: given.age_verified,
    expiresAt: given.expires_at,
    revoked: given.revoked,
    limits: given.limits ?? null,
  };
}

/**
 * Reads a keys file: `{"keys": [...]}`, or the bare list.
 * @throws Error that names the field that is wrong.
 */
export function readKeys(text: string): StoredKey[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Error(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const parsed = Array.isArray(value)
    ? KeyList.transform((keys) => ({ keys })).safeParse(value)
    : KeysFile.safeParse(value);
  if (!parsed.success) throw new Error(complaint(parsed.error));
  const keys = parsed.data.keys.map(stored);
  for (const name of ["digest", "keyId"] as const) {
    const twice = keys.findIndex((key, i) => keys.findIndex((other) => other[name] === key[name]) < i);
    if (twice !== -1) throw new Error(`keys.${twice}.${name === "digest" ? "api_key" : "key_id"}: stands there twice`);
  }
  return keys;
}

export type Verdict =
  | { readonly valid: false }
  | {
      readonly valid: true;
      readonly key_id: string;
      readonly user_id: string;
      readonly tier: GivenKey["tier"];
      readonly age_verified: boolean;
      readonly expires_at: string | null;
      readonly limits?: GivenKey["limits"];
    };

/** The answer to a lookup. It does not tell whether a key that is not valid ever was. */
export function verdict(key: StoredKey | null, now: number): Verdict {
  if (key === null || key.revoked) return { valid: false };
  if (key.expiresAt !== null && Date.parse(key.expiresAt) <= now) return { valid: false };
  return {
    valid: true,
    key_id: key.keyId,
    user_id: key.userId,
    tier: key.tier,
    age_verified: key.ageVerified,
    expires_at: key.expiresAt,
    ...(key.limits === null ? {} : { limits: key.limits }),
  };
}
