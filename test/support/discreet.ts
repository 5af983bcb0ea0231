// What no log may hold, looked for in everything that edge and connectors have written in a run.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** Keys (all of the demo keys begin so), tokens, and the members that prompts and answers are in. */
const SECRETS = /hc-sk-[\w-]{4,}|Bearer\s+\S|"(?:messages|prompt|content|input|choices|delta|text|embedding)"\s*:/;
/** A whole digest opens the purge, and names its key. */
const DIGEST = /\b[0-9a-f]{64}\b/;

/** The first lines that tell too much, shortened. @param only names of the logs that are looked at. */
export async function indiscretions(directory: string, only: RegExp): Promise<string[]> {
  const files = (await readdir(directory)).filter((file) => file.endsWith(".log") && only.test(file));
  const found: string[] = [];
  for (const file of files) {
    for (const line of (await readFile(join(directory, file), "utf8")).split("\n")) {
      const match = SECRETS.exec(line) ?? DIGEST.exec(line);
      if (match !== null && found.length < 5)
        found.push(`${file}: …${line.slice(Math.max(0, match.index - 80), match.index + 80)}…`);
    }
  }
  return found;
}
