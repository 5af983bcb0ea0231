// The Durable Object: sockets, storage and the clock of a hub shard. Everything that decides is in switchboard.ts.
import { DurableObject } from "cloudflare:workers";
import type { PublicFailure } from "../../shared/errors.ts";
import type { HeaderPairs } from "../../shared/headers.ts";
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
import type { Exchange, Order } from "./exchange.ts";
import { type Link, type LinkState, newLinkState, type Transport } from "./link.ts";
import { type LookupAnswer, readAnswer } from "./lookup.ts";
import { receive } from "./receive.ts";
import { isLive } from "./roster.ts";
import { Switchboard } from "./switchboard.ts";

const TICK_MS = 250;
/** What is held of a large request body before its connector takes it. */
const BODY_AHEAD_BYTES = 256 * 1024;
/** One read of a body. A read without a buffer of our own brings 4 KiB at most (workerd 1.20261023). */
const PUMP_BYTES = 64 * 1024;

/** What the gate says of a request. */
export type Admission =
  | {
      readonly tier: string;
      readonly tenant: string;
      readonly maxTokens: number | undefined;
      readonly headers: HeaderPairs;
    }
  | { readonly failure: PublicFailure };

/** A question to the backend over the uplink. */
export type Ask = (question: {
  id: string;
  method: string;
  path: string;
  body: Uint8Array;
  timeoutMs: number;
}) => Promise<LookupAnswer>;

export type Admit = (request: ExchangeRequest, now: number) => Promise<Admission> | Admission;

export abstract class HubObject<Env> extends DurableObject<Env> {
  readonly board: Switchboard;
  readonly #links = new WeakMap<WebSocket, Link>();
  readonly #exchangeMs: number;
  #ticking = false;

  protected abstract admit: Admit;

  constructor(ctx: DurableObjectState, env: Env, options: { shards: number; exchangeMs?: number }) {
    super(ctx, env);
    this.#exchangeMs = options.exchangeMs ?? 600_000;
    this.board = new Switchboard({ shards: options.shards, events: { settle: () => {} } });
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS used_tokens (jti TEXT PRIMARY KEY, exp INTEGER NOT NULL)");
    // Answered by the platform without waking this object; the stamp of the last one is a sign of life.
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    for (const socket of ctx.getWebSockets()) {
      this.#attach(socket, socket.deserializeAttachment() as LinkState);
    }
  }

  override async fetch(request: Request): Promise<Response> {
    const exchange = request.headers.get(EXCHANGE_HEADER);
    if (exchange !== null) return this.#exchange(request, JSON.parse(exchange) as ExchangeRequest);
    const uplink = request.headers.get(UPLINK_HEADER);
    if (uplink !== null) return this.#uplink(JSON.parse(uplink) as UplinkRequest);
    return this.#resume(request, (await request.json()) as ResumeRequest);
  }

  override webSocketMessage(socket: WebSocket, message: ArrayBuffer | string): void {
    const link = this.#linkOf(socket);
    if (typeof message === "string") {
      socket.close(CloseCode.MALFORMED, "text is for liveness only");
      this.board.lost(link, Date.now());
      return;
    }
    receive(this.board, link, new Uint8Array(message), Date.now());
    this.#tickWhileBusy();
  }

