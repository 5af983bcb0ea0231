// Whether a hub did what its limits promise: its journal is played to an oracle, and each denial that a client got is held
// against what the oracle has at that time. A client knows of a denial only when it asked and when it was told; what the oracle
// says at any moment between is taken. Pure.
import type { Entry } from "../../edge/gate/books.ts";
import type { Limits } from "../../edge/gate/tiers.ts";
import { type Charge, Oracle } from "./oracle.ts";
import { type Admitted, use, worstInterval, worstMinute } from "./verdict.ts";

export interface Denial {
  /** ms; when it was asked, and when the answer was there. */
  readonly from: number;
  readonly to: number;
  /** Tokens that would have been reserved; null where the denial does not say. */
  readonly requested: number | null;
  readonly retryAfterMs: number;
}

export interface Verdict {
  readonly admitted: number;
  readonly denied: number;
  /** The worst interval of all, as a part of capacity and refill. The promise is at most 1. */
  readonly worstTokens: number;
  readonly worstRequests: number;
  /** The most in any 60 s, as a part of the limit. */
  readonly worstMinute: { readonly tokens: number; readonly requests: number };
  /** Tokens used beyond their reservation. */
  readonly beyond: number;
  /** Admitted as a part of capacity and refill of the whole run. */
  readonly use: { readonly tokens: number; readonly requests: number };
  /** Whole requests that capacity and refill of the run allow. */
  readonly possible: number;
  /** Denied, although it fitted all the time between question and answer. */
  readonly wrong: number;
  /** Let in, although it did not fit. */
  readonly undue: number;
  /** ms by which a time to come back was off at most, beyond what the road hides. */
  readonly inexactMs: number;
  /** Leases that nobody has settled. */
  readonly open: number;
}

type Change =
  | { readonly at: number; readonly admit: Charge }
  | { readonly at: number; readonly settle: Charge; readonly used: number };

interface Held extends Denial {
  isJustified: boolean;
  inexactMs: number;
}

/** The clocks of client and hub are one; each is rounded to whole ms. */
const ROUNDING_MS = 1;

/** @param until ms; when the last request was sent. */
export function replay(
  journal: readonly Entry[],
  digest: string,
  denials: readonly Denial[],
  { tpm, rpm }: Pick<Limits, "tpm" | "rpm">,
  until: number,
): Verdict {
  const { changes, charges } = changesOf(journal, digest);
  const start = Math.min(charges[0]?.at ?? until, ...denials.map(({ from }) => from)) - ROUNDING_MS;
  const tokens = new Oracle(tpm, start);
  const requests = new Oracle(rpm, start);
  const waiting = denials
    .map((denial): Held => ({ ...denial, isJustified: false, inexactMs: Number.POSITIVE_INFINITY }))
    .toSorted((a, b) => a.from - b.from);
  const all = [...waiting];
  const open = new Set<Held>();
  let undue = 0;

  const look = (held: Held, now: number): void => {
    const fits = requests.fitsAt(1, now);
    const at = held.requested === null ? fits : Math.max(fits, tokens.fitsAt(held.requested, now));
    if (at > now) held.isJustified = true;
    const early = held.from - ROUNDING_MS + held.retryAfterMs - at;
    const late = at - (held.to + ROUNDING_MS + held.retryAfterMs);
    held.inexactMs = Math.min(held.inexactMs, Math.max(0, early, late));
  };
  const openUntil = (now: number): void => {
    while (waiting.length > 0 && waiting[0]!.from - ROUNDING_MS <= now) {
      const held = waiting.shift()!;
      look(held, Math.max(start, held.from - ROUNDING_MS));
      open.add(held);
    }
  };
  for (const change of changes) {
    openUntil(change.at);
    if ("admit" in change) {
      const { admit } = change;
      if (!tokens.fits(admit.reserved, change.at) || !requests.fits(1, change.at)) undue += 1;
      tokens.admit(admit);
      const one: Charge = { at: change.at, used: 1, reserved: 1 };
      requests.admit(one);
      requests.settle(one, change.at);
    } else {
      change.settle.used = change.used;
      tokens.settle(change.settle, change.at);
    }
    for (const held of open) {
      if (held.to + ROUNDING_MS < change.at) open.delete(held);
      else look(held, change.at);
    }
  }
  openUntil(Number.POSITIVE_INFINITY);

  const usedOf = (charge: Charge) => charge.used ?? charge.reserved;
  const paid = charges.map((one): Admitted => ({ at: one.at, amount: Math.min(usedOf(one), one.reserved) }));
  const ones = charges.map(({ at }): Admitted => ({ at, amount: 1 }));
  const ms = Math.max(until, charges.at(-1)?.at ?? until) - (charges[0]?.at ?? until);
  return {
    admitted: charges.length,
    denied: denials.length,
    worstTokens: worstInterval(paid, tpm),
    worstRequests: worstInterval(ones, rpm),
    worstMinute: { tokens: worstMinute(paid, tpm), requests: worstMinute(ones, rpm) },
    beyond: charges.reduce((sum, one) => sum + Math.max(0, usedOf(one) - one.reserved), 0),
    use: { tokens: use(paid, tpm, ms), requests: use(ones, rpm, ms) },
    possible: Math.floor(rpm + (rpm * ms) / 60_000),
    wrong: all.filter((held) => !held.isJustified).length,
    undue,
    inexactMs: all.reduce((most, held) => Math.max(most, held.inexactMs), 0),
    open: charges.filter(({ used }) => used === null).length,
  };
}

function changesOf(journal: readonly Entry[], digest: string): { changes: Change[]; charges: Charge[] } {
  const changes: Change[] = [];
  const charges = new Map<string, Charge>();
  for (const entry of journal) {
    if (entry[0] === "admit" && entry[1] === digest) {
      const [, , id, at, reserved] = entry;
      const admit: Charge = { at, used: null, reserved };
      charges.set(id, admit);
      changes.push({ at, admit });
    } else if (entry[0] === "owe" && entry[1] === digest) {
      // It ran under a lease that was lost: it takes what it used when that is known.
      const [, , id, at, , used] = entry;
      const admit: Charge = { at, used, reserved: used };
      charges.set(id, admit);
      changes.push({ at, admit });
    } else if (entry[0] === "settle") {
      const [, id, used, at] = entry;
      const settle = charges.get(id);
      if (settle !== undefined) changes.push({ at, settle, used });
    }
  }
  // Settlements are written with the tick, later than they happened.
  changes.sort((a, b) => a.at - b.at || Number("admit" in a) - Number("admit" in b));
  return { changes, charges: [...charges.values()] };
}
