// One trace for each exchange with an engine. Ids are drawn when it begins, as an engine is told them; spans are made when it
// is over, and only if somebody takes them: an exchange that nobody sees costs next to nothing.
import {
  type Context,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { defaultResource, resourceFromAttributes } from "@opentelemetry/resources";
import { AlwaysOnSampler, type IdGenerator, RandomIdGenerator, TracerProvider } from "@opentelemetry/sdk-trace";
import type { HeaderPairs } from "../../shared/headers.ts";
import type { End } from "../../shared/wire/messages.ts";
import type { TracingConfig } from "../config-tracing.ts";
import type { Observed, Observer } from "../observe.ts";
import type { TraceCounts } from "../status.ts";
import {
  type Attempt,
  attemptAttributes,
  commonAttributes,
  contentAttributes,
  errorOf,
  exchangeAttributes,
  nameOf,
  PLACES,
  type Wanted,
  WORDS,
} from "./trace-attributes.ts";
import { answerOf, type Content, promptOf, StreamContent } from "./trace-content.ts";
import { type TargetOptions, TraceTarget } from "./trace-target.ts";
import { readTraceParent, TRACEPARENT, TRACESTATE, type TraceParent, traceParentOf } from "./traceparent.ts";

/** What waits is sent at the end, for so long. */
const FAREWELL_MS = 2_000;
/** Of an answer that is not a stream; longer ones are not shown. */
const PLAIN_ANSWER_BYTES = 256 * 1024;

export interface TracingOptions {
  readonly config: TracingConfig;
  readonly version: string;
  /** Which of the processes of one connector. */
  readonly instance: string;
  readonly now: () => number;
  /** In [0, 1). */
  readonly chance: () => number;
  readonly log: TargetOptions["log"];
}

interface Tracked {
  readonly traceId: string;
  readonly spanId: string;
  readonly parent: TraceParent | null;
  readonly attempts: Attempt[];
  prompt: Content | undefined;
  stream: StreamContent | undefined;
}

export class Tracing implements Observer {
  readonly #options: TracingOptions;
  readonly #targets: readonly TraceTarget[];
  readonly #wanted: Wanted;
  readonly #hasContent: boolean;
  readonly #random = new RandomIdGenerator();
  readonly #ids = new GivenIds();
  readonly #provider: TracerProvider;
  readonly #tracer: Tracer;
  readonly #running = new Map<Observed, Tracked>();
  /** Only there if somebody wants to see answers: it is called for each chunk. */
  readonly passing?: (run: Observed, bytes: Uint8Array) => void;

  constructor(options: TracingOptions) {
    this.#options = options;
    const { config, version, instance } = options;
    this.#targets = targetsOf(options);
    this.#wanted = { langfuse: config.langfuse !== undefined, places: config.otlp !== undefined };
    this.#hasContent = config.langfuse?.content === true || config.otlp?.content === true;
    this.#provider = new TracerProvider({
      resource: defaultResource().merge(
        resourceFromAttributes({
          "service.name": "heartcode-connector",
          "service.version": version,
          "service.instance.id": instance,
        }),
      ),
      // What is sampled is decided here, once for each exchange, and never by the client.
      sampler: new AlwaysOnSampler(),
      idGenerator: this.#ids,
      spanProcessors: [...this.#targets],
    });
    this.#tracer = this.#provider.getTracer("heartcode-connector", version);
    if (this.#hasContent) this.passing = (run, bytes) => this.#running.get(run)?.stream?.push(bytes);
  }

  /** The trace that shows it, if one does. */
  traceOf(run: Observed): string | undefined {
    return this.#running.get(run)?.traceId;
  }

  status(): TraceCounts[] {
    return this.#targets.map((target) => target.status());
  }

  /** Sends what waits, if that does not take long. Never fails. */
  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FAREWELL_MS);
    });
    await Promise.race([this.#provider.shutdown().catch(() => {}), late]);
    clearTimeout(timer);
  }

  opened(run: Observed): void {
    const { config, chance } = this.#options;
    if (run.open.dialect === null || chance() >= config.sample) return;
    const parent = readTraceParent(run.open.headers);
    this.#running.set(run, {
      traceId: parent?.traceId ?? this.#random.generateTraceId(),
      spanId: this.#random.generateSpanId(),
      parent,
      attempts: [],
      prompt: undefined,
      stream: this.#hasContent && run.open.dialect.stream ? new StreamContent() : undefined,
    });
  }

  begun(run: Observed, body: Uint8Array): void {
    const tracked = this.#hasContent ? this.#running.get(run) : undefined;
    if (tracked !== undefined) tracked.prompt = promptOf(body);
  }

  sending(run: Observed, at: number): HeaderPairs | undefined {
    const tracked = this.#running.get(run);
    if (tracked === undefined) return undefined;
    const { traceId, parent, attempts } = tracked;
    const spanId = this.#random.generateSpanId();
    attempts.push({
      spanId,
      upstream: run.upstream ?? "",
      resends: attempts.filter(({ endedAt }) => endedAt !== null).length,
      startedAt: at,
      endedAt: null,
      reason: null,
      status: null,
    });
    const headers: HeaderPairs = [[TRACEPARENT, traceParentOf({ traceId, spanId })]];
    // What the client's vendor knows of a trace that we do not go on with is nothing.
    if (parent === null && run.open.headers.some(([name]) => name === TRACESTATE)) headers.push([TRACESTATE, ""]);
    return headers;
  }

  lost(run: Observed, reason: string, at: number, upstream: string): void {
    // Parts of one request may run at several upstreams at once.
    const attempt = this.#running
      .get(run)
      ?.attempts.findLast((one) => one.upstream === upstream && one.endedAt === null);
    if (attempt === undefined) return;
    attempt.reason = reason;
    attempt.endedAt = at;
  }

  answering(run: Observed, status: number): void {
    const open = this.#running.get(run)?.attempts.filter(({ endedAt }) => endedAt === null) ?? [];
    // Which of several parts was refused is not told.
    if (open.length === 1 || status < 400) for (const attempt of open) attempt.status = status;
  }

  ended(run: Observed, end: End, at: number): void {
    const tracked = this.#running.get(run);
    if (tracked === undefined) return;
    this.#running.delete(run);
    // The run that counts is another's to show.
    if (run.isWithdrawn) return;
    const { prompt, attempts } = tracked;
    const answer = this.#hasContent ? this.#answerOf(run, end, tracked) : undefined;
    const content = (prompt?.messages.length ?? 0) + (answer?.messages.length ?? 0);
    let isTaken = false;
    for (const target of this.#targets) isTaken = target.openTrace(attempts.length + 2, content) || isTaken;
    if (isTaken) this.#write(run, end, at, tracked, answer);
    for (const target of this.#targets) target.closeTrace();
  }

  #write(run: Observed, end: End, at: number, tracked: Tracked, answer: Content | undefined): void {
    const { traceId, spanId, parent, attempts, prompt } = tracked;
    const error = errorOf(end);
    const name = nameOf(run);
    const wanted = this.#wanted;
    this.#ids.trace = traceId;
    const exchange = this.#span(spanId, name, SpanKind.SERVER, run.openedAt, contextOf(parent, true));
    exchange.setAttributes(exchangeAttributes(run, end, name, wanted));
    if (prompt !== undefined) exchange.setAttributes(contentAttributes("input", prompt));
    if (answer !== undefined) exchange.setAttributes(contentAttributes("output", answer));
    if (error !== null) exchange.setStatus({ code: SpanStatusCode.ERROR, message: error });
    const inside = contextOf({ traceId, spanId }, false);

    const queue = this.#span(this.#random.generateSpanId(), "queue", SpanKind.INTERNAL, run.openedAt, inside);
    queue.setAttributes(commonAttributes(run, name, wanted));
    if (run.startedAt === null && error !== null) queue.setStatus({ code: SpanStatusCode.ERROR, message: error });
    queue.end(run.startedAt ?? at);

    for (const attempt of attempts) {
      // Of those that were not lost, what the exchange came to; of an engine's own refusal its status.
      if (attempt.endedAt === null) attempt.reason ??= isRefusal(attempt) ? String(attempt.status) : error;
      const span = this.#span(attempt.spanId, run.open.method, SpanKind.CLIENT, attempt.startedAt, inside);
      span.setAttributes(attemptAttributes(run, attempt, name, wanted));
      if (attempt.reason !== null) span.setStatus({ code: SpanStatusCode.ERROR, message: attempt.reason });
      span.end(attempt.endedAt ?? at);
    }
    // Last: whoever looks at it finds its children.
    exchange.end(at);
  }

  #span(spanId: string, name: string, kind: SpanKind, startTime: number, context: Context) {
    this.#ids.span = spanId;
    return this.#tracer.startSpan(name, { kind, startTime }, context);
  }

  #answerOf(run: Observed, { bytes }: End, { stream }: Tracked): Content | undefined {
    if (stream !== undefined) return stream.content();
    // Vectors are of no use to a reader.
    if (run.open.path === "/v1/embeddings" || run.firstChunkAt === null) return undefined;
    return answerOf(run.answerBytes(0, PLAIN_ANSWER_BYTES), bytes <= PLAIN_ANSWER_BYTES);
  }
}

