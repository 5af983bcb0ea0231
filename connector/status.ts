// What a running connector says of itself: one picture, from which readiness, metrics, `status` and systemd's lines are
// made. Types only. Beside the rooms and not in one: the rooms fill it in, connector/ops reads it. Times are ms since the
// epoch; counts are since the start of the process. It holds no key, no token and no tenant.

export interface SocketStatus {
  readonly shard: number;
  readonly slot: number;
  /** `refused`: for good, it is not dialled again. */
  readonly state: "up" | "dialling" | "refused";
  /** When it came into this state. */
  readonly since: number;
  /** The last inbound byte of the present socket; null without one. */
  readonly heard_at: number | null;
  /** The last time that the other end has answered something: HELLO or a ping. Kept when the socket is lost. */
  readonly round_trip: { readonly at: number; readonly ms: number } | null;
  /** The last time that a dial was refused, by the edge or in its name, and was made again. */
  readonly refused_at: number | null;
  /** Exchanges on it. */
  readonly running: number;
  readonly dials: Dials;
  /** Sockets that were lost after they had been up. */
  readonly cuts: number;
  /** How often an answer had to wait for credit. */
  readonly stalls: number;
  /** Why the latest dial failed or the latest socket was lost. */
  readonly trouble: string | null;
}

export interface Dials {
  /** Welcomed. */
  readonly up: number;
  readonly failed: number;
}

export interface UpstreamStatus {
  readonly url: string;
  readonly state: "unknown" | "up" | "loading" | "down" | "ejected";
  readonly in_flight: number;
  readonly slots: number;
}

export interface PoolStatus {
  readonly model: string;
  readonly queued: number;
  /** Requests that were sent again, were turned away with `queue_full`, and ejections of an upstream. */
  readonly retries: number;
  readonly refused: number;
  readonly ejections: number;
  readonly upstreams: readonly UpstreamStatus[];
}

export interface ConnectorStatus {
  readonly id: string;
  readonly edge: string;
  readonly agent: string;
  /** Of this process. */
  readonly instance: string;
  readonly started_at: number;
  readonly now: number;
  readonly draining: boolean;
  /** How many sockets there should be: the edge says. */
  readonly shards: number;
  readonly sockets: readonly SocketStatus[];
  readonly pools: readonly PoolStatus[];
  readonly exchanges: ExchangeCounts;
  /** One for each place that traces go to. */
  readonly traces: readonly TraceCounts[];
}

/** In spans. */
export interface TraceCounts {
  readonly name: string;
  readonly sent: number;
  /** Not taken by the collector. */
  readonly failed: number;
  /** No room, or in the pause after a failure: never made. */
  readonly dropped: number;
  /** They wait or are on their way. */
  readonly queued: number;
}

export interface ExchangeCounts {
  readonly running: number;
  /** Over, and not yet delivered and acknowledged. */
  readonly undelivered: number;
  /** Bytes of answers that are kept in case their socket is lost. */
  readonly retained_bytes: number;
  /** Answers that went on over another socket, and those that could not. */
  readonly resumed: number;
  readonly lost: number;
}
