// One run: the real processes of an edge and two sites, clients that never stop, a fault at every turn, and then quiet.

import { EdgeLines } from "../chaos/lines.ts";
import { SHARDS } from "../chaos/question.ts";
import { Random } from "../chaos/random.ts";
import { SITES, Site, type SiteOptions } from "../chaos/site.ts";
import type { Figures, HubView } from "../chaos/watch.ts";
import { Watch } from "../chaos/watch.ts";
import { Crew } from "../crew.ts";
import { type Draw, Load } from "./load.ts";
import { Pause } from "./pause.ts";
import type { Asked } from "./verdict.ts";
import type { Standing, Turn } from "./wheel.ts";

export interface RunOptions {
  readonly seed: number;
  readonly ms: number;
  /** Between two faults. */
  readonly everyMs: number;
  readonly clients: number;
  readonly draw: Draw;
  readonly site: SiteOptions;
  /** For keys, configuration, state and logs. */
  readonly directory: string;
  readonly pause?: Pause;
  /** The next fault; null: the road of every connector is cut. */
  readonly next: (random: Random) => (standings: readonly Standing[]) => Turn | null;
}

export interface Ran {
  readonly asked: readonly Asked[];
  readonly figures: Figures;
  readonly problems: readonly string[];
  /** How often each fault came. */
  readonly faults: ReadonlyMap<string, number>;
  readonly resumed: number;
  /** What the edge has written of the cost of an exchange. */
  readonly written: (id: string) => readonly number[];
}

/** Clients are in their stride then. */
const WARM_UP_MS = 3_000;

export async function run(options: RunOptions): Promise<Ran> {
  const { seed, ms, everyMs, clients, draw, directory, pause = new Pause() } = options;
  const random = new Random(seed);
  const crew = new Crew();
  const lines = new EdgeLines(() => performance.now());
  const site = await Site.start(crew, directory, { ...options.site, edgeSaid: (text) => lines.feed(text) });
  try {
    const watch = new Watch(site, pause.now);
    await watch.ready();
    const load = new Load(site.stack.port, draw, pause);
    load.start(random.fork(), clients);
    watch.start();
    const next = options.next(random.fork());
    const faults = new Map<string, number>();
    const running: Promise<unknown>[] = [];
    const began = pause.now();
    for (let at = began + WARM_UP_MS; at < began + ms; at += everyMs) {
      await pause.until(at);
      const hubs = await watch.hubs().catch(() => []);
      const standings = SITES.map((name, index) => standingOf(site, index, name, hubs));
      const turn = next(standings);
      const name = turn === null ? "every road cut" : nameOf(turn, standings);
      faults.set(name, (faults.get(name) ?? 0) + 1);
      running.push(cause(site, turn));
    }
    await pause.until(began + ms);
    await load.stop();
    await Promise.all(running);
    const figures = await watch.quiet(lines.accounts);
    const written = (id: string) => (lines.accounts.get(id)?.bills ?? []).map(({ charged }) => charged);
    return { asked: load.asked, figures, problems: site.problems, faults, resumed: watch.resumed, written };
  } finally {
    await site.close();
  }
}

function standingOf(site: Site, index: number, name: string, hubs: readonly HubView[]): Standing {
  const isSeen = hubs.length > 0 && hubs.every((hub) => hub.links.some((link) => link.connector === name && link.live));
  const isSilent = site.road(index).holes > 0;
  // A hub that has dropped its end of a black hole sees nobody, and so it should.
  return { isSilent, isAway: site.isBusy(index) || (!isSilent && !isSeen) };
}

function nameOf({ fault, target, way }: Turn, standings: readonly Standing[]): string {
  if (way !== undefined) return `${fault} ${way}`;
  return fault === "drain" && standings[target]!.isSilent ? "drain in a black hole" : fault;
}

async function cause(site: Site, turn: Turn | null): Promise<void> {
  if (turn === null) {
    for (const [index] of SITES.entries()) site.road(index).cut("rst");
    return;
  }
  const { fault, target, way } = turn;
  if (fault === "RST") site.road(target).cut("rst");
  else if (fault === "black hole") site.road(target).blackHole(way, { newOnes: false });
  else if (fault === "drain") await site.restartConnector(target, "SIGTERM", 0);
  else if (!(await site.resetHub(target % SHARDS))) site.problems.push("a hub was not reset");
}
