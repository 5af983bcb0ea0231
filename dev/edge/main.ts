// The edge on one's own machine: the production bundle on workerd.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import { readSettings, SETTING_NAMES } from "../../edge/settings.ts";
import { buildWorker } from "./build.ts";
import { startWorkerd } from "./workerd.ts";

const program = new Command("edge")
  .description("Runs the production bundle of the Worker on workerd.")
  .option("--port <port>", "port to listen on; 0 takes a free one", port, 4000)
  .option("--host <address>", "address to listen on", "127.0.0.1")
  .option("--state <folder>", "what the Durable Objects keep", ".state/edge")
  .option("--connector-keys <file>", "JWK set of the connectors that may dial in (else the setting CONNECTOR_KEYS)")
  .option("--inspect <port>", "open the Worker to Chrome DevTools", port)
  .addHelpText("after", `\nSettings come from the environment: ${SETTING_NAMES.join(", ")}.`)
  .showHelpAfterError("(--help tells more)")
  .parse();

const options = program.opts<{ port: number; host: string; state: string; connectorKeys?: string; inspect?: number }>();

function port(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 65_535) throw new InvalidArgumentError("a port is 0 to 65535");
  return value;
}

function fail(message: string): never {
  console.error(`edge: ${message}`);
  process.exit(1);
}

const settings: Record<string, string> = {};
for (const name of SETTING_NAMES) {
  const value = process.env[name];
  if (value !== undefined && value !== "") settings[name] = value;
}
if (options.connectorKeys !== undefined) {
  try {
    settings["CONNECTOR_KEYS"] = readFileSync(options.connectorKeys, "utf8");
  } catch (error) {
    fail(`--connector-keys ${options.connectorKeys} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
try {
  readSettings(settings);
} catch (error) {
  fail((error as Error).message);
}

try {
  const bundle = await buildWorker();
  const { host } = options;
  const workerd = await startWorkerd({
    bundle,
    state: resolve(options.state),
    host,
    port: options.port,
    settings,
    ...(options.inspect === undefined ? {} : { inspect: options.inspect }),
  });
  let stopping = false;
  const stop = async (): Promise<void> => {
    stopping = true;
    await workerd.stop();
    process.exit(0);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  // A parent that dies takes its edge with it.
  if (process.send !== undefined) process.on("disconnect", stop);
  void workerd.exited.then((code) => {
    if (!stopping) fail(`workerd ended by itself (${code ?? "signal"})`);
  });
  console.log(`edge listening on http://${host}:${workerd.port}`);
  process.send?.({ ready: true, port: workerd.port, pid: workerd.process.pid });
} catch (error) {
  fail((error as Error).message);
}
