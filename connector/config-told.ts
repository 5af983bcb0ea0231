// What a configuration means, in words: for `validate`. No I/O.
import { findModel, INTERNAL_MODELS, PUBLIC_MODELS } from "../shared/openai.ts";
import type { Config } from "./config.ts";

/** @returns lines, or what is wrong with `model`. */
export function tellConfig(file: string, config: Config, model: string | undefined): string[] | string {
  return model === undefined ? whole(file, config) : route(config, model);
}

function whole(file: string, { edge, backend, pools, metrics }: Config): string[] {
  return [
    `${file}: valid`,
    `edge ${edge.url} as ${edge.id}`,
    `backend ${backend === undefined ? "none: the edge must run with AUTH_MODE=master-key" : backend.url}`,
    ...pools.map(
      ({ model, kind, slots, upstreams }) => `${model} (${kind}, ${slots} slots each): ${upstreams.join(" ")}`,
    ),
    `metrics ${metrics === undefined ? "none: connector status needs them" : `on ${metrics.host}:${metrics.port}`}`,
  ];
}

/** By the names that clients use, and by the pools' own. */
function route({ pools }: Config, name: string): string[] | string {
  const known = findModel(name, false);
  const internal = known?.internal ?? name;
  const pool = pools.find(({ model }) => model === internal);
  if (pool === undefined) {
    const names = PUBLIC_MODELS.filter((row) => pools.some((one) => one.model === row.internal)).map(({ id }) => id);
    const here = [...new Set([...names, ...pools.map(({ model }) => model)])].join(", ");
    return known === undefined
      ? `${name} is no model of the edge and no pool of this connector; here are ${here}`
      : `${name} is served by the pool ${internal}, which this connector does not have: the hub asks another one, or answers 503`;
  }
  const { kind, slots, queue, upstreams } = pool;
  return [
    `${name} → pool ${internal} (${kind})`,
    ...upstreams.map((url) => `  ${url}, ${slots} at once`),
    `${upstreams.length * slots} run at once, ${queue} more may wait`,
    ...(known?.ageRestricted === true ? ["for age-verified accounts only"] : []),
    ...(known === undefined && INTERNAL_MODELS.includes(internal)
      ? ["a pool's own name: clients may use it only with AUTH_MODE=master-key"]
      : []),
  ];
}
