// One exchange at an engine: body in the engine's dialect, answer in the client's, usage and timings noted on the way.
// Engines, dialect and clock are given; nothing here knows an address.
import { errorEvent, errorHead, type Failure, isErrorCode, type PublicFailure } from "../../shared/errors.ts";
import { ANSWER_HEADERS, allowHeaders, type HeaderPairs } from "../../shared/headers.ts";
import type { End, Open, Timings, Usage, WireFailure } from "../../shared/wire/messages.ts";
import type { Observed, Observer } from "../observe.ts";
import type { Engine } from "./engine.ts";
import type { Exchange, Service } from "./exchange.ts";
import { Standstill } from "./standstill.ts";
import type { Rewriter, Translation } from "./translation.ts";

/** A stream says so often that it is alive: idle proxies keep it, and a client that has left is noticed by the write. */
export const KEEP_ALIVE_MS = 15_000;
/** What is read of an engine's refusal. */
const REFUSAL_BYTES = 64 * 1024;

export interface ServingOptions {
  readonly exchange: Exchange;
  readonly engine: Engine;
  readonly translation: Translation | null;
  readonly now: () => number;
  /** None: nobody watches, and it costs nothing. */
  readonly observer?: Observer | undefined;
}

const text = new TextEncoder();
const EVENT_STREAM = "text/event-stream";

export class Serving implements Service, Observed {
  readonly #exchange: Exchange;
  readonly #engine: Engine;
  readonly #translation: Translation | null;
  readonly #now: () => number;
  readonly #observer: Observer | undefined;
  readonly openedAt: number;
  startedAt: number | null = null;
  firstByteAt: number | null = null;
  firstChunkAt: number | null = null;
  attempts = 0;
  upstream: string | null = null;
  detail: string | undefined;
  isWithdrawn = false;
  #lastByteAt: number;
  #running: ReturnType<Engine["serve"]> | null = null;
  #rewriter: Rewriter | null = null;
  /** Body of an engine's 4xx while it comes. */
  #refusal: { status: number; parts: Uint8Array[]; bytes: number } | null = null;
  /** The client has a 200 and an event stream: what goes wrong now is an event. */
  #isEvents = false;
  #isLeft = false;
  readonly #standstill = new Standstill();

  constructor({ exchange, engine, translation, now, observer }: ServingOptions) {
    this.#exchange = exchange;
    this.#engine = engine;
    this.#translation = translation;
    this.#now = now;
    this.#observer = observer;
    this.openedAt = now();
    this.#lastByteAt = this.openedAt;
    observer?.opened?.(this);
  }

  get open(): Open {
    return this.#exchange.open;
  }

  get status(): number | null {
    const { status, end } = this.#exchange;
    const failure = end?.failure ?? null;
    return status ?? (failure === null ? null : errorHead(fromWire(failure)).status);
  }

  get isOver(): boolean {
    return this.#exchange.end !== null;
  }

