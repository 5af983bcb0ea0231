// What a configuration may say and hardly means: worth a word, and no error. No I/O.
import { findModel, INTERNAL_MODELS } from "../shared/openai.ts";
import type { Config, LoadedConfig } from "./config.ts";
import { nearestOf } from "./nearest.ts";

/** Pools that the edge, as this version knows it, never asks for. A newer one may have more models. */
export function strayPools({ pools }: Pick<Config, "pools">): { readonly model: string; readonly doubt: string }[] {
  const strays = pools.filter(({ model }) => !INTERNAL_MODELS.includes(model));
  return strays.map(({ model }) => ({ model, doubt: `no model of the edge leads to the pool ${model}${hint(model)}` }));
}

/** Variables that are not set, so that their defaults count, while the environment has nearly the same name. @param names of it. */
export function misnamed({ variables }: Pick<LoadedConfig, "variables">, names: readonly string[]): string[] {
  const others = names.filter((name) => !variables.has(name));
  return [...variables].flatMap(([name, isSet]) => {
    const near = isSet ? null : nearestOf(name, others);
    return near === null ? [] : [`the variable ${name} is not set, but ${near} is`];
  });
}

function hint(model: string): string {
  const meant = findModel(model, false)?.internal;
  if (meant !== undefined) return `: clients say ${model}, its pool is ${meant}`;
  const near = nearestOf(model, INTERNAL_MODELS);
  return near === null ? "" : `; is ${near} meant?`;
}
