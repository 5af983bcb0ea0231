// Where the socket and the exchanges meet: each side as the other sees it. Types only.
import type { End, Head, Open, PoolReport, Reset, Resume, Settled } from "../shared/wire/messages.ts";
import type { Spool } from "../shared/wire/spool.ts";

/** A channel of one socket, in the hands of an exchange. Calls on a lane whose socket is gone do nothing. */
export interface Lane {
  accept(): void;
  head(head: Head): void;
  /** Sends `answer` from offset `from`, as credit allows. */
  start(answer: Spool, from: number): void;
  /** The answer has grown. */
  wake(): void;
  /** The answer is complete: END follows its last byte. */
  end(end: End): void;
  /** The exchange was cancelled by the hub: drops what is not sent, then END. */
  abandon(end: End): void;
  /** Leaves the channel without a word. */
  close(): void;
  /** Refuses the exchange: nothing has begun. The lane is gone. */
  refuse(reset: Reset): void;
  /** Offset up to which the answer has gone out. */
  sent(): number;
}

/** An exchange, in the hands of the socket that carries it now. */
export interface Guest {
  body(chunk: Uint8Array): void;
  /** RESET by the hub. */
  cancel(code: string): void;
  /** The answer has gone out up to `sent`. */
  drained(sent: number): void;
  /** The socket is gone. */
  detached(): void;
}

/** All exchanges of one hub shard, in the hands of its sockets. */
export interface Host {
  /** Null: the lane has refused it. */
  open(open: Open, lane: Lane): Guest | null;
  resume(resume: Resume, lane: Lane): Guest | null;
  settled(settled: Settled): void;
  /** Ended exchanges that the hub has not acknowledged. */
  unsettled(): End[];
  pools(): PoolReport[];
}
