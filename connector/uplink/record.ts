// What one place at the edge (shard and slot) has been through: its sockets, what was heard on them, and why the last one
// is gone. For people and metrics, and for the watch over a socket that says nothing any more. No I/O; time is an argument, and
// it is the uptime: a clock that is set must make no socket look dead or alive. Only who reads it is told the time of day.
import type { SocketStatus } from "../status.ts";

type State = SocketStatus["state"];

export class SocketRecord {
  #state: State = "dialling";
  #since: number;
  /** Counts what comes in on the present socket. */
  #wire: { readonly bytesRead: number } | null = null;
  #bytes = 0;
  #heardAt = 0;
  #openedAt = 0;
  #roundTrip: SocketStatus["round_trip"] = null;
  #refusedAt: number | null = null;
  #ups = 0;
  #failures = 0;
  #cuts = 0;
  #stalls = 0;
  /** Why the latest dial failed or the latest socket was lost. */
  trouble: string | null = null;

  constructor(now: number) {
    this.#since = now;
  }

  /** A socket is open, and not welcomed yet. */
  opened(wire: { readonly bytesRead: number }, now: number): void {
    this.#wire = wire;
    this.#bytes = wire.bytesRead;
    this.#heardAt = now;
    this.#openedAt = now;
  }

  /** WELCOME has answered HELLO. */
  up(now: number): void {
    this.#enter("up", now);
    this.#ups += 1;
    this.trouble = null;
    this.answered(this.#openedAt, now);
  }

  /** @param askedAt when that was asked which is answered now. */
  answered(askedAt: number, now: number): void {
    this.#roundTrip = { at: now, ms: now - askedAt };
  }

  /** The dial has failed or the socket is gone. @param stalls of its session. */
  lost(isForGood: boolean, stalls: number, now: number): void {
    if (this.#state === "up") this.#cuts += 1;
    else this.#failures += 1;
    this.#stalls += stalls;
    this.#wire = null;
    this.#enter(isForGood ? "refused" : "dialling", now);
  }

  /** It is not dialled again. */
  retired(now: number): void {
    this.#enter("refused", now);
  }

  /** Something at the edge's address has answered: it refuses, and is asked again. */
  refused(now: number): void {
    this.#refusedAt = now;
  }

  /** ms; when the last inbound byte of the present socket was noticed. Any byte is a sign of life. */
  heardAt(now: number): number {
    if (this.#wire !== null && this.#wire.bytesRead !== this.#bytes) {
      this.#bytes = this.#wire.bytesRead;
      this.#heardAt = now;
    }
    return this.#heardAt;
  }

  /** @param clock what time it is. */
  status(
    socket: { shard: number; slot: number; running: number; stalls: number },
    now: number,
    clock: number,
  ): SocketStatus {
    const { shard, slot, running, stalls } = socket;
    const told = (at: number): number => Math.round(clock - (now - at));
    const trip = this.#roundTrip;
    return {
      shard,
      slot,
      state: this.#state,
      since: told(this.#since),
      heard_at: this.#wire === null ? null : told(this.heardAt(now)),
      round_trip: trip === null ? null : { at: told(trip.at), ms: Math.round(trip.ms) },
      refused_at: this.#refusedAt === null ? null : told(this.#refusedAt),
      running,
      dials: { up: this.#ups, failed: this.#failures },
      cuts: this.#cuts,
      stalls: this.#stalls + stalls,
      trouble: this.trouble,
    };
  }

  #enter(state: State, now: number): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#since = now;
  }
}
