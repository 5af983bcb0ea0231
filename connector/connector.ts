// The composition root of the connector: engines, exchanges and sockets, wired together and read top to bottom.
import { randomUUID } from "node:crypto";
import type { Welcome } from "../shared/wire/messages.ts";
import type { Config } from "./config.ts";
import { Engines } from "./engines.ts";
import type { Exchange } from "./exchange/exchange.ts";
import { Serving } from "./exchange/serve.ts";
import { ExchangeTable } from "./exchange/table.ts";
import { laterOf } from "./later.ts";
import type { Observer } from "./observe.ts";
import { type ExchangeLog, logExchanges } from "./ops/exchange-log.ts";
import { together } from "./ops/observers.ts";
import { openTracing } from "./ops/open-tracing.ts";
import type { Tracing } from "./ops/tracing.ts";
import type { ConnectorStatus } from "./status.ts";
import { steadyFrom } from "./steady.ts";
import { Translations } from "./translations.ts";
import { type ConnectorIdentity, loadIdentity } from "./uplink/key.ts";
import { type Refuser, Uplink } from "./uplink/uplink.ts";

const VERSION = "0.1.0";
export const AGENT = `heartcode-connector/${VERSION}`;

/** Also how old the hub's picture of a pool can be. */
const TICK_MS = 500;
const REPEAT_ENDS_EVERY_MS = 5_000;
const ACKNOWLEDGED_WITHIN_MS = 2_000;

export interface ConnectorEvents {
  /** A socket is up on every shard: a request can be served. */
  onReady(): void;
  /** There is one shard at least where this process is not wanted. */
  onRefused(by: Refuser): void;
}

interface Shard {
  readonly table: ExchangeTable;
  readonly uplink: Uplink;
  readonly services: Set<Serving>;
}

export class Connector {
  #config: Config;
  readonly #log: ExchangeLog;
  #identity: ConnectorIdentity;
  readonly #events: ConnectorEvents;
  readonly #watchers: readonly Observer[];
  readonly #startedAt = Date.now();
  readonly #instance: string;
  readonly #engines: Engines;
  readonly #shards = new Map<number, Shard>();
  #translations: Translations;
  readonly #tracing: Tracing | undefined;
  readonly #observer: Observer;
  readonly #timers: NodeJS.Timeout[] = [];
  #expected = 1;
  #isGuest = false;
  #leaving: Promise<void> | null = null;
  /** ms of uptime; when a draining connector is gone. */
  #leaveBy = 0;
  #isReady = false;
  #reported = "";

  /** @param watchers see every exchange. @throws KeyFileError */
  static async create(
    config: Config,
    log: ExchangeLog,
    events: ConnectorEvents,
    watchers: readonly Observer[] = [],
  ): Promise<Connector> {
    const identity = await loadIdentity(config.edge.id, config.edge.keyFile);
    const instance = randomUUID();
    const tracing = await openTracing(config.tracing, { version: VERSION, instance, log });
    return new Connector(config, log, identity, events, watchers, instance, tracing);
  }

  private constructor(
    config: Config,
    log: ExchangeLog,
    identity: ConnectorIdentity,
    events: ConnectorEvents,
    watchers: readonly Observer[],
    instance: string,
    tracing: Tracing | undefined,
  ) {
    this.#config = config;
    this.#watchers = watchers;
    this.#log = log;
    this.#identity = identity;
    this.#events = events;
    this.#instance = instance;
    this.#tracing = tracing;
    this.#engines = new Engines(config, log, () => this.#report());
    this.#translations = new Translations(this.#engines.models);
    this.#observer = together(this.#observers(), (cause) => log.error({ err: cause }, "an observer has a defect"));
  }

