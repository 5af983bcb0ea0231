// What the local edge takes over from wrangler.toml, so that there is one place for it.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

export interface WorkerCompatibility {
  readonly compatibilityDate: string;
  readonly compatibilityFlags: readonly string[];
}

export function readCompatibility(): WorkerCompatibility {
  const file = resolve(import.meta.dirname, "../../wrangler.toml");
  const text = readFileSync(file, "utf8");
  const date = /^compatibility_date *= *"([^"]+)"/m.exec(text)?.[1];
  const flags = /^compatibility_flags *= *\[([^\]]*)\]/m.exec(text)?.[1] ?? "";
  if (date === undefined) throw new Error("wrangler.toml has no compatibility_date");
  return { compatibilityDate: date, compatibilityFlags: [...flags.matchAll(/"([^"]+)"/g)].map((match) => match[1]!) };
}
