// The engines that the configuration names: pools and the backend, and their replacement while they serve. Part of the
// composition root: it alone knows them all.
import { BACKEND } from "../shared/openai.ts";
import type { PoolReport } from "../shared/wire/messages.ts";
import type { Config } from "./config.ts";
import { promptPrefix } from "./dialect/prefix.ts";
import { splitInputs } from "./dialect/split.ts";
import type { Engine } from "./exchange/engine.ts";
import type { PoolStatus } from "./status.ts";
import { Backend } from "./upstream/backend.ts";
import { FanOut } from "./upstream/fanout.ts";
import { Pool } from "./upstream/pool.ts";
import type { Log } from "./upstream/request.ts";

/** Of what is timed here nothing is told as a time of day: no clock is needed that can be set. */
const CLOCK = { now: () => performance.now(), setTimeout, clearTimeout };

type EngineConfig = Pick<Config, "pools" | "backend" | "timeouts">;

interface Held<E> {
  readonly engine: E;
  /** What it was made of. */
  readonly made: string;
}

interface HeldPool extends Held<Pool> {
  /** The pool itself, or what splits large inputs over it. */
  readonly serves: Engine;
}

export class Engines {
  readonly #log: Log;
  readonly #onChange: () => void;
  readonly #pools = new Map<string, HeldPool>();
  #backend: Held<Backend> | undefined;
  /** Replaced, and not yet done with what they had. */
  readonly #retiring = new Set<Pool>();
  #isStarted = false;

  /** @param onChange the number of healthy upstreams of a pool has changed. */
  constructor(config: EngineConfig, log: Log, onChange: () => void) {
    this.#log = log;
    this.#onChange = onChange;
    this.apply(config);
  }

  /** Pools by model. */
  get models(): string[] {
    return [...this.#pools.keys()];
  }

  /** A request is served by what is there when its body is: the configuration may be replaced before that. */
  get(target: string): Engine | undefined {
    const engine = this.#at(target);
    if (engine === undefined) return undefined;
    return { serve: (request, handler) => (this.#at(target) ?? engine).serve(request, handler) };
  }

  #at(target: string): Engine | undefined {
    return target === BACKEND ? this.#backend?.engine : this.#pools.get(target)?.serves;
  }

  start(): void {
    this.#isStarted = true;
    for (const { engine } of this.#pools.values()) engine.start();
  }

  /** What has not changed stays as it is; what has is replaced, and the old one finishes what it has, its queue too. */
  apply({ pools, backend, timeouts }: EngineConfig): void {
    const old = new Map(this.#pools);
    this.#pools.clear();
    for (const pool of pools) {
      const made = JSON.stringify([pool, timeouts]);
      const known = old.get(pool.model);
      if (known?.made === made) old.delete(pool.model);
      this.#pools.set(pool.model, known?.made === made ? known : this.#newPool(pool, timeouts, made));
    }
    for (const { engine } of old.values()) this.#retire(engine);
    const made = JSON.stringify(backend ?? null);
    if (made === this.#backend?.made) return;
    this.#backend = backend === undefined ? undefined : { engine: new Backend(backend, CLOCK), made };
  }

  reports(): PoolReport[] {
    return [...this.#pools.values()].map(({ engine }) => engine.report());
  }

  statuses(): PoolStatus[] {
    return [...this.#pools.values()].map(({ engine }) => engine.status());
  }

  async close(): Promise<void> {
    const pools = [...[...this.#pools.values()].map(({ engine }) => engine), ...this.#retiring];
    await Promise.all(pools.map((pool) => pool.close()));
  }

  #newPool(config: Config["pools"][number], timeouts: Config["timeouts"], made: string): HeldPool {
    const pool = new Pool(config, {
      ...CLOCK,
      random: Math.random,
      log: this.#log,
      timeouts,
      onChange: this.#onChange,
      prefixOf: promptPrefix,
    });
    if (this.#isStarted) pool.start();
    return { engine: pool, serves: config.fanOut ? new FanOut(pool, splitInputs) : pool, made };
  }

  #retire(pool: Pool): void {
    this.#retiring.add(pool);
    void pool.close().then(() => {
      this.#retiring.delete(pool);
      this.#log.info({ pool: pool.config.model }, "a replaced pool has finished what it had");
    });
  }
}
