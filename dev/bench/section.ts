// What a section of the benchmark is, and how its cells are measured: on all roads in turns, there and back, so that
// the noise of the machine meets all of them.
import { type Interval, middleOf } from "./interval.ts";
import type { PlainLoad } from "./load-plain.ts";
import { addFailures, type Failures, type Measure, pool, type Slice } from "./measure.ts";
import { bodyOf, type Question, type Size } from "./questions.ts";
import type { Road, RoadName, Target } from "./road.ts";

export interface Row {
  readonly label: string;
  readonly values: Readonly<Partial<Record<RoadName, number | null>>>;
  /** Of the product's figure in nginx + ssh's, round by round. */
  readonly interval?: Interval;
  /** Wrong answers of the cell, by road; told on the first row of a cell. */
  readonly failures: Readonly<Partial<Record<RoadName, Failures>>>;
}

export interface Section {
  readonly title: string;
  readonly rows: readonly Row[];
  /** Lines below the table. */
  readonly notes?: readonly string[];
}

export interface Context {
  readonly roads: readonly Road[];
  /** Of measuring, for each road and cell. */
  readonly seconds: number;
  readonly signal: AbortSignal;
  /** Makes every embedding answer exactly so long. */
  readonly embedAnswers: (bytes: number) => Promise<void>;
  readonly loadPlain: (load: PlainLoad) => Promise<Slice>;
  readonly generator: string;
  readonly say: (progress: string) => void;
}

export type Figure = readonly [name: string, of: (measure: Measure) => number | null];

/** Rows of one section: for each number of connections, one for each figure. */
export async function cells(
  context: Context,
  name: string,
  counts: readonly number[],
  figures: readonly Figure[],
  load: (road: Road, connections: number, ms: number) => Promise<Slice>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (const connections of counts) {
    const warm = new Map<RoadName, Failures>();
    for (const road of context.roads) {
      context.say(`${name} c=${connections} warm-up ${road.name}`);
      warm.set(road.name, (await load(road, connections, warmUpMs(context))).failures);
    }
    const rounds = Math.max(1, Math.round(context.seconds / ROUND_SECONDS));
    const visit = (road: Road, ms: number) => load(road, connections, ms);
    const slices = await inTurns(context, `${name} c=${connections}`, visit, rounds);
    const measures = [...slices].map(([road, all]) => [road, pool(all)] as const);
    const failures = Object.fromEntries(
      measures.map(([road, measure]) => [road, addFailures([measure.failures, warm.get(road) ?? {}])]),
    );
    figures.forEach(([figure, of], index) => {
      rows.push({
        label: `${figure.padEnd(11)} c=${connections}`,
        values: Object.fromEntries(measures.map(([road, measure]) => [road, of(measure)])),
        failures: index === 0 ? failures : {},
        ...ratioOf(slices, of),
      });
    });
  }
  return rows;
}

/** The machine is another one from minute to minute: what is compared must be measured within seconds. */
const ROUND_SECONDS = 0.7;

function ratioOf(slices: ReadonlyMap<RoadName, readonly Slice[]>, of: Figure[1]): Pick<Row, "interval"> {
  const [product, tunnel] = (["product", "nginx+ssh"] as const).map((road) => slices.get(road) ?? []);
  const ratios = (product ?? []).flatMap((slice, round) => {
    const [above, below] = [slice, tunnel?.[round]].map((one) => (one === undefined ? null : of(pool([one]))));
    return above != null && below ? [above / below] : [];
  });
  return ratios.length > 1 ? { interval: middleOf(ratios) } : {};
}

/** Visits all roads, then all in the other direction, and so on, each for its part of the seconds. */
export async function inTurns<T>(
  context: Context,
  name: string,
  visit: (road: Road, ms: number) => Promise<T>,
  rounds = context.seconds >= 2 ? 2 : 1,
): Promise<Map<RoadName, T[]>> {
  const found = new Map<RoadName, T[]>(context.roads.map((road) => [road.name, []]));
  for (let round = 0; round < rounds; round++) {
    for (const road of round % 2 === 0 ? context.roads : [...context.roads].reverse()) {
      context.signal.throwIfAborted();
      context.say(`${name} ${road.name} ${round + 1}/${rounds}`);
      found.get(road.name)?.push(await visit(road, (context.seconds * 1000) / rounds));
    }
  }
  return found;
}

function warmUpMs(context: Context): number {
  return Math.min(1_000, context.seconds * 200);
}

export function plain(question: Question, target: Target, size: Size, connections: number, ms: number): PlainLoad {
  const { port, authorization } = target;
  return { port, path: question.path, authorization, body: bodyOf(question, target), connections, ms, size };
}
