// The Durable Object: sockets, storage and the clock of a hub shard. Everything that decides is in switchboard.ts.
import { DurableObject } from "cloudflare:workers";
import {
  BODY_HEADER,
  EXCHANGE_HEADER,
  type ExchangeRequest,
  type HubStatus,
  type ResumeRequest,
  UPLINK_HEADER,
  type UplinkRequest,
} from "../../shared/hop.ts";
import { BACKEND } from "../../shared/openai.ts";
import { CloseCode, SUBPROTOCOL } from "../../shared/wire/frames.ts";
import { Spool } from "../../shared/wire/spool.ts";
import { Answer, failed } from "./answer.ts";
import { Bodies } from "./bodies.ts";
import { Clients } from "./clients.ts";
import type { Exchange, Order } from "./exchange.ts";
import type { Admission, HubGate } from "./gatekeeper.ts";
import { GroupCommit } from "./group-commit.ts";
import { type Link, type LinkState, newLinkState } from "./link.ts";
import { logExchange, logForfeit, logReceipt, logRefusal, outcomeOf } from "./log.ts";
import { ask, type LookupAnswer, type Question } from "./lookup.ts";
import { Outcomes } from "./outcomes.ts";
import { byOpening, openingBehind } from "./place.ts";
import { BODY_AHEAD_BYTES, pump } from "./pump.ts";
import { Receipts } from "./receipts.ts";
import { receive } from "./receive.ts";
import { statusOf } from "./status.ts";
import { Switchboard } from "./switchboard.ts";
import { transportOf } from "./transport.ts";
import { UsedTokens } from "./used-tokens.ts";

const TICK_MS = 250;
/** Of WebSockets (RFC 6455): routine, and a redial follows. */
const GOING_AWAY = 1001;

export abstract class HubObject<Env> extends DurableObject<Env> {
  readonly board: Switchboard;
  readonly #links = new WeakMap<WebSocket, Link>();
  readonly #exchangeMs: number;
  readonly #outcomes = new Outcomes();
  readonly #bodies = new Bodies();
  readonly #clients = new Clients((exchange) => this.board.cancel(exchange));
  readonly #receipts = new Receipts();
  readonly #tokens: UsedTokens;
  readonly #group = new GroupCommit(() => this.gate.commitAdmissions());
  #ticking = false;
  /** ms; the alarm that is set, as far as this life of the object knows. */
  #alarmAt: number | null = null;

  protected abstract readonly gate: HubGate;

