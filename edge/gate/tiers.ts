// The limits of each tier: what they are by default, how a setting changes them, and what holds for one account. Pure.
import { z } from "zod";
import type { Account, LimitOverrides, Tier } from "../../shared/hop.ts";
import { MAX_LIMIT } from "./bucket.ts";

// workerd forbids code generation.
z.config({ jitless: true });

export interface Limits {
  /** Requests a minute. */
  readonly rpm: number;
  /** Tokens a minute, prompt and completion. */
  readonly tpm: number;
  /** Tokens a UTC day. */
  readonly tokensPerDay: number;
  /** What one choice may take where the client names no limit; sent to the engine. */
  readonly defaultMaxTokens: number;
  /** The most that a client may ask for one choice. */
  readonly maxTokens: number;
}

export type Tiers = Readonly<Record<Tier, Limits>>;

export const DEFAULT_TIERS: Tiers = {
  free: { rpm: 10, tpm: 1_000, tokensPerDay: 10_000, defaultMaxTokens: 256, maxTokens: 1_000 },
  premium: { rpm: 60, tpm: 7_000, tokensPerDay: 100_000, defaultMaxTokens: 1_024, maxTokens: 7_000 },
  admin: { rpm: 1_000, tpm: 70_000, tokensPerDay: 10_000_000, defaultMaxTokens: 4_096, maxTokens: 65_536 },
};

const limit = z.int().min(1).max(MAX_LIMIT).optional();
const Row = z
  .strictObject({
    rpm: limit,
    tpm: limit,
    tokens_per_day: z.int().min(1).max(1e12).optional(),
    default_max_tokens: limit,
    max_tokens: limit,
  })
  .optional();
const TierTable = z.strictObject({ free: Row, premium: Row, admin: Row });

/**
 * Reads the setting `TIERS`: `{"free": {"rpm": 20}}` changes that one number, the rest stays as it is by default.
 * @throws Error that names the member.
 */
export function readTiers(text: string): Tiers {
  if (text === "") return DEFAULT_TIERS;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("is not JSON");
  }
  const parsed = TierTable.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Error(`${issue?.path.join(".") ?? ""}: ${issue?.message ?? "is not valid"}`);
  }
  const tier = (name: Tier): Limits => overridden(DEFAULT_TIERS[name], parsed.data[name] ?? {});
  return { free: tier("free"), premium: tier("premium"), admin: tier("admin") };
}

/** The tier's limits, but for what the backend says of this account. */
export function limitsOf(account: Account, tiers: Tiers): Limits {
  const tier = tiers[account.tier];
  return account.limits === undefined ? tier : overridden(tier, account.limits);
}

function overridden(limits: Limits, by: LimitOverrides): Limits {
  const defaultMaxTokens = by.default_max_tokens ?? limits.defaultMaxTokens;
  return {
    rpm: by.rpm ?? limits.rpm,
    tpm: by.tpm ?? limits.tpm,
    tokensPerDay: by.tokens_per_day ?? limits.tokensPerDay,
    defaultMaxTokens,
    maxTokens: Math.max(by.max_tokens ?? limits.maxTokens, defaultMaxTokens),
  };
}
