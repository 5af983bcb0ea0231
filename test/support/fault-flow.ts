// One direction of one connection of the fault proxy: bytes pass in order, late, in part or not at all.
import type { Socket } from "node:net";

/** What is held of a direction before its sender feels it. */
const AHEAD_BYTES = 8 * 1024 * 1024;

/** What a direction does to all its connections. Shared by them and changed while they run. */
export interface Weather {
  delayMs: number;
  isStalled: boolean;
  /** Bytes that passed. */
  passed: number;
  /** Bytes that went into a black hole. */
  swallowed: number;
  /** The connection that passes the last of these bytes is cut behind it. */
  budget: { left: number; readonly spent: (flow: Flow) => void } | null;
}

export const calm = (): Weather => ({ delayMs: 0, isStalled: false, passed: 0, swallowed: 0, budget: null });

/** Null stands for the sender's FIN. */
interface Piece {
  readonly bytes: Buffer | null;
  readonly due: number;
}

export class Flow {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #weather: Weather;
  readonly #pieces: Piece[] = [];
  #ahead = 0;
  #isWriting = false;
  #timer: NodeJS.Timeout | undefined;
  /** Nothing passes any more, and nobody is told. */
  isHole = false;

  constructor(from: Socket, to: Socket, weather: Weather) {
    this.#from = from;
    this.#to = to;
    this.#weather = weather;
    from.on("data", (bytes: Buffer) => this.#push(bytes));
    from.on("end", () => this.#push(null));
    to.on("error", () => {});
    from.on("close", (hadError) => {
      // A sender that is gone by RST takes what it has sent along, as on a real road.
      if (hadError && !this.isHole) this.#to.resetAndDestroy();
    });
  }

  swallow(): void {
    this.isHole = true;
    this.#weather.swallowed += this.#ahead;
    this.#pieces.length = 0;
    this.#ahead = 0;
    this.#from.resume();
  }

  /** Must be called when the weather has changed. */
  drive(): void {
    if (this.isHole) return;
    if (this.#weather.isStalled || this.#ahead >= AHEAD_BYTES) this.#from.pause();
    else this.#from.resume();
    if (this.#isWriting || this.#weather.isStalled) return;
    const [piece] = this.#pieces;
    if (piece === undefined) return;
    const wait = piece.due - performance.now();
    clearTimeout(this.#timer);
    if (wait > 0) {
      this.#timer = setTimeout(() => this.drive(), wait);
      return;
    }
    this.#pieces.shift();
    if (piece.bytes === null) this.#to.end();
    else this.#write(piece.bytes);
  }

  /** No timer is left behind. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#pieces.length = 0;
  }

  #push(bytes: Buffer | null): void {
    if (this.isHole) {
      this.#weather.swallowed += bytes?.byteLength ?? 0;
      return;
    }
    this.#pieces.push({ bytes, due: performance.now() + this.#weather.delayMs });
    this.#ahead += bytes?.byteLength ?? 0;
    this.drive();
  }

  #write(bytes: Buffer): void {
    this.#ahead -= bytes.byteLength;
    const { budget } = this.#weather;
    const isLast = budget !== null && bytes.byteLength >= budget.left;
    const part = isLast ? bytes.subarray(0, budget.left) : bytes;
    if (budget !== null) budget.left -= part.byteLength;
    if (isLast) this.#weather.budget = null;
    this.#weather.passed += part.byteLength;
    this.#isWriting = true;
    // Only what the kernel has taken may be followed by a cut.
    this.#to.write(part, () => {
      this.#isWriting = false;
      if (isLast) budget.spent(this);
      else this.drive();
    });
  }
}
