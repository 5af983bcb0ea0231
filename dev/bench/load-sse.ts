// The load of chat streams: every stream is read to its end and judged; the time to its first token is the sample.
import { loop } from "./loop.ts";
import type { Slice } from "./measure.ts";
import { bytesOf, stream } from "./questions.ts";
import type { Target } from "./road.ts";
import { StreamCheck } from "./sse.ts";

export interface StreamLoad {
  readonly target: Target;
  readonly tokens: number;
  readonly connections: number;
  readonly ms: number;
}

export async function loadStreams(load: StreamLoad, signal: AbortSignal): Promise<Slice> {
  const { target, tokens, connections, ms } = load;
  const request = bytesOf(stream(tokens), target);
  const samples: number[] = [];
  let bytes = 0;
  const result = await loop({ port: target.port, connections, ms, signal }, async (connection) => {
    const start = performance.now();
    let first: number | null = null;
    const check = new StreamCheck(() => {
      first ??= performance.now() - start;
    });
    const status = await connection.ask(request, (piece) => {
      bytes += piece.length;
      check.feed(piece);
    });
    if (status !== 200) throw new Error(`status ${status}`);
    const wrong = check.verdict(tokens);
    if (wrong !== null) throw new Error(wrong);
    if (first !== null) samples.push(first);
  });
  return { ...result, bytes, samples, weight: 1 };
}
