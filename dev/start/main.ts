// `npm start`: everything on loopback, and how to talk to it.
import { mkdir } from "node:fs/promises";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { number, readCommand } from "../cli.ts";
import { Crew } from "../crew.ts";
import { startStack } from "./stack.ts";

const program = new Command("start")
  .description("Runs the whole product on loopback: simulated engines, backend, edge and connector.")
  .option("--port <port>", "port of the edge; 0 takes a free one", number({ least: 0, most: 65_535 }), 4000)
  .option("--state <folder>", "keys, state and logs", ".state/start");
const read = readCommand(program, process.argv, () => program.opts<{ port: number; state: string }>());
if ("exit" in read) process.exit(read.exit);

const { port, state } = read.given;
const directory = resolve(state);
const crew = new Crew();
let stopping = false;

async function stop(code: number, message?: string): Promise<never> {
  if (!stopping) {
    stopping = true;
    if (message !== undefined) console.error(`start: ${message}`);
    await crew.dismiss();
    process.exit(code);
  }
  // Somebody is stopping already; there is nothing to come back to.
  return new Promise<never>(() => {});
}

process.on("SIGINT", () => void stop(0));
process.on("SIGTERM", () => void stop(0));
crew.lost.addEventListener("abort", () => void stop(1, lastWords(crew.lost.reason)));

if (port !== 0 && !(await isFree(port)))
  await stop(1, `port ${port} is taken; choose another with: npm start -- --port PORT`);
try {
  await mkdir(directory, { recursive: true });
  console.log("starting …");
  const { url } = await startStack(crew, {
    directory,
    edgePort: port,
    fleet: ["--chat", "0x8", "--embed", "0x8"],
    // workerd alone does not see a client that closes in order before its answer begins.
    edge: { EDGE_FRONT: "1" },
  });
  console.log(welcome(url));
} catch (error) {
  await stop(1, lastWords(error));
}

function welcome(url: string): string {
  return `
HeartCode Edge is ready:  ${url}/v1

  demo keys   hc-sk-demo-free      free
              hc-sk-demo-premium   premium, not age-verified
              hc-sk-demo-adult     premium, age-verified
              hc-sk-demo-admin     admin, age-verified
              hc-sk-demo-revoked   refused

  try         curl -N ${url}/v1/chat/completions \\
                -H "Authorization: Bearer hc-sk-demo-premium" -H "Content-Type: application/json" \\
                -d '{"model": "heartcode-default", "stream": true, "messages": [{"role": "user", "content": "Hello!"}]}'

  The engines are simulated: they answer at the pace of real ones, in made-up words.
  Logs: ${join(directory, "*.log")}.  Ctrl-C stops everything.
`;
}

function lastWords(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error);
}

/** Asked before anything is started, so that the most common mistake costs nothing. */
function isFree(wanted: number): Promise<boolean> {
  return new Promise((answer) => {
    const probe = createServer();
    probe.once("error", () => answer(false));
    probe.listen(wanted, "127.0.0.1", () => probe.close(() => answer(true)));
  });
}
