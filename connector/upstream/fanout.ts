// A large embedding request over several upstreams of a pool at once. Each part is a request of the pool like any other,
// with a slot, a queue and retries of its own; together they are one answer, in order, or one failure.

import { Failure } from "../../shared/errors.ts";
import type { HeaderPairs } from "../../shared/headers.ts";
import type { Running, UpstreamHandler, UpstreamRequest } from "./request.ts";

/** What of a part is read ahead of its turn. Parts have slots, so all that is held is bounded by the slots of a pool. */
export const AHEAD_BYTES = 512 * 1024;

/** The bytes of one request as several, as connector/dialect offers them. */
export interface SplitRequest {
  readonly bodies: readonly Uint8Array[];
  readonly merge: {
    /** Bytes of a part's answer in, what of the whole they are out; null: it is no answer. */
    push(part: number, chunk: Uint8Array): Uint8Array | null;
    /** Whether the part's answer, which is over, was whole. */
    end(part: number): boolean;
    /** What stands behind the bytes of the last part. */
    tail(): Uint8Array;
  };
}

/** @returns null where one request does as well. */
export type SplitBody = (body: Uint8Array, most: number) => SplitRequest | null;

export interface Spread {
  /** Upstreams that would take a request at once. */
  readonly idle: number;
  serve(request: UpstreamRequest, handler: UpstreamHandler): Running;
}

export class FanOut {
  readonly #pool: Spread;
  readonly #split: SplitBody;

  constructor(pool: Spread, split: SplitBody) {
    this.#pool = pool;
    this.#split = split;
  }

