// What keeps an uplink away from its edge, and what does not: a real socket, and something at the edge's address that does
// what an edge may do. The clocks are the test's.
import { afterEach, describe, expect, test } from "vitest";
import type { WebSocket } from "ws";
import { Uplink } from "../../../connector/uplink/uplink.ts";
import { CloseCode, FINAL, REFUSAL_HEADER } from "../../../shared/wire/frames.ts";
import { type Address, falseEdge, hub, type Upgrade } from "../../support/false-edge.ts";
import { until } from "../../support/stack.ts";

const open: { stop(): Promise<void>; edge: Address }[] = [];
afterEach(async () => {
  for (const { stop, edge } of open.splice(0)) {
    await stop();
    await edge.close();
  }
});

const TOKEN = `e30.${Buffer.from('{"shard":0}').toString("base64url")}.x`;
const welcome = hub(1);
const HOUR_MS = 3_600_000;

/** @param turns what becomes of each dial; the last one of all that follow. */
const dialling = (...turns: Upgrade[]) => looking(20, ...turns);

async function looking(watchMs: number, ...turns: Upgrade[]) {
  const seen = { dials: 0, ups: 0, refused: [] as string[] };
  /** Of the test's making: what is added to the real ones. */
  const clocks = { wall: 0, uptime: 0, isGuest: false };
  const signing = { token: Promise.resolve(TOKEN) };
  const warnings: string[] = [];
  /** ms of uptime. */
  const dialledAt: number[] = [];
  const edge = await falseEdge({ upgrades: turns });
  const nothing = () => {};
  const uplink = new Uplink({
    url: `ws://127.0.0.1:${edge.port}/uplink`,
    shard: 0,
    slot: 0,
    // Each dial has a token of its own.
    token: async () => {
      seen.dials += 1;
      dialledAt.push(performance.now() + clocks.uptime);
      return signing.token;
    },
    host: { pools: () => [], unsettled: () => [], settled: nothing, open: () => null, resume: () => null },
    instance: "i",
    agent: "test",
    leavesInMs: () => null,
    now: () => Date.now() + clocks.wall,
    uptime: () => performance.now() + clocks.uptime,
    watchMs,
    isGuest: () => clocks.isGuest || seen.ups > 0,
    chance: () => 0,
    log: { info: nothing, warn: (_fields, message) => warnings.push(message), error: nothing },
    onUp: () => {
      seen.ups += 1;
    },
    onDown: nothing,
    onRefused: (reason, by) => seen.refused.push(`${by}: ${reason}`),
  });
  open.push({ stop: () => uplink.stop(), edge });
  uplink.start();
  return { seen, clocks, dialledAt, uplink, signing, warnings };
}

const closing = (code: number) => (socket: WebSocket) => socket.close(code, "why");
const saying = (status: number, isFinal = false): Upgrade => ({
  status,
  text: "no",
  headers: isFinal ? { [REFUSAL_HEADER]: FINAL } : {},
});

describe("an uplink dials again", () => {
  const rows: [what: string, turn: Upgrade][] = [
    ["401 that is not said to be final: a token that was used before, a clock that is wrong", saying(401)],
    ["403 of something that is not an edge", saying(403)],
    ["404", saying(404)],
    ["503", saying(503)],
    ["401 that is final, if only once", saying(401, true)],
    ["502 that says it is final", saying(502, true)],
    ["4410: a dial of its own is in its place", closing(CloseCode.REPLACED)],
    ["4406, if only once", closing(CloseCode.VERSION)],
    ["a hub that leaves with 1000", closing(CloseCode.NORMAL)],
    ["a connection that is dropped", "drop"],
  ];
  test.each(rows)("after %s", async (_what, turn) => {
    const { seen } = await dialling(turn, welcome);
    await until(() => seen.ups === 1);
    expect(seen).toEqual({ dials: 2, ups: 1, refused: [] });
  });

  test("for an hour where an edge that has welcomed its process refuses, and says so meanwhile", async () => {
    const { seen, clocks, uplink } = await dialling(
      (socket, shard) => {
        welcome(socket, shard);
        socket.on("message", () => setImmediate(() => socket.terminate()));
      },
      saying(401, true),
    );
    await until(() => seen.dials >= 10);
    clocks.uptime += HOUR_MS - 60_000;
    const { dials } = seen;
    await until(() => seen.dials >= dials + 3);
    expect([seen.refused, uplink.status().state]).toEqual([[], "dialling"]);
    expect(uplink.status().refused_at).not.toBeNull();
    clocks.uptime += 60_000;
    await until(() => seen.refused.length > 0);
    expect([seen.refused, uplink.status().state]).toEqual([["edge: HTTP 401: no"], "refused"]);
  });
});

