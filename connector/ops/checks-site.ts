// What doctor looks at on the site's own side: the backend that knows the keys, and each engine of each pool.
import { randomBytes } from "node:crypto";
import { request as requestPlain } from "node:http";
import { request as requestSecure } from "node:https";
import { z } from "zod";
import type { PoolKind } from "../../shared/openai.ts";
import type { Config } from "../config.ts";
import type { Check, Finding } from "./checks.ts";
import { span } from "./columns.ts";
import { remedy } from "./remedies.ts";

const HEALTH_MS = 5_000;
/** One token, or one vector. Longer than this an engine is busy, or too slow to be of use. */
const ANSWER_MS = 20_000;

/** The backend, as connector/upstream asks it. */
export interface BackendHands {
  health(): Promise<{ readonly status: number | null; readonly error: string | null }>;
  lookup(
    key: string,
  ): Promise<{ readonly status: number | null; readonly body: string; readonly error: string | null }>;
}

export function backendChecks(config: Config["backend"], hands: BackendHands | null): Check[] {
  if (config === undefined || hands === null) return [];
  return [
    { name: "backend: health", needs: ["config"], run: () => askBackend(config, hands) },
    { name: "backend: lookup", needs: ["backend: health"], run: () => lookUpNobody(config, hands) },
  ];
}

export function upstreamChecks(pools: Config["pools"], wantsAnswers: boolean): Check[] {
  return pools.flatMap(({ model, kind, upstreams }) =>
    upstreams.flatMap((url): Check[] => {
      const health = { name: `${model} ${url}: health`, needs: ["config"], run: () => askHealth(url) };
      const answer = { name: `${model} ${url}: answer`, needs: [health.name], run: () => askModel(url, model, kind) };
      return wantsAnswers ? [health, answer] : [health];
    }),
  );
}

async function askBackend({ url, healthPath }: NonNullable<Config["backend"]>, hands: BackendHands): Promise<Finding> {
  const { status, error } = await hands.health();
  const what = `GET ${url.replace(/\/$/, "")}${healthPath}`;
  if (status === null || error !== null) {
    return {
      verdict: "FAIL",
      detail: `${what}: ${error ?? "no answer"}`,
      remedy: remedy("backendDown"),
    };
  }
  if (status >= 200 && status < 300) return { verdict: "PASS", detail: `${what} answers ${status}` };
  return {
    verdict: status === 404 ? "WARN" : "FAIL",
    detail: `${what} answers ${status}`,
    remedy: remedy(status === 404 ? "backendHealth" : "backendLog"),
  };
}

/** A key that cannot exist: the answer must be that it does not. */
async function lookUpNobody({ verifyPath }: NonNullable<Config["backend"]>, hands: BackendHands): Promise<Finding> {
  const { status, body, error } = await hands.lookup(`hc-sk-doctor-${randomBytes(12).toString("hex")}`);
  if (status === null) return { verdict: "FAIL", detail: error ?? "no answer", remedy: remedy("backendLog") };
  const said = `a made-up key is answered ${status}`;
  const valid = z.looseObject({ valid: z.boolean() }).safeParse(readJson(body)).data?.valid;
  if (status === 200 && valid === false) return { verdict: "PASS", detail: `${said}, valid: false` };
  if (status === 200 && valid === true) {
    return {
      verdict: "FAIL",
      detail: `${said}, valid: true`,
      remedy: remedy("backendAnyKey"),
    };
  }
  if (status === 404) {
    // The contract lets 404 mean "no such key", but a wrong path looks the same.
    const detail = `${said}: ${body.slice(0, 100)}`;
    if (/valid|key/i.test(body)) return { verdict: "PASS", detail };
    return { verdict: "WARN", detail, remedy: remedy("backendPath", { path: verifyPath }) };
  }
  if (status === 401) {
    return { verdict: "WARN", detail: said, remedy: remedy("backendHeaders") };
  }
  return { verdict: "FAIL", detail: `${said}: ${body.slice(0, 100)}`, remedy: remedy("backendContract") };
}

