// The section of token pauses: what big answers do to streams that share their road.
import { tellCounts } from "./hubs.ts";
import { type GapResult, loadGap } from "./load-gap.ts";
import { addFailures, type Failures, type Measure, pool, type Slice } from "./measure.ts";
import { aroundSize, bodyOf, embeddings } from "./questions.ts";
import type { RoadName } from "./road.ts";
import { type Context, inTurns, plain, type Row, type Section } from "./section.ts";

export const GAP_TOKENS_PER_SECOND = 50;
const STREAMS = 100;
const ANSWER_BYTES = 10_000_000;
const INPUTS = 40;
const INPUT_CHARS = 5_000;
/** Two, so that one is always in flight. */
const CONNECTIONS = 2;

export async function gap(context: Context): Promise<Section> {
  await context.embedAnswers(ANSWER_BYTES);
  const question = embeddings(INPUTS, INPUT_CHARS);
  const notes: string[] = [];
  const results = await inTurns<GapResult>(context, "gap", async (road, ms) => {
    const before = await road.hubs?.();
    const big = (duration: number) => plain(question, road.embed, aroundSize(ANSWER_BYTES), CONNECTIONS, duration);
    const result = await loadGap(
      {
        target: road.chat,
        streams: STREAMS,
        tokensPerSecond: GAP_TOKENS_PER_SECOND,
        ms: ms / 2,
        disturb: (duration) => context.loadPlain(big(duration)),
      },
      context.signal,
    );
    const after = await road.hubs?.();
    if (before !== undefined && after !== undefined) notes.push(tellCounts(before, after));
    return result;
  });
  const [road] = context.roads;
  const requestBytes = road === undefined ? 0 : bodyOf(question, road.embed).length;
  return {
    title: `pause between tokens of ${STREAMS} streams at ${GAP_TOKENS_PER_SECOND} tokens/s: quiet, then with ${CONNECTIONS} embedding answers of ${ANSWER_BYTES / 1e6} MB (requests of ${Math.round(requestBytes / 1000)} kB) always in flight`,
    rows: rowsOf(results),
    notes,
  };
}

interface Phases {
  readonly quiet: Measure;
  readonly loaded: Measure;
  readonly disturbance: Measure;
}

function rowsOf(results: ReadonlyMap<RoadName, readonly GapResult[]>): Row[] {
  const phases = new Map<RoadName, Phases>();
  const failures: Partial<Record<RoadName, Failures>> = {};
  for (const [road, all] of results) {
    const of = (pick: (result: GapResult) => Slice) => pool(all.map(pick));
    const found = {
      quiet: of((result) => result.quiet),
      loaded: of((result) => result.loaded),
      disturbance: of((result) => result.disturbance),
    };
    phases.set(road, found);
    failures[road] = addFailures([found.loaded.failures, found.disturbance.failures]);
  }
  const row = (label: string, value: (phase: Phases) => number | null): Row => ({
    label,
    values: Object.fromEntries([...phases].map(([road, phase]) => [road, value(phase)])),
    failures: {},
  });
  return [
    { ...row("quiet  p50 ms", ({ quiet }) => quiet.p50), failures },
    row("quiet  p99 ms", ({ quiet }) => quiet.p99),
    row("loaded p50 ms", ({ loaded }) => loaded.p50),
    row("loaded p99 ms", ({ loaded }) => loaded.p99),
    row("loaded/quiet p50", ({ quiet, loaded }) => over(loaded.p50, quiet.p50)),
    row("loaded/quiet p99", ({ quiet, loaded }) => over(loaded.p99, quiet.p99)),
    row("embeddings MB/s", ({ disturbance }) => disturbance.bytesPerSecond / 1e6),
  ];
}

function over(above: number | null, below: number | null): number | null {
  return above === null || below === null || below === 0 ? null : above / below;
}
