// What an edge does about a disk that it cannot write: tells the Worker, so that nothing new begins; tells people, in a line now and
// then; and tries once a second whether there is room again. Time is an argument.

export interface DiskWatchOptions {
  /** The folder, for people. */
  readonly state: string;
  /** Writes as much as the hubs need for a while. Rejects with why it cannot. */
  readonly attempt: () => Promise<void>;
  /** Tells the Worker. */
  readonly tell: (isWritable: boolean) => Promise<void>;
  readonly log: (line: string) => void;
  /** ms */
  readonly now: () => number;
  readonly after: (ms: number, work: () => void) => void;
}

const TRY_EVERY_MS = 1_000;
/** The line is not repeated before. */
const LINE_EVERY_MS = 600_000;
/** Of one that comes and goes. */
const AGAIN_EVERY_MS = 60_000;

export class DiskWatch {
  readonly #options: DiskWatchOptions;
  /** ms; since when it cannot be written. */
  #since: number | null = null;
  /** ms; when the last line told of it. */
  #toldAt = Number.NEGATIVE_INFINITY;
  /** Whether people think that it cannot be written. */
  #isTold = false;
  #isStopped = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
  }

  get isWritable(): boolean {
    return this.#since === null;
  }

  /** A write has failed. */
  complained(word: string): void {
    if (this.#since !== null) return;
    const { now, tell } = this.#options;
    this.#since = now();
    this.#say(word, AGAIN_EVERY_MS);
    void tell(false).catch(() => {});
    this.#tryLater(word);
  }

  stop(): void {
    this.#isStopped = true;
  }

  #tryLater(word: string): void {
    this.#options.after(TRY_EVERY_MS, () => void this.#try(word));
  }

  async #try(word: string): Promise<void> {
    const { attempt, tell, log, state, now } = this.#options;
    if (this.#isStopped) return;
    const since = this.#since ?? now();
    try {
      await attempt();
      // A write that fails from now on is a new complaint.
      this.#since = null;
      await tell(true);
    } catch (error) {
      const { code = word } = error as NodeJS.ErrnoException;
      this.#since = since;
      this.#say(code, LINE_EVERY_MS);
      // The Worker may not have heard it, while it was losing a hub.
      void tell(false).catch(() => {});
      this.#tryLater(code);
      return;
    }
    if (!this.isWritable) return;
    if (this.#isTold) log(`EDGE_STATE ${state} can be written again, after ${Math.round((now() - since) / 1000)} s`);
    this.#isTold = false;
  }

  #say(word: string, every: number): void {
    const { state, log, now } = this.#options;
    if (now() - this.#toldAt < every) return;
    this.#toldAt = now();
    this.#isTold = true;
    log(
      `EDGE_STATE ${state} cannot be written (${word}): requests are answered 503 until it can; answers in flight go on`,
    );
  }
}
