// A streamed answer, event by event: the model's name is replaced, usage is read and, unless the client asked for it,
// taken out; where an engine says it of one choice at a time, it is said of all; everything else of an event keeps its
// bytes. Events leave in canonical form (`data: …` and a blank line)
// and whole. Comments and `retry:` of the engine are dropped: keep-alives are the connector's own. The stream is
// complete only with the engine's own [DONE]; nothing is ever made up.
import { createParser, type EventSourceMessage, type EventSourceParser } from "eventsource-parser";
import { errorEvent } from "../../shared/errors.ts";
import type { Usage, WireFailure } from "../../shared/wire/messages.ts";
import {
  type AnswerOptions,
  type Finish,
  parsed,
  type Rewriter,
  readTimings,
  readUsage,
  type Tokens,
} from "./answer.ts";
import { Gather } from "./gather.ts";
import { type Member, members } from "./items.ts";
import { isSpace, NotJson, OPEN_BRACKET } from "./json.ts";
import { messageOf } from "./refusal.ts";
import { restated } from "./restate.ts";
import { concat, splice } from "./splice.ts";
import { Tally } from "./tally.ts";

export interface StreamOptions extends AnswerOptions {
  /** The client asked for usage in the stream. */
  readonly usage: boolean;
  /** Charged where the engine says nothing of the prompt. */
  readonly promptEstimate?: number;
}

/** Whole events are held in memory, as UTF-16; one token is a few hundred. */
const MAX_EVENT_CHARS = 1024 * 1024;
/** The parser counts field names as well; the exact check is made on the event. */
const PARSER_SLACK = 1024;
const DONE = "[DONE]";
/**
 * An event that carries something generated. On the raw text, because a parse of every event would cost more than all
 * else together; inside a string the quotes would be escaped, so only members match.
 */
