// Tracing for who traces. OpenTelemetry is loaded only then: it would double the time and the memory of a start.
import type { TracingConfig } from "../config-tracing.ts";
import type { Tracing, TracingOptions } from "./tracing.ts";

type Rest = Omit<TracingOptions, "config" | "now" | "chance">;

export async function openTracing(config: TracingConfig | undefined, rest: Rest): Promise<Tracing | undefined> {
  if (config === undefined) return undefined;
  const { Tracing: Opened } = await import("./tracing.ts");
  return new Opened({ ...rest, config, now: Date.now, chance: Math.random });
}
