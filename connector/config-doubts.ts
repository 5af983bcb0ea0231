// What a configuration may say and hardly means: worth a word, and no error. No I/O.
import { findModel, INTERNAL_MODELS } from "../shared/openai.ts";
import type { Config } from "./config.ts";
import { nearestOf } from "./nearest.ts";

/** Pools that the edge, as this version knows it, never asks for. A newer one may have more models. */
export function strayPools({ pools }: Pick<Config, "pools">): { readonly model: string; readonly doubt: string }[] {
  const strays = pools.filter(({ model }) => !INTERNAL_MODELS.includes(model));
  return strays.map(({ model }) => ({ model, doubt: `no model of the edge leads to the pool ${model}${hint(model)}` }));
}

function hint(model: string): string {
  const meant = findModel(model, false)?.internal;
  if (meant !== undefined) return `: clients say ${model}, its pool is ${meant}`;
  const near = nearestOf(model, INTERNAL_MODELS);
  return near === null ? "" : `; is ${near} meant?`;
}
