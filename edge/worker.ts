// The entry: the Worker, and the Durable Object as the place where the gate and the hub meet.
import { Failure } from "../shared/errors.ts";
import type { AccountAnswer, Credentials } from "../shared/hop.ts";
import { createApp } from "./app.ts";
import type { Env } from "./env.ts";
import { Gate } from "./gate/gate.ts";
import { type Admit, HubObject } from "./hub/object.ts";
import { readSettings } from "./settings.ts";

export class Hub extends HubObject<Env> {
  readonly #gate: Gate;
  protected override admit: Admit;

  constructor(ctx: DurableObjectState, env: Env) {
    const settings = readSettings(env);
    super(ctx, env, { shards: settings.shards });
    this.#gate = new Gate({
      ask: this.ask,
      timeoutMs: settings.backendTimeoutMs,
      now: () => Date.now(),
      newId: () => `key_${crypto.randomUUID()}`,
    });
    this.admit = (request) => this.#gate.admit(request);
  }

  async account(credentials: Credentials): Promise<AccountAnswer> {
    try {
      const account = await this.#gate.account(credentials);
      return account === null ? { failure: { code: "invalid_api_key" } } : { account };
    } catch (error) {
      if (error instanceof Failure) return { failure: error.public };
      throw error;
    }
  }
}

export default createApp();