function isRefusal({ status }: Attempt): boolean {
  return status !== null && status >= 400;
}

function targetsOf({ config, now, log }: TracingOptions): TraceTarget[] {
  const { langfuse, otlp } = config;
  const targets: TraceTarget[] = [];
  if (langfuse !== undefined) {
    const hidden = new Set([...PLACES, ...(langfuse.content ? [] : WORDS)]);
    targets.push(
      new TraceTarget({
        name: "langfuse",
        url: `${langfuse.host.replace(/\/+$/, "")}/api/public/otel/v1/traces`,
        headers: {
          authorization: `Basic ${Buffer.from(`${langfuse.publicKey}:${langfuse.secretKey}`).toString("base64")}`,
          // Shown at once; without it a trace may take ten minutes.
          "x-langfuse-ingestion-version": "4",
        },
        omits: otlp === undefined ? undefined : (key) => hidden.has(key),
        now,
        log,
      }),
    );
  }
  if (otlp !== undefined) {
    const hidden = new Set(otlp.content ? [] : WORDS);
    const omits = (key: string) => key.startsWith("langfuse.") || hidden.has(key);
    targets.push(
      new TraceTarget({
        name: "otlp",
        url: otlp.endpoint,
        headers: otlp.headers,
        omits: langfuse === undefined ? undefined : omits,
        now,
        log,
      }),
    );
  }
  return targets;
}

function contextOf(parent: TraceParent | null, isRemote: boolean): Context {
  if (parent === null) return ROOT_CONTEXT;
  return trace.setSpanContext(ROOT_CONTEXT, { ...parent, traceFlags: TraceFlags.SAMPLED, isRemote });
}

/** Hands out ids that were drawn before: the next span gets these. */
class GivenIds implements IdGenerator {
  trace = "";
  span = "";

  generateTraceId(): string {
    return this.trace;
  }

  generateSpanId(): string {
    return this.span;
  }
}
