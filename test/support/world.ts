// Both ends of the wire in memory: a hub's switchboard, connectors with their exchange tables, and sockets that deliver,
// stall and break as a list of numbers tells. Everything runs on a clock and a dice of its own.

import type { Exchange, Service } from "../../connector/exchange/exchange.ts";
import { ExchangeTable } from "../../connector/exchange/table.ts";
import { Session } from "../../connector/uplink/session.ts";
import { HUB_WINDOW_BYTES, pushBody } from "../../edge/hub/boarding.ts";
import type { Exchange as HubExchange, Order, Reader } from "../../edge/hub/exchange.ts";
import { type Link, type LinkState, newLinkState } from "../../edge/hub/link.ts";
import { receive } from "../../edge/hub/receive.ts";
import { Switchboard } from "../../edge/hub/switchboard.ts";
import type { PublicFailure } from "../../shared/errors.ts";
import { SOCKET_WINDOW_BYTES } from "../../shared/wire/frames.ts";
import type { End, PoolReport } from "../../shared/wire/messages.ts";
import { Spool } from "../../shared/wire/spool.ts";

const MODEL = "m";
const POOL: PoolReport = { model: MODEL, kind: "chat", upstreams: 1, healthy: 1, slots: 8, in_flight: 0, queued: 0 };

/** Bytes that repeat nowhere near: what any answer or body is a piece of. */
const BYTES = Uint8Array.from({ length: 2_000_000 }, (_, i) => Math.imul(i + 1, 0x9e3779b1) >>> 24);

/** Bytes `from` to `to` of what belongs to `seed`. */
const bytesOf = (seed: number, from: number, to: number): Uint8Array => {
  const base = (seed * 7_919) % 1_000_000;
  return BYTES.subarray(base + from, base + to);
};

/** A service that answers with known bytes as the dice tell, and stops when it is told to. */
class FakeEngine implements Service {
  readonly exchange: Exchange;
  readonly seed: number;
  readonly length: number;
  body: Uint8Array | null = null;
  made = 0;
  isPaused = false;
  isAborted = false;

  constructor(exchange: Exchange, seed: number, length: number) {
    this.exchange = exchange;
    this.seed = seed;
    this.length = length;
  }

  begin(body: Uint8Array): void {
    if (Buffer.compare(body, bytesOf(this.seed + 7, 0, body.byteLength)) !== 0)
      throw new Error(`wrong body of ${this.seed}`);
    this.body = body;
  }

  abort(): void {
    this.isAborted = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  usage() {
    return { prompt_tokens: this.seed, completion_tokens: this.made, source: "engine" as const };
  }

  timings() {
    return { queue_ms: 0, first_byte_ms: null, total_ms: 0 };
  }

  get isDone(): boolean {
    return this.isAborted || this.exchange.end !== null;
  }

  step(most: number): void {
    if (this.body === null || this.isPaused || this.isDone) return;
    if (!this.exchange.hasHead) this.exchange.head(200, [["content-type", "x"]]);
    const size = Math.min(most, this.length - this.made);
    const chunk = bytesOf(this.seed, this.made, this.made + size);
    this.made += size;
    if (size > 0) this.isPaused = !this.exchange.data(chunk);
    if (this.made === this.length) this.exchange.over("complete", null);
  }
}

/** A client: takes bytes when told, checks each, and notes how it ended. */
export class Client implements Reader {
  readonly seed: number;
  readonly length: number;
  got = 0;
  heads = 0;
  ended: "complete" | "failed" | "cancelled" | null = null;
  failure: PublicFailure | null = null;
  exchange: HubExchange | null = null;
  body = new Spool();
  bodyLength = 0;
  /** The hub wants the whole request once more. */
  isAskedAgain = false;

  constructor(seed: number, length: number) {
    this.seed = seed;
    this.length = length;
  }

  head(): void {
    this.heads += 1;
  }

  data(): void {}

  accepted(): void {}

  room(): void {}

  again(): void {
    this.isAskedAgain = true;
  }

  fail(failure: PublicFailure): void {
    if (this.ended !== null) throw new Error(`exchange ${this.seed} ended twice`);
    this.ended = "failed";
    this.failure = failure;
  }

  read(board: Switchboard, most: number, now: number): void {
    if (this.exchange === null || this.ended === "cancelled") return;
    const bytes = board.take(this.exchange, most, now);
    if (Buffer.compare(bytes, bytesOf(this.seed, this.got, this.got + bytes.byteLength)) !== 0) {
      throw new Error(`exchange ${this.seed}: wrong bytes behind ${this.got}`);
    }
    this.got += bytes.byteLength;
    if (this.ended === null && this.exchange.end !== null && this.exchange.unread === 0) {
      if (this.got !== this.length) throw new Error(`exchange ${this.seed}: complete at ${this.got} of ${this.length}`);
      this.ended = "complete";
    }
  }
}

interface Wire {
  readonly toHub: Uint8Array[];
  readonly toConnector: Uint8Array[];
  link: Link;
  session: Session;
  isOpen: boolean;
}

interface Site {
  readonly name: string;
  readonly table: ExchangeTable;
  readonly engines: FakeEngine[];
  wire: Wire | null;
}

export class World {
  now = 1_000_000;
  board = this.#newBoard();
  readonly sites: Site[] = [];
  readonly clients: Client[] = [];
  readonly settled = new Map<string, End>();
  readonly closes: { code: number; reason: string }[] = [];
  /** Something happened that may fail an exchange. */
  disturbed = false;
  #due: (() => void)[] = [];

