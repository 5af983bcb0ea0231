// The pause between two tokens of a running stream, over many streams at once: first quiet, then with big answers and
// big requests passing on the same road.
import { Connection } from "./connection.ts";
import type { Failures, Slice } from "./measure.ts";
import { pause } from "./pause.ts";
import { bytesOf, stream } from "./questions.ts";
import type { Target } from "./road.ts";
import { StreamCheck } from "./sse.ts";

export interface GapLoad {
  readonly target: Target;
  readonly streams: number;
  readonly tokensPerSecond: number;
  /** Of each of the two phases. */
  readonly ms: number;
  /** Keeps big answers in flight for so long; gives what it got through. */
  readonly disturb: (ms: number) => Promise<Slice>;
}

export interface GapResult {
  readonly quiet: Slice;
  readonly loaded: Slice;
  readonly disturbance: Slice;
}

/** The streams start one after the other: engines do not tick in step either. */
const STAGGER_MS = 7;
const SETTLE_MS = 500;
/** The disturbance begins before the phase is counted and ends after it. */
const MARGIN_MS = 500;
const DRAIN_MS = 15_000;

export async function loadGap(load: GapLoad, signal: AbortSignal): Promise<GapResult> {
  const startingMs = load.streams * STAGGER_MS + SETTLE_MS;
  const runningMs = startingMs + 2 * load.ms + 3 * MARGIN_MS;
  const tokens = Math.ceil((runningMs / 1000) * load.tokensPerSecond);
  const request = bytesOf(stream(tokens), load.target);
  const failures: Record<string, number> = {};
  const connections: Connection[] = [];
  const quiet: number[] = [];
  const loaded: number[] = [];
  let phase: number[] | null = null;
  let stalled = false;

  const follow = async (): Promise<void> => {
    const connection = new Connection(load.target.port);
    connections.push(connection);
    let last: number | null = null;
    let phaseAtLast: number[] | null = null;
    const check = new StreamCheck(() => {
      const now = performance.now();
      // A pause counts where it began, or else where it ended: the long ones must not fall between the phases.
      if (last !== null) (phaseAtLast ?? phase)?.push(now - last);
      last = now;
      phaseAtLast = phase;
    });
    try {
      const status = await connection.ask(request, (piece) => check.feed(piece));
      const wrong = status === 200 ? check.verdict(tokens) : `status ${status}`;
      if (wrong !== null) throw new Error(wrong);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      const reason = stalled ? `stalled after ${check.tokens > 0 ? "some" : "no"} tokens` : said;
      failures[reason] = (failures[reason] ?? 0) + 1;
    } finally {
      connection.destroy();
    }
  };

  const cut = () => {
    for (const connection of connections) connection.destroy();
  };
  signal.addEventListener("abort", cut);
  try {
    const running: Promise<void>[] = [];
    for (let index = 0; index < load.streams; index++) {
      running.push(follow());
      await pause(STAGGER_MS, signal);
    }
    await pause(SETTLE_MS, signal);
    phase = quiet;
    await pause(load.ms, signal);
    phase = null;
    const disturbed = load.disturb(load.ms + 2 * MARGIN_MS);
    // Awaited below; a failure before that must not be an unhandled one.
    disturbed.catch(() => {});
    await pause(MARGIN_MS, signal);
    phase = loaded;
    await pause(load.ms, signal);
    phase = null;
    const disturbance = await disturbed;
    const late = setTimeout(() => {
      stalled = true;
      cut();
    }, DRAIN_MS);
    await Promise.all(running).finally(() => clearTimeout(late));
    return { quiet: slice(quiet, load.ms, {}), loaded: slice(loaded, load.ms, failures), disturbance };
  } finally {
    cut();
    signal.removeEventListener("abort", cut);
  }
}

function slice(samples: readonly number[], ms: number, failures: Failures): Slice {
  return { completed: samples.length, bytes: 0, seconds: ms / 1000, samples, weight: 1, failures };
}