test.each([401, 403])(
  "%i of an edge that says nothing of its being final is asked again for ever, and counts as heard",
  async (status) => {
    const { seen, clocks, uplink } = await dialling(saying(status));
    await until(() => seen.dials >= 3);
    clocks.uptime += 2 * HOUR_MS;
    const { dials } = seen;
    await until(() => seen.dials >= dials + 3);
    expect([seen.refused, uplink.status().state]).toEqual([[], "dialling"]);
    expect(Date.now() - uplink.status().refused_at!).toBeLessThan(5_000);
  },
);

test("502 that says it is final never is", async () => {
  const { seen, clocks, uplink } = await dialling(saying(502, true));
  await until(() => seen.dials >= 3);
  clocks.uptime += 2 * HOUR_MS;
  const { dials } = seen;
  await until(() => seen.dials >= dials + 3);
  expect([seen.refused, uplink.status().refused_at]).toEqual([[], null]);
});

describe("an uplink that is retired", () => {
  /** Time passes: another one dials. */
  const aWhile = async () => {
    const { seen } = await dialling("drop");
    await until(() => seen.dials >= 4);
  };

  test("dials no more", async () => {
    const { seen, uplink } = await dialling("drop");
    await until(() => seen.dials >= 2);
    uplink.retire();
    const { dials } = seen;
    await aWhile();
    expect([seen.dials, uplink.isOver, uplink.status().state]).toEqual([dials, true, "refused"]);
  });

  test("gives up a socket that is not welcomed yet", async () => {
    let closed = false;
    const greeted = Promise.withResolvers<void>();
    const { seen, uplink } = await dialling((socket) => {
      socket.on("message", () => greeted.resolve());
      socket.on("close", () => {
        closed = true;
      });
    });
    await greeted.promise;
    uplink.retire();
    await until(() => closed);
    await aWhile();
    expect([seen.dials, uplink.isOver]).toEqual([1, true]);
  });

  test("keeps one that is up, and does not replace it", async () => {
    let lose = () => {};
    const { seen, uplink } = await dialling((socket, shard) => {
      welcome(socket, shard);
      lose = () => socket.terminate();
    });
    await until(() => seen.ups === 1);
    uplink.retire();
    await aWhile();
    expect([uplink.isUp, uplink.isOver]).toEqual([true, false]);
    lose();
    await until(() => uplink.isOver);
    await aWhile();
    expect(seen).toEqual({ dials: 1, ups: 1, refused: [] });
  });
});

