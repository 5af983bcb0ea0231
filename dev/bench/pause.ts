// A wait that a stop ends at once, with the reason of the stop.
import { setTimeout as timer } from "node:timers/promises";

export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await timer(ms, undefined, { signal }).catch(() => {});
  // Node's own AbortError hides why.
  signal.throwIfAborted();
}
