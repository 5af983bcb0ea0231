// One place that traces go to. It takes whole traces or none: what waits is bounded in spans and in bytes, a place that
// does not take them is left alone for a while, and what is lost is counted. Nothing here is ever waited for, except at
// the end, and then not for long.
import { Agent as PlainAgent } from "node:http";
import { Agent as TlsAgent } from "node:https";
import type { Attributes } from "@opentelemetry/api";
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { BatchSpanProcessor, type ReadableSpan, type SpanProcessor } from "@opentelemetry/sdk-trace";
import type { TraceCounts } from "../status.ts";
import { WORDS } from "./trace-attributes.ts";

/** Spans that wait or are on their way. */
const QUEUED_SPANS = 2_048;
/** Of prompts and answers in them, in characters. */
const QUEUED_CONTENT = 8 * 1024 * 1024;
/** A batch is written as JSON in one go, and everything else waits for it: at most about a millisecond. */
const BATCH_SPANS = 64;
const BATCH_MS = 1_000;
/** For a batch, its retries included. */
const EXPORT_MS = 10_000;
/** The exporter's own clock stands still while a collector drips, or a connection is not yet there. */
const DEADLINE_MS = EXPORT_MS + 1_000;
/** After a batch that was not taken. */
const PAUSE_MS = 5_000;

export interface TargetOptions {
  /** For people. */
  readonly name: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Attributes that others want and that do not go there; undefined: there are none. */
  readonly omits: ((key: string) => boolean) | undefined;
  readonly now: () => number;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
}

export class TraceTarget implements SpanProcessor {
  readonly #options: TargetOptions;
  readonly #agent: PlainAgent;
  readonly #exporter: OTLPTraceExporter;
  readonly #batches: BatchSpanProcessor;
  #isTaking = false;
  #queued = 0;
  #queuedContent = 0;
  #sent = 0;
  #failed = 0;
  #dropped = 0;
  #lostBefore = 0;
  #pausedUntil = 0;
  #isIll = false;

