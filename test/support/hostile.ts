// Either end of the wire in the hands of a peer that sends anything: it may be closed with a code, and nothing else.
import { ExchangeTable } from "../../connector/exchange/table.ts";
import { Session } from "../../connector/uplink/session.ts";
import { newLinkState } from "../../edge/hub/link.ts";
import { receive } from "../../edge/hub/receive.ts";
import { Switchboard } from "../../edge/hub/switchboard.ts";
import { encode } from "../../shared/wire/codec.ts";
import { CloseCode, type Frame, FrameType } from "../../shared/wire/frames.ts";
import { jsonFrame } from "../../shared/wire/messages.ts";
import { Spool } from "../../shared/wire/spool.ts";

const ALLOWED: ReadonlySet<number> = new Set(Object.values(CloseCode));
const NO_READER = { head() {}, data() {}, fail() {}, accepted() {}, room() {}, again() {} };
const POOLS = [{ model: "m", kind: "chat", upstreams: 1, healthy: 1, slots: 1, in_flight: 0, queued: 0 }];
const WINDOWS = { exchange: 1_000, socket: 10_000 };
const TIMINGS = { queue_ms: 0, first_byte_ms: 0, total_ms: 0 };

/** Frames that make sense somewhere: what a fuzzer mutates and misplaces. */
const SEEDS: readonly object[] = [
  { versions: [1], features: [], instance: "i", agent: "a", windows: WINDOWS, pools: POOLS },
  { version: 1, features: [], shard: 0, shards: 1, windows: WINDOWS, now: 1 },
  { status: 200, headers: [] },
  { code: "x", retryable: true },
  { exchange: "x0", attempt: 1, outcome: "complete", bytes: 3, usage: null, timings: TIMINGS, failure: null },
  { exchange: "x0", offset: 0, head: true, limit: 100 },
  { reason: "r", deadline_ms: 1, ack: false },
  { pools: POOLS },
  {
    exchange: "x0",
    attempt: 1,
    target: "m",
    method: "POST",
    path: "/",
    headers: [],
    length: 5,
    limit: 100,
    deadline_ms: 1,
    tier: "",
    tenant: "",
    dialect: null,
  },
];

export class HostileWorld {
  readonly #board = new Switchboard({
    shards: 1,
    events: {
      settle: () => {},
      unserved: () => {},
      accepted: () => {},
      orphaned: () => {},
      reopened: () => {},
      commit: () => true,
      over: () => {},
    },
  });
  messages = 0;

  /** One peer's life: a greeting that is mostly right, and then anything. @param nat a number below its argument. */
  attack(nat: (below: number) => number): void {
    const closes: number[] = [];
    const close = (code: number): void => {
      closes.push(code);
    };
    const link = this.#board.attach(
      { send: () => {}, close, save: () => {}, heardAt: () => 0 },
      newLinkState(`c${nat(3)}`, 0, nat(2), 0),
    );
    const table = new ExchangeTable({ now: () => 0, serviceFor: () => null, pools: () => [] });
    const session = new Session({
      host: table,
      instance: "i",
      agent: "a",
      leavesInMs: null,
      send: () => {},
      close,
      departures: { soon: () => {}, later: () => {} },
      onWelcome: () => {},
      onDrained: () => {},
      onGoAway: () => {},
    });
    if (nat(8) > 0) {
      receive(this.#board, link, encode([jsonFrame(FrameType.HELLO, 0, SEEDS[0])]), 0);
      session.receive(encode([jsonFrame(FrameType.WELCOME, 0, SEEDS[1])]));
    }
    const body = new Spool();
    body.append(new Uint8Array(5));
    const order = { exchange: "x0", target: "m", method: "POST", path: "/", headers: [], length: 5 };
    const exchange = this.#board.open(
      { ...order, deadline_ms: 1, tier: "", tenant: "", dialect: null },
      body,
      NO_READER,
      0,
    );
    const channels = [0, 1, exchange.channel, nat(2 ** 32)];
    for (let i = 0; i < 6; i += 1) {
      const frames = Array.from({ length: 1 + nat(3) }, () => anyFrame(nat, channels[nat(4)]!));
      const message = encode(frames);
      for (let flips = nat(4) === 0 ? nat(6) : 0; flips > 0; flips -= 1) message[nat(message.length)] = nat(256);
      const cut = nat(10) === 0 ? message.subarray(0, nat(message.length + 1)) : message;
      receive(this.#board, link, cut, i);
      session.receive(cut);
      session.flush(() => true, true);
      this.messages += 2;
    }
    this.#board.cancel(exchange);
    this.#board.lost(link, 0);
    session.lost();
    const odd = closes.find((code) => !ALLOWED.has(code));
    if (odd !== undefined) throw new Error(`closed with ${odd}`);
    if (link.inbox.outstanding !== 0) throw new Error(`${link.inbox.outstanding} bytes are still granted`);
    if (this.#board.running !== 0) throw new Error("an exchange is left behind");
  }
}

function anyFrame(nat: (below: number) => number, channel: number): Frame {
  const type = 1 + nat(18);
  if (nat(3) === 0) return { type, channel, payload: Uint8Array.from({ length: nat(40) }, () => nat(256)) };
  const seed = SEEDS[nat(SEEDS.length)]!;
  const changed = nat(2) === 0 ? seed : { ...seed, [Object.keys(seed)[nat(3)] ?? "x"]: oddValue(nat) };
  return jsonFrame(type as FrameType, channel, changed);
}

function oddValue(nat: (below: number) => number): unknown {
  return [null, -1, 1e300, "", "x".repeat(500), [], {}, true, [[]], Number.MAX_SAFE_INTEGER][nat(10)];
}
