// A switchboard whose sockets are in a test's hands: what the hub says is noted, what a connector says is given.
import type { Order, Reader } from "../../edge/hub/exchange.ts";
import { type Link, newLinkState, type Transport } from "../../edge/hub/link.ts";
import { receive } from "../../edge/hub/receive.ts";
import { Switchboard } from "../../edge/hub/switchboard.ts";
import type { PublicFailure } from "../../shared/errors.ts";
import { decode, encode } from "../../shared/wire/codec.ts";
import { type Frame, FrameType } from "../../shared/wire/frames.ts";
import { acceptFrame, type End, type Hello, jsonFrame, type PoolReport } from "../../shared/wire/messages.ts";

export const MODEL = "m";
export const POOL: PoolReport = {
  model: MODEL,
  kind: "chat",
  upstreams: 1,
  healthy: 1,
  slots: 8,
  in_flight: 0,
  queued: 0,
};

export const ORDER: Order = {
  exchange: "x1",
  target: MODEL,
  method: "POST",
  path: "/",
  headers: [],
  length: 0,
  deadline_ms: 600_000,
  tier: "",
  tenant: "",
  dialect: { model: MODEL, stream: false, usage: false },
};

/** What the gate is told. */
export interface Told {
  readonly orphaned: string[];
  /** And the attempt that nobody has said anything of. */
  readonly unserved: (readonly [id: string, unheard: number])[];
  readonly ends: End[];
}

export function newBoard(): { board: Switchboard; told: Told } {
  const told: Told = { orphaned: [], unserved: [], ends: [] };
  const nothing = () => {};
  const board = new Switchboard({
    shards: 1,
    events: {
      settle: (end) => told.ends.push(end),
      unserved: (id, unheard) => told.unserved.push([id, unheard]),
      orphaned: (id) => told.orphaned.push(id),
      reopened: nothing,
      commit: () => true,
      over: nothing,
      accepted: nothing,
    },
  });
  return { board, told };
}

export function newReader(): Reader & { readonly failures: PublicFailure[] } {
  const failures: PublicFailure[] = [];
  const nothing = () => {};
  return {
    failures,
    head: nothing,
    data: nothing,
    accepted: nothing,
    room: nothing,
    again: nothing,
    fail: (failure) => failures.push(failure),
  };
}

/** A connector's end of one socket. */
export class Socket {
  readonly heard: Frame[] = [];
  readonly closes: number[] = [];
  /** How many frames each message held. */
  readonly messages: number[] = [];
  readonly link: Link;
  readonly #board: Switchboard;

  constructor(board: Switchboard, now: number, slot = 0, connector = "onprem-1", hands: Pick<Transport, "soon"> = {}) {
    this.#board = board;
    const transport = {
      ...hands,
      send: (message: Uint8Array) => {
        const frames = [...decode(message)];
        this.messages.push(frames.length);
        this.heard.push(...frames);
      },
      close: (code: number) => this.closes.push(code),
      save: () => {},
      heardAt: () => 0,
    };
    this.link = board.attach(transport, newLinkState(connector, 0, slot, now));
  }

  get types(): number[] {
    return this.heard.map(({ type }) => type);
  }

  says(now: number, ...frames: Frame[]): void {
    receive(this.#board, this.link, encode(frames), now);
  }

  /** @param more in the same message. */
  hello(now: number, given: Partial<Hello> = {}, ...more: Frame[]): this {
    const hello: Hello = {
      versions: [1],
      features: [],
      instance: "running",
      agent: "test",
      windows: { exchange: 262_144, socket: 4_194_304 },
      pools: [POOL],
      ...given,
    };
    this.says(now, jsonFrame(FrameType.HELLO, 0, hello), ...more);
    return this;
  }

  accepts(channel: number, now: number): void {
    this.says(now, acceptFrame(channel));
  }

  head(channel: number, type = "application/json"): Frame {
    return jsonFrame(FrameType.HEAD, channel, { status: 200, headers: [["content-type", type]] });
  }

  data(channel: number, bytes: number): Frame {
    return { type: FrameType.DATA, channel, payload: new Uint8Array(bytes) };
  }

  end(channel: number, bytes: number, given: Partial<End> = {}): Frame {
    const end: End = {
      exchange: "x1",
      attempt: 1,
      outcome: "complete",
      bytes,
      usage: null,
      timings: { queue_ms: 0, first_byte_ms: null, total_ms: 0 },
      failure: null,
      ...given,
    };
    return jsonFrame(FrameType.END, channel, end);
  }
}
