// From a key to its hub shard. One shard is the only place that knows a key, so its digest alone decides.

import type { Credentials } from "../../shared/hop.ts";
import type { Env, HubRpc } from "../env.ts";

export type HubStub = DurableObjectStub<HubRpc & DurableObject>;

const ids = new Map<number, DurableObjectId>();

export function hubOf(env: Env, shard: number): HubStub {
  // A cached id is the cheapest road to a hub: by name it is a fifth slower.
  let id = ids.get(shard);
  if (id === undefined) {
    id = env.HUB.idFromName(`shard-${shard}`);
    ids.set(shard, id);
  }
  return env.HUB.get(id);
}

let turn = 0;

export function shardOf(credentials: Credentials, shards: number): number {
  // The master key has no state anywhere: its requests may go round.
  if (credentials.mode === "master-key") {
    turn = (turn + 1) % shards;
    return turn;
  }
  return Number.parseInt(credentials.digest.slice(0, 8), 16) % shards;
}
