// Whether a socket is alive, and what is to be sent to find out (shared/wire/spec.md §8). Pure: time is an argument, in ms of uptime.

const PING_EVERY_MS = 10_000;
/** While a client may be waiting: its answer is to go on within 25 s, the redial included. */
const BUSY_PING_EVERY_MS = 5_000;
/** ... and a road that brings nothing for so long is asked whether it is there. */
const BUSY_QUIET_MS = 2_000;
/** The hub hears only this: the platform stamps it without waking anybody. */
const TEXT_PING_EVERY_MS = 15_000;
/** A ping that is unanswered for so long, and nothing else has come: the road may be dead. */
export const DOUBT_AFTER_MS = 3_000;
/** The same where the ping stands behind data that the socket has not taken yet. */
export const DOUBT_BEHIND_DATA_MS = 10_000;
/** So much of our own in front of a ping delays it by nothing that matters, until a road has shown that it carries more. */
export const CARRIED_BYTES = 64 * 1024;
/** A ping that comes back so soon has shown it. */
const PROMPT_MS = 1_000;
/** How slow a road may be that is sound: another socket on it loses all that is under way, and has to carry it again. */
export const SLOW_BYTES_PER_MS = 32;
/** Without any inbound byte for so long a socket is dead, whatever its state says. */
export const DEAD_AFTER_MS = 25_000;
export const BUSY_DEAD_AFTER_MS = 20_000;

/** What is known of a socket when it is looked at. */
export interface Sight {
  /** Inbound so far. */
  readonly bytes: number;
  /** Outbound so far: also what only waits in this machine. */
  readonly written: number;
  /** A client may be waiting. */
  readonly isBusy: boolean;
  /** Data wait to be taken by the socket. */
  readonly isBehind: boolean;
}

export interface Finding {
  /** By the WebSocket protocol. */
  readonly ping: boolean;
  /** PING: the hub's code is to answer. */
  readonly word: boolean;
  readonly text: boolean;
  /** `doubtful`: another socket may be better, but this one is not given up. */
  readonly state: "alive" | "doubtful" | "dead";
  /** ms since the last inbound byte. */
  readonly silentMs: number;
}

export class Pulse {
  #bytes: number;
  #heardAt: number;
  #textAt: number;
  /** When the last ping was due. */
  #pingedAt: number;
  /** The last one of any kind. */
  #askedAt: number;
  /** The first ping since something was heard. */
  #unansweredSince: number | null = null;
  #isDoubtful = false;
  /** Those that are unanswered, and what was written before them. */
  #pings: { readonly at: number; readonly written: number }[] = [];
  /** What was written before the last one that was answered: so much has passed. */
  #passed: number;
  /** The most that was in front of a ping which came back soon. */
  #carried = CARRIED_BYTES;
  /** What was written before the last ping. */
  #written: number;
  /** What may be in front of the first unanswered one. */
  #ahead = 0;

  constructor(at: number, bytes: number, written = 0) {
    this.#bytes = bytes;
    this.#passed = written;
    this.#written = written;
    this.#heardAt = at;
    this.#textAt = at;
    this.#pingedAt = at;
    this.#askedAt = at;
  }

  /** Inbound when it was last looked at. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @param askedAt when the ping left, in whole ms. */
  answered(askedAt: number, at: number): void {
    const ping = this.#pings.findLast((one) => one.at <= askedAt);
    if (ping === undefined) return;
    this.#pings = this.#pings.filter((one) => one.at > askedAt);
    if (at - askedAt <= PROMPT_MS) this.#carried = Math.max(this.#carried, ping.written - this.#passed);
    this.#passed = ping.written;
  }

  /** To be called about once a second; what is found due is sent then. */
  look(at: number, { bytes, written, isBusy, isBehind }: Sight): Finding {
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#heardAt = at;
      this.#unansweredSince = null;
      this.#isDoubtful = false;
    }
    const silentMs = at - this.#heardAt;
    if (silentMs >= (isBusy ? BUSY_DEAD_AFTER_MS : DEAD_AFTER_MS))
      return { ping: false, word: false, text: false, state: "dead", silentMs };
    const isDue = at - this.#pingedAt >= (isBusy ? BUSY_PING_EVERY_MS : PING_EVERY_MS);
    const isQuiet = isBusy && silentMs >= BUSY_QUIET_MS && at - this.#askedAt >= BUSY_QUIET_MS;
    // Asked often enough, a sound road shows what it carries, and little is ever in front of a ping.
    const isMuch = written - this.#written > this.#carried / 2;
    const ping = isDue || isQuiet || isMuch;
    if (isDue) this.#pingedAt = at;
    if (ping) {
      this.#askedAt = at;
      if (this.#unansweredSince === null) this.#ahead = written - this.#passed;
      this.#unansweredSince ??= at;
      this.#written = written;
      this.#pings.push({ at: Math.floor(at), written });
    }
    const text = at - this.#textAt >= TEXT_PING_EVERY_MS;
    if (text) this.#textAt = at;
    const waited = this.#unansweredSince === null ? 0 : at - this.#unansweredSince;
    // Only a byte lifts it: data pile up before a dead road, too.
    const slowMs = Math.max(0, this.#ahead - 2 * this.#carried) / SLOW_BYTES_PER_MS;
    this.#isDoubtful ||= waited >= slowMs + (isBehind ? DOUBT_BEHIND_DATA_MS : DOUBT_AFTER_MS);
    return { ping, word: isDue && isBusy, text, state: this.#isDoubtful ? "doubtful" : "alive", silentMs };
  }
}