  start(): void {
    this.#engines.start();
    // Shard 0 tells how many there are (wire/spec.md §3).
    this.#dial(0);
    this.#every(TICK_MS, () => this.#tick());
    this.#every(REPEAT_ENDS_EVERY_MS, () => {
      for (const { uplink } of this.#shards.values()) if (uplink.isUp) uplink.session?.repeatEnds();
    });
  }

  status(): ConnectorStatus {
    const tables = [...this.#shards.values()].map(({ table }) => table);
    const sum = (count: (table: ExchangeTable) => number) => tables.reduce((all, table) => all + count(table), 0);
    return {
      id: this.#config.edge.id,
      edge: this.#config.edge.url,
      agent: AGENT,
      instance: this.#instance,
      started_at: this.#startedAt,
      now: Date.now(),
      draining: this.#leaving !== null,
      shards: this.#expected,
      sockets: [...this.#shards.values()].map(({ uplink }) => uplink.status()),
      pools: this.#engines.statuses(),
      exchanges: {
        running: sum((table) => table.running),
        undelivered: sum((table) => table.undelivered),
        retained_bytes: sum((table) => table.retained),
        resumed: sum((table) => table.resumed),
        lost: sum((table) => table.lost),
      },
      traces: this.#tracing?.status() ?? [],
    };
  }

  /**
   * Goes on with another configuration. What runs or waits finishes where it is; a new key is used from the next dial on.
   * @returns what of it takes effect at the next start only.
   * @throws KeyFileError; then nothing has changed.
   */
  async reload(config: Config): Promise<string[]> {
    const old = this.#config;
    const { url, id } = old.edge;
    this.#identity = await loadIdentity(id, config.edge.keyFile);
    this.#config = { ...config, edge: { url, id, keyFile: config.edge.keyFile } };
    this.#engines.apply(config);
    this.#translations = new Translations(this.#engines.models);
    this.#report();
    return laterOf(old, config);
  }

  /** Leaves: announces it, lets what runs finish for at most `drain_s`, then closes everything. */
  drain(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  async #leave(): Promise<void> {
    const ms = this.#config.drainS * 1000;
    const from = performance.now();
    this.#leaveBy = from + ms;
    for (const { uplink } of this.#shards.values()) uplink.session?.goAway(ms);
    // Until a hub has said that it knows, an OPEN may be on its way; a hub that does not say so is not waited for.
    const isExpected = () => performance.now() - from < ACKNOWLEDGED_WITHIN_MS && this.#isUnacknowledged();
    while ((this.#isNeeded() || isExpected()) && performance.now() < this.#leaveBy)
      await new Promise((done) => setTimeout(done, 50));
    await this.stop();
  }

  /** Stops at once: what runs is cancelled. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    for (const { table, uplink } of this.#shards.values()) {
      table.cancelAll();
      uplink.session?.flush(() => true, true);
    }
    await Promise.all([...this.#shards.values()].map(({ uplink }) => uplink.stop()));
    await this.#engines.close();
    await this.#tracing?.close();
  }

  #dial(shard: number): void {
    if (this.#shards.has(shard)) return;
    const { edge } = this.#config;
    const services = new Set<Serving>();
    const table = new ExchangeTable({
      now: () => performance.now(),
      pools: () => this.#engines.reports(),
      serviceFor: (exchange) => this.#serve(exchange, services),
    });
    const uplink = new Uplink({
      url: edge.url,
      shard,
      slot: 0,
      token: (ofShard, slot) => this.#identity.token({ url: edge.url, shard: ofShard, slot }, Date.now()),
      host: table,
      instance: this.#instance,
      agent: AGENT,
      leavesInMs: () => (this.#leaving === null ? null : Math.max(0, this.#leaveBy - performance.now())),
      now: Date.now,
      uptime: () => performance.now(),
      isGuest: () => this.#isGuest,
      chance: Math.random,
      log: this.#log,
      onUp: (welcome) => this.#onUp(welcome),
      onDown: () => this.#giveUp(),
      onRefused: (reason, by) => this.#onRefused(shard, reason, by),
    });
    this.#shards.set(shard, { table, uplink, services });
    uplink.start();
  }

  #onUp(welcome: Welcome): void {
    const skew = Math.abs(Date.now() - welcome.now);
    if (skew > 5_000) this.#log.warn({ skew_ms: skew }, "the clocks of site and edge differ");
    this.#isGuest = true;
    this.#expected = welcome.shards;
    for (let shard = 0; shard < welcome.shards; shard += 1) this.#dial(shard);
    const up = [...this.#shards.values()].filter(({ uplink }) => uplink.isUp).length;
    if (this.#isReady || up < this.#expected) return;
    this.#isReady = true;
    this.#events.onReady();
  }

  #onRefused(shard: number, reason: string, by: Refuser): void {
    if (by === "process") {
      this.#log.error(
        { shard, reason },
        "another process of this connector is at the edge; this one leaves with exit code 4",
      );
      // HELLO of this one, on whatever shard, would put the other one out in its turn.
      for (const { uplink } of this.#shards.values()) uplink.retire();
    } else this.#log.error({ shard, reason }, "the edge refuses this connector for good; it leaves with exit code 3");
    this.#giveUp();
    this.#events.onRefused(by);
  }

  /** Ends what can never be delivered: its engine is free for others. */
  #giveUp(): void {
    for (const { table, uplink } of this.#shards.values()) if (uplink.isOver) table.cancelAll();
  }

  #serve(exchange: Exchange, services: Set<Serving>): Serving | null {
    const { open } = exchange;
    const engine = this.#engines.get(open.target);
    if (engine === undefined) return null;
    const { now, seen } = steadyFrom(Date.now(), () => performance.now());
    const serving = new Serving({
      exchange,
      engine: seen(engine),
      translation: this.#translations.of(open),
      now,
      observer: this.#observer,
    });
    services.add(serving);
    return serving;
  }

  /** Who watches the exchanges. The log asks for the trace before the trace is written and forgotten. */
  #observers(): Observer[] {
    const tracing = this.#tracing;
    return tracing === undefined
      ? [logExchanges(this.#log), ...this.#watchers]
      : [logExchanges(this.#log, (run) => tracing.traceOf(run)), tracing, ...this.#watchers];
  }

  #tick(): void {
    const now = performance.now();
    this.#report();
    for (const { table, services } of this.#shards.values()) {
      table.tick(now);
      for (const serving of services) {
        if (serving.isOver) services.delete(serving);
        else serving.tick();
      }
    }
  }

  /** Tells the hubs how the pools stand, if that is news. */
  #report(): void {
    const news = JSON.stringify(this.#engines.reports());
    if (news === this.#reported) return;
    this.#reported = news;
    for (const { uplink } of this.#shards.values()) uplink.session?.report();
  }

  /** A hub has not yet answered GOAWAY. */
  #isUnacknowledged(): boolean {
    return [...this.#shards.values()].some(({ uplink }) => uplink.isUp && uplink.session?.isDrained !== true);
  }

  /** Something runs, or is over and not yet delivered and acknowledged: where it still can be. */
  #isNeeded(): boolean {
    const isNeeded = ({ table, uplink }: Shard) => !uplink.isOver && table.running + table.undelivered > 0;
    return [...this.#shards.values()].some(isNeeded);
  }

  #every(ms: number, work: () => void): void {
    this.#timers.push(setInterval(work, ms));
  }
}
