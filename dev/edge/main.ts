// The edge on one's own machine, for development and as a service: the production bundle of the Worker on workerd, with TLS.
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { senderOf } from "../../connector/ops/systemd.ts";
import { readSettings, SETTING_NAMES } from "../../edge/settings.ts";
import { readCommand } from "../cli.ts";
import { activatedSockets } from "./activation.ts";
import { buildWorker } from "./build.ts";
import { edgeCommand, readGiven } from "./command.ts";
import { type RunningEdge, startEdge } from "./run.ts";
import { feedWatchdog } from "./watchdog.ts";

const log = (line: string): void => console.error(`edge: ${line}`);
const warn = (line: string): void => log(`warning: ${line}`);

const program = edgeCommand(process.env, warn);
const read = readCommand(program, process.argv, () => readGiven(program));
if ("exit" in read) process.exit(read.exit);
const { given } = read;

function fail(message: string): never {
  log(message);
  process.exit(1);
}

function readEnvironment(): { settings: Record<string, string>; connectors: number } {
  const settings: Record<string, string> = {};
  for (const name of SETTING_NAMES) {
    const value = process.env[name];
    if (value !== undefined && value !== "") settings[name] = value;
  }
  if (given.connectorKeys !== undefined) {
    try {
      settings["CONNECTOR_KEYS"] = readFileSync(given.connectorKeys, "utf8");
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const what = code === "ENOENT" ? `is not there; ${keygen(given.connectorKeys)}` : `cannot be read: ${code}`;
      fail(`--connector-keys ${given.connectorKeys} ${what}`);
    }
  }
  try {
    return { settings, connectors: readSettings(settings).connectorKeys.length };
  } catch (error) {
    return fail((error as Error).message);
  }
}

/** `-s`: npm's own words would stand in the file. */
function keygen(file: string): string {
  const key = join(dirname(file), "connector.key");
  return `make a key with: npm run -s connector -- keygen --id onprem-1 --out ${key} > ${file}`;
}

const { settings, connectors } = readEnvironment();
const [fd, redirectFd, ...more] = activatedSockets(process.env, process.pid);
if (more.length > 0 || (redirectFd !== undefined) !== (fd !== undefined && given.redirectPort !== undefined)) {
  fail("systemd has to open a socket for --port, and a second one for --redirect-port if that is given");
}
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
    bundle: given.bundle === undefined ? await buildWorker() : resolve(given.bundle),
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
            ...(redirectFd === undefined ? {} : { fd: redirectFd }),
            ...(given.acmeWebroot === undefined ? {} : { acmeFolder: given.acmeWebroot }),
          },
        }),
    // workerd would let those wait for ever who come while it ends.
    ...(given.front === true || fd !== undefined ? { front: true } : {}),
    ...(fd === undefined ? {} : { fd }),
    ...(given.inspect === undefined ? {} : { inspect: given.inspect }),
  });
  void edge.exited.then((code) => {
    if (!stopping) fail(`workerd ended by itself (${code ?? "signal"})`);
  });
  const redirect = edge.redirectPort === null ? "" : `, redirect on port ${edge.redirectPort}`;
  console.log(`edge listening on ${edge.url}${redirect}`);
  if (connectors === 0)
    warn(
      `no connector can join, as no public key is set; ${keygen("connectors.json")}, then --connector-keys connectors.json`,
    );
  systemd?.send(["READY=1", `STATUS=listening on ${edge.url}`]);
  const { isAlive } = edge;
  if (systemd !== null) feedWatchdog(process.env, isAlive, (assignments) => systemd.send(assignments));
  process.send?.({ ready: true, port: edge.port, pid: edge.pid, redirectPort: edge.redirectPort });
} catch (error) {
  fail((error as Error).message);
}
