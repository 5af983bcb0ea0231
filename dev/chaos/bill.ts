// Each exchange's cost against what the engines did for that very exchange. Pure.
import type { Outcome } from "./client.ts";
import type { Account, Bill } from "./lines.ts";
import type { FaultKind, Took } from "./schedule.ts";
import { FAULTS } from "./schedule.ts";

/** A fault as it really happened. ms, the clock of the outcomes. */
export interface Happened {
  readonly kind: FaultKind;
  readonly from: number;
  readonly to: number;
}

/** What an engine has written down of one request. */
export interface LedgerRow {
  readonly request_id: string | null;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly outcome: string;
}

/** All that is known of one exchange. */
export interface Case {
  readonly account: Account;
  readonly rows: readonly LedgerRow[];
  /** Null: its client left before it knew the id. */
  readonly outcome: Outcome | null;
  readonly happened: readonly Happened[];
}

/**
 * - `exact`: the client, the engine and the gate name the same number
 * - `cut short`: it was paid as far as it was seen
 * - `nothing`: it never began
 * - `forfeited`: who could have said is dead, and what was reserved is paid
 */
export type Manner = "exact" | "cut short" | "nothing" | "forfeited";

export interface Settled {
  readonly manner: Manner;
  readonly charged: number;
  /** Told more than once, in the same words. */
  readonly isRepeated: boolean;
  /** What must not be. */
  readonly problem: string | null;
}

export function settle({ account, rows, outcome, happened }: Case): Settled {
  const { bills } = account;
  const last = bills.at(-1);
  if (last === undefined) return { manner: "nothing", charged: 0, isRepeated: false, problem: "was never settled" };
  const from = Math.min(outcome?.startedAt ?? Number.POSITIVE_INFINITY, account.from);
  const took = (what: Took, since: number, until: number): boolean =>
    happened.some(({ kind, from: at, to }) => FAULTS[kind].takes.includes(what) && since <= to && at <= until);
  // Of what expired its line tells how long it had lasted: how long it is waited for depends on what else was lost meanwhile.
  const { manner, problem } = mannerOf(last, rows, outcome, (what) => took(what, from, last.atMs));
  const isRepeated = bills.length > 1;
  const wasLost = (): boolean => took("hub", from, account.to);
  // What nobody took in a later life of its hub may have run in one that was lost, and its connector says so later.
  const mayBeTold = ({ charged, outcome: word }: Bill): boolean => charged === 0 && word === "unserved" && wasLost();
  const different = bills.find((bill) => bill.charged !== last.charged && !mayBeTold(bill));
  const twice =
    different !== undefined
      ? `was charged ${different.charged} (${different.outcome}) and ${last.charged} (${last.outcome})`
      : isRepeated && !wasLost()
        ? "was settled twice although no hub was lost"
        : account.ends > 1 && !wasLost()
          ? "ended twice although no hub was lost"
          : null;
  return { manner, charged: last.charged, isRepeated, problem: problem ?? twice };
}

interface Judged {
  readonly manner: Manner;
  readonly problem: string | null;
}

function mannerOf(
  { charged, completion, source, outcome: word }: Bill,
  rows: readonly LedgerRow[],
  outcome: Outcome | null,
  was: (what: Took) => boolean,
): Judged {
  if (word === "expired") {
    const most = outcome?.question.most ?? Number.POSITIVE_INFINITY;
    // Let in by a hub that was lost, for a client that has left, or sent on a socket that was lost: nobody ran it to its end.
    const isRun = rows.some((row) => row.outcome === "complete");
    const hasBegun = (outcome?.pieces ?? 0) > 0 && !was("edge");
    if (charged === 0 && !isRun && !hasBegun && (was("hub") || was("socket")))
      return { manner: "nothing", problem: null };
    if (charged === 0 && hasBegun) return { manner: "nothing", problem: "expired for nothing; its client saw tokens" };
    if (!was("connector")) return { manner: "forfeited", problem: "expired although nobody who ran it was killed" };
    return { manner: "forfeited", problem: charged > most ? `forfeited ${charged}, more than ${most}` : null };
  }
  if (outcome?.kind === "whole") {
    const { prompt, completion: said } = outcome.question.cost;
    const cost = prompt + said;
    if (charged !== cost) return { manner: "exact", problem: `cost ${charged}; its whole answer is ${cost}` };
    return { manner: "exact", problem: hasRun(rows, charged) ? null : `cost ${charged}; no engine ran that` };
  }
  if (source === "engine") {
    // An engine that breaks off may have told its figures before.
    const isRun = hasRun(rows, charged) || rows.some((row) => costOf(row) === charged);
    return { manner: "exact", problem: isRun ? null : `cost ${charged}; no engine ran that` };
  }
  const seen = outcome?.pieces ?? 0;
  if (source === "counted") {
    const most = Math.max(0, ...rows.map((row) => row.completion_tokens));
    // The prompt is paid as it was estimated: no token is less than a byte, but for the template's own.
    const prompt = outcome === null ? Number.POSITIVE_INFINITY : 8 + outcome.question.body.length;
    const counted = completion ?? 0;
    const isTrue = counted >= seen && counted <= most && charged >= counted && charged <= counted + prompt;
    const bounds = `counted ${counted}; the client saw ${seen}, an engine generated ${most}`;
    return { manner: "cut short", problem: isTrue ? null : `cost ${charged}; ${bounds}` };
  }
  if (charged > 0) return { manner: "nothing", problem: `cost ${charged}, and nobody said so` };
  // Whoever ran it says so within a minute, unless it is dead.
  if (word === "unserved" && rows.some((row) => costOf(row) > 0) && !was("connector"))
    return { manner: "nothing", problem: "cost nothing as nobody had it; an engine ran it" };
  return { manner: "nothing", problem: seen > 0 ? `cost nothing; the client saw ${seen} tokens` : null };
}

/** One engine ran it to its end for just that, or several did their parts of it. */
function hasRun(rows: readonly LedgerRow[], tokens: number): boolean {
  const whole = rows.filter(({ outcome }) => outcome === "complete").map(costOf);
  return whole.includes(tokens) || (whole.length > 1 && isSumOfSome(whole, tokens));
}

export function costOf(row: LedgerRow): number {
  return row.prompt_tokens + row.completion_tokens;
}

/** A run that was moved leaves parts that nobody has read. */
function isSumOfSome(parts: readonly number[], sum: number): boolean {
  let sums = new Set([0]);
  for (const part of parts)
    sums = new Set([...sums, ...[...sums].map((one) => one + part)].filter((one) => one <= sum));
  return sums.has(sum);
}