  constructor(ctx: DurableObjectState, env: Env, options: { shards: number; exchangeMs: number }) {
    super(ctx, env);
    this.#exchangeMs = options.exchangeMs;
    this.board = new Switchboard({
      shards: options.shards,
      events: {
        settle: (end) => this.#receipts.note(end.exchange, this.gate.settle(end), end),
        unserved: (id, unheard) => this.#receipts.noteUnserved(this.gate.unserved(id, unheard)),
        accepted: (id) => this.gate.accepted(id),
        orphaned: (id) => this.gate.orphaned(id),
        reopened: (id, attempt) => this.gate.reopened(id, attempt),
        commit: () => {
          const isWritten = this.gate.commit();
          if (isWritten) for (const receipt of this.#receipts.rest()) logReceipt(receipt);
          return isWritten;
        },
        over: (exchange) => this.#over(exchange),
      },
    });
    this.#tokens = new UsedTokens(ctx.storage.sql, () => this.gate.isWritable);
    // Answered by the platform without waking this object; the stamp of the last one is a sign of life.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    const stateOf = (socket: WebSocket) => socket.deserializeAttachment() as LinkState | null;
    const kept = ctx.getWebSockets().map((socket) => [socket, stateOf(socket)] as const);
    for (const [socket, state] of kept.sort(byOpening)) if (state !== null) this.#attach(socket, state);
  }

  override fetch(request: Request): Response | Promise<Response> {
    const exchange = request.headers.get(EXCHANGE_HEADER);
    if (exchange !== null) return this.#exchange(request, JSON.parse(exchange) as ExchangeRequest);
    const uplink = request.headers.get(UPLINK_HEADER);
    return uplink === null ? this.#resume(request) : this.#uplink(JSON.parse(uplink) as UplinkRequest);
  }

  override webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void {
    const link = this.#linkOf(socket);
    if (link === null) return;
    if (typeof message === "string") {
      link.transport.close(CloseCode.MALFORMED, "text is for liveness only");
      this.board.lost(link, Date.now());
      return;
    }
    receive(this.board, link, new Uint8Array(message), Date.now());
    this.#tickWhileBusy();
  }

  override webSocketClose(socket: WebSocket): void {
    const link = this.#linkOf(socket);
    if (link !== null) this.board.lost(link, Date.now());
    // workerd (1.20261023) answers no close of a socket that may sleep, and a connector that ends would wait a second for it.
    socket.close(CloseCode.NORMAL);
  }

  override webSocketError(socket: WebSocket): void {
    // An oversize message raises this and leaves the peer without a close (workerd 1.20261023): close here.
    const link = this.#linkOf(socket);
    if (link === null) return;
    link.transport.close(CloseCode.INTERNAL, "socket error");
    this.board.lost(link, Date.now());
  }

  status(): HubStatus {
    const now = Date.now();
    return statusOf(this.board, this.#outcomes.list(), this.gate, now);
  }

  /** Exchanges that a restart would cut. */
  running(): number {
    // What cannot be written is owed to the next life of the hub, too: END is repeated.
    return this.board.running + (this.board.settlement.isOwed && this.gate.isWritable ? 1 : 0);
  }

  /** There was no room to write, and now there is. */
  catchUp(): void {
    const now = Date.now();
    this.board.settlement.commit();
    this.#tickGate(now);
    this.wakeForExpiry();
    this.#tickWhileBusy();
  }

  /** The edge is about to end: its connectors dial again. */
  dismiss(): void {
    for (const socket of this.ctx.getWebSockets()) socket.close(GOING_AWAY, "the edge restarts");
  }

  /** Leases that ran out while nothing else happened here. */
  override alarm(): void {
    this.#alarmAt = null;
    // To return would delete the alarm, which is a write; one that fails is tried again (workerd 1.20261023).
    if (!this.gate.isWritable) throw new Error("nothing can be written");
    this.#tickGate(Date.now());
    this.wakeForExpiry();
  }

  /** Asks the backend through whichever connector is there. */
  protected readonly ask = (question: Question): Promise<LookupAnswer> => {
    const answer = ask(this.board, question, Date.now());
    this.#tickWhileBusy();
    return answer;
  };

  async #exchange(request: Request, asked: ExchangeRequest): Promise<Response> {
    const inHeader = request.headers.get(BODY_HEADER);
    const length = inHeader === null ? Number(request.headers.get("content-length")) : 0;
    const ahead = Math.min(length, BODY_AHEAD_BYTES);
    if (!this.gate.isWritable) {
      // One of those that had come when a write failed; the Worker lets no other through.
      logRefusal(asked, { failure: { code: "model_unavailable" } }, 0);
      return failed({ code: "model_unavailable" });
    }
    if (ahead > 0 && !this.#bodies.comes(ahead)) {
      logRefusal(asked, { failure: { code: "queue_full" } }, 0);
      return failed({ code: "queue_full" });
    }
    let body: Spool;
    let askedAt: number;
    let admission: Admission;
    let isLookedUp: boolean;
    try {
      // Before the gate: a body that breaks off must not leave a lease behind.
      if (inHeader !== null) body = Spool.of(Uint8Array.fromBase64(inHeader));
      else body = length <= BODY_AHEAD_BYTES ? Spool.of(new Uint8Array(await request.arrayBuffer())) : new Spool();
      askedAt = Date.now();
      const decision = this.gate.admit(asked);
      isLookedUp = decision instanceof Promise;
      admission = decision instanceof Promise ? await decision : decision;
    } finally {
      this.#bodies.came(ahead);
    }
    const gateMs = Date.now() - askedAt;
    if ("failure" in admission) {
      // What is told must be true in the next life of this hub, too.
      this.board.settlement.commit();
      logRefusal(asked, admission, gateMs);
      return failed(admission.failure);
    }
    const others = this.board.running;
    if (isLookedUp && request.signal.aborted) {
      this.#receipts.noteUnserved(this.gate.unserved(asked.id));
      return failed({ code: "internal_error" });
    }
    const { tier, tenant, maxTokens, lease } = admission;
    const order: Order = {
      exchange: asked.id,
      target: asked.target,
      method: asked.method,
      path: asked.path,
      headers: asked.headers,
      length: inHeader === null ? length : body.end,
      deadline_ms: this.#exchangeMs,
      tier,
      tenant,
      dialect: maxTokens === undefined ? asked.dialect : { ...asked.dialect, max_tokens: maxTokens },
      ...(lease === undefined ? {} : { lease }),
    };
    const answer = new Answer(this.board);
    const exchange = this.board.open(order, body, answer, Date.now(), asked.attempts);
    const needed = this.#group.opened(others);
    exchange.gateMs = gateMs;
    if (ahead > 0) this.#bodies.holds(exchange);
    this.#clients.waits(exchange, request);
    this.#tickWhileBusy();
    if (length > BODY_AHEAD_BYTES && request.body !== null) {
      this.ctx.waitUntil(pump(request.body, exchange, answer, this.board));
    }
    await answer.started;
    this.#group.answering(needed);
    return answer.response(exchange, [["x-request-id", asked.id], ...admission.headers]);
  }

  #over(exchange: Exchange): void {
    if (exchange.target === BACKEND) return;
    this.#outcomes.add(exchange.order?.dialect?.model ?? "resumed", outcomeOf(exchange));
    logExchange(exchange, this.#receipts.take(exchange.id), Date.now());
  }

  async #resume(request: Request): Promise<Response> {
    const from = (await request.json()) as ResumeRequest;
    const answer = new Answer(this.board, !from.head);
    const exchange = this.board.resume(from, answer, Date.now());
    // What has broken off for good is nobody's any more.
    if (exchange.state !== "over") this.gate.resumed(from.id);
    this.#clients.waits(exchange, request);
    this.#tickWhileBusy();
    return answer.started.then(() => answer.response(exchange, []));
  }

