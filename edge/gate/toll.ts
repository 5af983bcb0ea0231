// What an exchange is to reserve, and what it costs in the end. Pure.
import type { PublicFailure } from "../../shared/errors.ts";
import type { Demand } from "../../shared/hop.ts";
import type { End } from "../../shared/wire/messages.ts";
import { MAX_LIMIT } from "./bucket.ts";
import type { Estimate } from "./estimate.ts";
import type { Lease } from "./lease.ts";
import type { Limits } from "./tiers.ts";

export interface Toll {
  /** To be reserved. */
  readonly tokens: number;
  /** Of these, for the prompt. */
  readonly prompt: number;
  /** To be sent to the engine, where the client named no limit. */
  readonly maxTokens: number | undefined;
  /** What the tier forbids although the tokens would fit. */
  readonly refusal: PublicFailure | null;
}

export function demandOf(demand: Demand, limits: Limits, estimate: Estimate): Toll {
  const most = Math.min(limits.tpm, limits.tokensPerDay);
  if (!demand.generates) return reserve(estimate, 0, most, undefined, null);
  const { choices } = demand;
  if (demand.maxTokens !== null) {
    const isOver = demand.maxTokens > limits.maxTokens;
    const refusal = isOver ? overTier(demand.maxTokens, limits.maxTokens) : null;
    return reserve(estimate, demand.maxTokens * choices, most, undefined, refusal);
  }
  // Nobody is refused for a limit that he did not name: the default shrinks to what fits beside the prompt.
  const room = Math.floor((most - estimate.high) / choices);
  const maxTokens = Math.max(1, Math.min(limits.defaultMaxTokens, room));
  return reserve(estimate, maxTokens * choices, most, maxTokens, null);
}

/** A guess that is too high must not refuse for ever what may well fit: it is reserved as far as the limit goes. */
function reserve(
  { high, low }: Estimate,
  output: number,
  most: number,
  maxTokens: number | undefined,
  refusal: PublicFailure | null,
): Toll {
  const prompt = high + output > most && low + output <= most ? most - output : high;
  return { tokens: prompt + output, prompt, maxTokens, refusal };
}

function overTier(asked: number, most: number): PublicFailure {
  return {
    code: "invalid_request",
    param: "max_tokens",
    message: `Invalid value for 'max_tokens': your tier allows at most ${most}, but you asked for ${asked}.`,
  };
}

/**
 * Tokens that an ended exchange has used. Where it failed before the engine generated anything nothing is known of it, and
 * nothing is charged; where it is complete and the engine keeps silent about its use, what was reserved is.
 */
export function usedBy(
  { usage, outcome }: Pick<End, "usage" | "outcome">,
  lease: Pick<Lease, "tokens" | "prompt">,
  prompt: Pick<Estimate, "likely">,
): number {
  if (usage !== null) {
    // Of an answer that was cut short the engine has not said what it read for it.
    const isUnsaid = usage.source === "counted" && usage.prompt_tokens === 0;
    const read = isUnsaid ? Math.min(prompt.likely, lease.prompt) : usage.prompt_tokens;
    // An engine's figure beyond all limits is a defect of the engine.
    return Math.min(read + usage.completion_tokens, MAX_LIMIT);
  }
  return outcome === "complete" ? lease.tokens : 0;
}
