// An HTTP server on loopback whose every answer is given by the test, and a reader that notes what it is handed.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { UpstreamHandler } from "../../../connector/upstream/request.ts";
import type { Failure } from "../../../shared/errors.ts";
import type { HeaderPairs } from "../../../shared/headers.ts";

/** What comes is handed to whoever waits, or waits for whoever comes. */
class Arrivals<T> {
  readonly #here: T[] = [];
  readonly #waiting: ((one: T) => void)[] = [];

  add(one: T): void {
    const waiter = this.#waiting.shift();
    if (waiter === undefined) this.#here.push(one);
    else waiter(one);
  }

  next(): Promise<T> {
    const one = this.#here.shift();
    return one === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(one);
  }

  get waiting(): number {
    return this.#here.length;
  }
}

/** One request as the engine sees it. */
export class Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly body: string;
  /** The connection is gone, whoever closed it. */
  readonly closed: Promise<void>;

  constructor(request: IncomingMessage, response: ServerResponse, body: string) {
    this.request = request;
    this.response = response;
    this.body = body;
    this.closed = new Promise((resolve) => request.socket.once("close", () => resolve()));
  }

  answer(status = 200, text = "ok"): void {
    this.response.writeHead(status, { "content-type": "text/plain" }).end(text);
  }

  begin(text = "begun"): void {
    this.response.writeHead(200, { "content-type": "text/event-stream" });
    if (text !== "") this.response.write(text);
    else this.response.flushHeaders();
  }

  /** RST. */
  reset(): void {
    this.request.socket.resetAndDestroy();
  }
}

export class TestEngine {
  readonly #server: Server;
  readonly #calls = new Arrivals<Call>();
  readonly #probes = new Arrivals<Call>();
  readonly #connections = new Arrivals<Socket>();
  /** What `/health` answers by itself; null leaves it to the test. */
  health: number | null = 200;
  connections = 0;

  private constructor() {
    this.#server = createServer(
      { keepAliveTimeout: 60_000 },
      (request, response) => void this.#take(request, response),
    );
    this.#server.on("connection", (socket) => {
      this.connections += 1;
      socket.on("error", () => {});
      socket.setMaxListeners(0);
      this.#connections.add(socket);
    });
  }

  static async start(port = 0): Promise<TestEngine> {
    const engine = new TestEngine();
    engine.#server.listen(port, "127.0.0.1");
    await once(engine.#server, "listening");
    return engine;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The next request that is no probe. */
  next(): Promise<Call> {
    return this.#calls.next();
  }

  nextProbe(): Promise<Call> {
    return this.#probes.next();
  }

  nextConnection(): Promise<Socket> {
    return this.#connections.next();
  }

  /** Requests that nobody has taken yet. */
  get waiting(): number {
    return this.#calls.waiting;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    try {
      for await (const chunk of request.setEncoding("utf8")) body += chunk;
    } catch {
      return;
    }
    const call = new Call(request, response, body);
    if (request.url !== "/health") return this.#calls.add(call);
    this.#probes.add(call);
    if (this.health !== null) call.answer(this.health, "{}");
  }
}

/** A port that refuses connections. */
export async function deadUrl(): Promise<string> {
  const engine = await TestEngine.start();
  const { url } = engine;
  await engine.stop();
  return url;
}

export type Ending = { readonly kind: "end" } | { readonly kind: "failure"; readonly failure: Failure };

export class Reader implements UpstreamHandler {
  readonly starts: { upstream: string; attempt: number }[] = [];
  readonly heads: { status: number; headers: HeaderPairs }[] = [];
  readonly chunks: Uint8Array[] = [];
  readonly endings: Ending[] = [];
  /** A turn of the event loop after it: connection and slot are free again. */
  readonly ended: Promise<Ending>;
  /** Answers onData. */
  takesMore: () => boolean = () => true;
  readonly #data = new Arrivals<Uint8Array>();
  readonly #started = new Arrivals<string>();
  #onEnding: (ending: Ending) => void = () => {};

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#onEnding = resolve;
    });
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  get bytes(): number {
    return this.chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** The code of the failure, or `end`, as soon as it is known. */
  async outcome(): Promise<string> {
    const ending = await this.ended;
    return ending.kind === "end" ? "end" : ending.failure.code;
  }

  nextData(): Promise<Uint8Array> {
    return this.#data.next();
  }

  nextStart(): Promise<string> {
    return this.#started.next();
  }

  onStart(upstream: string, attempt: number): void {
    this.starts.push({ upstream, attempt });
    this.#started.add(upstream);
  }

  onHead(status: number, headers: HeaderPairs): void {
    this.heads.push({ status, headers });
  }

  onData(chunk: Uint8Array): boolean {
    this.chunks.push(chunk);
    this.#data.add(chunk);
    return this.takesMore();
  }

  onEnd(): void {
    this.#end({ kind: "end" });
  }

  onFailure(failure: Failure): void {
    this.#end({ kind: "failure", failure });
  }

  #end(ending: Ending): void {
    this.endings.push(ending);
    setImmediate(() => setImmediate(() => this.#onEnding(ending)));
  }
}
