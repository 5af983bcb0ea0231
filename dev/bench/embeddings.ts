// `npm run bench:embeddings`: one request with a large input, answered by one engine and by several of the same pace.
// Every answer is checked to its last vector.
import { Command } from "commander";
import { number } from "../cli.ts";
import type { Stack } from "../start/stack.ts";
import { KEY, onSite } from "./site.ts";

const MODEL = "heartcode-embed";
const LIMIT_MS = 120_000;

interface Options {
  readonly engines: number;
  readonly inputs: number;
  readonly costMs: number;
  readonly times: number;
}

const count = (least: number, most: number) => number({ least, most });
const { engines, inputs, costMs, times } = new Command("bench:embeddings")
  .description("One large embedding request through the product, on one engine and on several.")
  .option("--engines <n>", "of the second run", count(2, 64), 8)
  .option("--inputs <n>", "of each request", count(1, 2_048), 1_024)
  .option("--cost-ms <ms>", "that each input costs an engine", count(0, 1_000), 10)
  .option("--times <n>", "requests of each run, one after the other; the median counts", count(1, 20), 3)
  .parse()
  .opts<Options>();

const alone = await run(1);
const together = await run(engines);
console.log(`\n${inputs} inputs of ${costMs} ms each, median of ${times}`);
console.log(`  1 engine    ${seconds(alone)}`);
console.log(`  ${engines} engines   ${seconds(together)}`);
console.log(`  ${(alone / together).toFixed(2)} times as fast`);

/** @returns ms. */
async function run(fleet: number): Promise<number> {
  // No pool without an engine: the chat pools have one each, and nothing to do.
  const args = ["--chat", "0x2", "--embed", `0x${fleet}`, "--embed-ms-per-input", String(costMs)];
  return onSite({ fleet: args }, LIMIT_MS, async (site, signal) => {
    await ask(site, 8, signal);
    const taken: number[] = [];
    for (let i = 0; i < times; i += 1) {
      const begun = performance.now();
      await ask(site, inputs, signal);
      taken.push(performance.now() - begun);
      console.log(`${fleet} engine${fleet === 1 ? "" : "s"}: ${seconds(taken[i] ?? 0)}`);
    }
    return taken.toSorted((a, b) => a - b)[Math.floor(times / 2)] ?? 0;
  });
}

/** @throws Error if the answer is not what was asked for. */
async function ask({ url }: Stack, many: number, signal: AbortSignal): Promise<void> {
  const input = Array.from({ length: many }, (_, i) => `Sentence ${i} of a text that is looked up by its meaning.`);
  const response = await fetch(`${url}/v1/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${KEY}` },
    body: JSON.stringify({ model: MODEL, input, encoding_format: "base64" }),
    signal,
  });
  if (response.status !== 200) throw new Error(`status ${response.status}: ${await response.text()}`);
  const { data } = (await response.json()) as { data: { index: number }[] };
  const isWhole = data.length === many && data.every(({ index }, i) => index === i);
  if (!isWhole) throw new Error("vectors are missing or out of order");
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`;
}
