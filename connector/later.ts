// What a reload cannot do. Pure.
import type { Config } from "./config.ts";

/** @returns what of a new configuration takes effect at the next start only. */
export function laterOf(old: Config, config: Config): string[] {
  const isOther = (one: unknown, other: unknown) => JSON.stringify(one ?? null) !== JSON.stringify(other ?? null);
  return [
    ...(isOther(config.edge.url, old.edge.url) ? ["edge.url"] : []),
    ...(isOther(config.edge.id, old.edge.id) ? ["edge.id"] : []),
    ...(isOther(config.tracing, old.tracing) ? ["tracing"] : []),
    ...(isOther(config.metrics, old.metrics) ? ["metrics"] : []),
  ];
}
