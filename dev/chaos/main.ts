// Chaos: all of the real processes under load, with a schedule of faults that follows from a seed, and the invariants checked
// at the end. On loopback, bounded in time; leaves nothing behind.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { runChaos } from "./run.ts";
import { FAULT_KINDS, type FaultKind } from "./schedule.ts";

interface Options {
  readonly seed: number;
  readonly minutes: number;
  readonly clients: number;
  readonly only: readonly FaultKind[];
  readonly logs?: string;
}

const options = new Command("chaos")
  .description(
    "Breaks every part of the product under load, and checks that no answer and no charge is lost or doubled.",
  )
  .option("--seed <n>", "the same seed gives the same load and the same faults", whole, Date.now() % 1_000_000)
  .option("--minutes <n>", "of load and faults", minutes, 1)
  .option("--clients <n>", "requests at once", whole, 30)
  .option("--only <kinds>", `faults, comma separated: ${FAULT_KINDS.join(", ")}`, kinds, FAULT_KINDS)
  .option("--logs <folder>", "keep what the processes wrote there")
  .parse()
  .opts<Options>();

const directory = options.logs ?? mkdtempSync(join(tmpdir(), "heartcode-chaos-"));
if (options.logs === undefined) process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));
const { seed, clients, only } = options;
console.log(`chaos: seed ${seed}, ${options.minutes} min, ${clients} clients\n`);
const violations = await runChaos({ seed, ms: options.minutes * 60_000, clients, kinds: only, directory });
if (violations.length > 0) {
  console.error(
    `\n${violations.length} violations; again with: npm run chaos -- --seed ${seed} --minutes ${options.minutes}`,
  );
  for (const violation of violations.slice(0, 40)) console.error(`- ${violation}`);
  process.exit(1);
}
console.log("\nno violation");
process.exit(0);

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError("a whole number");
  return value;
}

function minutes(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 60)) throw new InvalidArgumentError("more than 0, at most 60");
  return value;
}

function kinds(text: string): FaultKind[] {
  return text.split(",").map((name) => {
    const kind = FAULT_KINDS.find((known) => known === name.trim());
    if (kind === undefined) throw new InvalidArgumentError(`${name} is not one of ${FAULT_KINDS.join(", ")}`);
    return kind;
  });
}
