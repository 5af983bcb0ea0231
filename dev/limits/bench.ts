// The command line of `npm run bench:limits`.
import { Command } from "commander";
import { number } from "../cli.ts";
import { Crew } from "../crew.ts";
import { complaints, type Row, runLive } from "./live.ts";

const options = new Command("bench:limits")
  .description("Clients that take all they can get of each tier's limits, in real time, against the whole product.")
  .option("--seconds <n>", "of each run", number({ least: 2, most: 3_600 }), 60)
  .option(
    "--clients <list>",
    "of each key, comma separated",
    (text) => text.split(",").map(number({ least: 1 })),
    [1, 4],
  )
  .option("--reset-every-ms <n>", "how often the hub is lost in the second run", number({ least: 200 }), 1_000)
  .parse()
  .opts<{ seconds: number; clients: number[]; resetEveryMs: number }>();

const crew = new Crew();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

console.log(
  `${options.seconds} s of real time a run; admissions and settlements at the times of the hub's own journal, denials between\n` +
    "question and answer. Tokens: what was used, as a part of capacity + rate · T. Requests: in whole ones, of\n" +
    "floor(capacity + rate · T). T: from the first admission to the last one, or the last request.\n",
);
console.log(
  "tier     runs out  clients  hub lost  tokens/promise  requests/promise  worst 60 s  use       whole      wrong  undue  wait off  denied",
);
let isKept = true;
for (const resetEveryMs of [null, options.resetEveryMs]) {
  const { rows, resets } = await runLive(crew, {
    ms: options.seconds * 1_000,
    resetEveryMs,
    clients: options.clients,
  });
  for (const row of rows) {
    console.log(lineOf(row, resets));
    const said = complaints(row);
    isKept &&= said.length === 0;
    if (said.length > 0) console.log(`  BROKEN: ${said.join("; ")}`);
    if (row.verdict.denied === 0) console.log("  not saturated: nobody was denied, and its use says nothing");
    const others = [...row.saturated.others].map(([what, times]) => `${times} × ${what}`);
    if (others.length > 0) console.log(`  beside: ${others.join(", ")}`);
  }
}
console.log(
  `\nthe promise, at least 99 % use, no wrong denial and exact times to come back: ${isKept ? "kept" : "BROKEN"}`,
);
process.exit(isKept ? 0 : 1);

function lineOf({ tier, load, clients, verdict }: Row, resets: number): string {
  const { worstTokens, worstRequests, worstMinute, use, admitted, possible, wrong, undue, inexactMs, denied } = verdict;
  return [
    tier.padEnd(7),
    load.padEnd(8),
    String(clients).padEnd(7),
    `${resets} ×`.padEnd(8),
    worstTokens.toFixed(5).padEnd(14),
    worstRequests.toFixed(5).padEnd(16),
    `${worstMinute[load].toFixed(3)} ×`.padEnd(10),
    `${(100 * use[load]).toFixed(2)} %`.padEnd(8),
    (load === "requests" ? `${admitted}/${possible}` : `${admitted}`).padEnd(9),
    String(wrong).padEnd(5),
    String(undue).padEnd(5),
    `${inexactMs} ms`.padEnd(8),
    String(denied),
  ].join("  ");
}