async function askHealth(url: string): Promise<Finding> {
  const answer = await ask(`${url}/health`, null, HEALTH_MS);
  if (typeof answer === "string") {
    return { verdict: "FAIL", detail: `GET /health: ${answer}`, remedy: remedy("engineDown") };
  }
  const { status } = answer;
  if (status >= 200 && status < 300) return { verdict: "PASS", detail: `GET /health answers ${status}` };
  if (status === 503)
    return { verdict: "FAIL", detail: "GET /health answers 503: loading", remedy: remedy("engineLoads") };
  return { verdict: "FAIL", detail: `GET /health answers ${status}`, remedy: remedy("engineElse") };
}

/** The proof: one token, or one vector, under the name that the connector sends. */
async function askModel(url: string, model: string, kind: PoolKind): Promise<Finding> {
  const names = await modelsOf(url);
  const listed = names.length === 0 ? "" : `; it lists ${names.slice(0, 3).join(", ")}`;
  const [path, body] =
    kind === "chat"
      ? ["/v1/chat/completions", { model, messages: [{ role: "user", content: "ping" }], max_tokens: 1 }]
      : ["/v1/embeddings", { model, input: "ping" }];
  const answer = await ask(`${url}${path}`, body, ANSWER_MS);
  if (typeof answer === "string") {
    return { verdict: "WARN", detail: `POST ${path}: ${answer}`, remedy: remedy("engineBusy") };
  }
  const { status, text } = answer;
  if (status !== 200) {
    return {
      verdict: "FAIL",
      detail: `POST ${path} answers ${status}: ${text.slice(0, 120)}${listed}`,
      remedy: names.includes(model) ? remedy("engineKind", { kind }) : remedy("engineName", { model }),
    };
  }
  const Chat = z.looseObject({ choices: z.array(z.unknown()).min(1) });
  const Embedding = z.looseObject({ data: z.array(z.looseObject({ embedding: z.unknown() })).min(1) });
  const isRight = (kind === "chat" ? Chat : Embedding).safeParse(readJson(text)).success;
  if (!isRight) {
    const detail = `POST ${path} answers 200, but not in OpenAI's shape: ${text.slice(0, 120)}`;
    return { verdict: "FAIL", detail, remedy: remedy("engineShape") };
  }
  const detail = `${kind === "chat" ? "one token" : "one vector"}${listed}`;
  // llama.cpp answers under any name: only its list tells that it serves another model.
  if (names.length === 0 || names.includes(model)) return { verdict: "PASS", detail };
  return { verdict: "WARN", detail: `${detail}, not ${model}`, remedy: remedy("engineName", { model }) };
}

async function modelsOf(url: string): Promise<string[]> {
  const answer = await ask(`${url}/v1/models`, null, HEALTH_MS);
  if (typeof answer === "string" || answer.status !== 200) return [];
  const List = z.looseObject({ data: z.array(z.looseObject({ id: z.string() })) });
  return (List.safeParse(readJson(answer.text)).data?.data ?? []).map(({ id }) => id);
}

/**
 * Not by fetch, which refuses some ports that engines may well have.
 * @returns why there was no answer, or the answer.
 */
function ask(url: string, body: object | null, ms: number): Promise<{ status: number; text: string } | string> {
  return new Promise((resolve) => {
    const send = url.startsWith("https:") ? requestSecure : requestPlain;
    const post = { method: "POST", headers: { "content-type": "application/json" } };
    const signal = AbortSignal.timeout(ms);
    const request = send(url, { ...(body === null ? {} : post), agent: false, signal }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      response.on("error", failed);
    });
    const failed = (error: Error): void =>
      resolve(signal.aborted ? `no answer within ${span(ms)}` : "code" in error ? String(error.code) : error.message);
    request.on("error", failed);
    request.end(body === null ? undefined : JSON.stringify(body));
  });
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
