// `npm run sim:limits`: what saturating clients get out of each tier, in virtual time.
import { Command, InvalidArgumentError } from "commander";
import { DEFAULT_TIERS } from "../../edge/gate/tiers.ts";
import { TIERS } from "../../shared/hop.ts";
import { clientsFor, type Outcome, simulate } from "./simulate.ts";

const options = new Command("sim:limits")
  .description("Clients that take all they can get, in virtual time, against the gate's own books.")
  .option("--minutes <n>", "of virtual time for each run", count, 60)
  .option("--seeds <n>", "runs of each kind", count, 4)
  .option("--first-seed <n>", "of these", count, 1)
  .parse()
  .opts<{ minutes: number; seeds: number; firstSeed: number }>();

function count(text: string): number {
  const value = Number(text);
  if (!(Number.isInteger(value) && value >= 1 && value <= 1e6)) throw new InvalidArgumentError("a whole number from 1");
  return value;
}

/** The daily budget is another matter: it would end these runs within a quarter of an hour. */
const NO_DAY = { tokensPerDay: 1e12 };

const percent = (part: number) => `${(100 * part).toFixed(2)} %`;
console.log(
  `${options.minutes} min, ${options.seeds} seeds from ${options.firstSeed}; the worst of the seeds\n\n` +
    "tier     runs out  hub lost  worst 60 s  tokens/promise  requests/promise  use        wrong  undue  admitted  denied   beyond",
);
let isKept = true;
for (const tier of TIERS) {
  for (const load of ["tokens", "requests"] as const) {
    for (const resetEveryMs of [null, 1_000]) {
      const runs = Array.from({ length: options.seeds }, (_, i) => {
        const limits = { ...DEFAULT_TIERS[tier], ...NO_DAY };
        const clients = clientsFor(limits, load);
        return simulate({
          limits,
          seed: options.firstSeed + i,
          ms: options.minutes * 60_000,
          clients,
          load,
          resetEveryMs,
        });
      });
      const most = (of: (run: Outcome) => number) => Math.max(...runs.map(of));
      const sum = (of: (run: Outcome) => number) => runs.reduce((total, run) => total + of(run), 0);
      const use = Math.min(...runs.map((run) => run.use));
      const [tokens, requests] = [most((run) => run.worstTokens), most((run) => run.worstRequests)];
      const [wrong, undue] = [sum((run) => run.wrong), sum((run) => run.undue)];
      isKept &&= tokens <= 1 && requests <= 1 && use >= 0.99 && wrong === 0 && undue === 0;
      console.log(
        [
          tier.padEnd(7),
          load.padEnd(8),
          (resetEveryMs === null ? "never" : "1/s").padEnd(8),
          `${most((run) => run.worstMinute).toFixed(3)} ×`.padEnd(10),
          tokens.toFixed(5).padEnd(14),
          requests.toFixed(5).padEnd(16),
          percent(use).padEnd(9),
          String(wrong).padEnd(5),
          String(undue).padEnd(5),
          String(sum((run) => run.admitted)).padEnd(8),
          String(sum((run) => run.denied)).padEnd(7),
          percent(most((run) => run.beyond)),
        ].join("  "),
      );
    }
  }
}
console.log(`\nthe promise, at least 99 % use and no wrong denial: ${isKept ? "kept" : "BROKEN"}`);
if (!isKept) process.exitCode = 1;
