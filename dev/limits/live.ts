// `npm run bench:limits`: what saturating clients get out of each tier in real time, from the real product on loopback, with
// its hub left alone and with its hub lost every second. The admissions are read from the hub's own journal afterwards.
import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Limits } from "../../edge/gate/tiers.ts";
import { DEFAULT_TIERS } from "../../edge/gate/tiers.ts";
import { TIERS, type Tier } from "../../shared/hop.ts";
import type { Crew } from "../crew.ts";
import { type Stack, startStack } from "../start/stack.ts";
import { keepJournal, readJournal } from "./audit.ts";
import { replay, type Verdict } from "./replay.ts";
import { type Load, type Saturated, saturate } from "./saturate.ts";

const ADMIN_TOKEN = "limits-admin-token";
const READY_MS = 30_000;
/** What a lost hub has left behind and nobody asks for is given up after a minute. */
const REST_MS = 75_000;
/** Of a minute's tokens one request asks for about so much. */
const SHARES: Readonly<Record<Tier, number>> = { free: 8, premium: 40, admin: 160 };
/** So many times as many clients: one alone cannot ask a thousand times a minute for long. */
const CROWDS: Readonly<Record<Tier, number>> = { free: 1, premium: 1, admin: 16 };
/** For the prompt, beside what is asked for. */
const PROMPT_TOKENS = 14;
const ENGINE = ["--tokens-per-second", "0", "--first-token-ms", "0", "--slots", "64", "--context", "100000"];

export interface Row {
  readonly tier: Tier;
  readonly load: Load;
  readonly clients: number;
  readonly saturated: Saturated;
  readonly verdict: Verdict;
}

/** @param resetEveryMs how often the hub is lost; null: never. */
export async function runLive(
  crew: Crew,
  options: { ms: number; resetEveryMs: number | null; clients: readonly number[] },
): Promise<{ rows: Row[]; resets: number }> {
  const directory = await mkdtemp(join(tmpdir(), "heartcode-limits-"));
  try {
    const edge = { ADMIN_TOKEN, HUB_SHARDS: "1", DEV_FAULTS: "1" };
    const fleet = ["--chat", "0x2", "--embed", "0x1", ...ENGINE];
    const stack = await startStack(crew, { directory, fleet, slots: 64, edge });
    await ready(stack);
    const state = join(directory, "edge");
    // With the hub's tables there is something to watch; the hub must be away for that.
    await stack.parts.edge.stop();
    await keepJournal(state);
    const again = await stack.startEdge();
    await ready(stack);
    const runs = TIERS.flatMap((tier) =>
      (["tokens", "requests"] as const).flatMap((load) =>
        options.clients.map((clients) => ({ tier, load, clients: clients * CROWDS[tier] })),
      ),
    );
    const keys = await Promise.all(runs.map(({ tier }) => newKey(stack, tier)));
    const stop = new AbortController();
    const resets = options.resetEveryMs === null ? 0 : loseHub(stack, options.resetEveryMs, stop.signal);
    const saturated = await Promise.all(
      runs.map(({ tier, load, clients }, i) => {
        const maxTokens = Math.round(DEFAULT_TIERS[tier].tpm / SHARES[tier]) - PROMPT_TOKENS;
        return saturate({ url: stack.url, key: keys[i]!, load, maxTokens, clients, ms: options.ms });
      }),
    );
    stop.abort();
    const lost = await resets;
    await atRest(stack);
    await again.edge.stop();
    const journal = await readJournal(state);
    const rows = runs.map((run, i): Row => {
      const digest = createHash("sha256").update(keys[i]!).digest("hex");
      const limits: Limits = DEFAULT_TIERS[run.tier];
      const seen = saturated[i]!;
      return { ...run, saturated: seen, verdict: replay(journal, digest, seen.denials, limits, seen.until) };
    });
    return { rows, resets: lost };
  } finally {
    await crew.dismiss();
    await rm(directory, { recursive: true, force: true });
  }
}

/** What of a run breaks the promise; empty: it is kept. */
export function complaints({ verdict, saturated, load, clients }: Row): string[] {
  const said: string[] = [];
  const complain = (isWrong: boolean, what: string) => {
    if (isWrong) said.push(what);
  };
  complain(verdict.worstTokens > 1, "more tokens than promised");
  complain(verdict.worstRequests > 1, "more requests than promised");
  complain(verdict.wrong > 0, `${verdict.wrong} wrong denials`);
  complain(verdict.undue > 0, `${verdict.undue} undue admissions`);
  complain(verdict.inexactMs > 1, `a time to come back that is ${verdict.inexactMs} ms off`);
  complain(saturated.broken > 0 && clients === 1, `${saturated.broken} denied after the wait that was told`);
  complain(verdict.open > 0, `${verdict.open} leases left`);
  // Who was never denied has not asked for all that there was.
  const isSaturated = verdict.denied > 0;
  complain(isSaturated && load === "tokens" && verdict.use.tokens < 0.99, "tokens left unused");
  complain(isSaturated && load === "requests" && verdict.admitted < 0.99 * verdict.possible, "requests left unused");
  return said;
}

async function newKey({ backendPort }: Stack, tier: Tier): Promise<string> {
  const key = `hc-sk-limits-${randomBytes(8).toString("hex")}`;
  const answer = await fetch(`http://127.0.0.1:${backendPort}/sim/keys`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ add: { api_key: key, tier } }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  return key;
}

/** @returns how often. */
async function loseHub({ url }: Stack, everyMs: number, stop: AbortSignal): Promise<number> {
  for (let times = 0; ; times += 1) {
    await sleep(everyMs, undefined, { signal: stop }).catch(() => {});
    if (stop.aborted) return times;
    const answer = await fetch(`${url}/admin/dev/abort-hub`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
      body: JSON.stringify({ shard: 0 }),
    });
    if (!answer.ok) throw new Error(`the hub was not lost: ${await answer.text()}`);
  }
}

async function ready({ url }: Stack): Promise<void> {
  await until(async () => (await fetch(`${url}/health/ready`)).ok);
}

/** Who is not at rest by then is told of as a lease that was left. */
async function atRest({ url }: Stack): Promise<void> {
  const rest = until(async () => {
    const answer = await fetch(`${url}/admin/status`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    const { shards } = (await answer.json()) as { shards: { gate: { leases: number } }[] };
    return shards.every(({ gate }) => gate.leases === 0);
  }, REST_MS);
  await rest.catch(() => {});
}

async function until(condition: () => Promise<boolean>, withinMs = READY_MS): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await condition().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${condition.toString()}`);
    await sleep(50);
  }
}
