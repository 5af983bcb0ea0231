// One kept-alive client connection that asks one thing at a time. Knows HTTP, not what is asked.
import { connect, type Socket } from "node:net";
import { AnswerReader } from "./answer.ts";

export interface Request {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** The whole Authorization header. */
  readonly authorization?: string | null;
  readonly body?: string;
}

export function requestBytes(request: Request): Buffer {
  const body = Buffer.from(request.body ?? "");
  const head = [`${request.method} ${request.path} HTTP/1.1`, "host: 127.0.0.1"];
  if (request.authorization != null) head.push(`authorization: ${request.authorization}`);
  if (request.body !== undefined) head.push("content-type: application/json", `content-length: ${body.length}`);
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]);
}

interface Waiting {
  readonly onBody: (piece: Buffer) => void;
  readonly resolve: (status: number) => void;
  readonly reject: (error: Error) => void;
}

export class Connection {
  readonly #port: number;
  #socket: Socket | null = null;
  #waiting: Waiting | null = null;
  #destroyed = false;

  constructor(port: number) {
    this.#port = port;
  }

  /** Resolves with the status when the answer is complete; rejects when it never will be. */
  ask(request: Buffer, onBody: (piece: Buffer) => void): Promise<number> {
    return new Promise<number>((resolve, reject) => {
      if (this.#destroyed) return reject(new Error("connection closed by the client"));
      this.#waiting = { onBody, resolve, reject };
      this.#socket ??= this.#open();
      this.#socket.write(request);
    });
  }

  destroy(): void {
    this.#destroyed = true;
    this.#socket?.destroy();
    this.#fail(new Error("connection closed by the client"));
  }

  #open(): Socket {
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    let status = 0;
    let kept = true;
    const reader = new AnswerReader({
      head: (answered, keepAlive) => {
        status = answered;
        kept = keepAlive;
      },
      body: (piece) => this.#waiting?.onBody(piece),
      end: () => {
        if (!kept) {
          this.#socket = null;
          socket.destroy();
        }
        const waiting = this.#waiting;
        this.#waiting = null;
        waiting?.resolve(status);
      },
    });
    socket.on("data", (bytes) => {
      try {
        reader.feed(bytes);
      } catch (error) {
        socket.destroy(error instanceof Error ? error : new Error(String(error)));
      }
    });
    let reason = "connection closed before the end of the answer";
    socket.on("error", (error: NodeJS.ErrnoException) => {
      reason = error.code ?? error.message;
    });
    socket.on("close", () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#fail(new Error(reason));
    });
    return socket;
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.reject(error);
  }
}
