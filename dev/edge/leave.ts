// The end of workerd that listens by itself. It cannot be told to refuse connections, and after SIGTERM it lets clients wait for
// ever: so it serves on until nothing runs any more, with a 503 for what comes meanwhile, and only then is it asked to end.
import { setTimeout as sleep } from "node:timers/promises";
import type { Workerd } from "./workerd.ts";

const LOOK_EVERY_MS = 50;

/** Answers in flight have `withinMs` to finish, until their last byte has left. */
export async function leave(workerd: Workerd, withinMs: number, log: (line: string) => void): Promise<void> {
  const deadline = performance.now() + withinMs;
  let running = 0;
  for (let isFirst = true; ; isFirst = false) {
    try {
      const look = await workerd.look();
      running = look.running;
      if (look.isOver) break;
    } catch (error) {
      if (workerd.process.exitCode !== null || workerd.process.signalCode !== null) return;
      log(`${(error as Error).message}: it is asked to end at once`);
      break;
    }
    if (isFirst && running > 0) {
      log(`stopping: ${running} answers in flight have ${withinMs / 1000} s to finish; a second signal cuts them`);
    }
    if (performance.now() >= deadline) break;
    await sleep(LOOK_EVERY_MS);
  }
  if (running > 0) log(`${running} answers were cut`);
  // The connectors are gone, so workerd ends by itself as soon as its clients have read their last bytes.
  await workerd.stop(running > 0 ? 0 : Math.max(LAST_BYTES_MS, deadline - performance.now()));
}

const LAST_BYTES_MS = 1_000;
