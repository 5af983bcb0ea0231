// Reads HTTP/1.1 answers off a byte stream, as cheaply as checking them allows. Pure: bytes in, calls out.
// Refuses what has no length: an answer that ends with the connection cannot be told from one that was cut.

export interface AnswerSink {
  head(status: number, keepAlive: boolean): void;
  body(piece: Buffer): void;
  end(): void;
}

type State = "head" | "length" | "size" | "chunk" | "chunk-end" | "trailer";

const LINE = Buffer.from("\r\n");
const HEAD_END = Buffer.from("\r\n\r\n");
const MAX_PENDING_BYTES = 64 * 1024;

export class AnswerReader {
  readonly #sink: AnswerSink;
  #state: State = "head";
  #left = 0;
  #pending: Buffer | null = null;

  constructor(sink: AnswerSink) {
    this.#sink = sink;
  }

  /** @throws Error where the bytes are not an answer. */
  feed(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) at = this.#step(bytes, at);
  }

  #step(bytes: Buffer, at: number): number {
    switch (this.#state) {
      case "head":
        return this.#upTo(HEAD_END, bytes, at, (text) => this.#head(text));
      case "size":
        return this.#upTo(LINE, bytes, at, (text) => this.#size(text));
      case "chunk-end":
        return this.#upTo(LINE, bytes, at, (text) => {
          if (text !== "") throw new Error("a chunk is longer than it says");
          this.#state = "size";
        });
      case "trailer":
        return this.#upTo(LINE, bytes, at, (text) => {
          if (text === "") this.#end();
        });
      case "length":
      case "chunk":
        return this.#take(bytes, at);
    }
  }

  #take(bytes: Buffer, at: number): number {
    const piece = bytes.subarray(at, at + this.#left);
    this.#left -= piece.length;
    this.#sink.body(piece);
    if (this.#left === 0) {
      if (this.#state === "length") this.#end();
      else this.#state = "chunk-end";
    }
    return at + piece.length;
  }

  /** Hands over the text before `mark`, or keeps what there is until the mark comes. */
  #upTo(mark: Buffer, bytes: Buffer, at: number, found: (text: string) => void): number {
    if (this.#pending === null) {
      const end = bytes.indexOf(mark, at);
      if (end >= 0) {
        found(bytes.toString("latin1", at, end));
        return end + mark.length;
      }
      this.#pending = Buffer.from(bytes.subarray(at));
      return bytes.length;
    }
    const before = this.#pending.length;
    const joined = Buffer.concat([this.#pending, bytes.subarray(at)]);
    const end = joined.indexOf(mark);
    if (end < 0) {
      if (joined.length > MAX_PENDING_BYTES) throw new Error("a head or a chunk size has no end");
      this.#pending = joined;
      return bytes.length;
    }
    this.#pending = null;
    found(joined.toString("latin1", 0, end));
    return at + end + mark.length - before;
  }

  #head(text: string): void {
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(text)?.[1]);
    if (Number.isNaN(status)) throw new Error("is not HTTP");
    if (status < 200) return; // 100 Continue: the real head follows.
    this.#sink.head(status, !/\r\nconnection: *close/i.test(text));
    if (/\r\ntransfer-encoding: *chunked/i.test(text)) {
      this.#state = "size";
      return;
    }
    const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
    if (length === undefined) throw new Error("an answer without a length");
    this.#left = Number(length);
    this.#state = "length";
    if (this.#left === 0) this.#end();
  }

  #size(text: string): void {
    const size = Number.parseInt(text, 16);
    if (Number.isNaN(size)) throw new Error("a chunk without a size");
    this.#left = size;
    this.#state = size === 0 ? "trailer" : "chunk";
  }

  #end(): void {
    this.#state = "head";
    this.#sink.end();
  }
}
