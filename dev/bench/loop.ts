// A closed loop: so many connections, each asking again when it has its answer, until the time is over. What is still
// running then is waited for and judged, but not counted as done in time.
import { setTimeout as pause } from "node:timers/promises";
import { Connection } from "./connection.ts";
import type { Failures } from "./measure.ts";

/** Takes one answer from start to end, and throws what is wrong with it. */
export type Exchange = (connection: Connection) => Promise<void>;

export interface LoopResult {
  readonly completed: number;
  readonly seconds: number;
  readonly failures: Failures;
}

/** An answer that takes this much longer than the loop has stalled. */
const DRAIN_MS = 10_000;
/** A road that refuses everything must not become a busy loop. */
const AFTER_FAILURE_MS = 20;

export async function loop(
  options: { readonly port: number; readonly connections: number; readonly ms: number; readonly signal: AbortSignal },
  exchange: Exchange,
): Promise<LoopResult> {
  const { port, connections, ms, signal } = options;
  const failures: Record<string, number> = {};
  const open = new Set<Connection>();
  const start = performance.now();
  const until = start + ms;
  let completed = 0;
  let stalled = false;

  const client = async () => {
    let connection = new Connection(port);
    open.add(connection);
    while (performance.now() < until && !signal.aborted) {
      try {
        await exchange(connection);
        if (performance.now() <= until) completed++;
      } catch (error) {
        if (signal.aborted) break;
        const reason = stalled ? "stalled" : error instanceof Error ? error.message : String(error);
        failures[reason] = (failures[reason] ?? 0) + 1;
        connection.destroy();
        open.delete(connection);
        connection = new Connection(port);
        open.add(connection);
        await pause(AFTER_FAILURE_MS);
      }
    }
    connection.destroy();
  };

  const cut = () => {
    for (const connection of open) connection.destroy();
  };
  const drained = setTimeout(() => {
    stalled = true;
    cut();
  }, ms + DRAIN_MS);
  signal.addEventListener("abort", cut);
  try {
    await Promise.all(Array.from({ length: connections }, client));
  } finally {
    clearTimeout(drained);
    signal.removeEventListener("abort", cut);
  }
  signal.throwIfAborted();
  return { completed, seconds: ms / 1000, failures };
}