  override webSocketClose(socket: WebSocket): void {
    this.board.lost(this.#linkOf(socket), Date.now());
  }

  override webSocketError(socket: WebSocket): void {
    // An oversize message raises this and leaves the peer without a close (workerd 1.20261023): close here.
    socket.close(1011, "socket error");
    this.board.lost(this.#linkOf(socket), Date.now());
  }

  status(): HubStatus {
    const now = Date.now();
    const links = [...this.board.links];
    return {
      links: links.map((link) => ({
        connector: link.state.connector,
        slot: link.state.slot,
        live: isLive(link, now),
        draining: link.draining,
        running: link.exchanges.size,
        pools: [...link.pools],
      })),
      exchanges: this.board.running,
      held_bytes: this.board.held,
      violations: this.board.violations,
      resumed: this.board.resumed,
      window_stalls: links.reduce((sum, link) => sum + link.outbox.stalls, 0),
    };
  }

  /** Asks the backend through whichever connector is there. */
  protected readonly ask: Ask = async ({ id, method, path, body, timeoutMs }) => {
    const order: Order = {
      exchange: id,
      target: BACKEND,
      method,
      path,
      headers: [["content-type", "application/json"]],
      length: body.byteLength,
      deadline_ms: timeoutMs,
      tier: "",
      tenant: "",
      dialect: null,
    };
    const spool = new Spool();
    spool.append(body);
    const answer = new Answer(this.board);
    const exchange = this.board.open(order, spool, answer, Date.now());
    this.#tickWhileBusy();
    const late = Promise.withResolvers<null>();
    const timer = setTimeout(() => late.resolve(null), timeoutMs);
    try {
      const read = answer.response(exchange, []).then(readAnswer);
      const settled = await Promise.race([read, late.promise]);
      if (settled !== null) return settled;
      this.board.cancel(exchange);
      return { failure: { code: "auth_timeout" } };
    } finally {
      clearTimeout(timer);
    }
  };

  async #exchange(request: Request, asked: ExchangeRequest): Promise<Response> {
    const admission = await this.admit(asked, Date.now());
    if ("failure" in admission) return failed(admission.failure);
    const body = new Spool();
    const inHeader = request.headers.get(BODY_HEADER);
    const length = inHeader === null ? Number(request.headers.get("content-length")) : append(body, inHeader);
    if (inHeader === null && length <= BODY_AHEAD_BYTES) body.append(new Uint8Array(await request.arrayBuffer()));
    if (request.signal.aborted) return failed({ code: "internal_error" });
    const { tier, tenant, maxTokens } = admission;
    const order: Order = {
      exchange: asked.id,
      target: asked.target,
      method: asked.method,
      path: asked.path,
      headers: asked.headers,
      length,
      deadline_ms: this.#exchangeMs,
      tier,
      tenant,
      dialect: maxTokens === undefined ? asked.dialect : { ...asked.dialect, max_tokens: maxTokens },
    };
    const answer = new Answer(this.board);
    const exchange = this.board.open(order, body, answer, Date.now());
    request.signal.addEventListener("abort", () => this.board.cancel(exchange));
    this.#tickWhileBusy();
    if (length > BODY_AHEAD_BYTES && request.body !== null) {
      this.ctx.waitUntil(this.#pump(request.body, exchange, answer));
    }
    return answer.response(exchange, [["x-request-id", asked.id], ...admission.headers]);
  }

  async #resume(request: Request, from: ResumeRequest): Promise<Response> {
    const answer = new Answer(this.board, !from.head);
    const exchange = this.board.resume(from, answer, Date.now());
    request.signal.addEventListener("abort", () => this.board.cancel(exchange));
    this.#tickWhileBusy();
    return answer.response(exchange, []);
  }

  /** Moves a large body from the Worker to the connector, never far ahead of what the connector takes. */
  async #pump(source: ReadableStream<Uint8Array>, exchange: Exchange, answer: Answer): Promise<void> {
    const reader = source.getReader({ mode: "byob" });
    let buffer = new ArrayBuffer(PUMP_BYTES);
    try {
      for (;;) {
        while (exchange.body.retained >= BODY_AHEAD_BYTES && exchange.state !== "over") {
          await new Promise<void>((resolve) => {
            answer.onRoom = resolve;
          });
        }
        const { done, value } = await reader.read(new Uint8Array(buffer));
        if (done || exchange.state === "over") return;
        exchange.body.append(value);
        buffer = value.buffer;
        this.board.bodyGrew(exchange);
      }
    } catch {
      this.board.cancel(exchange);
    } finally {
      reader.releaseLock();
    }
  }

  #uplink({ connector, shard, slot, jti, exp }: UplinkRequest): Response {
    const now = Date.now();
    const { sql } = this.ctx.storage;
    sql.exec("DELETE FROM used_tokens WHERE exp < ?", Math.floor(now / 1000) - 60);
    const fresh = sql
      .exec("INSERT OR IGNORE INTO used_tokens (jti, exp) VALUES (?, ?) RETURNING jti", jti, exp)
      .toArray();
    if (fresh.length === 0) return new Response("this token was used before\n", { status: 401 });
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    this.#attach(server, newLinkState(connector, shard, slot, now));
    return new Response(null, {
      status: 101,
      webSocket: client,
      headers: { "sec-websocket-protocol": SUBPROTOCOL },
    });
  }

  #attach(socket: WebSocket, state: LinkState): Link {
    const transport: Transport = {
      send: (message) => {
        try {
          socket.send(message);
        } catch {
          // The socket is closing; its close event moves what it carried.
        }
      },
      close: (code, reason) => socket.close(code, reason.slice(0, 100)),
      save: (changed) => socket.serializeAttachment(changed),
      heardAt: () => this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0,
    };
    transport.save(state);
    const link = this.board.attach(transport, state);
    this.#links.set(socket, link);
    return link;
  }

  #linkOf(socket: WebSocket): Link {
    return this.#links.get(socket) ?? this.#attach(socket, socket.deserializeAttachment() as LinkState);
  }

  /** One timer for all deadlines, and none while nothing runs: a pending timer keeps the object in memory. */
  #tickWhileBusy(): void {
    if (this.#ticking || this.board.running === 0) return;
    this.#ticking = true;
    setTimeout(() => {
      this.#ticking = false;
      this.board.tick(Date.now());
      this.#tickWhileBusy();
    }, TICK_MS);
  }
}

/** @returns how many bytes there were. */
function append(body: Spool, base64: string): number {
  body.append(Uint8Array.fromBase64(base64));
  return body.end;
}
