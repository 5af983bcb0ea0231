// A TCP proxy on loopback that breaks on demand: the road between two programs (connector and edge, client and edge,
// connector and engine). "Up" is the way from the one who dialled to the target, "down" the way back.
import { connect, createServer, type Server, type Socket } from "node:net";
import { calm, Flow, type Weather } from "./fault-flow.ts";

export type Direction = "up" | "down";
export type Cut = "rst" | "fin";

interface Pair {
  /** The one who dialled. */
  readonly near: Socket;
  readonly far: Socket;
  readonly up: Flow;
  readonly down: Flow;
}

const BOTH: readonly Direction[] = ["up", "down"];
const listOf = (direction: Direction | undefined): readonly Direction[] =>
  direction === undefined ? BOTH : [direction];

export class FaultProxy {
  readonly #server: Server;
  readonly #target: number;
  readonly #pairs = new Set<Pair>();
  readonly #sockets = new Set<Socket>();
  readonly #weather: Readonly<Record<Direction, Weather>> = { up: calm(), down: calm() };
  readonly #holes = new Set<Direction>();
  #isRefusing = false;
  /** Connections accepted since the start; those that were refused are counted in {@link refused} alone. */
  connections = 0;
  refused = 0;
  /** Calls of {@link cut}, and cuts behind a number of bytes. */
  cuts = 0;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
  }

  /** @param target port on 127.0.0.1 to which everything goes. */
  static async to(target: number): Promise<FaultProxy> {
    // Half-open on purpose: a FIN passes in its own direction only.
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const proxy = new FaultProxy(server, target);
    server.on("connection", (near) => proxy.#join(near));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Connections that are up now, black holes included. */
  get open(): number {
    return this.#pairs.size;
  }

  /** Connections that are a black hole one way or both, and whose dialler has not noticed. */
  get holes(): number {
    let holes = 0;
    for (const { near, up, down } of this.#pairs)
      if ((up.isHole || down.isHole) && !near.readableEnded && !near.destroyed) holes += 1;
    return holes;
  }

  /** Bytes that passed since the start. */
  bytes(direction: Direction): number {
    return this.#weather[direction].passed;
  }

  /** Bytes that a black hole took. */
  swallowed(direction: Direction): number {
    return this.#weather[direction].swallowed;
  }

  /**
   * Every connection ends, with whatever is under way.
   * @param direction only the end that this direction leads to learns of it; to the other one the connection is a black hole.
   */
  cut(how: Cut = "rst", direction?: Direction): void {
    this.cuts += 1;
    for (const pair of [...this.#pairs]) this.#cut(pair, how, direction);
  }

  /**
   * The connection that passes the last of `bytes` more bytes in `direction` is cut behind it, in the middle of a chunk.
   * @returns when that has happened.
   */
  cutAfter(bytes: number, direction: Direction, how: Cut = "rst"): Promise<void> {
    if (bytes < 1) throw new RangeError("at least one byte must pass");
    return new Promise((done) => {
      const spent = (flow: Flow): void => {
        const pair = [...this.#pairs].find((one) => one.up === flow || one.down === flow);
        this.cuts += 1;
        if (pair !== undefined) this.#cut(pair, how);
        done();
      };
      this.#weather[direction].budget = { left: bytes, spent };
    });
  }

  /**
   * The cable is out: bytes vanish and no end learns anything, of connections that are up and of new ones.
   * @param options.newOnes false: connections that are made later are sound.
   */
  blackHole(direction?: Direction, options: { newOnes: boolean } = { newOnes: true }): void {
    for (const one of listOf(direction)) {
      if (options.newOnes) this.#holes.add(one);
      for (const pair of this.#pairs) pair[one].swallow();
    }
  }

  /** Bytes wait in order until {@link release}, and their senders feel it. */
  stall(direction?: Direction): void {
    for (const one of listOf(direction)) this.#weather[one].isStalled = true;
    this.#drive();
  }

  release(direction?: Direction): void {
    for (const one of listOf(direction)) this.#weather[one].isStalled = false;
    this.#drive();
  }

  /** Every byte that comes from now on takes `ms` longer. */
  delay(ms: number, direction?: Direction): void {
    for (const one of listOf(direction)) this.#weather[one].delayMs = ms;
  }

  /** New connections are reset at once; those that are up stay. */
  refuse(isRefusing = true): void {
    this.#isRefusing = isRefusing;
  }

  /** The road is sound again. What is in a black hole stays there: its bytes are lost. */
  heal(): void {
    this.#holes.clear();
    this.#isRefusing = false;
    for (const direction of BOTH) {
      const weather = this.#weather[direction];
      weather.delayMs = 0;
      weather.budget = null;
      weather.isStalled = false;
    }
    this.#drive();
  }

  /** Resets everything and stops listening; nothing is left when it resolves. */
  async close(): Promise<void> {
    for (const pair of this.#pairs) for (const direction of BOTH) pair[direction].stop();
    const gone = [...this.#sockets].map((socket) => new Promise((done) => socket.once("close", done)));
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await Promise.all([new Promise((done) => this.#server.close(done)), ...gone]);
  }

  #join(near: Socket): void {
    near.on("error", () => {});
    if (this.#isRefusing) {
      this.refused += 1;
      near.resetAndDestroy();
      return;
    }
    this.connections += 1;
    const far = connect({ port: this.#target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    const up = new Flow(near, far, this.#weather.up);
    const down = new Flow(far, near, this.#weather.down);
    const pair: Pair = { near, far, up, down };
    this.#pairs.add(pair);
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        if (near.destroyed && far.destroyed) this.#pairs.delete(pair);
      });
    }
    for (const direction of this.#holes) pair[direction].swallow();
    this.#drive();
  }

  #cut(pair: Pair, how: Cut, direction?: Direction): void {
    pair.up.swallow();
    pair.down.swallow();
    for (const one of listOf(direction)) {
      const socket = one === "up" ? pair.far : pair.near;
      if (how === "rst") socket.resetAndDestroy();
      else socket.end();
    }
  }

  #drive(): void {
    for (const pair of this.#pairs) for (const direction of BOTH) pair[direction].drive();
  }
}
