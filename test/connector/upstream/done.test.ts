// An answer that is whole before its connection says so: its upstream has a moment to end it, and is cut off then.
import { expect, test } from "vitest";
import { END_WITHIN_MS } from "../../../connector/upstream/run.ts";
import { poolOf, turn } from "./pool-fixture.ts";

const IDLE = { in_flight: 0, queued: 0 };

test("an upstream that ends its response soon keeps its connection, and its slot is free with it", async () => {
  const { pool, engines, clock, reader, call, next } = await whole();
  clock.pass(END_WITHIN_MS - 1);
  expect(pool.report()).toMatchObject({ in_flight: 1, queued: 1 });
  call.response.end("nobody's");
  (await engines[0]!.next()).answer();
  expect(await next.reader.outcome()).toBe("end");
  expect(engines[0]!.connections).toBe(1);
  // Who has the whole answer hears nothing more of it.
  expect([reader.text, reader.endings]).toEqual(["begun", []]);
  expect(pool.report()).toMatchObject(IDLE);
});

test("an upstream that keeps its response open is cut off and not blamed, and who waits has its slot", async () => {
  const { pool, engines, clock, reader, call, next } = await whole();
  clock.pass(END_WITHIN_MS);
  await call.closed;
  (await engines[0]!.next()).answer();
  expect(await next.reader.outcome()).toBe("end");
  expect(reader.endings).toEqual([]);
  expect([pool.report(), pool.status().ejections]).toMatchObject([{ ...IDLE, healthy: 1 }, 0]);
});

test("a response that breaks behind the whole answer frees the slot at once, and nobody is blamed", async () => {
  const { pool, engines, fixture, reader, call, next } = await whole();
  call.reset();
  (await engines[0]!.next()).answer();
  expect(await next.reader.outcome()).toBe("end");
  expect([reader.endings, fixture.logged]).toEqual([[], []]);
  expect(pool.report()).toMatchObject(IDLE);
});

test("a reader that was full lets the rest of the response pass", async () => {
  const { pool, engines, serve } = bound(await poolOf(1));
  const { reader, running } = serve();
  reader.takesMore = () => false;
  const call = await engines[0]!.next();
  call.begin();
  await reader.nextData();
  await turn();
  running.letEnd();
  call.response.end("x".repeat(100_000));
  const next = serve();
  (await engines[0]!.next()).answer();
  await next.reader.nextData();
  expect(engines[0]!.connections).toBe(1);
  expect([reader.text, pool.report().queued]).toEqual(["begun", 0]);
});

test("a pool that closes waits for it no longer than that, and one that is left or fails behind it is not told", async () => {
  const { pool, engines, serve, clock } = bound(await poolOf(1));
  const { reader, running } = serve();
  (await engines[0]!.next()).begin();
  await reader.nextData();
  running.letEnd();
  running.letEnd();
  running.abort();
  const closed = pool.close();
  clock.pass(END_WITHIN_MS);
  await closed;
  expect([reader.endings, clock.pending]).toEqual([[], 0]);
});

/** An answer that is whole while its response goes on, and one that waits for its slot. */
async function whole() {
  const parts = bound(await poolOf(1));
  const { reader, running } = parts.serve();
  const call = await parts.engines[0]!.next();
  call.begin();
  await reader.nextData();
  running.letEnd();
  return { ...parts, reader, call, next: parts.serve() };
}

/** The parts of a fixture, for destructuring. */
function bound(fixture: Awaited<ReturnType<typeof poolOf>>) {
  const { clock, engines, pool } = fixture;
  return { clock, engines, pool, fixture, serve: fixture.serve.bind(fixture) };
}
