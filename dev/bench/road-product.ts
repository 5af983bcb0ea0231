// The product: the production bundle of the edge on workerd, and one connector that dials it. A shared key instead of a
// backend, because limits are not what is measured.
import { randomBytes } from "node:crypto";
import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, type Crew, run } from "../crew.ts";
import { countHubs } from "./hubs.ts";
import { answers, freePorts } from "./ports.ts";
import { ENGINE_MODELS, type EnginePorts, type Road, type Target } from "./road.ts";

const EDGE = fileURLToPath(new URL("../edge/main.ts", import.meta.url));
const CONNECTOR = fileURLToPath(new URL("../../connector/main.ts", import.meta.url));
const EDGE_READY_MS = 60_000;
const CONNECTOR_READY_MS = 20_000;
/** The edge passes SIGTERM on to workerd and waits for it. */
const EDGE_GRACE_MS = 5_000;

/** Names the file that is missing, or null. */
export async function missingProduct(): Promise<string | null> {
  for (const file of [EDGE, CONNECTOR]) {
    const there = await access(file).then(
      () => true,
      () => false,
    );
    if (!there) return file;
  }
  return null;
}

export interface ProductRoad extends Road {
  /** The launcher; workerd is in its process group. */
  readonly edge: Child;
  readonly connector: Child;
}

/** How this connector differs from the usual one. */
export interface ConnectorChanges {
  /** More lines of its configuration. */
  readonly config?: string;
  /** More arguments. */
  readonly args?: readonly string[];
}

export async function startProductRoad(
  crew: Crew,
  engines: EnginePorts,
  directory: string,
  signal: AbortSignal,
  { config = "", args = [] }: ConnectorChanges = {},
): Promise<ProductRoad> {
  await mkdir(directory, { mode: 0o700 });
  const [port, metrics] = await freePorts(2);
  if (port === undefined || metrics === undefined) throw new Error("no free ports");
  const key = randomBytes(24).toString("hex");
  const adminToken = randomBytes(24).toString("hex");

  const keyFile = join(directory, "connector.key");
  const publicKey = await run(
    { name: "keygen", command: process.execPath, args: [CONNECTOR, "keygen", "--id", "bench", "--out", keyFile] },
    { signal },
  );
  const keysFile = join(directory, "keys.json");
  await writeFile(keysFile, `{"keys":[${publicKey.trim()}]}`);
  const edge = crew.start({
    name: "edge",
    command: process.execPath,
    args: [EDGE, "--port", String(port), "--state", join(directory, "state"), "--connector-keys", keysFile],
    // One hub, as config/local has it.
    env: { ...process.env, AUTH_MODE: "master-key", MASTER_KEY: key, ADMIN_TOKEN: adminToken, HUB_SHARDS: "1" },
    // A line a request, which nobody reads: nginx writes its own into /dev/null.
    isSilent: true,
    ipc: true,
    graceMs: EDGE_GRACE_MS,
  });
  await edge.ready(EDGE_READY_MS);

  const configFile = join(directory, "connector.yaml");
  await writeFile(configFile, connectorConfig(port, keyFile, metrics, engines) + config);
  const connector = crew.start({
    name: "connector",
    command: process.execPath,
    args: [CONNECTOR, "run", "--config", configFile, ...args],
    // For the same reason.
    isSilent: true,
    ipc: true,
  });
  await connector.ready(CONNECTOR_READY_MS);
  await answers(port, "/health", CONNECTOR_READY_MS, signal);

  const target = (model: string): Target => ({ port, model, authorization: `Bearer ${key}` });
  return {
    name: "product",
    edge,
    connector,
    chat: target("heartcode-default"),
    embed: target("heartcode-embed"),
    hubs: () => countHubs(port, adminToken),
  };
}

/** The backend is never asked: the key is the edge's own. */
function connectorConfig(port: number, keyFile: string, metrics: number, engines: EnginePorts): string {
  return `edge: { url: "ws://127.0.0.1:${port}/uplink", id: bench, key_file: "${keyFile}" }
backend: { url: "http://127.0.0.1:9" }
pools:
  - { model: ${ENGINE_MODELS.chat}, kind: chat, upstreams: ["http://127.0.0.1:${engines.chat}"], slots: 1024 }
  - { model: ${ENGINE_MODELS.embed}, kind: embedding, upstreams: ["http://127.0.0.1:${engines.embed}"], slots: 1024 }
metrics: { listen: "127.0.0.1:${metrics}" }
`;
}
