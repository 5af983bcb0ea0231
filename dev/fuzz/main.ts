// `npm run fuzz`: searches for minutes, not for milliseconds, where the property tests look. Both ends of the wire under random
// interleavings, stalls, cuts and resets, and under hostile bytes. A finding prints its seed and ends the search.
import { Command } from "commander";
import { dice } from "../../test/support/dice.ts";
import { HostileWorld } from "../../test/support/hostile.ts";
import { play, type Step, World } from "../../test/support/world.ts";
import { number, readCommand } from "../cli.ts";

const program = new Command("fuzz")
  .description("Fuzzes both ends of the wire.")
  .option("--minutes <minutes>", "how long to search", number({ least: 0.01, most: 600, whole: false }), 1)
  .option(
    "--seed <seed>",
    "where to begin, or the seed of a finding to replay",
    number({ least: 0 }),
    Date.now() % 1e9,
  );
const read = readCommand(program, process.argv, () => program.opts<{ minutes: number; seed: number }>());
if ("exit" in read) process.exit(read.exit);

/** One search, wholly told by its seed. */
function search(seed: number): { exchanges: number; resumed: number; hostile: number } {
  const chance = dice(seed);
  const nat = (below: number) => Math.floor(chance() * below);
  const world = new World(1 + nat(3));
  const steps = Array.from({ length: 50 + nat(400) }, (): Step => [nat(20), nat(50), nat(1_000_000)]);
  play(world, steps, nat(3) > 0);
  world.heal();
  const hostile = new HostileWorld();
  for (let i = 0; i < 200; i += 1) hostile.attack(nat);
  return { exchanges: world.clients.length, resumed: world.board.resumed, hostile: hostile.messages };
}

const { minutes, seed } = read.given;
const until = Date.now() + minutes * 60_000;
const sums = { searches: 0, exchanges: 0, resumed: 0, hostile: 0 };
console.log(`fuzzing for ${minutes} min from seed ${seed}`);
for (let at = seed; Date.now() < until; at += 1) {
  try {
    const { exchanges, resumed, hostile } = search(at);
    sums.searches += 1;
    sums.exchanges += exchanges;
    sums.resumed += resumed;
    sums.hostile += hostile;
  } catch (error) {
    console.error(`finding at seed ${at}; replay it with: npm run fuzz -- --minutes 0.01 --seed ${at}`);
    console.error(error);
    process.exit(1);
  }
}
console.log(
  `no finding in ${sums.searches} searches: ${sums.exchanges} exchanges, ${sums.resumed} resumed, ${sums.hostile} hostile messages`,
);
