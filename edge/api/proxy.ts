// One request to an engine, from the Worker's side: intake, one call to the hub, and the answer out.
import { errorEvent, Failure, type PublicFailure } from "../../shared/errors.ts";
import { pickHeaders, REQUEST_HEADERS } from "../../shared/headers.ts";
import {
  AGAIN_HEADER,
  BODY_HEADER,
  type Credentials,
  EXCHANGE_HEADER,
  type ExchangeRequest,
  HEADER_BODY_BYTES,
  HOP_PREFIX,
  type ResumeRequest,
  readFailure,
  readServed,
  readWhole,
  type Served,
} from "../../shared/hop.ts";
import { type Endpoint, findModel } from "../../shared/openai.ts";
import type { Env } from "../env.ts";
import type { Settings } from "../settings.ts";
import { hubOf, shardOf } from "./hubs.ts";
import { readIntake } from "./intake.ts";

/** The lowest status of the error table. */
const LEAST_FAILURE = 400;
/** Of the headers that tell a caller how it stands. */
const STANDING_PREFIX = "x-ratelimit-";
/** Pauses between the calls to a hub that is lost, before it answers or behind it: about 10 s in all. ms. */
const PAUSES_MS = [0, 100, 200, 400, 800, 1_600, 3_200, 3_700];
/** More often than a hub opens an exchange before it is lost: the attempts of the next one must have higher numbers. */
const ATTEMPTS_OF_A_HUB = 50;

/** What another room gives: the stream that outlives its hub, a plain one with its first bytes or not at all. */
export type Resumable = (options: {
  first: ReadableStream<Uint8Array>;
  reopen: (offset: number) => Promise<ReadableStream<Uint8Array>>;
  interrupted: Uint8Array | null;
}) => Promise<ReadableStream<Uint8Array>>;

export interface Asked {
  readonly id: string;
  readonly request: Request;
  readonly endpoint: Endpoint;
  readonly credentials: Credentials;
  readonly settings: Settings;
  readonly env: Env;
}

/** What a hub said instead of an answer. It has written its line about it. */
export class HubFailure extends Failure {
  constructor(failure: PublicFailure) {
    super(failure.code, failure);
  }
}

/** @throws Failure */
export async function proxy(asked: Asked, resumable: Resumable): Promise<Response> {
  const { id, request, endpoint, credentials, settings, env } = asked;
  const { bytes, facts } = await readIntake(request, endpoint);
  const model = findModel(facts.model, settings.authMode === "master-key");
  if (model === undefined) throw new Failure("model_not_found", { param: "model" });
  if (model.kind !== endpoint.kind) {
    throw new Failure("invalid_request", {
      param: "model",
      message: `The model \`${model.id}\` is not served at ${endpoint.path}.`,
    });
  }
  const exchange: ExchangeRequest = {
    id,
    credentials,
    method: endpoint.method,
    path: endpoint.path,
    target: model.internal,
    ageRestricted: model.ageRestricted,
    headers: pickHeaders(request.headers, REQUEST_HEADERS),
    dialect: { model: model.id, stream: facts.stream, usage: facts.usage },
    demand: {
      promptBytes: facts.promptBytes,
      generates: endpoint.kind === "chat",
      maxTokens: facts.maxTokens ?? null,
      choices: facts.n,
    },
  };
  const shard = shardOf(credentials, settings.shards);
  const { response, served } = await call(env, shard, exchange, bytes, request);
  const failure = response.status < LEAST_FAILURE ? null : readFailure(response.headers);
  if (failure !== null) throw new HubFailure(failure);
  if (served === null) return response;
  const again = (from: ResumeRequest) => reopen(env, shard, from, request.signal);
  try {
    return await answer(response, served, exchange, resumable, again);
  } catch (error) {
    if (request.signal.aborted) throw error;
    throw lostBeforeItBegan(error, response.headers);
  }
}

/** A hub's answer. `served` is null where all of it is here. */
interface Heard {
  readonly response: Response;
  readonly served: Served | null;
}

/** A small whole answer, all of which came with its head. */
function heardAtOnce({ status, headers }: Response): Heard | null {
  const whole = readWhole(headers);
  if (whole === null) return null;
  return {
    response: new Response(Uint8Array.fromBase64(whole.body), { status, headers: whole.headers }),
    served: null,
  };
}