describe("an uplink that is silent", () => {
  /** Welcomes, and is not heard again until it is let speak. */
  function falling() {
    const road = { speak: () => {}, drop: () => {}, isClosed: false };
    const turn: Upgrade = (socket, shard) => {
      welcome(socket, shard);
      socket.once("message", () => setImmediate(() => socket.pause()));
      socket.on("close", () => {
        road.isClosed = true;
      });
      road.speak = () => socket.resume();
      road.drop = () => socket.terminate();
    };
    return { road, turn };
  }

  /** Seconds pass in each one, but not so many that the silent socket is given up. */
  const passing = async (clocks: { uptime: number }, condition: () => boolean) =>
    until(() => {
      clocks.uptime += 100;
      return condition();
    });

  test("is replaced by another one that is dialled beside it", async () => {
    const { road, turn } = falling();
    const { seen, clocks, uplink } = await dialling(turn, welcome);
    await until(() => seen.ups === 1);
    await passing(clocks, () => seen.dials === 2);
    expect(uplink.isUp).toBe(true);
    await until(() => seen.ups === 2);
    road.speak();
    await until(() => road.isClosed);
    expect([uplink.isUp, seen]).toEqual([true, { dials: 2, ups: 2, refused: [] }]);
    expect(uplink.status()).toMatchObject({ state: "up", dials: { up: 2, failed: 0 }, cuts: 1, trouble: null });
  });

  test("keeps its place where it is heard again before the other one is open", async () => {
    const { road, turn } = falling();
    const left = Promise.withResolvers<void>();
    const { seen, clocks, uplink } = await dialling(turn, { left: left.resolve }, welcome);
    await until(() => seen.ups === 1);
    await passing(clocks, () => seen.dials === 2);
    road.speak();
    await left.promise;
    expect([uplink.isUp, road.isClosed, seen]).toEqual([true, false, { dials: 2, ups: 1, refused: [] }]);
    expect(uplink.status()).toMatchObject({ state: "up", cuts: 0, dials: { up: 1, failed: 0 } });
  });

  test("keeps its place where another one is refused, and another one is tried three seconds later", async () => {
    const { turn } = falling();
    const { seen, clocks, dialledAt, uplink } = await dialling(turn, saying(401, true), "drop", welcome);
    await until(() => seen.ups === 1);
    await passing(clocks, () => seen.dials === 2);
    expect([uplink.isUp, uplink.status().state]).toEqual([true, "up"]);
    await passing(clocks, () => seen.ups === 2);
    const [, first = 0, second = 0, third = 0] = dialledAt;
    expect(Math.min(second - first, third - second)).toBeGreaterThanOrEqual(3_000);
    expect(seen).toEqual({ dials: 4, ups: 2, refused: [] });
  });

  test("and is lost before the other one is up gives it its place at once", async () => {
    const { road, turn } = falling();
    let greet = () => {};
    const { seen, clocks, uplink } = await dialling(turn, (socket, shard) => {
      socket.once("message", (hello) => {
        greet = () => {
          welcome(socket, shard);
          socket.emit("message", hello, true);
        };
      });
    });
    await until(() => seen.ups === 1);
    await passing(clocks, () => seen.dials === 2);
    road.drop();
    await until(() => !uplink.isUp);
    expect(uplink.status()).toMatchObject({ state: "dialling", cuts: 1 });
    await until(() => {
      greet();
      return seen.ups === 2;
    });
    expect([seen.dials, uplink.status().state]).toEqual([2, "up"]);
  });

  test("keeps its place where it is heard again just before the other one is open, which says nothing then", async () => {
    const { road, turn } = falling();
    const other = { said: 0, isClosed: false };
    const { seen, clocks, uplink, signing } = await looking(200, turn, (socket, shard) => {
      welcome(socket, shard);
      socket.on("message", () => {
        other.said += 1;
      });
      socket.on("close", () => {
        other.isClosed = true;
      });
    });
    await until(() => seen.ups === 1);
    const signed = Promise.withResolvers<string>();
    signing.token = signed.promise;
    await passing(clocks, () => seen.dials === 2);
    road.speak();
    await new Promise((done) => setTimeout(done, 20));
    signed.resolve(TOKEN);
    await until(() => other.isClosed);
    expect([uplink.isUp, road.isClosed, other.said, seen.ups]).toEqual([true, false, 0, 1]);
    expect(uplink.status()).toMatchObject({ state: "up", cuts: 0, dials: { up: 1, failed: 0 } });
  });

  test("is over where another process is in the place of the other one, and puts nobody out", async () => {
    const { turn } = falling();
    const { seen, clocks, uplink } = await dialling(turn, closing(CloseCode.SUPERSEDED), welcome);
    await until(() => seen.ups === 1);
    await passing(clocks, () => seen.refused.length > 0 || seen.dials > 2);
    expect(seen).toEqual({ dials: 2, ups: 1, refused: ["process: closed with 4409: why"] });
    expect([uplink.isOver, uplink.status()]).toMatchObject([true, { state: "refused", cuts: 1 }]);
  });

  test("is not said to be cut where only the other one is", async () => {
    const { turn } = falling();
    const { seen, clocks, warnings } = await dialling(turn, closing(CloseCode.NORMAL), { left: () => {} });
    await until(() => seen.ups === 1);
    await passing(clocks, () => seen.dials === 3);
    expect(warnings).not.toContain("the uplink was cut");
    expect(warnings).toContain("the socket beside the silent uplink was cut");
  });

  test.each([
    ["doubted", 4_000],
    ["given up", 30_000],
  ])("only because its process stood still is not %s: what has come meanwhile is read first", async (_what, ms) => {
    let stood = false;
    const { seen, clocks, uplink } = await dialling((socket, shard) => {
      welcome(socket, shard);
      // The pong is on its way.
      socket.once("ping", () => {
        clocks.uptime += ms;
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
        stood = true;
      });
    });
    await until(() => seen.ups === 1);
    await passing(clocks, () => stood);
    await new Promise((done) => setTimeout(done, 100));
    expect([seen, uplink.status().cuts]).toEqual([{ dials: 1, ups: 1, refused: [] }, 0]);
  });

  test("is not replaced where its connector is retired", async () => {
    const { turn } = falling();
    const { seen, clocks, uplink } = await dialling(turn, welcome);
    await until(() => seen.ups === 1);
    uplink.retire();
    await passing(clocks, () => uplink.isOver);
    expect(seen).toEqual({ dials: 1, ups: 1, refused: [] });
  });
});

