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
/** Without any inbound byte for so long a socket is dead, whatever its state says. */
export const DEAD_AFTER_MS = 25_000;
export const BUSY_DEAD_AFTER_MS = 20_000;

/** What is known of a socket when it is looked at. */
export interface Sight {
  /** Inbound so far. */
  readonly bytes: number;
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

  constructor(at: number, bytes: number) {
    this.#bytes = bytes;
    this.#heardAt = at;
    this.#textAt = at;
    this.#pingedAt = at;
    this.#askedAt = at;
  }

  /** Inbound when it was last looked at. */
  get bytes(): number {
    return this.#bytes;
  }

  /** To be called about once a second; what is found due is sent then. */
  look(at: number, { bytes, isBusy, isBehind }: Sight): Finding {
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
    const ping = isDue || isQuiet;
    if (isDue) this.#pingedAt = at;
    if (ping) {
      this.#askedAt = at;
      this.#unansweredSince ??= at;
    }
    const text = at - this.#textAt >= TEXT_PING_EVERY_MS;
    if (text) this.#textAt = at;
    const waited = this.#unansweredSince === null ? 0 : at - this.#unansweredSince;
    // Only a byte lifts it: data pile up before a dead road, too.
    this.#isDoubtful ||= waited >= (isBehind ? DOUBT_BEHIND_DATA_MS : DOUBT_AFTER_MS);
    return { ping, word: isDue && isBusy, text, state: this.#isDoubtful ? "doubtful" : "alive", silentMs };
  }
}