  /** Over idle upstreams only: where requests wait already, parts would take each other's places. */
  serve(request: UpstreamRequest, handler: UpstreamHandler): Running {
    const { idle } = this.#pool;
    const split = idle < 2 ? null : this.#split(request.body, idle);
    if (split === null) return this.#pool.serve(request, handler);
    const whole = new Whole(split, handler);
    whole.start(split.bodies.map((body) => (part) => this.#pool.serve({ ...request, body }, part)));
    return whole;
  }
}

interface Part {
  running: Running | null;
  /** `waiting` for a slot, `sent`, `answering` with a good head, `over`. */
  phase: "waiting" | "sent" | "answering" | "over";
  /** Bytes of the whole that are not handed on yet. */
  readonly ready: Uint8Array[];
  held: number;
  isPaused: boolean;
}

class Whole implements Running {
  readonly #merge: SplitRequest["merge"];
  readonly #handler: UpstreamHandler;
  readonly #parts: readonly Part[];
  #head: HeaderPairs = [];
  /** Whose bytes go out. */
  #turn = 0;
  /** A part that is the whole answer: it was refused. */
  #sole: Part | null = null;
  #hasHead = false;
  /** The reader takes more. */
  #isOpen = true;
  #isOver = false;

  constructor({ bodies, merge }: SplitRequest, handler: UpstreamHandler) {
    this.#merge = merge;
    this.#handler = handler;
    this.#parts = bodies.map(() => ({ running: null, phase: "waiting", ready: [], held: 0, isPaused: false }));
  }

  start(serves: readonly ((handler: UpstreamHandler) => Running)[]): void {
    for (const [index, part] of this.#parts.entries()) {
      if (this.#isOver) return;
      part.running = serves[index]?.(this.#handlerOf(part, index)) ?? null;
    }
  }

  abort(): void {
    this.#isOver = true;
    this.#abortAllBut(null);
  }

  /** None of its parts is a stream, which alone says that it is whole. */
  letEnd(): void {
    this.abort();
  }

  resume(): void {
    if (this.#sole !== null) {
      this.#sole.running?.resume();
      return;
    }
    // Not within the call of a reader who has only just made room.
    queueMicrotask(() => {
      this.#isOpen = true;
      try {
        this.#flush();
      } catch (cause) {
        this.#fail(new Failure("internal_error", { detail: "the reader of an answer threw", cause }));
      }
    });
  }

  /** The attempts of all parts are told, several at once. */
  #handlerOf(part: Part, index: number): UpstreamHandler {
    return {
      onStart: (upstream, attempt) => {
        part.phase = "sent";
        if (!this.#isOver) this.#handler.onStart(upstream, attempt);
      },
      headers: () => (this.#isOver ? undefined : this.#handler.headers?.()),
      onLost: (reason, upstream) => {
        part.phase = "waiting";
        if (!this.#isOver) this.#handler.onLost?.(reason, upstream);
        this.#resumeParts();
      },
      onHead: (status, headers) => this.#onHead(part, index, status, headers),
      onData: (chunk) => this.#onData(part, index, chunk),
      onEnd: () => this.#onEnd(part, index),
      onFailure: (failure) => this.#fail(failure),
    };
  }

  #onHead(part: Part, index: number, status: number, headers: HeaderPairs): void {
    if (this.#isOver) return;
    if (status >= 400) {
      // What one part is refused for, the whole is.
      this.#sole = part;
      this.#abortAllBut(part);
      this.#handler.onHead(status, headers);
      return;
    }
    part.phase = "answering";
    // The length is that of the part.
    if (index === 0) this.#head = headers.filter(([name]) => name === "content-type");
    // Until every part is known to be good, the failure of one can still be told by a status.
    if (!this.#parts.every(({ phase }) => phase === "answering" || phase === "over")) return;
    this.#hasHead = true;
    this.#handler.onHead(200, this.#head);
    this.#flush();
  }

  #onData(part: Part, index: number, chunk: Uint8Array): boolean {
    if (this.#isOver) return false;
    if (this.#sole !== null) return this.#handler.onData(chunk);
    const bytes = this.#merge.push(index, chunk);
    if (bytes === null) {
      this.#fail(malformed(index));
      return false;
    }
    if (bytes.byteLength > 0) {
      part.ready.push(bytes);
      part.held += bytes.byteLength;
    }
    this.#flush();
    part.isPaused = this.#isTooFarAhead(part);
    return !part.isPaused;
  }

  #onEnd(part: Part, index: number): void {
    if (this.#isOver) return;
    if (this.#sole !== null) {
      this.#end();
      return;
    }
    part.phase = "over";
    if (!this.#merge.end(index)) this.#fail(malformed(index));
    else this.#flush();
  }

  /** Hands on what is ready, in order, as far as the reader takes it. */
  #flush(): void {
    while (this.#hasHead && this.#isOpen && !this.#isOver) {
      const part = this.#parts[this.#turn];
      if (part === undefined) {
        this.#handler.onData(this.#merge.tail());
        this.#end();
        return;
      }
      const bytes = part.ready.shift();
      if (bytes !== undefined) {
        part.held -= bytes.byteLength;
        this.#isOpen = this.#handler.onData(bytes);
      } else if (part.phase === "over") this.#turn += 1;
      else break;
    }
    this.#resumeParts();
  }

  #resumeParts(): void {
    if (this.#isOver) return;
    for (const part of this.#parts) {
      if (!part.isPaused || this.#isTooFarAhead(part)) continue;
      part.isPaused = false;
      part.running?.resume();
    }
  }

  /** While a part waits for a slot none is paused: the slots that they hold may be what it waits for. */
  #isTooFarAhead(part: Part): boolean {
    return part.held >= AHEAD_BYTES && this.#parts.every(({ phase }) => phase !== "waiting");
  }

  /** A reader that throws at the end must hear of a failure. */
  #end(): void {
    if (!this.#isOver) this.#handler.onEnd();
    this.#isOver = true;
  }

  #fail(failure: Failure): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#abortAllBut(null);
    this.#handler.onFailure(failure);
  }

  #abortAllBut(kept: Part | null): void {
    for (const part of this.#parts) {
      if (part === kept) continue;
      part.ready.length = 0;
      part.running?.abort();
    }
  }
}

function malformed(part: number): Failure {
  return new Failure("upstream_error", { detail: `the answer to part ${part} is not one of embeddings` });
}
