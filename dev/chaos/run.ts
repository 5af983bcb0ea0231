// One run: start, load and faults, quiet, verdict.
import { setTimeout as sleep } from "node:timers/promises";
import { Crew } from "../crew.ts";
import type { Happened } from "./bill.ts";
import { EdgeLines } from "./lines.ts";
import { Load } from "./load.ts";
import { Presence } from "./presence.ts";
import { Random } from "./random.ts";
import { report } from "./report.ts";
import { type Fault, type FaultKind, scheduleOf } from "./schedule.ts";
import { Site } from "./site.ts";
import { Watch } from "./watch.ts";

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
  const lines = new EdgeLines(() => performance.now());
  const presence = new Presence(performance.timeOrigin);
  const site = await Site.start(crew, directory, { edgeSaid: (text) => lines.feed(text), presence });
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
    const cause = (fault: Fault): boolean => {
      const from = performance.now();
      const caused = site.cause(fault);
      if (caused === null) return false;
      const { kind } = fault;
      // What happens now must excuse what ends now, though it is not over itself.
      const one: { kind: FaultKind; from: number; to: number } = { kind, from, to: Number.POSITIVE_INFINITY };
      happened.push(one);
      // Faults overlap, as they do.
      running.push(
        caused.then((came) => {
          one.to = performance.now();
          if (typeof came === "string") one.kind = came;
          if (came === false) happened.splice(happened.indexOf(one), 1);
        }),
      );
      return true;
    };
    let postponed: Fault[] = [];
    for (const fault of scheduleOf(random.fork(), ms, kinds)) {
      await sleep(Math.max(0, began + fault.atMs - performance.now()));
      const due = [...postponed, fault];
      const now = due.find(cause);
      postponed = due.filter((one) => one !== now);
    }
    await sleep(Math.max(0, began + ms - performance.now()));
    await Promise.all(running);
    site.heal();
    await load.stop();
    const figures = await watch.quiet(lines.accounts);
    const { accounts } = lines;
    return report({ load, happened, presence, figures, accounts, problems: site.problems, asked: { ms, kinds } });
  } finally {
    await site.close();
  }
}
