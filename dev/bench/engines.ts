// The simulated engines: one process for chat and one for embeddings, so that a long embedding answer costs the chat
// engine nothing and every delay of a token is the road's.
import { fileURLToPath } from "node:url";
import type { Crew } from "../crew.ts";
import { Connection, requestBytes } from "./connection.ts";
import { ENGINE_MODELS, type EnginePorts } from "./road.ts";

const FLEET = fileURLToPath(new URL("../fleet/main.ts", import.meta.url));
const READY_MS = 15_000;
/** More than any load asks for at once, and more tokens than any stream of a long run has. */
const ROOM = ["--slots", "1024", "--context", "1000000"];

/** @param tokensPerSecond 0 is as fast as the engine can. */
export async function startEngines(crew: Crew, tokensPerSecond: number): Promise<EnginePorts> {
  const pace = ["--tokens-per-second", String(tokensPerSecond), "--first-token-ms", "0", ...ROOM];
  const start = async (kind: "chat" | "embed") => {
    const engine = crew.start({
      name: `${kind} engine`,
      command: process.execPath,
      args: [FLEET, `--${kind}`, "0x1", `--${kind}-model`, ENGINE_MODELS[kind], ...pace],
      ipc: true,
    });
    return portOf(await engine.ready(READY_MS), kind);
  };
  const [chat, embed] = await Promise.all([start("chat"), start("embed")]);
  return { chat, embed };
}

function portOf(message: unknown, kind: "chat" | "embed"): number {
  const ports = (message as Partial<Record<typeof kind, readonly number[]>>)[kind];
  const port = ports?.[0];
  if (port === undefined) throw new Error(`the ${kind} engine does not say its port`);
  return port;
}

/** Makes every embedding answer exactly so long, at no cost of the engine. */
export async function embedAnswers(engines: EnginePorts, bytes: number): Promise<void> {
  const body = JSON.stringify({ answer_bytes: bytes });
  const connection = new Connection(engines.embed);
  try {
    const status = await connection.ask(requestBytes({ method: "POST", path: "/sim/faults", body }), () => {});
    if (status !== 200) throw new Error(`the engine refuses to make its answers ${bytes} bytes long: ${status}`);
  } finally {
    connection.destroy();
  }
}
