// One set of engines at one pace with the three roads to it, and its orderly end. A road that cannot be built is left
// out with a line that says why.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Crew } from "../crew.ts";
import { embedAnswers, startEngines } from "./engines.ts";
import { askUntil, smallChat } from "./questions.ts";
import { directRoad, type EnginePorts, type Road, type RoadName } from "./road.ts";
import { missingProduct, startProductRoad } from "./road-product.ts";
import { findSshPrograms, providePrivilegeDirectory, startSshRoad } from "./road-ssh.ts";

export interface Stage {
  readonly roads: readonly Road[];
  /** Why a road is not among them. */
  readonly skipped: ReadonlyMap<RoadName, string>;
  readonly embedAnswers: (bytes: number) => Promise<void>;
  /** Aborts when one of its processes ends unasked. */
  readonly lost: AbortSignal;
  close(): Promise<void>;
}

const FIRST_ANSWER_MS = 15_000;

type Build = (crew: Crew, engines: EnginePorts, directory: string, signal: AbortSignal) => Promise<Road>;

const BUILDERS: readonly { readonly name: RoadName; readonly build: Build }[] = [
  { name: "direct", build: async (_, engines) => directRoad(engines) },
  { name: "nginx+ssh", build: buildSsh },
  { name: "product", build: buildProduct },
];

export async function openStage(tokensPerSecond: number, directory: string, stop: AbortSignal): Promise<Stage> {
  await mkdir(directory, { mode: 0o700 });
  const crews: Crew[] = [];
  const close = async () => {
    for (const crew of crews.splice(0).reverse()) await crew.dismiss();
  };
  const enlist = () => {
    const crew = new Crew();
    crews.push(crew);
    return crew;
  };
  try {
    const engineCrew = enlist();
    const engines = await startEngines(engineCrew, tokensPerSecond);
    const roads: Road[] = [];
    const skipped = new Map<RoadName, string>();
    const kept = [engineCrew.lost];
    for (const { name, build } of BUILDERS) {
      stop.throwIfAborted();
      const crew = enlist();
      const signal = AbortSignal.any([stop, crew.lost]);
      try {
        const road = await build(crew, engines, join(directory, name), signal);
        await askUntil(smallChat(), road.chat, FIRST_ANSWER_MS, signal);
        roads.push(road);
        kept.push(crew.lost);
      } catch (error) {
        stop.throwIfAborted();
        skipped.set(name, error instanceof Error ? error.message : String(error));
        await crew.dismiss();
      }
    }
    return {
      roads,
      skipped,
      embedAnswers: (bytes) => embedAnswers(engines, bytes),
      lost: AbortSignal.any(kept),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function buildSsh(crew: Crew, engines: EnginePorts, directory: string, signal: AbortSignal): Promise<Road> {
  const programs = await findSshPrograms();
  if ("missing" in programs) throw new Error(`not installed: ${programs.missing.join(", ")}`);
  await providePrivilegeDirectory();
  return startSshRoad(crew, programs, engines, directory, signal);
}

async function buildProduct(crew: Crew, engines: EnginePorts, directory: string, signal: AbortSignal): Promise<Road> {
  const missing = await missingProduct();
  if (missing !== null) throw new Error(`there is no ${missing}`);
  return startProductRoad(crew, engines, directory, signal);
}
