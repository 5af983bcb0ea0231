// `npm run bench:queue`: how long requests of each tier wait for a slot while many Free accounts ask for more than there is.
// The whole product; the gate's limits are lifted, because the queue is what is looked at.
import { Command } from "commander";
import { number } from "../cli.ts";
import type { Stack } from "../start/stack.ts";
import { pause } from "./pause.ts";
import { onSite } from "./site.ts";

const MODEL = "heartcode-default";
const TIERS = ["admin", "premium", "free"] as const;
type Tier = (typeof TIERS)[number];

/** The pool: two engines. */
const SLOTS = 4;
const TOKENS = 20;
const TOKENS_PER_SECOND = 100;
/** Who is turned away comes back after so long, sooner than he is told: the queue stays full. */
const BACK_MS = 250;

interface Options {
  readonly seconds: number;
  readonly accounts: number;
  readonly each: number;
}

interface Taken {
  readonly tier: Tier;
  /** ms to the whole answer; null: turned away. */
  readonly ms: number | null;
  readonly retryAfterMs: number;
}

const { seconds, accounts, each } = new Command("bench:queue")
  .description("Waits by tier: first without, then under a flood of requests of Free accounts.")
  .option("--seconds <n>", "of measuring, calm and under the flood", number({ least: 1, most: 60 }), 8)
  .option("--accounts <n>", "that flood", number({ least: 1, most: 64 }), 16)
  .option("--each <n>", "requests that each of them has under way", number({ least: 1, most: 16 }), 8)
  .parse()
  .opts<Options>();

const unlimited = { rpm: 1_000_000, tpm: 10_000_000, tokens_per_day: 1_000_000_000 };
await onSite(
  {
    fleet: [
      ...["--chat", "0x4", "--embed", "0x1", "--slots", String(SLOTS)],
      ...["--tokens-per-second", String(TOKENS_PER_SECOND), "--first-token-ms", "1"],
    ],
    slots: SLOTS,
    edge: { AUTH_MODE: "backend", TIERS: JSON.stringify({ free: unlimited, premium: unlimited, admin: unlimited }) },
  },
  (2 * seconds + 30) * 1_000,
  async (site, signal) => {
    for (let i = 0; i < accounts; i += 1) await addAccount(site, keyOf("free", i), "free", signal);
    for (let i = 0; i < 2; i += 1) await addAccount(site, keyOf("premium", i), "premium", signal);
    await addAccount(site, keyOf("admin", 0), "admin", signal);
    const few = [keyOf("admin", 0), keyOf("premium", 0), keyOf("premium", 1)];
    const flood = Array.from({ length: accounts * each }, (_, i) => keyOf("free", i % accounts));
    // Every account is known before anything is measured.
    for (const key of new Set([...few, ...flood])) await ask(site, key, signal);

    const service = (TOKENS * 1_000) / TOKENS_PER_SECOND;
    console.log(`two engines of ${SLOTS} slots, ${service} ms a request; a queue of 64`);
    tell("calm: one request at a time of one Admin and two Premium accounts", await load(site, few, signal));
    tell(
      `flood: the same, and ${accounts} Free accounts with ${each} requests each at once`,
      await load(site, [...few, ...flood], signal),
    );
  },
);

function keyOf(tier: Tier, i: number): string {
  return `hc-sk-bench-${tier}-${i}`;
}

async function addAccount(site: Stack, key: string, tier: Tier, signal: AbortSignal): Promise<void> {
  const body = JSON.stringify({ add: { api_key: key, tier } });
  const headers = { "content-type": "application/json" };
  const url = `http://127.0.0.1:${site.backendPort}/sim/keys`;
  const response = await fetch(url, { method: "POST", headers, body, signal });
  if (!response.ok) throw new Error(`the backend does not take a key: ${await response.text()}`);
}

/** Each key asks again and again, one request at a time. */
async function load(site: Stack, keys: readonly string[], signal: AbortSignal): Promise<Taken[]> {
  const until = performance.now() + seconds * 1_000;
  const taken: Taken[] = [];
  await Promise.all(
    keys.map(async (key) => {
      while (performance.now() < until) {
        const one = await ask(site, key, signal);
        taken.push(one);
        if (one.ms === null) await pause(BACK_MS, signal);
      }
    }),
  );
  return taken;
}

/** @throws Error on anything but an answer or `queue_full`. */
async function ask({ url }: Stack, key: string, signal: AbortSignal): Promise<Taken> {
  const tier = TIERS.find((name) => key.includes(name)) ?? "free";
  const begun = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({
      model: MODEL,
      max_tokens: TOKENS,
      messages: [{ role: "user", content: `${key} ${begun}` }],
    }),
    signal,
  });
  const text = await response.text();
  if (response.status === 200) return { tier, ms: performance.now() - begun, retryAfterMs: 0 };
  if (response.status !== 503 || !text.includes("queue_full")) throw new Error(`status ${response.status}: ${text}`);
  return { tier, ms: null, retryAfterMs: Number(response.headers.get("retry-after-ms")) };
}

function tell(title: string, taken: readonly Taken[]): void {
  const service = (TOKENS * 1_000) / TOKENS_PER_SECOND;
  console.log(`\n${title}`);
  console.log("  tier     answers  a second  turned away  told to come back in  wait p50   p95   max ms");
  for (const tier of TIERS) {
    const own = taken.filter((one) => one.tier === tier);
    const waits = own.flatMap(({ ms }) => (ms === null ? [] : [Math.max(0, ms - service)])).toSorted((a, b) => a - b);
    if (own.length === 0) continue;
    const away = own.filter(({ ms }) => ms === null);
    const back = away.map(({ retryAfterMs }) => retryAfterMs).toSorted((a, b) => a - b);
    const at = (share: number) => (waits[Math.min(waits.length - 1, Math.floor(share * waits.length))] ?? 0).toFixed(0);
    const told = back.length === 0 ? "-" : `${((back[Math.floor(back.length / 2)] ?? 0) / 1_000).toFixed(1)} s`;
    console.log(
      `  ${tier.padEnd(8)} ${cell(waits.length, 7)} ${cell((waits.length / seconds).toFixed(1), 9)} ` +
        `${cell(away.length, 12)} ${cell(told, 21)} ${cell(at(0.5), 9)} ${cell(at(0.95), 5)} ${cell(at(1), 5)}`,
    );
  }
}

function cell(value: number | string, width: number): string {
  return String(value).padStart(width);
}
