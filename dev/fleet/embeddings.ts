// POST /v1/embeddings: a vector for each input, as numbers or as base64.
import { breakPlain, plain, refuse } from "./answer.ts";
import type { Exchange } from "./exchange.ts";
import { breakOf } from "./faults.ts";
import type { Parts } from "./parts.ts";
import { type InputPlan, parseBody, readInput } from "./plan.ts";
import { FILL, GROWS, pourWhole } from "./pour.ts";
import type { Vectors } from "./vectors.ts";

export async function embed(parts: Parts, exchange: Exchange, body: string): Promise<void> {
  const { response } = exchange;
  const parsed = parseBody(body);
  if ("refusal" in parsed) return refuse(response, parsed.refusal);
  const plan = readInput(parsed.value, parts.settings);
  if ("refusal" in plan) return refuse(response, plan.refusal);

  if ((await parts.admit(exchange, 1)) === null) return;
  exchange.promptTokens = plan.promptTokens;
  const startedAt = performance.now();
  const slow = (exchange.faults().slow_ms_per_token ?? 0) * plan.promptTokens;
  await exchange.until(startedAt + plan.inputs.length * parts.settings.embedMsPerInput + slow);
  exchange.promptMs = performance.now() - startedAt;

  // An embedding has no tokens of its own, so only what breaks after none of them breaks it.
  let fault = breakOf(exchange.faults());
  while (fault?.kind === "hang" && fault.tokens === 0 && !exchange.gone) {
    await exchange.pause();
    fault = breakOf(exchange.faults());
  }
  if (exchange.gone) return;
  const { answer_bytes: bytes } = exchange.faults();
  const answer = embeddingAnswer(plan, parts, bytes === undefined ? "" : GROWS);
  if (fault !== null && fault.tokens === 0 && fault.kind !== "hang") {
    exchange.settle("failed");
    return breakPlain(response, fault.kind, answer);
  }
  if (bytes !== undefined) return pourWhole(exchange, answer, plan.base64 ? FILL.base64 : FILL.floats, bytes);
  exchange.settle("complete");
  plain(response, answer);
}

/** @param mark stands at the end of the first vector. */
function embeddingAnswer(
  plan: InputPlan,
  { settings, vectors }: { readonly settings: { readonly model: string }; readonly vectors: Vectors },
  mark: string,
): string {
  const data = plan.inputs.map((text, index) => {
    const grows = index === 0 ? mark : "";
    return plan.base64
      ? `{"embedding":"${vectors.base64(text)}${grows}","index":${index},"object":"embedding","encoding_format":"base64"}`
      : `{"embedding":[${vectors.json(text)}${grows}],"index":${index},"object":"embedding"}`;
  });
  const usage = JSON.stringify({ prompt_tokens: plan.promptTokens, total_tokens: plan.promptTokens });
  const model = JSON.stringify(plan.model ?? settings.model);
  return `{"model":${model},"object":"list","usage":${usage},"data":[${data.join(",")}]}`;
}
