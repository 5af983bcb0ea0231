// How long an engine may be silent: less before a stream than before an answer that comes whole.
import { expect, test } from "vitest";
import type { PoolConfig } from "../../../connector/upstream/pool.ts";
import type { UpstreamRequest } from "../../../connector/upstream/request.ts";
import { poolOf, TIMEOUTS, turn } from "./pool-fixture.ts";

const EMBEDDING = { kind: "embedding" } as const;
const EMBED = { path: "/v1/embeddings" };
const timeouts = { ...TIMEOUTS, firstByteMs: 10_000, wholeMs: 30_000 };

test.each<[what: string, at: number, request: Partial<UpstreamRequest>, config: Partial<PoolConfig>]>([
  ["a plain chat", 30_000, { isPlain: true }, {}],
  ["a plain completion", 30_000, { isPlain: true, path: "/v1/completions" }, {}],
  ["a stream", 10_000, { isPlain: false }, {}],
  ["an embedding", 10_000, { isPlain: true, ...EMBED }, EMBEDDING],
])("before %s: %i ms, and then another engine is asked", async (_, at, request, config) => {
  const { clock, engines, serve } = bound(await poolOf(2, config, { timeouts }));
  const { reader } = serve(request);
  const call = await engines[0]!.next();
  clock.pass(at - 1);
  // What is lost is sent again a turn later.
  await turn();
  expect(reader.starts).toHaveLength(1);
  clock.pass(1);
  await call.closed;
  (await engines[1]!.next()).answer();
  expect(await reader.outcome()).toBe("end");
  expect(reader.starts).toHaveLength(2);
});

test("before a plain answer, where it is the time for all: to its end, and no other engine is asked or blamed", async () => {
  const { clock, engines, serve, pool } = bound(await poolOf(2, { slots: 8 }));
  const served = Array.from({ length: 12 }, () => serve({ isPlain: true }));
  for (const engine of engines) for (let i = 0; i < 6; i += 1) await engine.next();
  clock.pass(TIMEOUTS.totalMs - 1);
  expect(served.flatMap(({ reader }) => reader.endings)).toEqual([]);
  clock.pass(1);
  for (const { reader } of served) {
    expect(await reader.outcome()).toBe("upstream_timeout");
    expect(reader.starts).toHaveLength(1);
  }
  expect(pool.status()).toMatchObject({ retries: 0, ejections: 0 });
});

/** The parts of a fixture, for destructuring. */
function bound(fixture: Awaited<ReturnType<typeof poolOf>>) {
  const { clock, engines, pool } = fixture;
  return { clock, engines, pool, serve: fixture.serve.bind(fixture) };
}
