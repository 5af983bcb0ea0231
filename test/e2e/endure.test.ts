// Streams without end under an uplink that breaks by turns in four ways: a short run of `npm run endure`.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { endure } from "../../dev/endure/streams.ts";

const SEED = 6;

test("forty streams at a time are whole and paid for once, whatever happens to the uplink", async () => {
  const directory = await mkdtemp(join(tmpdir(), "heartcode-endure-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const run = { seed: SEED, ms: 15_000, everyMs: 2_000, streams: 40, directory };
  const again = `npm run endure -- --seed ${SEED} --minutes 0.25 --streams 40 --every-s 2`;
  expect(await endure(run), `again with: ${again}`).toEqual([]);
}, 120_000);
