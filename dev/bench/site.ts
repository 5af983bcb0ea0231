// The whole product for a benchmark of its own: edge with a shared key, one connector, simulated engines; all of it is gone
// when the work is done, and when it takes too long.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Crew } from "../crew.ts";
import { type Stack, type StackOptions, startStack } from "../start/stack.ts";
import { pause } from "./pause.ts";

const READY_MS = 30_000;

export const KEY = "benchmark-key";

/** @param limitMs for the work; then it is told to stop and everything is torn down. */
export async function onSite<T>(
  options: Omit<StackOptions, "directory">,
  limitMs: number,
  work: (site: Stack, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const crew = new Crew();
  const directory = await mkdtemp(join(tmpdir(), "heartcode-bench-"));
  try {
    const edge = { AUTH_MODE: "master-key", MASTER_KEY: KEY, ...options.edge };
    const site = await startStack(crew, { ...options, edge, directory });
    await ready(site);
    return await work(site, AbortSignal.timeout(limitMs));
  } finally {
    await crew.dismiss();
    await rm(directory, { recursive: true, force: true });
  }
}

async function ready({ url }: Stack): Promise<void> {
  const signal = AbortSignal.timeout(READY_MS);
  while (!(await fetch(`${url}/health/ready`, { signal })).ok) await pause(50, signal);
}
