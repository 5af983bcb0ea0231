// The upstreams that serve one model, as one: who gets which slot when, what is sent again, and how the pool stands.
import { Failure } from "../../shared/errors.ts";
import { allowHeaders, ENGINE_HEADERS } from "../../shared/headers.ts";
import { endpointOf, type PoolKind } from "../../shared/openai.ts";
import type { PoolReport } from "../../shared/wire/messages.ts";
import type { PoolStatus } from "../status.ts";
import { Affinity, type PrefixOf } from "./affinity.ts";
import { Balancer } from "./balancer.ts";
import { RetryBudget } from "./budget.ts";
import { Line } from "./line.ts";
import type { AttemptTimeouts, Clock, Log, Running, Timeouts, UpstreamHandler, UpstreamRequest } from "./request.ts";
import { codeOf, type Loss, mayRetry } from "./retry.ts";
import { Run, type RunHost } from "./run.ts";
import { Origin } from "./send.ts";
import { Watch } from "./watch.ts";

export interface PoolConfig {
  readonly model: string;
  readonly kind: PoolKind;
  /** Origins. */
  readonly upstreams: readonly string[];
  /** Requests that one upstream runs at once. */
  readonly slots: number;
  /** Requests that may wait. */
  readonly queue: number;
  /** Prompts with the same beginning go to the same upstream while it has room. */
  readonly affinity: boolean;
}

export interface PoolDeps extends Clock {
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  readonly timeouts: Timeouts;
  /** The number of healthy upstreams has changed. */
  readonly onChange?: () => void;
  /** For affinity. */
  readonly prefixOf?: PrefixOf;
}

export class Pool {
  readonly config: PoolConfig;
  readonly #deps: PoolDeps;
  readonly #origins: readonly Origin[];
  readonly #watch: Watch;
  readonly #balancer: Balancer;
  /** Null leaves the choice to the load. */
  readonly #affinity: Affinity | null;
  readonly #budget = new RetryBudget();
  readonly #line: Line<Run>;
  readonly #host = this.#hostOfRuns();
  readonly #runs = new Set<Run>();
  readonly #onIdle: (() => void)[] = [];
  #retries = 0;
  #isClosed = false;

