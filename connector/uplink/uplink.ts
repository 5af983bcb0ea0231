// Keeps one socket to one hub shard: dials, and dials again when it is lost, or when it is silent: then beside it, because a road that
// is dead for one connection is mostly sound for the next, and one that was only slow costs nothing but a dial. What a socket is and
// says is in dial.ts, the waiting in backoff.ts.
import type { Welcome } from "../../shared/wire/messages.ts";
import type { SocketStatus } from "../status.ts";
import { afterLoss, type Backoff, delayOf, RESTED } from "./backoff.ts";
import { Dial, type DialOptions, type Loss, type Refuser } from "./dial.ts";
import { Patience } from "./patience.ts";
import type { Finding } from "./pulse.ts";
import { SocketRecord } from "./record.ts";
import type { Session } from "./session.ts";

export type { Refuser } from "./dial.ts";

/** Between two dials beside a silent socket, where the first one fails at once. */
const SPARE_EVERY_MS = 3_000;

export interface UplinkOptions extends DialOptions {
  readonly now: () => number;
  /** The edge has welcomed this process, on whatever shard. */
  readonly isGuest: () => boolean;
  readonly chance: () => number;
  readonly onUp: (welcome: Welcome) => void;
  readonly onDown: () => void;
  /** The edge will never take this socket: it is not dialled again. */
  readonly onRefused: (reason: string, by: Refuser) => void;
}

export class Uplink {
  readonly #options: UplinkOptions;
  readonly #record: SocketRecord;
  #current: Dial | null = null;
  /** Takes the place of a current one that is silent, once it is welcomed. */
  #spare: Dial | null = null;
  /** ms of uptime; when the last one was dialled. */
  #sparedAt = Number.NEGATIVE_INFINITY;
  #backoff: Backoff = RESTED;
  readonly #patience = new Patience();
  #redial: NodeJS.Timeout | null = null;
  #stopped = false;
  /** The socket that there is, if it is up, is the last one. */
  #isLast = false;

  constructor(options: UplinkOptions) {
    this.#options = options;
    this.#record = new SocketRecord(options.uptime());
  }

  get session(): Session | null {
    return this.#current?.session ?? null;
  }

  get isUp(): boolean {
    return this.#current?.isUp === true;
  }

  /** Nothing crosses it any more, and never will. */
  get isOver(): boolean {
    return this.#isLast && !this.isUp;
  }

  status(): SocketStatus {
    const { shard, slot, now, uptime } = this.#options;
    const { running = 0, stalls = 0 } = this.session ?? {};
    return this.#record.status({ shard, slot, running, stalls }, uptime(), now());
  }

  start(): void {
    this.#redial = null;
    this.#current = this.#dial();
  }

  /** Dials no more, and gives up a socket that is not up: not even HELLO may be said there. One that is up stays. */
  retire(): void {
    this.#isLast = true;
    this.#dialNoMore();
    if (this.isUp) return;
    this.#record.retired(this.#options.uptime());
    this.#current?.abandon();
    this.#current = null;
  }

