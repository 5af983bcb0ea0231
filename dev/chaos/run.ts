// One run: start, load and faults, quiet, verdict.
import { setTimeout as sleep } from "node:timers/promises";
import { Crew } from "../crew.ts";
import { Load } from "./load.ts";
import { Random } from "./random.ts";
import { report } from "./report.ts";
import { type FaultKind, scheduleOf } from "./schedule.ts";
import { Site } from "./site.ts";
import type { Happened } from "./verdict.ts";
import { type Figures, Watch } from "./watch.ts";

export interface ChaosOptions {
  readonly seed: number;
  readonly ms: number;
  readonly clients: number;
  readonly kinds: readonly FaultKind[];
  /** For keys, configuration, state and logs. */
  readonly directory: string;
}

const WARM_UP_MS = 4_000;

/** @returns what was violated. */
export async function runChaos({ seed, ms, clients, kinds, directory }: ChaosOptions): Promise<string[]> {
  const random = new Random(seed);
  const crew = new Crew();
  const site = await Site.start(crew, directory);
  try {
    const watch = new Watch(site);
    await watch.ready();
    const load = new Load(site.stack.port);
    load.start(random.fork(), clients);
    await sleep(WARM_UP_MS);
    watch.start();

    const happened: Happened[] = [];
    const began = performance.now();
    const running: Promise<void>[] = [];
    for (const fault of scheduleOf(random.fork(), ms, kinds)) {
      await sleep(Math.max(0, began + fault.atMs - performance.now()));
      const from = performance.now();
      // Faults overlap, as they do.
      running.push(
        site.cause(fault).then((wasCaused) => {
          if (wasCaused) happened.push({ kind: fault.kind, from, to: performance.now() });
        }),
      );
    }
    await sleep(Math.max(0, began + ms - performance.now()));
    await Promise.all(running);
    site.heal();
    await load.stop();
    const figures: Figures = await watch.quiet();
    return report({ load, happened, figures, problems: site.problems });
  } finally {
    await site.close();
  }
}
