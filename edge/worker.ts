// The entry: the Worker, and the Durable Object as the place where the gate and the hub meet.
import { WorkerEntrypoint } from "cloudflare:workers";
import { Failure } from "../shared/errors.ts";
import type { AccountAnswer, Credentials, UsageAnswer } from "../shared/hop.ts";
import { hubOf } from "./api/hubs.ts";
import { createApp } from "./app.ts";
import { shared } from "./cors.ts";
import type { Env } from "./env.ts";
import { Gate } from "./gate/gate.ts";
import { Store } from "./gate/store.ts";
import { HubObject } from "./hub/object.ts";
import { Leaving } from "./leaving.ts";
import { readSettings } from "./settings.ts";
import { Writing } from "./writing.ts";

/** How long one exchange may take, queue and answer together. */
const EXCHANGE_MS = 600_000;

/** Of the whole process: hubs and Worker are one isolate where somebody says anything of it. */
const writing = new Writing();

export class Hub extends HubObject<Env> {
  protected override readonly gate: Gate;
  readonly #devFaults: boolean;

  constructor(ctx: DurableObjectState, env: Env) {
    const settings = readSettings(env);
    super(ctx, env, { shards: settings.shards, exchangeMs: EXCHANGE_MS });
    this.#devFaults = settings.devFaults;
    this.gate = new Gate({
      ask: this.ask,
      store: new Store(ctx.storage.sql, () => writing.isPossible),
      tiers: settings.tiers,
      timeoutMs: settings.backendTimeoutMs,
      exchangeMs: EXCHANGE_MS,
      now: () => Date.now(),
      newId: () => `key_${crypto.randomUUID()}`,
    });
    this.wakeForExpiry();
  }

  async account(credentials: Credentials): Promise<AccountAnswer> {
    return told(async () => {
      const account = await this.gate.account(credentials);
      if (account === null) throw new Failure("invalid_api_key");
      return { account };
    });
  }

  async usage(credentials: Credentials): Promise<UsageAnswer> {
    return told(async () => ({ usage: await this.gate.usage(credentials) }));
  }

  /** What is known of a key is forgotten before this returns. */
  purge(digest: string): void {
    this.gate.purge(digest);
  }

  devAbort(): void {
    if (this.#devFaults) this.ctx.abort("aborted by request: DEV_FAULTS is set");
  }
}

/** A failure that crosses to the Worker is a value: of an error only its text would arrive. */
async function told<T>(work: () => Promise<T>): Promise<T | { failure: Failure["public"] }> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Failure) return { failure: error.public };
    throw error;
  }
}

const app = createApp();
const leaving = new Leaving();

/** For who runs workerd himself, over a socket of his own. A Worker that is deployed has no way to it. */
export class Control extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    // That this is answered says that the Worker's turn has come.
    const { pathname } = new URL(request.url);
    if (pathname === "/alive") return new Response("alive");
    const { shards } = readSettings(this.env);
    const hubs = Array.from({ length: shards }, (_, shard) => hubOf(this.env, shard));
    if (pathname === "/unwritable") writing.isPossible = false;
    else if (pathname === "/writable") {
      writing.isPossible = true;
      // One that fails again is seen by its write.
      await Promise.allSettled(hubs.map((hub) => hub.catchUp()));
    } else return Response.json(await leaving.look(hubs));
    return new Response(null, { status: 204 });
  }
}

export default {
  fetch: (request, env, context) => {
    const answer = () => leaving.refusal(request) ?? writing.refusal(request) ?? app.fetch(request, env, context);
    return request.headers.has("origin") ? shared(request, answer) : answer();
  },
} satisfies ExportedHandler<Env>;