  /** Closes the socket behind everything that is written to it, and dials no more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#dialNoMore();
    await this.#current?.close();
  }

  #dialNoMore(): void {
    if (this.#redial !== null) clearTimeout(this.#redial);
    this.#redial = null;
    this.#dismissSpare();
  }

  #dial(): Dial {
    const { uptime } = this.#options;
    const isCurrent = () => this.#current === dial;
    const dial: Dial = new Dial(this.#options, {
      unsigned: (reason) => {
        if (isCurrent()) this.#unsigned(reason);
        else this.#spare = null;
      },
      refused: () => this.#record.refused(uptime()),
      opened: () => {
        if (isCurrent()) this.#opened(dial);
        else if (this.#current?.isHeardAnew === true) this.#dismissSpare();
      },
      welcomed: (welcome) => this.#welcomed(dial, welcome),
      watched: (found) => {
        if (isCurrent()) this.#watched(dial, found);
      },
      answered: (askedAt) => {
        if (isCurrent()) this.#record.answered(askedAt, uptime());
      },
      lost: (loss) => {
        if (isCurrent()) this.#lost(dial, loss);
        else if (this.#spare === dial) this.#spareLost(loss);
      },
    });
    void dial.start();
    return dial;
  }

  #unsigned(reason: string): void {
    this.#isLast = true;
    this.#options.onRefused(reason, "edge");
  }

  #opened(dial: Dial): void {
    this.#record.opened(dial.wire, dial.openedAt ?? this.#options.uptime());
  }

  #watched(dial: Dial, { state, silentMs }: Finding): void {
    const { uptime, log, shard, slot } = this.#options;
    const at = uptime();
    this.#record.heardAt(at);
    const mayDial = dial.isUp && !this.#isLast && !this.#stopped && at - this.#sparedAt >= SPARE_EVERY_MS;
    if (state === "alive") this.#spareIsNotNeeded();
    else if (this.#spare === null && mayDial) {
      this.#sparedAt = at;
      log.warn({ shard, slot, silent_ms: silentMs }, "the uplink is silent: dialling another socket beside it");
      this.#spare = this.#dial();
    }
  }

  /** One that is open has said HELLO: the hub has let the other one go for it. */
  #spareIsNotNeeded(): void {
    if (this.#spare?.openedAt === null) this.#dismissSpare();
  }

  #dismissSpare(): void {
    this.#spare?.abandon();
    this.#spare = null;
  }

  /** What became of it says nothing about the one that is there, unless another process has taken the place of both. */
  #spareLost(loss: Loss): void {
    const { log, shard, slot } = this.#options;
    this.#spare = null;
    if (loss.cut !== null) log.warn({ shard, slot, ...loss.cut }, "the socket beside the silent uplink was cut");
    const silent = this.#current;
    if (loss.by !== "process" || silent === null) return;
    silent.abandon();
    this.#lost(silent, loss);
  }

  #welcomed(dial: Dial, welcome: Welcome): void {
    const { log, shard, slot, uptime, onUp } = this.#options;
    if (this.#spare === dial) this.#replace(dial);
    log.info({ shard, slot, shards: welcome.shards }, "uplink is up");
    this.#record.up(uptime());
    this.#patience.restore();
    onUp(welcome);
  }

  #replace(spare: Dial): void {
    const { log, shard, slot, uptime } = this.#options;
    const old = this.#current;
    this.#spare = null;
    this.#current = spare;
    log.warn({ shard, slot, reason: "it was silent, and another socket is in its place" }, "the uplink was cut");
    this.#record.lost(false, old?.session?.stalls ?? 0, uptime());
    old?.abandon();
    this.#opened(spare);
  }

  /** @param loss by another process: then at once for good, as two would take the sockets from each other for ever. */
  #lost(dial: Dial, { trouble, refusal, by, cut }: Loss): void {
    const { uptime, isGuest, chance, onDown, onRefused, log, shard, slot } = this.#options;
    const lived = dial.openedAt === null ? 0 : uptime() - dial.openedAt;
    if (cut !== null) log.warn({ shard, slot, ...cut }, "the uplink was cut");
    if (trouble !== null) this.#record.trouble = trouble;
    if (refusal === null) this.#patience.restore();
    const isNews = refusal !== null && !this.#isLast;
    const isForGood = isNews && (by === "process" || this.#patience.refused(isGuest(), uptime()));
    this.#isLast ||= isForGood;
    this.#record.lost(this.#isLast, dial.session?.stalls ?? 0, uptime());
    this.#current = null;
    if (dial.isUp) onDown();
    if (isForGood) onRefused(refusal, by);
    if (this.#isLast) {
      this.#dialNoMore();
      return;
    }
    if (refusal !== null) {
      this.#record.refused(uptime());
      log.error({ shard, slot, answer: refusal }, "the edge refuses this connector; it is dialled again for a while");
    }
    this.#backoff = afterLoss(this.#backoff, lived);
    if (this.#spare === null) this.#redial = setTimeout(() => this.start(), delayOf(this.#backoff, chance()));
    else this.#promote(this.#spare);
  }

  /** It is on its way already. */
  #promote(spare: Dial): void {
    this.#current = spare;
    this.#spare = null;
    if (spare.openedAt !== null) this.#opened(spare);
  }
}
