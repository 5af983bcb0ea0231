// What a road to the engines looks like from a client. How it was built is not known here.
import type { HubCounts } from "./hubs.ts";

export interface Road {
  readonly name: RoadName;
  readonly chat: Target;
  readonly embed: Target;
  /** Where there are hubs. */
  readonly hubs?: () => Promise<HubCounts>;
}

export type RoadName = "direct" | "nginx+ssh" | "product";

export interface Target {
  readonly port: number;
  /** What the model is called at this end of the road. */
  readonly model: string;
  readonly authorization: string | null;
}

export interface EnginePorts {
  readonly chat: number;
  readonly embed: number;
}

/** The models as the engines call them. */
export const ENGINE_MODELS = { chat: "heartcode-chat-sfw", embed: "heartcode-embed" } as const;

export function directRoad(engines: EnginePorts): Road {
  return plainRoad("direct", engines);
}

/** A road on which the engines' own names are used and no key is asked for. */
export function plainRoad(name: RoadName, ports: EnginePorts): Road {
  return {
    name,
    chat: { port: ports.chat, model: ENGINE_MODELS.chat, authorization: null },
    embed: { port: ports.embed, model: ENGINE_MODELS.embed, authorization: null },
  };
}
