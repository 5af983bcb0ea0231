// Two connectors behind one edge, one for each chat model: what differs between them differs in nothing else, not even in the
// workerd that their answers pass. A second edge is never quite as fast as the first, without a reason that anybody could name.
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Child, type Crew, run } from "../crew.ts";
import { freePorts } from "./ports.ts";
import type { Target } from "./road.ts";
import type { ConnectorChanges } from "./road-product.ts";

const EDGE = fileURLToPath(new URL("../edge/main.ts", import.meta.url));
const CONNECTOR = fileURLToPath(new URL("../../connector/main.ts", import.meta.url));
const EDGE_READY_MS = 60_000;
const CONNECTOR_READY_MS = 20_000;
const MODELS = ["heartcode-chat-sfw", "heartcode-chat-nsfw"] as const;

export interface Twin {
  readonly connector: Child;
  readonly chat: Target;
}

/** @param changes of each connector. @param chatPort of the engine that answers for both. */
export async function startPair(
  crew: Crew,
  chatPort: number,
  directory: string,
  signal: AbortSignal,
  changes: readonly [ConnectorChanges, ConnectorChanges],
): Promise<readonly [Twin, Twin]> {
  await mkdir(directory, { mode: 0o700 });
  const [port] = await freePorts(1);
  if (port === undefined) throw new Error("no free port");
  const ids = ["first", "second"];
  const keys = await Promise.all(
    ids.map((id) => {
      const args = [CONNECTOR, "keygen", "--id", id, "--out", join(directory, `${id}.key`)];
      return run({ name: "keygen", command: process.execPath, args }, { signal });
    }),
  );
  const keysFile = join(directory, "keys.json");
  await writeFile(keysFile, `{"keys":[${keys.map((key) => key.trim()).join(",")}]}`);
  const masterKey = randomBytes(24).toString("hex");
  const edge = crew.start({
    name: "edge",
    command: process.execPath,
    args: [
      EDGE,
      "--port",
      String(port),
      "--state",
      join(directory, "state"),
      "--connector-keys",
      keysFile,
      "--drain",
      "0",
    ],
    env: { ...process.env, AUTH_MODE: "master-key", MASTER_KEY: masterKey },
    isSilent: true,
    ipc: true,
  });
  await edge.ready(EDGE_READY_MS);
  const start = async (at: 0 | 1): Promise<Twin> => {
    const { config = "", args = [] } = changes[at];
    const file = join(directory, `${ids[at]}.yaml`);
    await writeFile(
      file,
      `edge: { url: "ws://127.0.0.1:${port}/uplink", id: ${ids[at]}, key_file: ./${ids[at]}.key }
backend: { url: "http://127.0.0.1:9" }
pools:
  - { model: ${MODELS[at]}, kind: chat, upstreams: ["http://127.0.0.1:${chatPort}"], slots: 1024 }
${config}`,
    );
    const connector = crew.start({
      name: ids[at]!,
      command: process.execPath,
      args: [CONNECTOR, "run", "--config", file, ...args],
      ipc: true,
    });
    await connector.ready(CONNECTOR_READY_MS);
    return { connector, chat: { port, model: MODELS[at], authorization: `Bearer ${masterKey}` } };
  };
  return [await start(0), await start(1)];
}
