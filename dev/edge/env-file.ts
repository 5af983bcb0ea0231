// A file of variables, as `--env-file` takes it: what it sets, and which of its names are probably slips.
import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { nearestOf } from "../../connector/nearest.ts";

/** Names that nobody else would give. Others in a file may be for another program, which reads it too. */
const OURS = /^(EDGE|HEARTCODE|HUB|CONNECTOR)_/;
/** Of the connector, which may share the file. */
const OF_THE_CONNECTOR = ["HEARTCODE_BACKEND_TOKEN"];

/** @throws Error in one line. */
export function readEnvFile(file: string): Readonly<Record<string, string>> {
  try {
    return parseEnv(readFileSync(file, "utf8")) as Record<string, string>;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Error(`--env-file ${file} ${code === "ENOENT" ? "is not there" : `cannot be read: ${code}`}`);
  }
}

/** A line for each name that nobody will read, though it looks as if it were meant for the edge. */
export function slipsIn(names: readonly string[], known: readonly string[]): string[] {
  return names.flatMap((name) => {
    if (known.includes(name) || OF_THE_CONNECTOR.includes(name)) return [];
    const near = nearestOf(name, known);
    if (near === null && !OURS.test(name)) return [];
    return [`${name} is no setting of the edge${near === null ? "" : `; is ${near} meant?`}`];
  });
}
