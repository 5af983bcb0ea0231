// All exchanges of one hub shard (shared/wire/spec.md §4, §7): who is running, who waits to be resumed, whose END is not
// acknowledged, and which answers are still kept. No I/O; time is an argument.
import type { End, Open, PoolReport, Resume, Settled } from "../../shared/wire/messages.ts";
import type { Guest, Host, Lane } from "../lane.ts";
import { Exchange, type Service } from "./exchange.ts";

/**
 * An exchange that nobody resumes for so long is cancelled. A finished answer is kept for so long after its last byte has gone out:
 * what went into a dead socket is missed when that is found dead, 25 s later.
 */
export const ORPHAN_MS = 30_000;
/** Finished answers: all together, oldest first. */
const LINGERING_BYTES = 64 * 1024 * 1024;
const LINGERING_EXCHANGES = 4_096;
/** All answers, those included that still run: then the oldest finished go, and the others keep a quarter of what they may. */
export const RETAINED_IN_ALL_BYTES = 128 * 1024 * 1024;
/** So much is let go at once, or comes before it is tried again. */
const RETAINED_STEP_BYTES = 4 * 1024 * 1024;
/** Request bodies that are held at once. */
const BODIES_BYTES = 256 * 1024 * 1024;
const MAX_BODY_BYTES = 16 * 1024 * 1024;

export interface TableOptions {
  readonly now: () => number;
  /** Null if nothing here serves this target. */
  readonly serviceFor: (exchange: Exchange) => Service | null;
  readonly pools: () => PoolReport[];
}

interface Row {
  readonly exchange: Exchange;
  /** ms; null while a socket carries it. */
  orphanedAt: number | null;
  /** Of its answer, as it was last counted. */
  retained: number;
}

export class ExchangeTable implements Host {
  readonly #options: TableOptions;
  readonly #rows = new Map<string, Row>();
  /** Finished, in the order of finishing, or of losing the socket that was to deliver them. */
  readonly #lingering = new Map<string, { readonly since: number; readonly bytes: number }>();
  readonly #unsettled = new Map<string, End>();
  #lingeringBytes = 0;
  #retained = 0;
  #shedAbove = RETAINED_IN_ALL_BYTES;
  #bodies = 0;
  /** Since the start: answers that went on over another socket, and those that could not. */
  resumed = 0;
  lost = 0;

  constructor(options: TableOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#rows.size - this.#lingering.size;
  }