  constructor(config: PoolConfig, deps: PoolDeps) {
    this.config = config;
    this.#deps = deps;
    const { model, upstreams, slots, queue } = config;
    this.#balancer = new Balancer(upstreams.length, slots);
    const { prefixOf } = deps;
    this.#affinity = config.affinity && prefixOf !== undefined ? new Affinity(model, upstreams, prefixOf) : null;
    this.#line = new Line(queue, {
      now: () => this.#deps.now(),
      slots: () => this.#slots,
      hasRoom: () => this.#balancer.hasRoom(this.#watch.isUsable),
      hasPlace: (run) => this.#hasElsewhere(run),
      place: (run) => this.#place(run),
    });
    this.#origins = upstreams.map((url) => new Origin(url, deps.timeouts, deps));
    this.#watch = new Watch({
      model,
      upstreams,
      origins: this.#origins,
      clock: deps,
      random: deps.random,
      log: deps.log,
      onNews: () => this.#line.pumpSoon(),
      onChange: () => deps.onChange?.(),
    });
  }

  /** Begins to probe. Until the first answer every upstream may be used. */
  start(): void {
    this.#watch.start();
  }

  serve(given: UpstreamRequest, handler: UpstreamHandler): Running {
    const request = { ...given, headers: allowHeaders(given.headers, ENGINE_HEADERS) };
    const run = new Run(request, handler, this.#deps.timeouts.totalMs, this.#host);
    this.#runs.add(run);
    const failure = this.#admit(run);
    if (failure !== null) run.fail(failure);
    return run;
  }

  /** Upstreams that would take a request at once. */
  get idle(): number {
    return this.#line.waiting > 0 ? 0 : this.#balancer.free(this.#watch.isUsable);
  }

  report(): PoolReport {
    const { model, kind, upstreams } = this.config;
    return {
      model,
      kind,
      upstreams: upstreams.length,
      healthy: this.#watch.usable,
      slots: this.#slots,
      in_flight: this.#balancer.total,
      queued: this.#line.waiting,
    };
  }

  /** For people and metrics. */
  status(): PoolStatus {
    const { model, upstreams, slots } = this.config;
    return {
      model,
      queued: this.#line.waiting,
      retries: this.#retries,
      refused: this.#line.refused,
      ejections: this.#watch.ejections,
      upstreams: upstreams.map((url, index) => ({
        url,
        state: this.#watch.state(index),
        in_flight: this.#balancer.inFlight(index),
        slots,
      })),
    };
  }

  /** Takes nothing new; resolves when what it has is done. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#runs.size > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
    this.#watch.stop();
    await Promise.all(this.#origins.map((origin) => origin.destroy()));
  }

  /** Closes now: what still waits or runs fails. */
  async destroy(): Promise<void> {
    this.#isClosed = true;
    const failure = new Failure("model_unavailable", { detail: "the pool was closed" });
    for (const run of [...this.#runs]) {
      this.#line.forget(run);
      run.fail(failure);
    }
    await this.close();
  }

  /** llama.cpp sends the head of a plain answer when all of it is written, however long that is; embeddings are never long. */
  #timeoutsOf({ isPlain }: UpstreamRequest): AttemptTimeouts {
    const { timeouts } = this.#deps;
    return isPlain && this.config.kind === "chat" ? { ...timeouts, firstByteMs: timeouts.wholeMs } : timeouts;
  }

  get #slots(): number {
    return this.#watch.usable * this.config.slots;
  }

  /** Sends it, lets it wait, or says why neither. */
  #admit(run: Run): Failure | null {
    const { method, path } = run.request;
    if (endpointOf(method, path)?.kind !== this.config.kind) return new Failure("not_found");
    if (this.#isClosed || this.#watch.usable === 0) return new Failure("model_unavailable");
    return this.#line.admit(run);
  }

  /** Finds a free slot for it and sends it; false if there is none. */
  #place(run: Run): boolean {
    const index = this.#balancer.take({
      isUsable: this.#watch.isUsable,
      excluded: run.excluded,
      prefer: this.#affinity?.preferenceOf(run.request),
    });
    if (index === null) return false;
    if (run.attempt === 0) this.#budget.request(this.#deps.now());
    run.sendTo(index);
    return true;
  }

  #hasElsewhere(run: Run): boolean {
    return this.config.upstreams.some((_, index) => !run.excluded.has(index) && this.#watch.isUsable(index));
  }

  /** The failure to tell, or null: it is sent again. */
  #afterLoss(run: Run, index: number, loss: Loss, cause: Error | null): Failure | null {
    const { log } = this.#deps;
    const { model, upstreams } = this.config;
    const upstream = upstreams[index];
    this.#watch.blame(index, loss);
    const detail = `${upstream}: ${loss}${cause === null ? "" : ` (${cause.message})`}`;
    const failure = new Failure(codeOf(loss, this.#watch.usable === 0), { detail, cause });
    const charge = () => this.#budget.take(this.#deps.now());
    if (!this.#hasElsewhere(run) || !mayRetry(loss, run.lossesOf(loss), charge)) return failure;
    this.#retries += 1;
    log.info({ pool: model, upstream, attempt: run.attempt, detail }, "the request is sent again");
    this.#line.again(run, failure);
    return null;
  }

  /** The client is told little; here is the rest. Who is turned away for want of room is counted, not told one by one. */
  #log(failure: Failure): void {
    const { code, detail, cause } = failure;
    if (code === "upstream_error" || code === "upstream_timeout")
      this.#deps.log.warn({ pool: this.config.model, code, detail }, "a request has failed");
    if (code === "internal_error") this.#deps.log.error({ pool: this.config.model, err: cause }, detail ?? code);
  }

  #hostOfRuns(): RunHost {
    return {
      now: () => this.#deps.now(),
      setTimeout: (callback, ms) => this.#deps.setTimeout(callback, ms),
      clearTimeout: (timer) => this.#deps.clearTimeout(timer),
      nameOf: (index) => this.config.upstreams[index] ?? "",
      send: (index, request, handler) => {
        const origin = this.#origins[index];
        if (origin === undefined) throw new RangeError(`no upstream ${index}`);
        return origin.send(request, handler, this.#timeoutsOf(request));
      },
      released: (index, since, how) => {
        this.#line.freed(how === "lost" ? null : this.#deps.now() - since);
        const free = () => {
          this.#balancer.release(index);
          this.#line.pumpSoon();
        };
        // undici takes a connection back a turn after its answer. Before that the next request would open another,
        // and an engine would hold twice as many as it has slots.
        if (how === "kept") queueMicrotask(() => setImmediate(free));
        else free();
      },
      left: (run) => this.#line.forget(run),
      tooLate: (run) => this.#line.tooLate(run),
      succeeded: (index) => this.#watch.succeeded(index),
      lost: (run, index, loss, cause) => this.#afterLoss(run, index, loss, cause),
      broke: (index) => this.#watch.blame(index, "reset"),
      over: (run, failure) => {
        this.#runs.delete(run);
        if (failure !== null) this.#log(failure);
        if (this.#runs.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
      },
    };
  }
}
