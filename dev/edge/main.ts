// The edge on one's own machine, for development and as a service: the production bundle of the Worker on workerd, with TLS.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { loadEnvFile } from "node:process";
import { Command, Option } from "commander";
import { senderOf } from "../../connector/ops/systemd.ts";
import { readSettings, SETTING_NAMES } from "../../edge/settings.ts";
import { number, readCommand } from "../cli.ts";
import { buildWorker } from "./build.ts";
import { type RunningEdge, startEdge } from "./run.ts";

interface Given {
  readonly port: number;
  readonly host: string;
  readonly state: string;
  readonly connectorKeys?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly redirectPort?: number;
  readonly acmeWebroot?: string;
  readonly drain: number;
  readonly front?: true;
  readonly inspect?: number;
}

const port = number({ least: 0, most: 65_535 });
const option = (flags: string, text: string, variable: string) => new Option(flags, text).env(variable);

const program = new Command("edge")
  .description("Runs the production bundle of the Worker on workerd.")
  .option("--env-file <file>", "variables, as in config/cloud/edge.env; what is set already stays")
  .addOption(
    option("--port <port>", "port to listen on; 0 takes a free one", "EDGE_PORT").argParser(port).default(4000),
  )
  .addOption(option("--host <address>", "address to listen on", "EDGE_HOST").default("127.0.0.1"))
  .addOption(option("--state <folder>", "what the Durable Objects keep", "EDGE_STATE").default(".state/edge"))
  .addOption(
    option(
      "--connector-keys <file>",
      "JWK set of the connectors that may dial in (else the setting CONNECTOR_KEYS)",
      "CONNECTOR_KEYS_FILE",
    ),
  )
  .addOption(option("--tls-cert <file>", "PEM chain of the certificate; read again when it changes", "EDGE_TLS_CERT"))
  .addOption(option("--tls-key <file>", "PEM key of the certificate", "EDGE_TLS_KEY"))
  .addOption(
    option("--redirect-port <port>", "plain HTTP that sends everybody to https", "EDGE_REDIRECT_PORT").argParser(port),
  )
  .addOption(option("--acme-webroot <folder>", "answer ACME challenges from here on that port", "EDGE_ACME_WEBROOT"))
  .addOption(
    option("--drain <seconds>", "how long answers in flight may take after SIGTERM", "EDGE_DRAIN")
      .argParser(number({ least: 0, most: 3_600, whole: false }))
      .default(30),
  )
  .addOption(
    option(
      "--front",
      "listen in front of workerd without TLS too: for an edge behind a proxy of your own",
      "EDGE_FRONT",
    ),
  )
  .option("--inspect <port>", "open the Worker to Chrome DevTools", port)
  .addHelpText(
    "after",
    `\nSettings come from the environment: ${SETTING_NAMES.join(", ")}.\nSIGHUP looks for a renewed certificate.`,
  );
// Before the options look into the environment.
program.on("option:env-file", (file: string) => {
  try {
    loadEnvFile(file);
  } catch (error) {
    throw new Error(`--env-file ${file} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
});

const read = readCommand(program, process.argv, () => {
  const given = program.opts<Given>();
  if ((given.tlsCert === undefined) !== (given.tlsKey === undefined)) {
    throw new Error("--tls-cert and --tls-key belong together");
  }
  if (given.tlsCert === undefined && given.redirectPort !== undefined) {
    throw new Error("--redirect-port needs --tls-cert and --tls-key");
  }
  return given;
});
if ("exit" in read) process.exit(read.exit);
const { given } = read;

const log = (line: string): void => console.error(`edge: ${line}`);

function fail(message: string): never {
  log(message);
  process.exit(1);
}

function readEnvironment(): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const name of SETTING_NAMES) {
    const value = process.env[name];
    if (value !== undefined && value !== "") settings[name] = value;
  }
  if (given.connectorKeys !== undefined) {
    try {
      settings["CONNECTOR_KEYS"] = readFileSync(given.connectorKeys, "utf8");
    } catch (error) {
      fail(`--connector-keys ${given.connectorKeys} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
    }
  }
  try {
    readSettings(settings);
  } catch (error) {
    fail((error as Error).message);
  }
  return settings;
}

const settings = readEnvironment();
let edge: RunningEdge | undefined;
let stopping = false;
const tell = (_: object, message: string): void => log(message);
const systemd = senderOf(process.env, { warn: tell, error: tell });

async function stop(drainSeconds: number): Promise<void> {
  // The second signal: no more patience.
  if (stopping) drainSeconds = 0;
  stopping = true;
  systemd?.send(["STOPPING=1"]);
  await edge?.stop(drainSeconds * 1000);
  await systemd?.flushed();
  process.exit(0);
}
process.on("SIGTERM", () => void stop(given.drain));
// A terminal's Ctrl-C reaches workerd too: there is nothing left to drain.
process.on("SIGINT", () => void stop(0));
// Without a certificate the end of a terminal still ends the edge.
if (given.tlsCert !== undefined) process.on("SIGHUP", () => void edge?.reload());
// A parent that dies takes its edge with it.
if (process.send !== undefined) process.on("disconnect", () => void stop(0));

try {
  edge = await startEdge({
    bundle: await buildWorker(),
    state: resolve(given.state),
    settings,
    host: given.host,
    port: given.port,
    log,
    ...(given.tlsCert === undefined || given.tlsKey === undefined
      ? {}
      : { tls: { cert: given.tlsCert, key: given.tlsKey } }),
    ...(given.redirectPort === undefined
      ? {}
      : {
          redirect: {
            port: given.redirectPort,
            ...(given.acmeWebroot === undefined ? {} : { acmeFolder: given.acmeWebroot }),
          },
        }),
    ...(given.front === true ? { front: true } : {}),
    ...(given.inspect === undefined ? {} : { inspect: given.inspect }),
  });
  void edge.exited.then((code) => {
    if (!stopping) fail(`workerd ended by itself (${code ?? "signal"})`);
  });
  const redirect = edge.redirectPort === null ? "" : `, redirect on port ${edge.redirectPort}`;
  console.log(`edge listening on ${edge.url}${redirect}`);
  systemd?.send(["READY=1", `STATUS=listening on ${edge.url}`]);
  process.send?.({ ready: true, port: edge.port, pid: edge.pid, redirectPort: edge.redirectPort });
} catch (error) {
  fail((error as Error).message);
}
