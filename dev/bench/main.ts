// The benchmark: three roads to the same simulated engines, on loopback, in one bounded run that leaves nothing behind.
// Run it alone on a quiet machine; everything shares its processors.
import { mkdtempSync, rmSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { loadByRawSockets } from "./load-raw.ts";
import { loadByWrk } from "./load-wrk.ts";
import { countFailures } from "./measure.ts";
import { find, machine } from "./programs.ts";
import type { Context, Section } from "./section.ts";
import { SECTIONS, type SectionName } from "./sections.ts";
import { openStage, type Stage } from "./stage.ts";
import { render } from "./table.ts";

interface Options {
  readonly seconds: number;
  readonly only: readonly SectionName[];
  readonly json?: string;
}

const NAMES = Object.keys(SECTIONS) as SectionName[];

const options = new Command("bench")
  .description("Measures direct, nginx + ssh -R, and the edge with its connector against each other, on loopback.")
  .option("--seconds <n>", "of measuring for each road and cell", readSeconds, 5)
  .option("--only <names>", `sections, comma separated: ${NAMES.join(",")}`, readSections, NAMES)
  .option("--json <file>", "also write every figure to this file")
  .parse()
  .opts<Options>();

/** However slow a road is, the run ends: several times what a healthy one takes. */
const LIMIT_MS = 180_000 + options.only.length * 3 * 3 * (options.seconds + 5) * 2_000;

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    // The second one does not wait for anybody; the exit hooks still kill and remove everything.
    if (stop.signal.aborted) process.exit(130);
    stop.abort(new Error(`stopped by ${signal}`));
  });
}
process.on("uncaughtException", (error) => {
  if (stop.signal.aborted) process.exit(1);
  stop.abort(error);
});
setTimeout(() => stop.abort(new Error(`the run takes longer than ${LIMIT_MS / 1000} s`)), LIMIT_MS).unref();

const directory = mkdtempSync(join(tmpdir(), "heartcode-bench-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));

try {
  await bench();
} catch (error) {
  console.error(stop.signal.aborted ? String(stop.signal.reason) : error);
  process.exitCode = 1;
}

async function bench(): Promise<void> {
  const facts = await machine();
  for (const [name, fact] of Object.entries(facts)) console.log(`${name.padEnd(11)}${fact}`);
  console.log(`\nratios are to the road named; of requests, streams and answers more is better, of ms less is\n`);

  const sections: Partial<Record<SectionName, Section>> = {};
  const skipped = new Map<string, string>();
  for (const pace of new Set(options.only.map((name) => SECTIONS[name].tokensPerSecond))) {
    const stage = await openStage(pace, join(directory, `pace-${pace}`), stop.signal);
    const signal = AbortSignal.any([stop.signal, stage.lost]);
    try {
      for (const [road, reason] of stage.skipped) {
        if (skipped.get(road) !== reason) console.log(`${road} is skipped: ${reason}\n`);
        skipped.set(road, reason);
      }
      const context = await contextOf(stage, signal);
      for (const name of options.only.filter((section) => SECTIONS[section].tokensPerSecond === pace)) {
        const section = await SECTIONS[name].measure(context);
        sections[name] = section;
        clearProgress();
        console.log(`${render(section)}\n`);
      }
    } catch (error) {
      // What a killed load says is less than why it was killed.
      signal.throwIfAborted();
      throw error;
    } finally {
      clearProgress();
      await stage.close();
    }
  }
  if (options.json !== undefined) {
    const all = { machine: facts, seconds: options.seconds, skipped: Object.fromEntries(skipped), sections };
    await writeFile(options.json, `${JSON.stringify(all, null, 2)}\n`);
  }
  if (skipped.has("product") || Object.values(sections).some(productFailed)) process.exitCode = 1;
}

async function contextOf(stage: Stage, signal: AbortSignal): Promise<Context> {
  const wrk = await find("wrk");
  return {
    roads: stage.roads,
    embedAnswers: stage.embedAnswers,
    seconds: options.seconds,
    signal,
    generator: wrk === null ? "raw sockets of Node" : "wrk",
    loadPlain: (load) => (wrk === null ? loadByRawSockets(load, signal) : loadByWrk(wrk, directory, load, signal)),
    say: (progress) => {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${progress}`);
    },
  };
}

function clearProgress(): void {
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
}

function productFailed(section: Section): boolean {
  return section.rows.some((row) => countFailures(row.failures.product ?? {}) > 0);
}

function readSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds >= 0.5 && seconds <= 600)) throw new InvalidArgumentError("a number from 0.5 to 600");
  return seconds;
}

function readSections(text: string): SectionName[] {
  const asked = text.split(",");
  for (const name of asked) {
    if (!NAMES.some((known) => known === name))
      throw new InvalidArgumentError(`${name} is not one of ${NAMES.join(",")}`);
  }
  return NAMES.filter((name) => asked.includes(name));
}