  constructor(sites: number) {
    for (let i = 0; i < sites; i += 1) this.sites.push(this.#newSite(`site-${i}`));
    for (const site of this.sites) this.dial(site);
  }

  open(length: number, bodyLength: number): void {
    const client = new Client(this.clients.length, length);
    this.clients.push(client);
    client.bodyLength = bodyLength;
    this.#ask(client, 0);
    this.feed(client, 100_000);
  }

  /** The Worker's part: whom a hub asks it to call again, it calls again. */
  askAgain(): void {
    for (const client of this.clients) {
      if (!client.isAskedAgain || client.ended !== null) continue;
      this.#ask(client, client.exchange!.attempts);
    }
  }

  #ask(client: Client, attempts: number): void {
    const order: Order = {
      exchange: `x${client.seed}`,
      target: MODEL,
      method: "POST",
      path: "/",
      headers: [],
      length: client.bodyLength,
      deadline_ms: 1,
      tier: "",
      tenant: "",
      dialect: { model: "m", stream: client.seed % 2 === 0, usage: false },
    };
    client.isAskedAgain = false;
    client.body = new Spool();
    client.exchange = this.board.open(order, client.body, client, this.now, attempts);
  }

  /** More of a client's request body arrives. */
  feed(client: Client, most: number): void {
    if (client.exchange === null || client.ended !== null) return;
    const size = Math.min(most, client.bodyLength - client.body.end);
    if (size <= 0) return;
    const at = client.body.end;
    client.body.append(bytesOf(client.seed + 7, at, at + size));
    pushBody(client.exchange);
  }

  cancel(client: Client): void {
    if (client.ended !== null || client.exchange === null) return;
    client.ended = "cancelled";
    this.board.cancel(client.exchange);
  }

  dial(site: Site): void {
    if (site.wire !== null) return;
    const wire = { toHub: [], toConnector: [], isOpen: true } as unknown as Wire;
    const state: LinkState = newLinkState(site.name, 0, 0, this.now);
    const close = (code: number, reason: string) => {
      this.closes.push({ code, reason });
      this.cut(site, wire);
    };
    wire.link = this.board.attach(
      {
        send: (message) => wire.toConnector.push(message),
        close,
        save: (saved) => JSON.stringify(saved),
        soon: (work) => this.#due.push(work),
        heardAt: () => 0,
      },
      state,
    );
    wire.session = new Session({
      host: site.table,
      instance: site.name,
      agent: "test",
      leavesInMs: null,
      send: (message) => wire.toHub.push(message),
      close,
      departures: { soon: () => {}, later: () => {} },
      onWelcome: () => {},
      onDrained: () => {},
      onGoAway: () => {},
    });
    site.wire = wire;
  }

  /** The socket is gone for both ends; what was under way is lost. */
  cut(site: Site, wire = site.wire): void {
    if (wire === null || !wire.isOpen) return;
    wire.isOpen = false;
    this.disturbed = true;
    if (site.wire === wire) site.wire = null;
    this.board.lost(wire.link, this.now);
    wire.session.lost();
  }

  /** The hub is replaced by a new one that knows nothing; clients that had a connector go on there. */
  reset(): void {
    this.disturbed = true;
    const old = this.board;
    for (const site of this.sites)
      if (site.wire !== null) {
        const wire = site.wire;
        wire.isOpen = false;
        site.wire = null;
        wire.session.lost();
      }
    this.board = this.#newBoard();
    for (const client of this.clients) {
      const { exchange } = client;
      if (exchange === null || client.ended !== null) continue;
      const { owner } = exchange;
      if (owner === null || client.heads === 0) {
        this.#ask(client, exchange.attempts + 50);
        continue;
      }
      const from = {
        id: exchange.id,
        target: MODEL,
        ...owner,
        offset: client.got,
        head: client.heads === 0,
        stream: false,
      };
      client.exchange = this.board.resume(from, client, this.now);
    }
    old.links.clear();
  }

