// What the platform hands to the Worker.
import type { AccountAnswer, Credentials, HubStatus, UsageAnswer } from "../shared/hop.ts";

/** What the Worker calls on a hub besides `fetch`. */
export interface HubRpc extends Rpc.DurableObjectBranded {
  account(credentials: Credentials): Promise<AccountAnswer>;
  usage(credentials: Credentials): Promise<UsageAnswer>;
  purge(digest: string): void;
  status(): HubStatus;
  running(): number;
  dismiss(): void;
  /** What could not be written is written now. */
  catchUp(): void;
  /** Development only: the object is lost in the middle of whatever it does. Rejects, as every call to a lost object does. */
  devAbort(): void;
}

/** The settings beside it are read by settings.ts. */
export interface Env {
  readonly HUB: DurableObjectNamespace<HubRpc & DurableObject>;
  /** The platform's rate limiter, where there is one. */
  readonly SHIELD?: RateLimit;
  readonly [setting: string]: unknown;
}
