// The other end of the bare tunnel: asks the engine what comes, and answers what is ready in one message.
import { Command } from "commander";
import { Pool } from "undici";
import { WebSocket } from "ws";

const { edge, engine } = new Command("bare connector")
  .requiredOption("--edge <port>", "of workerd")
  .requiredOption("--engine <port>", "whose answers are brought")
  .parse()
  .opts<{ edge: string; engine: string }>();

/** As many as the product may use. */
const CONNECTIONS = 1_024;
const HEADERS = { "content-type": "application/json" };

const sockets = new Pool(`http://127.0.0.1:${engine}`, { connections: CONNECTIONS });
const uplink = new WebSocket(`ws://127.0.0.1:${edge}/uplink`, { perMessageDeflate: false });
let batch: (readonly [id: number, base64: string])[] = [];

async function ask(id: number, body: string): Promise<void> {
  const answer = await sockets.request({ method: "POST", path: "/v1/chat/completions", headers: HEADERS, body });
  batch.push([id, Buffer.from(await answer.body.arrayBuffer()).toString("base64")]);
  if (batch.length > 1) return;
  setImmediate(() => {
    uplink.send(JSON.stringify(batch));
    batch = [];
  });
}

uplink.on("open", () => process.send?.({}));
uplink.on("message", (message) => {
  for (const [id, body] of JSON.parse(String(message)) as [number, string][]) void ask(id, body);
});
// Either end that leaves takes this one with it.
uplink.on("close", () => process.exit());
process.on("disconnect", () => process.exit());
