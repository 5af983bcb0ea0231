// A collector that speaks OTLP over HTTP in JSON, as Langfuse does: it keeps what it gets, or misbehaves as it is told.
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { until } from "./stack.ts";

/** `hang`: takes the request and never answers. `drip`: answers, and never comes to an end. */
export type Manner = "take" | "hang" | "drip" | { readonly status: number };

type Value = string | number | boolean | Value[];

export interface TakenSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: "internal" | "server" | "client" | "producer" | "consumer";
  /** ms since the epoch. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Readonly<Record<string, Value>>;
  readonly status: "unset" | "ok" | "error";
  readonly statusMessage: string | undefined;
  readonly resource: Readonly<Record<string, Value>>;
}

interface OtlpValue {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  readonly intValue?: string | number;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values: OtlpValue[] };
}
type OtlpAttributes = readonly { readonly key: string; readonly value: OtlpValue }[];
interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: OtlpAttributes;
  readonly status: { readonly code?: number; readonly message?: string };
}
interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: OtlpAttributes };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

export class Collector {
  readonly requests: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly text: string }[] = [];
  readonly spans: TakenSpan[] = [];
  manner: Manner = "take";
  readonly #server: Server;
  readonly #held = new Set<ServerResponse>();

  private constructor() {
    this.#server = createServer((request, response) => {
      let text = "";
      request.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      request.on("end", () => {
        this.requests.push({ path: request.url ?? "", headers: request.headers, text });
        this.#answer(text, response);
      });
    });
  }

  static async start(): Promise<Collector> {
    const collector = new Collector();
    await new Promise<void>((resolve) => collector.#server.listen(0, "127.0.0.1", resolve));
    return collector;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Requests that hang or drip. */
  get held(): number {
    return this.#held.size;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** The spans of the trace that shows a request, parents first, as soon as there are at least so many. */
  async traceOf(requestId: string, atLeast = 3): Promise<TakenSpan[]> {
    const spans = () => this.spans.filter(({ attributes }) => attributes["heartcode.request_id"] === requestId);
    await until(() => spans().length >= atLeast);
    const kinds = ["server", "internal", "client"];
    return spans().toSorted((a, b) => kinds.indexOf(a.kind) - kinds.indexOf(b.kind) || a.start - b.start);
  }

  #answer(text: string, response: ServerResponse): void {
    const { manner } = this;
    if (manner === "hang" || manner === "drip") {
      this.#held.add(response);
      response.on("close", () => this.#held.delete(response));
      if (manner === "drip") response.writeHead(200, { "content-type": "application/json" }).write(" ");
      return;
    }
    if (manner !== "take") {
      response.writeHead(manner.status).end(text);
      return;
    }
    this.spans.push(...readSpans(JSON.parse(text)));
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  }
}

const KINDS = ["internal", "internal", "server", "client", "producer", "consumer"] as const;
const STATUSES = ["unset", "ok", "error"] as const;

function readSpans({ resourceSpans }: OtlpRequest): TakenSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans
      .flatMap(({ spans }) => spans)
      .map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId,
        name: span.name,
        kind: KINDS[span.kind] ?? "internal",
        start: Number(BigInt(span.startTimeUnixNano) / 1_000_000n),
        end: Number(BigInt(span.endTimeUnixNano) / 1_000_000n),
        attributes: readAttributes(span.attributes),
        status: STATUSES[span.status.code ?? 0] ?? "unset",
        statusMessage: span.status.message,
        resource: readAttributes(resource.attributes),
      })),
  );
}

function readAttributes(attributes: OtlpAttributes): Record<string, Value> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, readValue(value)]));
}

function readValue({ stringValue, boolValue, intValue, doubleValue, arrayValue }: OtlpValue): Value {
  if (arrayValue !== undefined) return arrayValue.values.map(readValue);
  return stringValue ?? boolValue ?? doubleValue ?? Number(intValue);
}
