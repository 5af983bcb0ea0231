// What the platform hands to the Worker.
import type { AccountAnswer, Credentials, HubStatus } from "../shared/hop.ts";

/** What the Worker calls on a hub besides `fetch`. */
export interface HubRpc extends Rpc.DurableObjectBranded {
  account(credentials: Credentials): Promise<AccountAnswer>;
  status(): HubStatus;
}

/** The settings beside it are read by settings.ts. */
export interface Env {
  readonly HUB: DurableObjectNamespace<HubRpc & DurableObject>;
  readonly [setting: string]: unknown;
}
