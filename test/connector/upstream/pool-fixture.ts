// A pool on virtual time in front of engines that the test answers for.
import { onTestFinished } from "vitest";
import { Pool, type PoolConfig, type PoolDeps } from "../../../connector/upstream/pool.ts";
import type { Running, UpstreamRequest } from "../../../connector/upstream/request.ts";
import { Reader, TestEngine } from "./test-engine.ts";
import { VirtualClock } from "./virtual-clock.ts";

export const TIMEOUTS = { connectMs: 2_000, firstByteMs: 120_000, wholeMs: 600_000, idleMs: 60_000, totalMs: 600_000 };

export interface Served {
  readonly reader: Reader;
  readonly running: Running;
}

export class PoolFixture {
  readonly clock = new VirtualClock();
  readonly engines: readonly TestEngine[];
  readonly pool: Pool;
  readonly logged: { readonly level: string; readonly message: string; readonly fields: object }[] = [];
  changes = 0;

  constructor(engines: readonly TestEngine[], config: Partial<PoolConfig> = {}, deps: Partial<PoolDeps> = {}) {
    this.engines = engines;
    const log = (level: string) => (fields: object, message: string) =>
      void this.logged.push({ level, message, fields });
    this.pool = new Pool(
      {
        model: "m",
        kind: "chat",
        upstreams: engines.map(({ url }) => url),
        slots: 1,
        queue: 8,
        affinity: false,
        ...config,
      },
      {
        now: this.clock.now,
        setTimeout: this.clock.setTimeout,
        clearTimeout: this.clock.clearTimeout,
        random: () => 0.5,
        log: { info: log("info"), warn: log("warn"), error: log("error") },
        timeouts: TIMEOUTS,
        onChange: () => {
          this.changes += 1;
        },
        ...deps,
      },
    );
  }

  serve(given: Partial<UpstreamRequest> = {}, reader = new Reader()): Served {
    const request: UpstreamRequest = {
      method: "POST",
      path: "/v1/chat/completions",
      headers: [],
      body: Buffer.from("body"),
      tier: "free",
      tenant: "t",
      deadline: this.clock.now() + 3_600_000,
      ...given,
    };
    return { reader, running: this.pool.serve(request, reader) };
  }

  get states(): string[] {
    return this.pool.status().upstreams.map(({ state }) => state);
  }
}

/** Stopped and destroyed when the test is over. */
export async function poolOf(
  count: number,
  config: Partial<PoolConfig> = {},
  deps: Partial<PoolDeps> = {},
): Promise<PoolFixture> {
  const engines = await Promise.all(Array.from({ length: count }, () => TestEngine.start()));
  const fixture = new PoolFixture(engines, config, deps);
  onTestFinished(async () => {
    await fixture.pool.destroy();
    await Promise.all(engines.map((engine) => engine.stop()));
  });
  return fixture;
}

/** One turn of the event loop and more: what is ready has happened. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}
