// One simulated llama-server: a listener, its routes, and the rules that hold for every request before its handler.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { plain, refuse, reset } from "./answer.ts";
import { generate } from "./chat.ts";
import { embed } from "./embeddings.ts";
import { Exchange } from "./exchange.ts";
import { FaultBox, type Faults } from "./faults.ts";
import { health, type Info, metrics, models, slots } from "./info.ts";
import { Account, type Outcome } from "./ledger.ts";
import { parseBody, promptTokens } from "./plan.ts";
import * as refusals from "./refusals.ts";
import type { EngineKind, EngineSettings } from "./settings.ts";
import { type Simulated, serveSim } from "./sim.ts";
import { type Seat, Slots } from "./slots.ts";
import { Vectors } from "./vectors.ts";

const BODY_LIMIT_BYTES = 64 * 1024 * 1024;

type Work = (engine: Engine, exchange: Exchange, body: string) => Promise<void>;

interface WorkRoute {
  readonly kind: EngineKind;
  readonly work: Work;
}

const WORK: ReadonlyMap<string, WorkRoute> = new Map<string, WorkRoute>([
  [
    "POST /v1/chat/completions",
    { kind: "chat", work: (engine, exchange, body) => generate(engine, exchange, "chat", body) },
  ],
  [
    "POST /v1/completions",
    { kind: "chat", work: (engine, exchange, body) => generate(engine, exchange, "completions", body) },
  ],
  ["POST /v1/embeddings", { kind: "embed", work: embed }],
]);

const INFO: ReadonlyMap<string, Info> = new Map<string, Info>([
  ["GET /health", health],
  ["GET /v1/health", health],
  ["GET /v1/models", models],
  ["GET /models", models],
  ["GET /slots", slots],
  ["GET /metrics", metrics],
]);

const COUNT_TOKENS = "POST /v1/chat/completions/input_tokens";

/** What an engine is given by its fleet. */
export interface Surroundings {
  /** The engine on another port of the fleet. */
  readonly find: (port: number) => Simulated | undefined;
  /** Ends the process, as a crash would. */
  readonly exit: () => void;
}

export class Engine implements Simulated {
  readonly settings: EngineSettings;
  readonly slots: Slots;
  readonly faults = new FaultBox();
  readonly account = new Account();
  readonly vectors: Vectors;
  readonly #server: Server;
  readonly #around: Surroundings;
  readonly #running = new Set<Exchange>();
  readonly #seats = new WeakMap<Exchange, Seat>();
  readonly #loadedAt: number;
  #connections = 0;

  constructor(settings: EngineSettings, around: Surroundings) {
    this.settings = settings;
    this.#around = around;
    this.slots = new Slots(settings.slots);
    this.vectors = new Vectors(settings.dimensions);
    this.#loadedAt = performance.now() + settings.loadMs;
    this.#server = createServer({ keepAliveTimeout: 5_000, requestTimeout: 0 }, (request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        console.error(`fleet: ${request.method} ${request.url}:`, error);
        reset(response);
      });
    });
    this.#server.on("connection", (socket) => {
      if (this.faults.refuses()) {
        socket.destroy();
        return;
      }
      this.#connections += 1;
      socket.once("close", () => {
        this.#connections -= 1;
      });
    });
  }

  get port(): number {
    const address: AddressInfo | string | null = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : this.settings.port;
  }

  get connections(): number {
    return this.#connections;
  }

  get loading(): boolean {
    return this.faults.current.loading === true || performance.now() < this.#loadedAt;
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(this.settings.port, this.settings.host, resolve);
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  setFaults(faults: Faults): void {
    this.faults.set(faults);
    if (faults.exit === true) this.#around.exit();
    for (const exchange of this.#running) exchange.wake();
  }

  async admit(exchange: Exchange, need: number): Promise<Seat | null> {
    const seat = this.slots.enter(need, exchange.wake);
    this.#seats.set(exchange, seat);
    while (seat.slots.length === 0 && !exchange.gone) await exchange.pause();
    while (exchange.faults().hang_before_head === true && !exchange.gone) await exchange.pause();
    return exchange.gone ? null : seat;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "GET", url = "/" } = request;
    const body = await readBody(request);
    if (body === "gone") return;
    if (body === "too large") return refuse(response, refusals.TOO_LARGE);
    if (url.startsWith("/sim/")) {
      return serveSim(this, this.#around.find, { method, url, body: body.toString() }, response);
    }
    // A connection from before the fault is refused with its next request.
    if (this.faults.refuses()) return void request.socket.destroy();

    const path = url.split("?", 1)[0] ?? url;
    const route = `${method} ${path}`;
    const info = INFO.get(route);
    if (info !== undefined) this.account.probes += 1;
    else {
      const id = requestId(request);
      this.account.arrived({ method, path, headers: request.headers, body_bytes: body.length, id });
    }
    if (this.loading) return refuse(response, refusals.LOADING);
    if (info !== undefined) return info(this, response);
    if (route === COUNT_TOKENS) return countTokens(body.toString(), response);
    const work = WORK.get(route);
    if (work === undefined) return refuse(response, refusals.NOT_FOUND);
    await this.#work(work, request, response, body);
  }

  async #work(
    { kind, work }: WorkRoute,
    request: IncomingMessage,
    response: ServerResponse,
    body: Buffer,
  ): Promise<void> {
    const faults = this.faults.draw();
    const exchange = new Exchange(request, response, faults, this.#settled);
    this.#running.add(exchange);
    try {
      if (faults().reset_before_head === true) return reset(response);
      const status = faults().status;
      if (status !== undefined) return refuse(response, refusals.simulated(status));
      if (kind !== this.settings.kind) {
        return refuse(response, kind === "embed" ? refusals.NO_EMBEDDINGS : refusals.NO_COMPLETIONS);
      }
      await work(this, exchange, body.toString());
    } finally {
      exchange.settle(exchange.gone ? "cancelled" : "failed");
    }
  }

  readonly #settled = (exchange: Exchange, outcome: Outcome): void => {
    this.#running.delete(exchange);
    const seat = this.#seats.get(exchange);
    if (seat !== undefined) this.slots.leave(seat);
    this.account.promptMs += exchange.promptMs;
    this.account.predictedMs += exchange.predictedMs;
    this.account.settle({
      request_id: requestId(exchange.request),
      prompt_tokens: exchange.promptTokens,
      completion_tokens: exchange.completionTokens,
      outcome,
    });
  };
}

function requestId(request: IncomingMessage): string | null {
  const id = request.headers["x-request-id"];
  return typeof id === "string" ? id : null;
}

function countTokens(body: string, response: ServerResponse): void {
  const parsed = parseBody(body);
  const tokens = "refusal" in parsed ? null : promptTokens(parsed.value);
  if ("refusal" in parsed) refuse(response, parsed.refusal);
  else if (tokens === null) refuse(response, refusals.invalid("'messages' is required"));
  else plain(response, JSON.stringify({ input_tokens: tokens, object: "response.input_tokens" }));
}

type Body = Buffer | "gone" | "too large";

/** What is too large is read to its end and thrown away: a client that is still sending does not read a refusal. */
function readBody(request: IncomingMessage): Promise<Body> {
  return new Promise((resolve) => {
    let chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > BODY_LIMIT_BYTES) chunks = [];
      else chunks.push(chunk);
    });
    request.once("end", () => resolve(length > BODY_LIMIT_BYTES ? "too large" : Buffer.concat(chunks, length)));
    request.once("close", () => resolve("gone"));
  });
}
