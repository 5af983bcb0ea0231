// From an exchange to a Response: the reader that the switchboard tells, and the stream that the Worker pulls.
// Credit follows the pull: what nobody asks for stays at the connector.
import { ERRORS, type PublicFailure } from "../../shared/errors.ts";
import type { HeaderPairs } from "../../shared/headers.ts";
import {
  AGAIN_HEADER,
  FAILURE_HEADER,
  failureHeader,
  HEADER_BODY_BYTES,
  servedHeader,
  wholeHeaders,
} from "../../shared/hop.ts";
import type { Head } from "../../shared/wire/messages.ts";
import type { Exchange, Reader } from "./exchange.ts";

/** What one pull hands to the runtime at most. */
const PULL_BYTES = 256 * 1024;

interface Board {
  take(exchange: Exchange, max: number, now: number): Uint8Array;
  cancel(exchange: Exchange): void;
}

export class Answer implements Reader {
  readonly #board: Board;
  readonly #isResumed: boolean;
  readonly #started = Promise.withResolvers<void>();
  #head: Head | null = null;
  #failure: PublicFailure | null = null;
  #isAgain = false;
  #wake: (() => void) | null = null;
  /** Called when there is room for more of the request's body. */
  onRoom: () => void = () => {};

  /** @param isResumed the client has the head already. */
  constructor(board: Board, isResumed = false) {
    this.#board = board;
    this.#isResumed = isResumed;
  }

  /** It has a head or has failed: the first that may leave the hub. */
  get started(): Promise<unknown> {
    return this.#started.promise;
  }

  head(head: Head): void {
    this.#head = head;
    this.#started.resolve();
  }

  data(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  fail(failure: PublicFailure): void {
    this.#failure = failure;
    this.#started.resolve();
    this.data();
    this.onRoom();
  }

  again(): void {
    this.#isAgain = true;
    this.#started.resolve();
    this.onRoom();
  }

  accepted(): void {
    // The head of a resumed answer has long been sent; that it goes on is all there is to wait for.
    if (this.#isResumed) this.head({ status: 200, headers: [] });
  }

  room(): void {
    this.onRoom();
  }

  /** To be asked once it has {@link started}. @param extra headers of the gateway. */
  response(exchange: Exchange, extra: HeaderPairs): Response {
    const head = this.#head;
    if (this.#isAgain) return new Response(null, { status: 503, headers: { [AGAIN_HEADER]: `${exchange.attempts}` } });
    // What has failed with nothing of it told, or is resumed with nothing left of it, is told as a failure and not as a stream
    // that breaks: the Worker would take that for another loss, and resume it again and again.
    const isSpent = this.#failure !== null && (exchange.isUntold || (this.#isResumed && exchange.unread === 0));
    if (head === null || isSpent) return failed({ ...(this.#failure ?? { code: "internal_error" }), headers: extra });
    // A status that forbids a body is no answer to any of our questions, and `new Response` would throw on it.
    if (head.status === 204 || head.status === 205 || head.status === 304) {
      this.#board.cancel(exchange);
      return failed({ code: "upstream_error", headers: extra });
    }
    const headers = [...head.headers, ...extra];
    if (exchange.end !== null && this.#failure === null && exchange.unread <= PULL_BYTES) {
      // A small answer that came in one message goes out in one piece: no stream, no wrapping in the Worker.
      const bytes = this.#board.take(exchange, PULL_BYTES, Date.now());
      // As an object: pairs take the runtime three times as long, and there are no two of one name.
      const whole = Object.fromEntries(headers);
      const { status } = head;
      if (this.#isResumed || bytes.byteLength > HEADER_BODY_BYTES)
        return new Response(bytes, { status, headers: whole });
      return new Response(null, { status, headers: wholeHeaders({ headers: whole, body: bytes.toBase64() }) });
    }
    headers.push(servedHeader(exchange.owner ?? { connector: "", instance: "" }));
    return new Response(this.#stream(exchange), { status: head.status, headers });
  }

  #stream(exchange: Exchange): ReadableStream<Uint8Array> {
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> => {
      for (;;) {
        // The beginning of what has failed would only keep the Worker from saying so.
        if (this.#failure !== null && exchange.isUntold) return controller.error(new Error(this.#failure.code));
        const bytes = this.#board.take(exchange, PULL_BYTES, Date.now());
        if (bytes.byteLength > 0) return controller.enqueue(bytes);
        if (this.#failure !== null) return controller.error(new Error(this.#failure.code));
        if (exchange.end !== null) return controller.close();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    };
    const cancel = () => this.#board.cancel(exchange);
    return new ReadableStream({ pull, cancel }, { highWaterMark: 0 });
  }
}

/** Tells the Worker what to throw. */
export function failed(failure: PublicFailure): Response {
  return new Response(null, {
    status: ERRORS[failure.code].status,
    headers: { [FAILURE_HEADER]: failureHeader(failure) },
  });
}