  /** Delivers one message of a socket, in one direction. */
  deliver(site: Site, toHub: boolean): void {
    const { wire } = site;
    if (wire === null) return;
    wire.session.flush(() => wire.toHub.length < 4, true);
    for (const work of this.#due.splice(0)) work();
    if (toHub) {
      const message = wire.toHub.shift();
      if (message !== undefined) receive(this.board, wire.link, message, this.now);
    } else {
      const message = wire.toConnector.shift();
      if (message !== undefined) wire.session.receive(message);
    }
  }

  pass(ms: number): void {
    this.now += ms;
    this.board.tick(this.now);
    this.askAgain();
    for (const site of this.sites) {
      site.table.tick(this.now);
      if (site.wire?.session.isWelcomed === true) site.wire.session.repeatEnds();
    }
  }

  /** What must hold at any moment. */
  check(): void {
    for (const { code, reason } of this.closes)
      if (code === 4400 || code === 4413) throw new Error(`closed: ${code} ${reason}`);
    let hub = 0;
    for (const link of this.board.links) {
      hub += link.inbox.outstanding;
      if (link.inbox.outstanding > SOCKET_WINDOW_BYTES || link.inbox.outstanding < 0) throw new Error("socket window");
    }
    if (hub > HUB_WINDOW_BYTES || this.board.held > HUB_WINDOW_BYTES) throw new Error("hub window");
  }

  /** Lets everything run to its end without further disturbance. */
  heal(): void {
    for (let round = 0; round < 20_000; round += 1) {
      for (const site of this.sites) {
        this.dial(site);
        this.deliver(site, true);
        this.deliver(site, false);
        for (const engine of site.engines) engine.step(50_000);
      }
      for (const client of this.clients) {
        this.feed(client, 100_000);
        client.read(this.board, 65_536, this.now);
      }
      if (round % 50 === 49) this.pass(500);
      this.check();
      if (this.isQuiet()) return;
    }
    const clients = this.clients
      .filter((client) => client.ended === null)
      .map((client) => [client.seed, client.got, client.length, client.exchange?.state]);
    const tables = this.sites.map(({ table }) => [table.running, table.unsettled()]);
    throw new Error(`not quiet: ${JSON.stringify({ clients, tables, hub: this.board.running })}`);
  }

  isQuiet(): boolean {
    const isIdle = (site: Site) => site.table.unsettled().length === 0 && site.table.running === 0;
    return (
      this.clients.every((client) => client.ended !== null) && this.board.running === 0 && this.sites.every(isIdle)
    );
  }

  #newBoard(): Switchboard {
    const over = new Set<HubExchange>();
    return new Switchboard({
      shards: 1,
      events: {
        settle: (end) => {
          const run = `${end.exchange}/${end.attempt}`;
          const known = this.settled.get(run);
          if (known !== undefined && JSON.stringify(known) !== JSON.stringify(end)) {
            throw new Error(`two different ENDs of ${end.exchange}`);
          }
          this.settled.set(run, end);
        },
        unserved: () => {},
        accepted: () => {},
        orphaned: () => {},
        reopened: () => {},
        commit: () => true,
        over: (exchange) => {
          if (over.has(exchange)) throw new Error(`${exchange.id} was over twice`);
          over.add(exchange);
        },
      },
    });
  }

  #newSite(name: string): Site {
    const engines: FakeEngine[] = [];
    const table = new ExchangeTable({
      now: () => this.now,
      serviceFor: (exchange) => {
        const seed = Number(exchange.id.slice(1));
        const engine = new FakeEngine(exchange, seed, this.clients[seed]!.length);
        engines.push(engine);
        return engine;
      },
      pools: () => [POOL],
    });
    return { name, table, engines, wire: null };
  }
}

/** One step, told by a number. */
export type Step = readonly [what: number, which: number, size: number];

export function play(world: World, steps: readonly Step[], withFaults: boolean): void {
  for (const [what, which, size] of steps) {
    const site = world.sites[which % world.sites.length]!;
    const client = world.clients[which % Math.max(1, world.clients.length)];
    switch (what % (withFaults ? 20 : 16)) {
      case 0:
      case 1:
        world.open(
          size % 5 === 0 ? (size * 37) % 700_000 : (size * 37) % 60_000,
          size % 7 === 0 ? size % 600_000 : size % 500,
        );
        break;
      case 2:
        if (client !== undefined && size % 4 === 0) world.cancel(client);
        break;
      case 3:
        world.pass(size % 20);
        break;
      case 4:
      case 5:
      case 6:
        world.deliver(site, true);
        break;
      case 7:
      case 8:
      case 9:
        world.deliver(site, false);
        break;
      case 10:
      case 11:
        for (const engine of site.engines) engine.step(size % 60_000);
        break;
      case 12:
      case 13:
      case 14:
        client?.read(world.board, size % 100_000, world.now);
        break;
      case 15:
        if (client !== undefined) world.feed(client, size % 200_000);
        break;
      case 16:
        if (size % 3 === 0) world.cut(site);
        break;
      case 17:
      case 18:
        world.dial(site);
        break;
      case 19:
        if (size % 7 === 0) world.reset();
        else if (size % 11 === 0) world.pass(size % 20_000);
        break;
    }
    world.check();
  }
}
