// The public surface as tables: endpoints, models, and which requests the connector may send to an engine.

export type PoolKind = "chat" | "embedding";

export interface Endpoint {
  readonly method: "POST";
  /** The same at the edge and at the engine: llama.cpp, vLLM and TEI all serve OpenAI's paths. */
  readonly path: string;
  readonly kind: PoolKind;
  /** Where the prompt is: what must be there for the request to make sense. */
  readonly input: "messages" | "prompt" | "input";
  readonly streams: boolean;
}

/** Endpoints that reach an engine. A path that is not here reaches nothing. */
export const ENDPOINTS = [
  { method: "POST", path: "/v1/chat/completions", kind: "chat", input: "messages", streams: true },
  { method: "POST", path: "/v1/completions", kind: "chat", input: "prompt", streams: true },
  { method: "POST", path: "/v1/embeddings", kind: "embedding", input: "input", streams: false },
] as const satisfies readonly Endpoint[];

export function endpointOf(method: string, path: string): Endpoint | undefined {
  return ENDPOINTS.find((row) => row.path === path && row.method === method);
}

/** The target of an exchange that asks the backend and not an engine. */
export const BACKEND = "backend";
/** What the edge may ask the backend. The connector's config says where in the backend that is. */
export const VERIFY_KEY = { method: "POST", path: "/api-keys/verify" } as const;

export interface PublicModel {
  readonly id: string;
  /** The pool that serves it. */
  readonly internal: string;
  readonly kind: PoolKind;
  readonly ageRestricted: boolean;
}

export const PUBLIC_MODELS: readonly PublicModel[] = [
  { id: "heartcode-default", internal: "heartcode-chat-sfw", kind: "chat", ageRestricted: false },
  { id: "heartcode-sfw", internal: "heartcode-chat-sfw", kind: "chat", ageRestricted: false },
  { id: "heartcode-nsfw", internal: "heartcode-chat-nsfw", kind: "chat", ageRestricted: true },
  { id: "heartcode-embed", internal: "heartcode-embed", kind: "embedding", ageRestricted: false },
];

/** The pools that must be healthy for the edge to be ready. */
export const INTERNAL_MODELS: readonly string[] = [...new Set(PUBLIC_MODELS.map((model) => model.internal))];

/** @param internalToo in master-key mode a developer may name the pool itself. */
export function findModel(id: string, internalToo: boolean): PublicModel | undefined {
  const model = PUBLIC_MODELS.find((row) => row.id === id);
  if (model !== undefined || !internalToo) return model;
  const pool = PUBLIC_MODELS.find((row) => row.internal === id);
  return pool === undefined ? undefined : { ...pool, id };
}