describe("an uplink stops", () => {
  test("at once where another process is in its place", async () => {
    const { seen } = await dialling(closing(CloseCode.SUPERSEDED), welcome);
    await until(() => seen.refused.length > 0);
    expect(seen).toEqual({ dials: 1, ups: 0, refused: ["process: closed with 4409: why"] });
  });

  test.each([
    ["401", saying(401, true), "edge: HTTP 401: no"],
    ["4406", closing(CloseCode.VERSION), "edge: closed with 4406: why"],
  ] as const)("where %s is all that its process has ever heard, for five seconds", async (_what, turn, reason) => {
    const { seen, clocks } = await dialling(turn);
    await until(() => seen.dials >= 3);
    expect(seen.refused).toEqual([]);
    clocks.uptime += 5_000;
    await until(() => seen.refused.length > 0);
    expect(seen.refused).toEqual([reason]);
  });
});

test("a clock that is set back by an hour silences no ping, and one that is set forward cuts nothing", async () => {
  let pings = 0;
  let texts = 0;
  const { seen, clocks } = await dialling((socket, shard) => {
    welcome(socket, shard);
    socket.on("ping", () => {
      pings += 1;
    });
    socket.on("message", (_data, isBinary) => {
      if (!isBinary) texts += 1;
    });
  });
  await until(() => seen.ups === 1);
  clocks.wall -= HOUR_MS;
  clocks.uptime += 15_000;
  await until(() => pings > 0 && texts > 0);
  clocks.wall += 2 * HOUR_MS;
  clocks.uptime += 10_000;
  await until(() => pings > 1);
  expect(seen).toEqual({ dials: 1, ups: 1, refused: [] });
});

test("a pong tells how long its own ping took, also where another one has left since", async () => {
  const pings: Buffer[] = [];
  let answer = () => {};
  const { seen, clocks, uplink } = await dialling((socket, shard) => {
    welcome(socket, shard);
    answer = () => socket.pong(pings[0]);
    socket.on("ping", (data) => pings.push(data));
  });
  await until(() => seen.ups === 1);
  clocks.uptime += 10_000;
  await until(() => pings.length === 1);
  clocks.uptime += 10_000;
  await until(() => pings.length === 2);
  answer();
  await until(() => (uplink.status().round_trip?.ms ?? 0) > 9_000);
});