  constructor(options: TargetOptions) {
    this.#options = options;
    const { url, headers } = options;
    const agentOptions = { keepAlive: true, maxSockets: 2 };
    this.#agent = url.startsWith("https:") ? new TlsAgent(agentOptions) : new PlainAgent(agentOptions);
    this.#exporter = new OTLPTraceExporter({
      url,
      headers: { ...headers },
      timeoutMillis: EXPORT_MS,
      concurrencyLimit: QUEUED_SPANS / BATCH_SPANS + 1,
      httpAgentOptions: () => this.#agent,
    });
    this.#batches = new BatchSpanProcessor({
      exporter: {
        export: (spans, done) => this.#export(spans, done),
        forceFlush: () => this.#exporter.forceFlush(),
        shutdown: () => this.#exporter.shutdown(),
      },
      // The bound is ours; this one is only to be above it.
      maxQueueSize: 2 * QUEUED_SPANS,
      maxExportBatchSize: BATCH_SPANS,
      scheduledDelayMillis: BATCH_MS,
      exportTimeoutMillis: 2 * DEADLINE_MS,
    });
  }

  /**
   * Asks whether a trace of so many spans is taken. The spans that end until `closeTrace` are then its spans.
   * @param content characters of prompt and answer in it.
   */
  openTrace(spans: number, content: number): boolean {
    // Who has not taken the last batch gets one to try, and no more work is made for him.
    const most = this.#isIll ? BATCH_SPANS : QUEUED_SPANS;
    const hasRoom = this.#queued + spans <= most && this.#queuedContent + content <= QUEUED_CONTENT;
    this.#isTaking = hasRoom && !this.#isPaused();
    if (!this.#isTaking) this.#dropped += spans;
    return this.#isTaking;
  }

  closeTrace(): void {
    this.#isTaking = false;
  }

  status(): TraceCounts {
    return {
      name: this.#options.name,
      sent: this.#sent,
      failed: this.#failed,
      dropped: this.#dropped,
      queued: this.#queued,
    };
  }

  // What the tracer calls.

  onStart(): void {}

  onEnd(span: ReadableSpan): void {
    if (!this.#isTaking) return;
    this.#queued += 1;
    this.#queuedContent += contentOf(span);
    this.#batches.onEnd(span);
  }

  forceFlush(): Promise<void> {
    return this.#batches.forceFlush();
  }

  /** Sends what waits. May take as long as the collector lets it. */
  shutdown(): Promise<void> {
    return this.#batches.shutdown().finally(() => this.#agent.destroy());
  }

  #isPaused(): boolean {
    return this.#pausedUntil > this.#options.now();
  }

  #export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    let isOver = false;
    const finish = (result: ExportResult): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(deadline);
      this.#account(spans, result);
      done(result);
    };
    const deadline = setTimeout(() => {
      finish(failed("timeout"));
      // Connections that drip would hold places for ever.
      this.#agent.destroy();
    }, DEADLINE_MS);
    deadline.unref();
    // Not in the path of whichever exchange has filled the batch.
    setImmediate(() => {
      if (this.#isPaused()) {
        finish(failed("paused"));
        return;
      }
      try {
        const { omits } = this.#options;
        this.#exporter.export(omits === undefined ? spans : spans.map((span) => without(span, omits)), finish);
      } catch (error) {
        finish({ code: ExportResultCode.FAILED, error: error instanceof Error ? error : new Error("thrown") });
      }
    });
  }

  #account(spans: readonly ReadableSpan[], { code, error }: ExportResult): void {
    this.#queued -= spans.length;
    this.#queuedContent -= spans.reduce((sum, span) => sum + contentOf(span), 0);
    const { name, log } = this.#options;
    if (code === ExportResultCode.SUCCESS) {
      this.#sent += spans.length;
      if (!this.#isIll) return;
      this.#isIll = false;
      log.info({ target: name, lost_spans: this.#lost() - this.#lostBefore }, "traces are taken again");
      return;
    }
    this.#failed += spans.length;
    if (this.#isPaused()) return;
    this.#pausedUntil = this.#options.now() + PAUSE_MS;
    if (this.#isIll) return;
    this.#isIll = true;
    this.#lostBefore = this.#lost() - spans.length;
    log.warn({ target: name, reason: reasonOf(error) }, "traces are not taken: they are dropped until they are");
  }

  #lost(): number {
    return this.#failed + this.#dropped;
  }
}

function failed(reason: string): ExportResult {
  return { code: ExportResultCode.FAILED, error: Object.assign(new Error(reason), { code: reason }) };
}

/** A status or a code; what a collector says may quote what it was sent. */
function reasonOf(error: Error | undefined): string {
  const code: unknown = error === undefined ? undefined : Reflect.get(error, "code");
  if (typeof code === "number") return `status ${code}`;
  return typeof code === "string" ? code : (error?.message ?? "unknown").slice(0, 60);
}

function contentOf({ attributes }: ReadableSpan): number {
  let characters = 0;
  for (const key of WORDS) {
    const words = attributes[key];
    if (typeof words === "string") characters += words.length;
  }
  return characters;
}

/** The same span with fewer attributes. A copy: an object whose prototype is a span would make all spans slow. */
function without(span: ReadableSpan, omits: (key: string) => boolean): ReadableSpan {
  const attributes: Attributes = {};
  for (const key of Object.keys(span.attributes)) if (!omits(key)) attributes[key] = span.attributes[key];
  return {
    name: span.name,
    kind: span.kind,
    spanContext: () => span.spanContext(),
    ...(span.parentSpanContext === undefined ? {} : { parentSpanContext: span.parentSpanContext }),
    startTime: span.startTime,
    endTime: span.endTime,
    status: span.status,
    attributes,
    links: span.links,
    events: span.events,
    duration: span.duration,
    ended: span.ended,
    resource: span.resource,
    instrumentationScope: span.instrumentationScope,
    droppedAttributesCount: span.droppedAttributesCount,
    droppedEventsCount: span.droppedEventsCount,
    droppedLinksCount: span.droppedLinksCount,
  };
}
