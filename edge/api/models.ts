// The models that a caller may name, in OpenAI's shape.
import { Failure } from "../../shared/errors.ts";
import { findModel, PUBLIC_MODELS, type PublicModel } from "../../shared/openai.ts";

export interface ModelObject {
  readonly id: string;
  readonly object: "model";
  readonly created: number;
  readonly owned_by: string;
}

/** 2026-01-01: the public names do not change when the model behind them does. */
const CREATED = 1_767_225_600;

export function listModels(ageVerified: boolean): { object: "list"; data: ModelObject[] } {
  return { object: "list", data: PUBLIC_MODELS.filter((model) => isVisible(model, ageVerified)).map(describe) };
}

/** @throws Failure model_not_found */
export function oneModel(id: string, ageVerified: boolean, internalToo: boolean): ModelObject {
  const model = findModel(id, internalToo);
  if (model === undefined || !isVisible(model, ageVerified)) throw new Failure("model_not_found", { param: "model" });
  return describe(model);
}

function isVisible(model: PublicModel, ageVerified: boolean): boolean {
  return ageVerified || !model.ageRestricted;
}

function describe({ id }: PublicModel): ModelObject {
  return { id, object: "model", created: CREATED, owned_by: "heartcode" };
}
