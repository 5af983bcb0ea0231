// The table of sections: what is asked, at how many connections, and how fast the engines are for it.
import { loadStreams } from "./load-sse.ts";
import type { Measure } from "./measure.ts";
import { aroundSize, ask, embeddings, smallChat } from "./questions.ts";
import type { Road } from "./road.ts";
import { type Context, cells, type Figure, plain, type Section } from "./section.ts";
import { GAP_TOKENS_PER_SECOND, gap } from "./section-gap.ts";

/** Tokens of a whole stream, and of the short one whose beginning is what counts. */
const STREAM_TOKENS = 200;
const SHORT_STREAM_TOKENS = 16;
const WARM_CONNECTIONS = 32;
/** Without it the first figures of the product are half of the later ones (V8 14: 8 s until they rise no more). */
const WARM_UP_MS = 8_000;
const BULK_BYTES = 1_000_000;
const AS_FAST_AS_IT_CAN = 0;

export const SECTIONS = {
  json: { tokensPerSecond: AS_FAST_AS_IT_CAN, measure: json },
  sse: { tokensPerSecond: AS_FAST_AS_IT_CAN, measure: sse },
  ttft: { tokensPerSecond: AS_FAST_AS_IT_CAN, measure: ttft },
  bulk: { tokensPerSecond: AS_FAST_AS_IT_CAN, measure: bulk },
  gap: { tokensPerSecond: GAP_TOKENS_PER_SECOND, measure: gap },
} as const satisfies Record<
  string,
  { readonly tokensPerSecond: number; readonly measure: (context: Context) => Promise<Section> }
>;
export type SectionName = keyof typeof SECTIONS;

const P50: Figure = ["p50 ms", (measure) => measure.p50];
const P99: Figure = ["p99 ms", (measure) => measure.p99];
const rate = (name: string): Figure => [name, (measure: Measure) => measure.rate];

async function json(context: Context): Promise<Section> {
  const sizes = new Map<Road, number>();
  for (const road of context.roads) sizes.set(road, (await ask(smallChat(), road.chat)).length);
  // A server that has just started is not what anybody's users meet: its compilers are still at work.
  for (const road of context.roads) {
    context.say(`json warm-up ${road.name}`);
    const size = aroundSize(sizes.get(road) ?? 0);
    await context.loadPlain(plain(smallChat(), road.chat, size, WARM_CONNECTIONS, WARM_UP_MS));
  }
  const rows = await cells(context, "json", [1, 32, 256], [rate("requests/s"), P50, P99], (road, connections, ms) =>
    context.loadPlain(plain(smallChat(), road.chat, aroundSize(sizes.get(road) ?? 0), connections, ms)),
  );
  return { title: `small chat answer, ${[...sizes.values()][0]} bytes, load by ${context.generator}`, rows };
}

async function sse(context: Context): Promise<Section> {
  const rows = await cells(context, "sse", [1, 32], [rate("streams/s")], (road, connections, ms) =>
    loadStreams({ target: road.chat, tokens: STREAM_TOKENS, connections, ms }, context.signal),
  );
  return { title: `whole streams of ${STREAM_TOKENS} tokens, every one checked to its end`, rows };
}

async function ttft(context: Context): Promise<Section> {
  const rows = await cells(context, "ttft", [1, 32], [P50, P99], (road, connections, ms) =>
    loadStreams({ target: road.chat, tokens: SHORT_STREAM_TOKENS, connections, ms }, context.signal),
  );
  return { title: `time to first token, streams of ${SHORT_STREAM_TOKENS} tokens back to back`, rows };
}

async function bulk(context: Context): Promise<Section> {
  await context.embedAnswers(BULK_BYTES);
  const question = embeddings(8, 16);
  const rows = await cells(context, "bulk", [1, 16], [rate("answers/s")], (road, connections, ms) =>
    context.loadPlain(plain(question, road.embed, aroundSize(BULK_BYTES), connections, ms)),
  );
  return { title: `embedding answers of ${BULK_BYTES / 1e6} MB, load by ${context.generator}`, rows };
}
