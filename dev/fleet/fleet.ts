// Several engines in one process, each with its own listener: all of them listen, or none does.
import { Engine } from "./engine.ts";
import type { Faults } from "./faults.ts";
import { DEFAULT_PACE, type EngineKind, type Pace } from "./settings.ts";

export interface FleetOptions {
  readonly pace?: Partial<Pace>;
  readonly host?: string;
  /** Ports; 0 takes a free one. */
  readonly chat?: readonly number[];
  readonly embed?: readonly number[];
  /** Spread over the chat engines in equal blocks, in order. */
  readonly chatModels?: readonly string[];
  readonly embedModel?: string;
  readonly faults?: readonly FaultOrder[];
  readonly exit?: () => void;
}

/** A fault from the start: for one port, for one kind, or for all engines. */
export interface FaultOrder {
  readonly target: number | EngineKind | "all";
  readonly faults: Faults;
}

export interface Fleet {
  readonly host: string;
  readonly chat: readonly number[];
  readonly embed: readonly number[];
  engine(port: number): Engine | undefined;
  close(): Promise<void>;
}

export const DEFAULT_HOST = "127.0.0.1";
export const DEFAULT_CHAT_MODELS: readonly string[] = ["heartcode-chat-sfw", "heartcode-chat-nsfw"];
export const DEFAULT_EMBED_MODEL = "heartcode-embed";

/** @throws the listen error of the first engine that could not have its port; then none listens. */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const { host = DEFAULT_HOST, chatModels = DEFAULT_CHAT_MODELS, embedModel = DEFAULT_EMBED_MODEL } = options;
  const { chat: chatPorts = [], embed: embedPorts = [], faults: orders = [], exit = () => {} } = options;
  const byPort = new Map<number, Engine>();
  const build = (kind: EngineKind, port: number, model: string) => {
    const settings = { ...DEFAULT_PACE, ...options.pace, kind, host, port, model };
    return new Engine(settings, { find: (wanted) => byPort.get(wanted), exit });
  };
  const chat = chatPorts.map((port, i) => build("chat", port, modelAt(chatModels, i, chatPorts.length)));
  const embed = embedPorts.map((port) => build("embed", port, embedModel));
  const engines = [...chat, ...embed];

  const listening = await Promise.allSettled(engines.map((engine) => engine.listen()));
  const failed = listening.find((result) => result.status === "rejected");
  const close = async () => {
    await Promise.all(engines.map((engine) => engine.close()));
  };
  if (failed !== undefined) {
    await close();
    throw failed.reason;
  }

  for (const engine of engines) byPort.set(engine.port, engine);
  const ports = (of: readonly Engine[]) => of.map((engine) => engine.port);
  for (const { target, faults } of orders) {
    for (const engine of engines) {
      if (target === "all" || target === engine.port || target === engine.settings.kind) engine.setFaults(faults);
    }
  }
  return { host, chat: ports(chat), embed: ports(embed), engine: (port) => byPort.get(port), close };
}

/** The model of the i-th of `count` engines. An odd engine goes to the earlier model. */
export function modelAt(models: readonly string[], i: number, count: number): string {
  return models[Math.floor((i * models.length) / count)] ?? models[0] ?? "";
}
