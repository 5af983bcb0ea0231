// Streams that never end: each is replaced by the next, while the uplink breaks in four ways by turns.
import { KEYS, type Question, questionOf, SHARDS } from "../chaos/question.ts";
import type { Random } from "../chaos/random.ts";
import { report } from "./report.ts";
import { run } from "./run.ts";
import { Wheel } from "./wheel.ts";

/** 2 to 9 s at this pace: even one that a black hole holds back for 25 s ends before a drain is over. */
const TOKENS = [40, 180] as const;
const PACE = { tokensPerSecond: 20, slots: 256 };
/** What a drain may take, and some more for the process to end. */
const DRAIN_WITHIN_MS = 35_000;

export interface EndureOptions {
  readonly seed: number;
  readonly ms: number;
  readonly everyMs: number;
  readonly streams: number;
  readonly directory: string;
}

/** @returns what was violated. */
export async function endure({ seed, ms, everyMs, streams, directory }: EndureOptions): Promise<string[]> {
  const ran = await run({
    ...{ seed, ms, everyMs, clients: streams, directory, draw: drawStream },
    site: { pace: PACE, config: "", drainWithinMs: DRAIN_WITHIN_MS },
    next: (random) => {
      const wheel = new Wheel(random);
      return (standings) => wheel.next(standings, SHARDS);
    },
  });
  return report(ran, { leaving: new Set(), memoryFromMs: null });
}

function drawStream(random: Random): Question {
  const prompt = `${random.int(0, 1_000_000)} ${"word ".repeat(random.int(0, 40))}`;
  const isChat = random.next() < 0.8;
  const input = isChat ? { messages: [{ role: "user", content: prompt }] } : { prompt };
  const body = { model: "heartcode-default", stream: true, max_tokens: random.int(...TOKENS), ...input };
  return questionOf(isChat ? "/v1/chat/completions" : "/v1/completions", random.pick(KEYS), body);
}