  begin(body: Uint8Array): void {
    const { open } = this.#exchange;
    this.#observer?.begun?.(this, body);
    let translated: Uint8Array;
    try {
      translated = this.#translation?.request(body) ?? body;
    } catch {
      this.#fail({ code: "invalid_request" });
      return;
    }
    this.#running = this.#engine.serve(
      {
        method: open.method,
        path: open.path,
        // After the client's own, which the edge does not let pass: an engine's log can be read beside ours.
        headers: [...open.headers, ["x-request-id", open.exchange]],
        body: translated,
        tier: open.tier,
        tenant: open.tenant,
        deadline: this.openedAt + open.deadline_ms,
        isPlain: open.dialect?.stream === false,
      },
      {
        onStart: (upstream) => this.#onStart(upstream),
        headers: () => this.#observer?.sending?.(this, this.#now()),
        onLost: (reason, upstream) => this.#observer?.lost?.(this, reason, this.#now(), upstream),
        onHead: (status, headers) => this.#onHead(status, headers),
        onData: (chunk) => this.#onData(chunk),
        onEnd: () => this.#onEnd(),
        onFailure: (failure) => this.#onFailure(failure),
      },
    );
  }

  abort(): void {
    this.#isLeft = true;
    this.#running?.abort();
  }

  resume(): void {
    this.#running?.resume();
  }

  usage(): Usage | null {
    return this.#rewriter?.usage(this.#isLeft) ?? null;
  }

  timings(): Timings {
    const now = this.#now();
    return {
      queue_ms: (this.startedAt ?? now) - this.openedAt,
      first_byte_ms: this.firstByteAt === null ? null : this.firstByteAt - this.openedAt,
      total_ms: now - this.openedAt,
    };
  }

  ended(end: End, isWithdrawn: boolean): void {
    this.isWithdrawn = isWithdrawn;
    this.#observer?.ended?.(this, end, this.#now());
  }

  answerBytes(from: number, to: number): Uint8Array {
    return this.#exchange.answerBytes(from, to);
  }

  /** Called about once a second. */
  tick(): void {
    const now = this.#now();
    if (this.#exchange.end === null && this.#standstill.isTooLong(this.#exchange.heldAt, now)) {
      this.abort();
      this.detail = "its reader stands still";
      this.#fail({ code: "stream_interrupted" });
      return;
    }
    if (!this.#wantsStream() || this.#refusal !== null || this.#exchange.end !== null) return;
    if (now - this.#lastByteAt < KEEP_ALIVE_MS) return;
    this.#lastByteAt = now;
    if (!this.#exchange.hasHead) this.#beginEvents();
    if (this.#isEvents) this.#exchange.data(text.encode(": keep-alive\n\n"));
  }

  #onStart(upstream: string): void {
    this.startedAt ??= this.#now();
    this.upstream = upstream;
    this.attempts += 1;
  }

  #onHead(status: number, headers: HeaderPairs): void {
    this.firstByteAt = this.#now();
    this.#observer?.answering?.(this, status, this.firstByteAt);
    if (this.#translation !== null && status >= 400) {
      this.#refusal = { status, parts: [], bytes: 0 };
      return;
    }
    const kept = allowHeaders(headers, ANSWER_HEADERS);
    const isEvents = kept.some(([name, value]) => name === "content-type" && value.startsWith(EVENT_STREAM));
    if (this.#isEvents && !isEvents) {
      // Its client has had a keep-alive by now, and reads events.
      this.#running?.abort();
      this.#fail({ code: "upstream_error" });
      return;
    }
    this.#rewriter = this.#translation?.answer(isEvents) ?? null;
    if (isEvents) this.#beginEvents();
    else if (!this.#exchange.hasHead) this.#exchange.head(status, kept);
  }

  #beginEvents(): void {
    this.#isEvents = true;
    if (!this.#exchange.hasHead) this.#exchange.head(200, [["content-type", `${EVENT_STREAM}; charset=utf-8`]]);
  }

  #onData(chunk: Uint8Array): boolean {
    if (this.#refusal !== null) {
      this.#refusal.bytes += chunk.byteLength;
      if (this.#refusal.bytes <= REFUSAL_BYTES) this.#refusal.parts.push(chunk);
      return true;
    }
    const bytes = this.#rewriter === null ? chunk : this.#rewriter.push(chunk);
    const takesMore = bytes.byteLength === 0 || this.#pass(bytes);
    const stands = this.#rewriter?.stands ?? "open";
    if (stands === "open") return takesMore;
    // Whatever it still says, it says to nobody; and an engine that holds its connection open behind its own end holds nothing else.
    if (stands === "done") this.#running?.letEnd();
    else this.#running?.abort();
    this.#onEnd();
    return stands === "done";
  }

  #onEnd(): void {
    if (this.#refusal !== null) {
      const { status, parts } = this.#refusal;
      const refusal = this.#translation?.refusal(status, concat(parts)) ?? { code: "upstream_error" };
      this.#fail(fromWire(refusal));
      return;
    }
    if (this.#rewriter === null) {
      this.#exchange.over("complete", null);
      return;
    }
    const { tail, outcome, failure } = this.#rewriter.finish();
    if (tail.byteLength > 0) this.#pass(tail);
    this.#exchange.over(outcome, failure);
  }

  #pass(bytes: Uint8Array): boolean {
    // Not where the engine's bytes come in: what the dialect swallows (comments, usage) keeps nobody's connection alive.
    this.#lastByteAt = this.#now();
    this.firstChunkAt ??= this.#lastByteAt;
    this.#observer?.passing?.(this, bytes);
    return this.#exchange.data(bytes);
  }

  #onFailure(failure: Failure): void {
    this.detail = failure.detail;
    this.#fail(failure.public);
  }

  /** Before the head a failure is a status, in a stream it is an event, in a plain body only the break is honest. */
  #fail(failure: PublicFailure): void {
    const rest = this.#isEvents ? this.#rewriter?.cut() : undefined;
    if (rest !== undefined && rest.byteLength > 0) this.#pass(rest);
    if (this.#isEvents) this.#exchange.data(text.encode(errorEvent(failure)));
    this.#exchange.over("failed", toWire(failure));
  }

  #wantsStream(): boolean {
    return wantsStream(this.#exchange.open);
  }
}

function wantsStream(open: Open): boolean {
  return open.dialect?.stream === true;
}

export function toWire({ code, message, param, status, retryAfterMs }: PublicFailure): WireFailure {
  return {
    code,
    ...(message === undefined ? {} : { message }),
    ...(param === undefined ? {} : { param }),
    ...(status === undefined ? {} : { status }),
    ...(retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(retryAfterMs) }),
  };
}

function fromWire({ code, message, param, status, retry_after_ms }: WireFailure): PublicFailure {
  return { code: isErrorCode(code) ? code : "upstream_error", message, param, status, retryAfterMs: retry_after_ms };
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
