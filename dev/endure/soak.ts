// `npm run soak`: mixed load for long, every road cut again and again, and how the memory of each process moves.
// On loopback, bounded in time. SIGUSR2 holds the load and lets it go on: a machine may be needed for something else meanwhile.
import { Command } from "commander";
import { draw, KEYS, type Question } from "../chaos/question.ts";
import type { Random } from "../chaos/random.ts";
import { number, readCommand } from "../cli.ts";
import { Pause } from "./pause.ts";
import { conclude, placeFor } from "./place.ts";
import { report } from "./report.ts";
import { run } from "./run.ts";

interface Options {
  readonly seed: number;
  readonly minutes: number;
  readonly clients: number;
  readonly everyS: number;
  readonly warmUpMinutes: number;
  readonly logs?: string;
}

const program = new Command("soak")
  .description(
    "Chats plain and streamed, completions, embeddings and clients that leave, with every uplink cut again and again. Checks every byte and every charge, and tells how memory grows.",
  )
  .option("--minutes <n>", "of load", number({ least: 0.1, most: 600, whole: false }), 30)
  .option("--clients <n>", "requests at once", number({ least: 1, most: 1_000 }), 20)
  .option("--every-s <n>", "between two cuts", number({ least: 0.5, most: 600, whole: false }), 5)
  .option("--warm-up-minutes <n>", "left out of the slopes", number({ least: 0, most: 600, whole: false }), 5)
  .option("--seed <n>", "the same seed gives the same load", number({ least: 0 }), Date.now() % 1e6)
  .option("--logs <folder>", "keep what the processes wrote there");
const read = readCommand(program, process.argv, () => program.opts<Options>());
if ("exit" in read) process.exit(read.exit);
const { seed, minutes, clients, everyS, warmUpMinutes, logs } = read.given;
const directory = placeFor("soak", logs);
const pause = new Pause();
process.on("SIGUSR2", () => {
  pause.toggle();
  console.log(pause.isHeld ? "held" : "goes on");
});

/** Who leaves has a key of its own: what such an answer costs is not known beforehand. */
const [LEAVING, ...STAYING] = KEYS as [string, ...string[]];
function drawMixed(random: Random): Question {
  const question = draw(random);
  return { ...question, key: question.leaveAfterBytes === null ? random.pick(STAYING) : LEAVING };
}

console.log(`soak: seed ${seed}, ${minutes} min, ${clients} clients, every road cut every ${everyS} s\n`);
const ran = await run({
  ...{ seed, ms: minutes * 60_000, everyMs: everyS * 1_000, clients, directory, pause, draw: drawMixed },
  site: { config: "" },
  next: () => () => null,
});
conclude(
  report(ran, { leaving: new Set([LEAVING]), memoryFromMs: warmUpMinutes * 60_000 }),
  `npm run soak -- --seed ${seed} --minutes ${minutes} --clients ${clients} --every-s ${everyS}`,
);
