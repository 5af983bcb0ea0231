// One minute of chaos: every kind of fault at least once, under load, and nothing lost, wrong, doubled or left behind.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { runChaos } from "../../dev/chaos/run.ts";
import { FAULT_KINDS } from "../../dev/chaos/schedule.ts";

const SEED = 11;
const MINUTE_MS = 60_000;

test("a minute of every fault under load violates nothing", async () => {
  const directory = await mkdtemp(join(tmpdir(), "heartcode-chaos-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const run = { seed: SEED, ms: MINUTE_MS, clients: 20, kinds: FAULT_KINDS, directory };
  expect(await runChaos(run), `again with: npm run chaos -- --seed ${SEED} --minutes 1 --clients 20`).toEqual([]);
}, 300_000);
