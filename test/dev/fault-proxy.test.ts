// The road that breaks on demand breaks as it says, and not otherwise.
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FaultProxy } from "../support/fault-proxy.ts";
import { until } from "../support/stack.ts";

/** One end of a connection, and what it has seen. */
class End {
  readonly socket: Socket;
  text = "";
  seen: "fin" | "rst" | null = null;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding("latin1").on("data", (piece: string) => {
      this.text += piece;
    });
    socket.on("end", () => {
      this.seen = "fin";
    });
    socket.on("error", () => {
      this.seen = "rst";
    });
  }
}

let server: Server;
let proxy: FaultProxy;
const arrived: End[] = [];
const dialled: End[] = [];

beforeEach(async () => {
  server = createServer({ allowHalfOpen: true }, (socket) => arrived.push(new End(socket)));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  proxy = await FaultProxy.to((server.address() as { port: number }).port);
});
afterEach(async () => {
  await proxy.close();
  expect(proxy.open).toBe(0);
  for (const end of [...arrived.splice(0), ...dialled.splice(0)]) end.socket.destroy();
  await new Promise((done) => server.close(done));
});

function dial(): End {
  const end = new End(connect({ port: proxy.port, host: "127.0.0.1", allowHalfOpen: true }));
  dialled.push(end);
  return end;
}

/** A connection that has carried a byte each way. */
async function joined(): Promise<[near: End, far: End]> {
  const count = arrived.length;
  const near = dial();
  near.socket.write("<");
  await until(() => arrived.length > count && arrived[count]!.text === "<");
  const far = arrived[count]!;
  far.socket.write(">");
  await until(() => near.text === ">");
  near.text = "";
  far.text = "";
  return [near, far];
}

test("carries bytes both ways, each FIN in its own direction, and counts", async () => {
  const [near, far] = await joined();
  near.socket.end("question");
  await until(() => far.seen === "fin");
  expect([far.text, near.seen, proxy.open, proxy.connections]).toEqual(["question", null, 1, 1]);
  far.socket.end("answer");
  await until(() => near.seen === "fin" && proxy.open === 0);
  expect([near.text, proxy.bytes("up"), proxy.bytes("down")]).toEqual(["answer", 9, 7]);
});

test("passes a megabyte unchanged through delays and stalls", async () => {
  const [near, far] = await joined();
  const text = Array.from({ length: 131_072 }, (_, i) => String(i).padStart(8, "0")).join("");
  proxy.delay(30, "up");
  near.socket.write(text);
  await until(() => far.text.length > 0);
  proxy.stall();
  proxy.release();
  await until(() => far.text.length === text.length);
  expect(far.text === text).toBe(true);
});

test("passes on the reset of either end", async () => {
  const [near, far] = await joined();
  near.socket.resetAndDestroy();
  await until(() => far.seen === "rst");
  const [nearer, farther] = await joined();
  farther.socket.resetAndDestroy();
  await until(() => nearer.seen === "rst" && proxy.open === 0);
});

describe("a cut", () => {
  test.each(["rst", "fin"] as const)("by %s reaches both ends", async (how) => {
    const [near, far] = await joined();
    proxy.cut(how);
    await until(() => near.seen === how && far.seen === how);
    expect(proxy.cuts).toBe(1);
  });

  test.each(["up", "down"] as const)("in the direction %s leaves the other end in the dark", async (direction) => {
    const [near, far] = await joined();
    const [told, dark] = direction === "up" ? [far, near] : [near, far];
    proxy.cut("rst", direction);
    await until(() => told.seen === "rst");
    dark.socket.write("hello?");
    await until(() => proxy.swallowed(direction) === 6);
    expect([dark.seen, proxy.open]).toEqual([null, 1]);
  });

  test.each(["rst", "fin"] as const)(
    "by %s falls behind exactly so many bytes, in the middle of a chunk",
    async (how) => {
      const [near, far] = await joined();
      const [bystander, farBystander] = await joined();
      const done = proxy.cutAfter(7, "down", how);
      far.socket.write("one, two, three");
      await done;
      await until(() => near.seen === how && far.seen === how);
      expect(near.text).toBe("one, tw");
      farBystander.socket.write("still here");
      await until(() => bystander.text === "still here");
    },
  );
});

describe("a black hole", () => {
  test("takes bytes, FIN and RST of connections that are up and of new ones, until it is healed", async () => {
    const [near, far] = await joined();
    proxy.blackHole();
    near.socket.write("12345");
    far.socket.write("123");
    const late = dial();
    late.socket.write("12");
    await until(() => proxy.swallowed("up") === 7 && proxy.swallowed("down") === 3);
    expect(proxy.holes).toBe(2);
    far.socket.resetAndDestroy();
    near.socket.end("6");
    // Whoever dialled has noticed one of them.
    await until(() => proxy.swallowed("up") === 8 && proxy.holes === 1);
    expect([near.text, far.text, near.seen, late.seen]).toEqual(["", "", null, null]);
    proxy.heal();
    near.socket.destroy();
    await joined();
    expect(late.text).toBe("");
  });

  test("of one direction lets the other pass, and may spare new connections", async () => {
    const [near, far] = await joined();
    proxy.blackHole("up", { newOnes: false });
    near.socket.write("lost");
    far.socket.write("found");
    await until(() => near.text === "found" && proxy.swallowed("up") === 4);
    expect([far.text, proxy.holes]).toEqual(["", 1]);
    await joined();
  });
});

test("a stall holds everything back in order, FIN included, until it is released", async () => {
  const [near, far] = await joined();
  const [echo, farEcho] = await joined();
  proxy.stall("down");
  far.socket.end("held");
  near.socket.write("passes");
  echo.socket.write("passes too");
  await until(() => far.text === "passes" && farEcho.text === "passes too");
  expect([near.text, near.seen, proxy.bytes("down")]).toEqual(["", null, 2]);
  proxy.release("down");
  await until(() => near.seen === "fin");
  expect(near.text).toBe("held");
});

test("refuses new connections and keeps those that are up", async () => {
  const [near, far] = await joined();
  proxy.refuse();
  const late = dial();
  await until(() => late.seen === "rst");
  near.socket.write("still here");
  await until(() => far.text === "still here");
  expect([proxy.refused, proxy.connections]).toEqual([1, 1]);
  proxy.refuse(false);
  await joined();
});

test("resets the dialling end when the target is not there", async () => {
  await new Promise<void>((done) => server.close(() => done()));
  const end = dial();
  await until(() => end.seen === "rst");
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
});