  #uplink({ connector, shard, slot, jti, exp }: UplinkRequest): Response {
    const now = Date.now();
    if (!this.#tokens.use({ jti, exp }, now)) return new Response("this token was used before\n", { status: 401 });
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    this.#attach(server, newLinkState(connector, shard, slot, now, openingBehind(this.board.links, now)));
    return new Response(null, {
      status: 101,
      webSocket: client,
      headers: { "sec-websocket-protocol": SUBPROTOCOL },
    });
  }

  #attach(socket: WebSocket, state: LinkState): Link {
    const transport = transportOf(socket, () => this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0);
    transport.save(state);
    const link = this.board.attach(transport, state);
    this.#links.set(socket, link);
    return link;
  }

  /** Null: this hub, or the one that it was before it slept, has given it up. */
  #linkOf(socket: WebSocket): Link | null {
    return this.#links.get(socket) ?? null;
  }

  /** One timer for all deadlines, and none while nothing runs: a pending timer keeps the object in memory. */
  #tickWhileBusy(): void {
    if (this.#ticking || !this.board.isBusy) return;
    this.#ticking = true;
    setTimeout(() => {
      this.#ticking = false;
      const now = Date.now();
      // First what runs: what it gives up is settled, and that is written down below.
      this.board.tick(now);
      this.#tickGate(now);
      this.wakeForExpiry();
      this.#tickWhileBusy();
    }, TICK_MS);
  }

  #tickGate(now: number): void {
    for (const forfeit of this.gate.tick(now, this.board.running === 0)) logForfeit(forfeit);
  }

  /** An alarm for the first lease that runs out: it outlives this object. One is enough, and each costs a write. */
  protected wakeForExpiry(): void {
    const next = this.gate.isWritable ? this.gate.nextExpiry() : null;
    if (next === null || (this.#alarmAt !== null && this.#alarmAt <= next)) return;
    this.#alarmAt = next;
    void this.ctx.storage.setAlarm(next);
  }
}