/** Waits for all of a whole answer: a hub that is lost behind its head is then called again. @throws Error if it is lost */
async function heard(response: Response): Promise<Heard> {
  const { status, headers } = response;
  const served = readServed(response);
  if (served !== null || response.body === null) return { response, served };
  return { response: new Response(await response.arrayBuffer(), { status, headers }), served };
}

/**
 * Calls the hub. One that is lost before it answers is called again, and so is one that lost the connector together with what it
 * had of the body. A connector serves an id only once, and the gate counts it once.
 *
 * The client's signal is not passed on: the platform ends the call with the request that it belongs to, and to touch the signal
 * costs a small request a twentieth of its CPU (workerd 1.20261023: a wrapped object and five promises).
 */
async function call(
  env: Env,
  shard: number,
  exchange: ExchangeRequest,
  body: Uint8Array,
  client: Request,
): Promise<Heard> {
  const inHeader = body.byteLength <= HEADER_BODY_BYTES;
  const inBase64 = inHeader ? { [BODY_HEADER]: body.toBase64() } : {};
  let attempts = 0;
  let last: unknown;
  for (const pause of PAUSES_MS) {
    if (pause > 0) await sleep(pause);
    const asked = attempts === 0 ? exchange : { ...exchange, attempts };
    const headers = { [EXCHANGE_HEADER]: JSON.stringify(asked), ...inBase64 };
    const init = { method: "POST", headers, ...(inHeader ? {} : { body }) };
    try {
      const response = await hubOf(env, shard).fetch("http://hub/", init);
      const again = response.status < LEAST_FAILURE ? null : response.headers.get(AGAIN_HEADER);
      if (again === null) return heardAtOnce(response) ?? (await heard(response));
      attempts = Number(again);
    } catch (error) {
      if (client.signal.aborted) throw error;
      last = error;
      attempts += ATTEMPTS_OF_A_HUB;
    }
  }
  throw new Failure("model_unavailable", { detail: "the hub was lost again and again", cause: last });
}

async function answer(
  response: Response,
  served: Served,
  exchange: ExchangeRequest,
  resumable: Resumable,
  reopen: (from: ResumeRequest) => Promise<ReadableStream<Uint8Array>>,
): Promise<Response> {
  const { connector, instance, status } = served;
  const headers = new Headers(response.headers);
  // What a hub says to the Worker, of any version, is not the client's.
  for (const name of [...headers.keys()]) if (name.startsWith(HOP_PREFIX)) headers.delete(name);
  const isEvents = headers.get("content-type")?.startsWith("text/event-stream") === true;
  if (isEvents) {
    // `no-transform`: a compressed event stream stays in the encoder of whoever compresses it.
    headers.set("cache-control", "no-cache, no-transform");
    headers.set("x-accel-buffering", "no");
  }
  if (response.body === null) return new Response(null, { status, headers });
  const body = await resumable({
    first: response.body,
    reopen: (offset) =>
      reopen({ id: exchange.id, target: exchange.target, connector, instance, offset, head: false, stream: isEvents }),
    interrupted: isEvents ? new TextEncoder().encode(errorEvent({ code: "stream_interrupted" })) : null,
  });
  return new Response(body, { status, headers });
}

/** The hub has written its line where it is a {@link HubFailure}. @param head of the answer that was to be: it tells how the caller stands. */
function lostBeforeItBegan(error: unknown, head: Headers): Failure {
  if (!(error instanceof HubFailure))
    return new Failure("upstream_error", { detail: "lost again and again", cause: error });
  const standing = [...head].filter(([name]) => name.startsWith(STANDING_PREFIX));
  return new HubFailure({ ...error.public, headers: standing });
}

/** @throws HubFailure, or another error where no hub is heard any more. */
async function reopen(
  env: Env,
  shard: number,
  from: ResumeRequest,
  signal: AbortSignal,
): Promise<ReadableStream<Uint8Array>> {
  let last: unknown;
  for (const pause of PAUSES_MS) {
    if (pause > 0) await sleep(pause);
    signal.throwIfAborted();
    let response: Response;
    try {
      response = await hubOf(env, shard).fetch("http://hub/", {
        method: "POST",
        body: JSON.stringify(from),
        signal,
      });
    } catch (error) {
      // The hub is still on its way back.
      last = error;
      continue;
    }
    const failure = readFailure(response.headers);
    if (failure !== null) throw new HubFailure(failure);
    if (response.body !== null) return response.body;
  }
  throw new Error("the hub was lost again and again", { cause: last });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
