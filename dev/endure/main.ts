// `npm run endure`: streams under an uplink that breaks every few seconds, with two connectors. On loopback, bounded in time.
import { Command } from "commander";
import { number, readCommand } from "../cli.ts";
import { conclude, placeFor } from "./place.ts";
import { endure } from "./streams.ts";

interface Options {
  readonly seed: number;
  readonly minutes: number;
  readonly streams: number;
  readonly everyS: number;
  readonly logs?: string;
}

const program = new Command("endure")
  .description(
    "Keeps streams running while the uplink breaks by turns: RST, black hole, hub reset, drain of a connector. Checks every byte and every charge.",
  )
  .option("--minutes <n>", "of streams and faults", number({ least: 0.1, most: 60, whole: false }), 5)
  .option("--streams <n>", "at once", number({ least: 1, most: 1_000 }), 100)
  .option("--every-s <n>", "between two faults", number({ least: 0.5, most: 600, whole: false }), 3)
  .option("--seed <n>", "the same seed gives the same load and the same faults", number({ least: 0 }), Date.now() % 1e6)
  .option("--logs <folder>", "keep what the processes wrote there");
const read = readCommand(program, process.argv, () => program.opts<Options>());
if ("exit" in read) process.exit(read.exit);
const { seed, minutes, streams, everyS, logs } = read.given;
const directory = placeFor("endure", logs);
console.log(`endure: seed ${seed}, ${minutes} min, ${streams} streams, a fault every ${everyS} s\n`);
const violations = await endure({ seed, ms: minutes * 60_000, everyMs: everyS * 1_000, streams, directory });
conclude(violations, `npm run endure -- --seed ${seed} --minutes ${minutes} --streams ${streams} --every-s ${everyS}`);