  /** Answers that are over and still on their way, and ENDs that nobody has acknowledged. */
  get undelivered(): number {
    let sending = 0;
    for (const id of this.#lingering.keys()) if (this.#rows.get(id)?.exchange.isSending === true) sending += 1;
    return sending + this.#unsettled.size;
  }

  get retained(): number {
    let bytes = 0;
    for (const { exchange } of this.#rows.values()) bytes += exchange.answer.retained;
    return bytes;
  }

  pools(): PoolReport[] {
    return this.#options.pools();
  }

  open(open: Open, lane: Lane): Guest | null {
    const known = this.#rows.get(open.exchange);
    // One that was given up here runs anew: the hub asks for it after all.
    if (known?.exchange.end?.outcome === "cancelled") this.#remove(open.exchange);
    else if (known !== undefined) return this.#again(known, open, lane);
    if (open.length > MAX_BODY_BYTES || this.#bodies + open.length > BODIES_BYTES) {
      lane.refuse({ code: open.length > MAX_BODY_BYTES ? "request_too_large" : "queue_full", retryable: true });
      return null;
    }
    const exchange = new Exchange(open, (over) => this.#over(over));
    const service = this.#options.serviceFor(exchange);
    if (service === null) {
      lane.refuse({ code: "model_unavailable", retryable: true });
      return null;
    }
    this.#bodies += open.length;
    this.#rows.set(exchange.id, { exchange, orphanedAt: null, retained: 0 });
    exchange.bind(lane, 0, true);
    exchange.serveBy(service);
    return this.#guest(exchange, lane, true);
  }

  resume(resume: Resume, lane: Lane): Guest | null {
    const row = this.#rows.get(resume.exchange);
    if (row === undefined || !row.exchange.canResume(resume.offset) || !row.exchange.isBodyComplete) {
      lane.refuse({ code: "unknown_exchange", retryable: false });
      this.lost += 1;
      // Without its whole body no engine has seen it: it is opened anew, and this run never was.
      if (row !== undefined && !row.exchange.isBodyComplete) this.#withdraw(row.exchange);
      else row?.exchange.cancel();
      return null;
    }
    row.orphanedAt = null;
    this.resumed += 1;
    row.exchange.bind(lane, resume.offset, resume.head);
    return this.#guest(row.exchange, lane, false);
  }

  /** A late word about an earlier attempt says nothing of a later END. */
  settled({ exchange, attempt }: Settled): void {
    const end = this.#unsettled.get(exchange);
    if (end !== undefined && (attempt === null || end.attempt <= attempt)) this.#unsettled.delete(exchange);
  }

  unsettled(): End[] {
    return [...this.#unsettled.values()];
  }

  /** Gives up what nobody came back for. A few times a second is often enough. */
  tick(now: number): void {
    for (const row of this.#rows.values()) {
      if (row.exchange.end === null && row.orphanedAt !== null && now - row.orphanedAt >= ORPHAN_MS)
        row.exchange.cancel();
    }
    for (const [id, { since }] of this.#lingering) {
      if (now - since < ORPHAN_MS) break;
      this.#drop(id);
    }
  }

  /** Ends everything that runs: the process is forced to stop. What has not begun to answer is left to another one. */
  cancelAll(): void {
    for (const { exchange } of [...this.#rows.values()])
      if (exchange.hasHead || exchange.end !== null) exchange.cancel();
      else this.#withdraw(exchange);
  }

  /** An id that is opened twice is served once. */
  #again(row: Row, open: Open, lane: Lane): Guest | null {
    const { exchange } = row;
    if (!exchange.canResume(0)) {
      lane.refuse({ code: "unknown_exchange", retryable: false });
      return null;
    }
    row.orphanedAt = null;
    // The body comes again from its beginning; of one that is complete nothing more is taken.
    exchange.reopen(open);
    if (exchange.end !== null) this.#unsettled.set(exchange.id, exchange.end);
    exchange.bind(lane, 0, true);
    return this.#guest(exchange, lane, false);
  }

  /** The exchange as one socket sees it. A socket that does not carry it any more has no say. */
  #guest(exchange: Exchange, lane: Lane, isFirst: boolean): Guest {
    return {
      body: (chunk) => {
        if (exchange.isBoundTo(lane)) exchange.body(chunk);
      },
      cancel: (code) => {
        if (!exchange.isBoundTo(lane)) return;
        if (code !== "no_accept") exchange.cancel();
        else if (isFirst && exchange.end === null) this.#withdraw(exchange);
        else this.#orphan(exchange, lane);
      },
      drained: (sent) => {
        if (!exchange.isBoundTo(lane)) return;
        exchange.drained(sent);
        this.#count(exchange);
        if (exchange.end !== null && !exchange.isSending) this.#keep(exchange.id);
      },
      detached: () => {
        if (!exchange.isBoundTo(lane)) return;
        this.#orphan(exchange, null);
      },
    };
  }

  /** No socket carries it: it goes on, and waits to be resumed. */
  #orphan(exchange: Exchange, lane: Lane | null): void {
    lane?.close();
    exchange.detached();
    const row = this.#rows.get(exchange.id);
    if (row !== undefined) row.orphanedAt = this.#options.now();
    this.#keep(exchange.id);
  }

  /** A finished answer may be asked for from now on: its time begins again. */
  #keep(id: string): void {
    const kept = this.#lingering.get(id);
    if (kept === undefined) return;
    this.#lingering.delete(id);
    this.#lingering.set(id, { since: this.#options.now(), bytes: kept.bytes });
  }

  /** The hub did not hear our ACCEPT and opens the exchange anew: this run never was, and has no END. */
  #withdraw(exchange: Exchange): void {
    if (exchange.end !== null) return;
    exchange.withdraw();
    this.#bodies -= exchange.open.length;
    this.#remove(exchange.id);
  }

  #over(exchange: Exchange): void {
    const { end, id, open } = exchange;
    this.#bodies -= open.length;
    if (end !== null) this.#unsettled.set(id, end);
    this.#count(exchange);
    const bytes = exchange.answer.retained;
    this.#lingering.set(id, { since: this.#options.now(), bytes });
    this.#lingeringBytes += bytes;
    for (const oldest of this.#lingering.keys()) {
      const isFull = this.#lingeringBytes > LINGERING_BYTES || this.#lingering.size > LINGERING_EXCHANGES;
      if (!isFull) break;
      this.#drop(oldest);
    }
  }

  #drop(id: string): void {
    const row = this.#rows.get(id);
    // A slow reader may take longer than any answer is kept for.
    if (row === undefined || row.exchange.isSending) return;
    this.#remove(id);
  }

  /** What has come of an answer since is little: an engine is not read far ahead of its reader. */
  #count({ id, answer }: Exchange): void {
    const row = this.#rows.get(id);
    if (row === undefined) return;
    this.#retained += answer.retained - row.retained;
    row.retained = answer.retained;
    if (this.#retained > this.#shedAbove) this.#shed();
  }

  #shed(): void {
    const most = RETAINED_IN_ALL_BYTES - RETAINED_STEP_BYTES;
    for (const oldest of this.#lingering.keys()) {
      if (this.#retained <= most) break;
      this.#drop(oldest);
    }
    for (const row of this.#rows.values()) {
      if (this.#retained <= most) break;
      row.exchange.letGo();
      this.#retained += row.exchange.answer.retained - row.retained;
      row.retained = row.exchange.answer.retained;
    }
    this.#shedAbove = Math.max(RETAINED_IN_ALL_BYTES, this.#retained + RETAINED_STEP_BYTES);
  }

  #remove(id: string): void {
    this.#retained -= this.#rows.get(id)?.retained ?? 0;
    this.#rows.delete(id);
    this.#lingeringBytes -= this.#lingering.get(id)?.bytes ?? 0;
    this.#lingering.delete(id);
  }
}
