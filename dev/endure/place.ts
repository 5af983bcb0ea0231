// Where a run keeps its keys, state and logs, and how it ends: nothing is left behind unless it was asked for.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export function placeFor(name: string, logs: string | undefined): string {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));
  if (logs !== undefined) {
    mkdirSync(logs, { recursive: true });
    return logs;
  }
  const directory = mkdtempSync(join(tmpdir(), `heartcode-${name}-`));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const SHOWN = 40;

/** Ends the process: 0 only if nothing was violated. */
export function conclude(violations: readonly string[], again: string): never {
  if (violations.length === 0) {
    console.log("\nno violation");
    process.exit(0);
  }
  console.error(`\n${violations.length} violations; again with: ${again}`);
  for (const violation of violations.slice(0, SHOWN)) console.error(`- ${violation}`);
  process.exit(1);
}
