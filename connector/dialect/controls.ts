// Members of a request that steer the engine and not the answer. They are taken out on the way in: engines read far more
// than OpenAI's schema, and some of it spends more than was reserved, reaches into other tenants, or reaches out.
// Sampling (`top_k`, `min_p`, `grammar`, `seed`, …) is the client's own business and is not here.

/** Why a member does not reach an engine, by name. Exact and top level. */
export const ENGINE_CONTROLS: Readonly<Record<string, string>> = {
  // Spends more than was reserved. The edge counts `max_tokens`, `max_completion_tokens` and `n`, nothing else.
  n_predict: "llama.cpp: wins over max_tokens and max_completion_tokens",
  n_cmpl: "llama.cpp: wins over n",
  best_of: "vLLM: generates more completions than it returns",
  use_beam_search: "vLLM: a search as wide as it is told",
  ignore_eos: "both: never ends before the limit",
  n_probs: "llama.cpp: logprobs for any number of tokens",
  prompt_logprobs: "vLLM: logprobs for the whole prompt, past the prefix cache",

  // Chooses slots, caches and places in the queue: these belong to all tenants together.
  id_slot: "llama.cpp: waits for one slot, and sees whose prompt it holds by the time it takes",
  slot_id: "llama.cpp: older name of id_slot",
  cache_prompt: "llama.cpp: throws the prefix cache away",
  n_cache_reuse: "llama.cpp: moves cached chunks",
  n_keep: "llama.cpp: what stays when the context is shifted",
  n_discard: "llama.cpp: what goes when the context is shifted",
  priority: "vLLM: jumps the queue",
  request_id: "vLLM: two of the same id collide",
  session_id: "vLLM: an identity across requests",
  lora: "llama.cpp: another model than the one that was asked for",
  backend_sampling: "llama.cpp: where sampling runs",

  // Reaches out, loads or runs what a client sends.
  kv_transfer_params: "vLLM: host and port to fetch a cache from",
  ec_transfer_params: "vLLM: the same for encoder caches",
  vllm_xargs: "vLLM: arguments of extensions, kv_transfer_params among them",
  logits_processors: "vLLM: Python by its name",
  prompt_embeds: "vLLM: tensors to be unpacked",
  chat_template: "vLLM: a Jinja program",
  mm_processor_kwargs: "vLLM: arguments of the media processor",
  media_io_kwargs: "vLLM: arguments of the media loader",
  guided_decoding_backend: "vLLM: which grammar engine is loaded",
  chat_format: "llama.cpp: how the answer is parsed, set by the engine itself",
  chat_parser: "llama.cpp: a serialised parser",
  grammar_lazy: "llama.cpp: set by the engine itself for tools",
  grammar_triggers: "llama.cpp: set by the engine itself for tools",
  grammar_type: "llama.cpp: set by the engine itself for tools",
  preserved_tokens: "llama.cpp: set by the engine itself for tools",

  // Changes the shape of the answer, so that usage cannot be read or events not be counted; or shows the engine's insides.
  response_fields: "llama.cpp: leaves members out, usage among them",
  return_progress: "llama.cpp: events that are no part of a completion",
  sse_ping_interval: "llama.cpp: keep-alives are the connector's",
  stream_interval: "vLLM: many tokens in one event",
  verbose: "llama.cpp: the prompt as templated, the settings, the model's file",
  return_prompt_text: "vLLM: the prompt as templated",
};

/** `speculative.n_max`, `speculative.type` and the rest of llama.cpp's speculative decoding. */
export const ENGINE_CONTROL_PREFIX = "speculative.";

export function isEngineControl(key: string): boolean {
  return Object.hasOwn(ENGINE_CONTROLS, key) || key.startsWith(ENGINE_CONTROL_PREFIX);
}

/** In `chat_template_kwargs`: arguments of vLLM's template call itself and not of the template. */
export const TEMPLATE_CONTROLS: readonly string[] = ["chat_template", "tokenize"];
