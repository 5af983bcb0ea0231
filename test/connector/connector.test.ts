// How a connector leaves that another process of the same id has put out, and what a clock that is set does to it: the whole of
// it in this process, a real engine, and a hub of each shard that is played by the test.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Config } from "../../connector/config.ts";
import { Connector } from "../../connector/connector.ts";
import { generateKey } from "../../connector/uplink/key.ts";
import { CloseCode, FrameType } from "../../shared/wire/frames.ts";
import { GoAway, jsonFrame, readJson, settledFrame } from "../../shared/wire/messages.ts";
import { HandSocket } from "../support/edge.ts";
import { type Address, falseEdge, hub } from "../support/false-edge.ts";
import { until } from "../support/stack.ts";
import { TIMEOUTS } from "./upstream/pool-fixture.ts";
import { TestEngine } from "./upstream/test-engine.ts";

const SHARDS = 3;
/** Where the hub takes nobody. */
const CLOSED = 1;
const DRAIN_S = 600;
const nothing = () => {};
const QUIET = { debug: nothing, info: nothing, warn: nothing, error: nothing, isLevelEnabled: () => false };

/** ms; how far the clock of the machine has been set. */
let leap = 0;
let engine: TestEngine;
let edge: Address;
let folder: string;
let config: Config;
let connector: Connector;
const sockets = new Map<number, HandSocket>();
const dials = Array<number>(SHARDS).fill(0);
const refused: string[] = [];

beforeEach(async () => {
  // A dial that has failed is followed by the next one at once.
  vi.spyOn(Math, "random").mockReturnValue(0);
  leap = 0;
  const real = Date.now;
  vi.spyOn(Date, "now").mockImplementation(() => real() + leap);
  dials.fill(0);
  refused.length = 0;
  engine = await TestEngine.start();
  const welcome = hub(SHARDS);
  edge = await falseEdge({
    upgrade: (socket, shard) => {
      dials[shard]! += 1;
      if (shard === CLOSED) return socket.close(CloseCode.INTERNAL, "not now");
      sockets.set(shard, new HandSocket(socket));
      welcome(socket, shard);
    },
  });
  folder = await mkdtemp(join(tmpdir(), "heartcode-"));
  const keyFile = join(folder, "connector.key");
  await generateKey("c", keyFile);
  const pool = {
    model: "m",
    kind: "chat",
    upstreams: [engine.url],
    slots: 4,
    queue: 4,
    affinity: false,
    fanOut: false,
  };
  config = {
    edge: { url: `ws://127.0.0.1:${edge.port}/uplink`, id: "c", keyFile },
    pools: [pool],
    timeouts: TIMEOUTS,
    drainS: DRAIN_S,
  } as unknown as Config;
  const events = { onReady: nothing, onRefused: (by: string) => void refused.push(by) };
  connector = await Connector.create(config, QUIET, events);
  connector.start();
  await until(() => connector.status().sockets.filter(({ state }) => state === "up").length === 2);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await connector.stop();
  await edge.close();
  await engine.stop();
  await rm(folder, { recursive: true });
});

/** Opens an exchange on a shard. @returns how its engine sees it. */
async function opened(shard: number) {
  const open = {
    exchange: `x${shard}`,
    attempt: 1,
    target: "m",
    method: "POST",
    path: "/v1/chat/completions",
    headers: [],
  };
  const rest = { length: 0, limit: 65_536, deadline_ms: 600_000, tier: "free", tenant: "t", dialect: null };
  sockets.get(shard)!.say(jsonFrame(FrameType.OPEN, 1, { ...open, ...rest }));
  return engine.next();
}

/** Time enough for a dial: a way there and back, some times over. */
async function aWhile(): Promise<void> {
  for (let at = 0; at < 20; at += 1) await fetch(`http://127.0.0.1:${edge.port}/health`);
}

test("it says HELLO nowhere again; what runs on the sockets that it has may finish, and nothing else is waited for", async () => {
  const lost = await opened(0);
  const kept = await opened(2);
  await until(() => dials[CLOSED]! >= 2);
  sockets.get(0)!.socket.close(CloseCode.SUPERSEDED, "another process is here");
  await until(() => refused.length > 0);
  const gone = connector.drain();
  // Its engine is free at once: nobody will ever fetch this answer.
  await lost.closed;
  const before = [...dials];
  await aWhile();
  expect([dials, refused]).toEqual([before, ["process"]]);
  kept.answer();
  const hub2 = sockets.get(2)!;
  expect(JSON.parse(Buffer.from((await hub2.hear(FrameType.END)).payload).toString())).toMatchObject({
    exchange: "x2",
    outcome: "complete",
  });
  hub2.say(jsonFrame(FrameType.GOAWAY, 0, { reason: "", deadline_ms: 0, ack: true }), settledFrame(0, "x2", 1));
  await gone;
  expect(dials).toEqual(before);
});

test("whose every socket is taken has nothing more to wait for", async () => {
  const running = [await opened(0), await opened(2)];
  for (const shard of [0, 2]) sockets.get(shard)!.socket.close(CloseCode.SUPERSEDED, "another process is here");
  await until(() => refused.length > 0);
  await connector.drain();
  await Promise.all(running.map(({ closed }) => closed));
  expect(connector.status().sockets.map(({ state }) => state)).toEqual(Array(SHARDS).fill("refused"));
});

test("a socket that comes up while it leaves is told so in words that its hub understands", async () => {
  const running = await opened(0);
  await opened(2);
  const gone = connector.drain();
  expect(readJson(GoAway, await sockets.get(0)!.hear(FrameType.GOAWAY)).deadline_ms).toBe(DRAIN_S * 1_000);
  const first = sockets.get(0)!;
  first.socket.terminate();
  await until(() => sockets.get(0) !== first);
  const again = sockets.get(0)!;
  const { deadline_ms } = readJson(GoAway, await again.hear(FrameType.GOAWAY));
  expect(deadline_ms).toBeGreaterThan(0);
  expect(deadline_ms).toBeLessThanOrEqual(DRAIN_S * 1_000);
  running.answer();
  await connector.stop();
  await gone;
});

describe("a clock that is set back by an hour", () => {
  const setBack = () => {
    leap = -3_600_000;
  };

  test("does not change how long an exchange has taken", async () => {
    const running = await opened(0);
    setBack();
    running.answer();
    const end = JSON.parse(Buffer.from((await sockets.get(0)!.hear(FrameType.END)).payload).toString());
    for (const ms of [end.timings.queue_ms, end.timings.first_byte_ms, end.timings.total_ms]) {
      expect(ms).toBeGreaterThanOrEqual(0);
      expect(ms).toBeLessThan(60_000);
    }
  });

  test("makes no drain longer", async () => {
    await opened(0);
    await connector.reload({ ...config, drainS: 0.2 });
    const gone = connector.drain();
    setBack();
    await gone;
  });
});
