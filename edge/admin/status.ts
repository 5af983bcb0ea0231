// What the edge knows of its connectors: for readiness, and for operators.
import type { HubStatus } from "../../shared/hop.ts";
import { PUBLIC_MODELS } from "../../shared/openai.ts";

export interface Readiness {
  readonly status: "ok" | "unavailable";
  /** By public name: can a request for it be answered now, whatever shard its key is on? */
  readonly models: Readonly<Record<string, boolean>>;
}

/** A key lives on one shard: a model is ready when every shard can reach a healthy upstream of its pool. */
export function readiness(hubs: readonly HubStatus[]): Readiness {
  const serves = (hub: HubStatus, pool: string) =>
    hub.links.some((link) => link.live && link.pools.some((row) => row.model === pool && row.healthy > 0));
  const models = Object.fromEntries(
    PUBLIC_MODELS.map((model) => [model.id, hubs.length > 0 && hubs.every((hub) => serves(hub, model.internal))]),
  );
  return { status: Object.values(models).every(Boolean) ? "ok" : "unavailable", models };
}
