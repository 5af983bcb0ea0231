// A TCP relay on loopback that breaks on demand: the road between the connector and the edge.
import { connect, createServer, type Server, type Socket } from "node:net";

export class Relay {
  readonly #server: Server;
  readonly #pairs = new Set<[Socket, Socket]>();
  cuts = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async to(target: number): Promise<Relay> {
    const server = createServer();
    const relay = new Relay(server);
    server.on("connection", (near) => {
      const far = connect(target, "127.0.0.1");
      const pair: [Socket, Socket] = [near, far];
      relay.#pairs.add(pair);
      for (const [one, other] of [pair, [far, near] as const]) {
        one.setNoDelay();
        one.on("error", () => {});
        one.on("close", () => {
          relay.#pairs.delete(pair);
          other.destroy();
        });
        one.pipe(other);
      }
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return relay;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** Every connection ends by RST, for both sides, with whatever is under way. */
  cut(): void {
    this.cuts += 1;
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}
