// What an engine tells of itself: health, models, slots, metrics.
import type { ServerResponse } from "node:http";
import { metricsText, plain } from "./answer.ts";
import type { Parts } from "./parts.ts";

export type Info = (parts: Parts, response: ServerResponse) => void;

export const health: Info = (_parts, response) => plain(response, JSON.stringify({ status: "ok" }));

export const models: Info = ({ settings: { model, kind, context, dimensions } }, response) => {
  const meta = {
    vocab_type: 1,
    n_vocab: 291,
    n_ctx: context,
    n_ctx_train: context,
    n_embd: kind === "embed" ? dimensions : 128,
    n_params: 402816,
    size: 1611264,
    ftype: "all F32",
  };
  const details = {
    parent_model: "",
    format: "gguf",
    family: "",
    families: [""],
    parameter_size: "",
    quantization_level: "",
  };
  plain(
    response,
    JSON.stringify({
      models: [
        {
          name: model,
          model,
          modified_at: "",
          size: "",
          digest: "",
          type: "model",
          description: "",
          tags: [""],
          capabilities: ["completion"],
          parameters: "",
          details,
        },
      ],
      object: "list",
      data: [
        {
          id: model,
          aliases: [model],
          tags: [],
          object: "model",
          architecture: { input_modalities: ["text"], output_modalities: ["text"] },
          created: Math.floor(Date.now() / 1000),
          owned_by: "llamacpp",
          meta,
        },
      ],
    }),
  );
};

export const slots: Info = ({ slots: all, settings: { context } }, response) => {
  const view = all.holders.map((seat, id) => {
    const idle = { id, n_ctx: context, speculative: false, is_processing: seat !== null };
    if (seat === null) return idle;
    const next = { has_next_token: true, has_new_line: false, n_remain: -1, n_decoded: seat.decoded };
    return { ...idle, id_task: seat.task, next_token: [next] };
  });
  plain(response, JSON.stringify(view));
};

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly kind: "counter" | "gauge";
  readonly value: (parts: Parts) => number;
}

const METRICS: readonly Metric[] = [
  {
    name: "prompt_tokens_total",
    help: "Number of prompt tokens processed, excluding cached tokens",
    kind: "counter",
    value: ({ account }) => account.promptTokens,
  },
  {
    name: "prompt_tokens_cached_total",
    help: "Number of prompt tokens reused from the cache",
    kind: "counter",
    value: () => 0,
  },
  {
    name: "prompt_seconds_total",
    help: "Total time spent processing prompts",
    kind: "counter",
    value: ({ account }) => account.promptMs / 1000,
  },
  {
    name: "tokens_predicted_total",
    help: "Number of generation tokens processed",
    kind: "counter",
    value: ({ account }) => account.completionTokens,
  },
  {
    name: "tokens_predicted_seconds_total",
    help: "Total time spent generating tokens",
    kind: "counter",
    value: ({ account }) => account.predictedMs / 1000,
  },
  {
    name: "n_decode_total",
    help: "Total number of llama_decode() calls, excluding speculative decoding and multimodal decoding",
    kind: "counter",
    value: ({ account }) => account.completionTokens,
  },
  {
    name: "n_tokens_max",
    help: "Largest observed sequence length (prompt + generation)",
    kind: "counter",
    value: ({ account }) => account.longest,
  },
  {
    name: "prompt_tokens_seconds",
    help: "Average prompt throughput in tokens/s",
    kind: "gauge",
    value: ({ account }) => rate(account.promptTokens, account.promptMs),
  },
  {
    name: "predicted_tokens_seconds",
    help: "Average generation throughput in tokens/s",
    kind: "gauge",
    value: ({ account }) => rate(account.completionTokens, account.predictedMs),
  },
  {
    name: "requests_processing",
    help: "Number of requests processing",
    kind: "gauge",
    value: ({ slots: all }) => all.busy,
  },
  {
    name: "requests_deferred",
    help: "Number of requests deferred",
    kind: "gauge",
    value: ({ slots: all }) => all.deferred,
  },
];

function rate(count: number, ms: number): number {
  return ms === 0 ? 0 : (count * 1000) / ms;
}

export const metrics: Info = (parts, response) => {
  const lines = METRICS.map(({ name, help, kind, value }) => {
    const full = `llamacpp:${name}`;
    return `# HELP ${full} ${help}\n# TYPE ${full} ${kind}\n${full} ${value(parts)}\n`;
  });
  metricsText(response, lines.join(""), Math.floor(performance.timeOrigin));
};
