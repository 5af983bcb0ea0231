// The connector's Prometheus metrics (docs/metrics.md explains each). What happens once an exchange is counted when it
// ends; everything else is read from the connector's picture of itself when somebody asks: no chunk of an answer pays.
import { Counter, collectDefaultMetrics, Histogram, Registry } from "prom-client";
import { isErrorCode } from "../../shared/errors.ts";
import { BACKEND } from "../../shared/openai.ts";
import { type End, OUTCOMES } from "../../shared/wire/messages.ts";
import type { Observed, Observer } from "../observe.ts";
import type { ConnectorStatus } from "../status.ts";
import { addPicture, name } from "./picture.ts";

/** s. Tokens come in tens of milliseconds, long answers take minutes. */
const LATENCY_BUCKETS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const LOOKUP_BUCKETS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class Metrics implements Observer {
  readonly #registry = new Registry();
  readonly #exchanges: Counter<"model" | "outcome">;
  readonly #failures: Counter<"model" | "code">;
  readonly #queueWait: Histogram<"model">;
  readonly #firstByte: Histogram<"model">;
  readonly #total: Histogram<"model">;
  readonly #tokens: Counter<"model" | "kind">;
  readonly #bytes: Counter<"model">;
  readonly #lookups: Counter<"outcome">;
  readonly #lookupTime: Histogram;
  /** As it was at the latest scrape. */
  #picture: ConnectorStatus | null = null;

  /** @param droppedLines of the log, so far. */
  constructor(agent: string, droppedLines: () => number) {
    const registers = [this.#registry];
    const counter = <L extends string>(rest: string, help: string, labelNames: readonly L[]) =>
      new Counter({ name: name(rest), help, labelNames, registers });
    const histogram = <L extends string>(rest: string, help: string, labelNames: readonly L[], buckets: number[]) =>
      new Histogram({ name: name(rest), help, labelNames, buckets, registers });

    this.#exchanges = counter("exchanges_total", "Exchanges that have ended.", ["model", "outcome"]);
    this.#failures = counter("failures_total", "Exchanges that have failed, by the error's code.", ["model", "code"]);
    this.#queueWait = histogram(
      "queue_wait_seconds",
      "From the opening of an exchange until it was sent to an upstream.",
      ["model"],
      LATENCY_BUCKETS,
    );
    this.#firstByte = histogram(
      "first_byte_seconds",
      "From the opening of an exchange to the head of the engine's answer.",
      ["model"],
      LATENCY_BUCKETS,
    );
    this.#total = histogram("exchange_seconds", "The whole exchange.", ["model"], LATENCY_BUCKETS);
    this.#tokens = counter("tokens_total", "Tokens of ended exchanges.", ["model", "kind"]);
    this.#bytes = counter("answer_bytes_total", "Bytes of answers of ended exchanges.", ["model"]);
    this.#lookups = counter("lookups_total", "Keys looked up at the backend.", ["outcome"]);
    this.#lookupTime = histogram("lookup_seconds", "A lookup at the backend.", [], LOOKUP_BUCKETS);
    new Counter({
      name: name("log_lines_dropped_total"),
      help: "Lines of the log that were never written.",
      registers,
      collect() {
        this.reset();
        this.inc(droppedLines());
      },
    });
    addPicture(this.#registry, () => this.#picture, agent);
    collectDefaultMetrics({ register: this.#registry });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(status: ConnectorStatus): Promise<string> {
    if (this.#picture === null) this.#seed(status.pools.map(({ model }) => model));
    this.#picture = status;
    return this.#registry.metrics();
  }

  /** A counter that is not there yet has no rate: what can be counted begins at 0. */
  #seed(models: readonly string[]): void {
    for (const model of models) {
      for (const outcome of OUTCOMES) this.#exchanges.inc({ model, outcome }, 0);
      for (const kind of ["prompt", "completion"]) this.#tokens.inc({ model, kind }, 0);
      this.#bytes.inc({ model }, 0);
    }
    for (const outcome of OUTCOMES) this.#lookups.inc({ outcome }, 0);
  }

  ended(run: Observed, end: End, at: number): void {
    // The hub has opened it elsewhere: there it counts.
    if (run.isWithdrawn) return;
    const seconds = (at - run.openedAt) / 1000;
    const model = run.open.target;
    if (model === BACKEND) {
      // An answer of 5xx is one that the edge cannot use.
      const isUseless = end.outcome === "complete" && (run.status ?? 0) >= 500;
      this.#lookups.inc({ outcome: isUseless ? "failed" : end.outcome });
      this.#lookupTime.observe(seconds);
      return;
    }
    this.#exchanges.inc({ model, outcome: end.outcome });
    if (end.failure !== null) {
      const { code } = end.failure;
      this.#failures.inc({ model, code: isErrorCode(code) ? code : "engine" });
    }
    if (run.startedAt !== null) this.#queueWait.observe({ model }, (run.startedAt - run.openedAt) / 1000);
    if (run.firstByteAt !== null) this.#firstByte.observe({ model }, (run.firstByteAt - run.openedAt) / 1000);
    this.#total.observe({ model }, seconds);
    this.#bytes.inc({ model }, end.bytes);
    if (end.usage === null) return;
    this.#tokens.inc({ model, kind: "prompt" }, end.usage.prompt_tokens);
    this.#tokens.inc({ model, kind: "completion" }, end.usage.completion_tokens);
  }
}