const GENERATED =
  /"(?:content|reasoning_content|reasoning|refusal|text|arguments)"\s*:\s*"[^"]|"tool_calls"\s*:\s*\[\s*\{/;
const BROKEN: WireFailure = { code: "upstream_error", message: "The model server failed while it answered." };

const EMPTY = new Uint8Array(0);
const encoder = new TextEncoder();
const decoder = new TextDecoder();
const DONE_BYTES = encoder.encode(DONE);
const DATA = encoder.encode("data: ");
const END = encoder.encode("\n\n");

export function rewriteStream(options: StreamOptions): Rewriter {
  return new StreamRewriter(options);
}

/** What of an event is looked at; of doubles the last, as a client's parser would see it. */
interface Chunk {
  readonly choices: Uint8Array | undefined;
  readonly usage: Uint8Array | undefined;
  readonly timings: Uint8Array | undefined;
  readonly error: Uint8Array | undefined;
}

class StreamRewriter implements Rewriter {
  readonly #options: StreamOptions;
  readonly #model: Uint8Array;
  readonly #tally: Tally;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #parser: EventSourceParser;
  /** `closing`: the bytes are over, and only a [DONE] without its blank line still counts. */
  #state: "open" | "closing" | "done" | "failed" = "open";
  #failure: WireFailure | null = null;
  /** The last event that has no choices and only tells the usage: it goes out behind all others, and there is one. */
  #closing: { readonly event: EventSourceMessage; readonly body: Uint8Array } | null = null;
  /** The event at hand, in bytes. */
  readonly #body = new Gather();
  readonly #out = new Gather();

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#model = encoder.encode(JSON.stringify(options.model));
    this.#tally = new Tally(options.promptEstimate ?? 0);
    this.#parser = createParser({
      onEvent: (event) => this.#onEvent(event),
      onError: (error) => {
        if (error.type === "max-buffer-size-exceeded") this.#fail(BROKEN);
      },
      maxBufferSize: MAX_EVENT_CHARS + PARSER_SLACK,
    });
  }

  push(chunk: Uint8Array): Uint8Array {
    if (this.#state !== "open") return EMPTY;
    this.#parser.feed(this.#decoder.decode(chunk, { stream: true }));
    return this.#out.take();
  }

  get stands(): "open" | "done" | "failed" {
    return this.#state === "closing" ? "open" : this.#state;
  }

  finish(): Finish {
    if (this.#state === "open") {
      this.#state = "closing";
      this.#parser.feed(`${this.#decoder.decode()}\n\n`);
    }
    if (this.#state === "closing") {
      this.#close();
      this.#failure = { code: "stream_interrupted" };
      this.#out.addText(errorEvent({ code: "stream_interrupted" }));
    }
    const outcome = this.#state === "done" ? "complete" : this.#state === "failed" ? "failed" : "truncated";
    return { tail: this.#out.take(), outcome, failure: this.#failure };
  }

  cut(): Uint8Array {
    this.#close();
    return this.#out.take();
  }

  usage(): Usage | null {
    return this.#tally.usage();
  }

  #onEvent(event: EventSourceMessage): void {
    if (event.data.startsWith(DONE)) {
      if (this.#state !== "open" && this.#state !== "closing") return;
      this.#state = "done";
      this.#tally.over();
      this.#close();
      this.#emit(event, [DONE_BYTES]);
      return;
    }
    if (this.#state !== "open") return;
    const size = event.data.length + (event.event?.length ?? 0) + (event.id?.length ?? 0);
    if (size > MAX_EVENT_CHARS) {
      this.#fail(BROKEN);
      return;
    }
    if (event.event === "error") {
      this.#fail(this.#told(event.data));
      return;
    }
    if (event.data === "") return;
    this.#body.addText(event.data);
    this.#onBody(event, this.#body.view());
    this.#body.clear();
  }

  #onBody(event: EventSourceMessage, body: Uint8Array): void {
    let list: Member[];
    try {
      list = members(body);
    } catch (error) {
      if (!(error instanceof NotJson)) throw error;
      this.#fail(BROKEN);
      return;
    }
    const chunk = readChunk(body, list);
    if (chunk.error !== undefined) {
      this.#fail(this.#told(event.data));
      return;
    }
    const hasFigures = this.#count(event.data, chunk);
    if (!hasFigures || !isEmptyArray(chunk.choices)) this.#pass(event, body, list);
    else if (this.#options.usage) this.#closing = { event, body: body.slice() };
  }

  #pass(event: EventSourceMessage, body: Uint8Array, list: readonly Member[]): void {
    const parts = splice(body, list, ({ key, value }) => {
      if (key === "model") return this.#model;
      if (key !== "usage") return undefined;
      const { told } = this.#tally;
      if (!this.#options.usage) return null;
      return told === null ? undefined : restated(body.subarray(value.start, value.end), told);
    });
    this.#emit(event, parts);
  }

  #close(): void {
    if (this.#closing === null) return;
    const { event, body } = this.#closing;
    this.#closing = null;
    this.#pass(event, body, members(body));
  }

  /** @returns whether the chunk's `usage` holds figures. */
  #count(data: string, chunk: Chunk): boolean {
    this.#tally.event(GENERATED.test(data));
    const usage = chunk.usage === undefined ? null : readUsage(parsed(chunk.usage));
    const tokens = usage ?? (chunk.timings === undefined ? null : readTimings(parsed(chunk.timings)));
    if (tokens !== null) this.#note(tokens, chunk.choices);
    return usage !== null;
  }

  #note(tokens: Tokens, choices: Uint8Array | undefined): void {
    if (isEmptyArray(choices)) {
      this.#tally.closing(tokens);
      return;
    }
    const list = choices === undefined ? undefined : parsed(choices);
    const first: unknown = Array.isArray(list) ? list[0] : undefined;
    const index: unknown = typeof first === "object" && first !== null ? Reflect.get(first, "index") : undefined;
    this.#tally.riding(typeof index === "number" ? index : 0, tokens);
  }

  /** What the engine says of its own failure, as far as a client may read it. */
  #told(data: string): WireFailure {
    const message = messageOf(parsed(encoder.encode(data)) ?? data, this.#options.scrub);
    return message === undefined ? BROKEN : { ...BROKEN, message };
  }

  #fail(failure: WireFailure): void {
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#close();
    this.#failure = failure;
    this.#out.addText(errorEvent({ code: "upstream_error", message: failure.message }));
  }

  #emit({ event, id, data }: EventSourceMessage, parts: readonly Uint8Array[]): void {
    if (event !== undefined) this.#out.addText(`event: ${event}\n`);
    if (id !== undefined) this.#out.addText(`id: ${id}\n`);
    this.#out.add(DATA);
    if (data.includes("\n")) this.#out.addText(decoder.decode(concat(parts)).replaceAll("\n", "\ndata: "));
    else for (const part of parts) this.#out.add(part);
    this.#out.add(END);
  }
}

function readChunk(body: Uint8Array, list: readonly Member[]): Chunk {
  let choices: Uint8Array | undefined;
  let usage: Uint8Array | undefined;
  let timings: Uint8Array | undefined;
  let error: Uint8Array | undefined;
  for (const { key, value } of list) {
    if (key === "choices") choices = body.subarray(value.start, value.end);
    else if (key === "usage") usage = isNothing(body, value.start) ? undefined : body.subarray(value.start, value.end);
    else if (key === "timings") timings = body.subarray(value.start, value.end);
    else if (key === "error") error = isNothing(body, value.start) ? undefined : body.subarray(value.start, value.end);
  }
  return { choices, usage, timings, error };
}

/** `null` and `false`: some engines send `"error": null` along. */
function isNothing(body: Uint8Array, start: number): boolean {
  return body[start] === 0x6e || body[start] === 0x66;
}

function isEmptyArray(value: Uint8Array | undefined): boolean {
  return value?.[0] === OPEN_BRACKET && value.subarray(1, -1).every(isSpace);
}
