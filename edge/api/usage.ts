// What a key may use and has used, for its owner.
import type { AllowanceReport, UsageReport } from "../../shared/hop.ts";

interface LimitObject {
  readonly limit: number;
  readonly used: number;
  readonly remaining: number;
  /** ms until all of the limit is there again, and when that is. */
  readonly reset_ms: number;
  readonly resets_at: string;
}

export interface UsageObject {
  readonly object: "usage";
  readonly tier: string;
  /** Null: this key is not limited. */
  readonly limits: {
    readonly requests_per_minute: LimitObject;
    readonly tokens_per_minute: LimitObject;
    readonly tokens_per_day: LimitObject;
  } | null;
}

export function describeUsage({ tier, standing }: UsageReport, now: number): UsageObject {
  if (standing === null) return { object: "usage", tier, limits: null };
  const describe = ({ limit, remaining, resetMs }: AllowanceReport): LimitObject => ({
    limit,
    used: limit - remaining,
    remaining,
    reset_ms: resetMs,
    resets_at: new Date(now + resetMs).toISOString(),
  });
  return {
    object: "usage",
    tier,
    limits: {
      requests_per_minute: describe(standing.requests),
      tokens_per_minute: describe(standing.tokens),
      tokens_per_day: describe(standing.day),
    },
  };
}
