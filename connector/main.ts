// The connector's command line.
import { Command, Option } from "commander";
import type { Level } from "pino";
import { type Config, ConfigError, type LoadedConfig, loadConfig } from "./config.ts";
import { misnamed, strayPools } from "./config-doubts.ts";
import { tellConfig } from "./config-told.ts";
import { AGENT, Connector } from "./connector.ts";
import { diagnose } from "./diagnose.ts";
import { EXIT } from "./exit.ts";
import { isWell, tellRows } from "./ops/doctor.ts";
import { Instruments } from "./ops/instruments.ts";
import { askStatus, tellStatus } from "./ops/live.ts";
import { openLog } from "./ops/log.ts";
import { ServiceError } from "./ops/service.ts";
import { reportToSystemd } from "./ops/systemd.ts";
import { type ServiceOptions, service } from "./service-command.ts";
import { generateKey, KeyFileError } from "./uplink/key.ts";

/** To the beginning of an empty screen. */
const CLEAR = "\u001b[H\u001b[2J\u001b[3J";
const WATCH_MS = 1_000;

const CODES = `
Exit codes:
  0  done
  1  failed; doctor: at least one check has failed
  2  wrong usage or configuration
  3  the edge refuses this connector (unknown key, no common version): to be started again once that is mended, or now and then
  4  another process with the same id has taken its place: not to be started again`;

const program = new Command("connector")
  .description("Connects the engines of this site to the edge, over sockets that it dials out.")
  .version(AGENT, "--version", "tells the version")
  .showHelpAfterError("(--help tells more)")
  .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage));

const config = new Option("--config <file>", "the connector's configuration (YAML)").makeOptionMandatory();
const json = new Option("--json", "for programs");

/** A command whose help ends with examples and the exit codes. */
function command(name: string, description: string, examples: readonly string[]): Command {
  const lines = examples.map((example) => `  connector ${example}`).join("\n");
  return program.command(name).description(description).addHelpText("after", `\nExamples:\n${lines}\n${CODES}`);
}

program.addHelpText(
  "after",
  `
Examples:
  connector keygen --id onprem-1 --out connector.key
  connector doctor --config connector.yaml
  connector run --config connector.yaml
${CODES}

In the repository \`connector\` is \`npm run connector --\` (\`npm run -s\` where its output goes into a file); a build of it is \`node connector.mjs\`.`,
);

command("run", "runs the connector until SIGTERM or SIGINT; a second signal forces it to stop", [
  "run --config connector.yaml",
  "run --config connector.yaml --log-level warn",
])
  .addOption(config)
  .addOption(
    new Option("--log-level <level>", "what is logged").choices(["debug", "info", "warn", "error"]).default("info"),
  )
  .action(run);

command("keygen", "makes the connector's key; its public half goes to stdout and nothing else does", [
  "keygen --id onprem-1 --out connector.key",
  "keygen --id onprem-1 --out connector.key > public.jwk",
])
  .requiredOption("--id <id>", "the connector's id, as in edge.id of its configuration")
  .requiredOption("--out <file>", "where the private key goes (mode 0600, never over an existing file)")
  .action(keygen);

command("validate", "checks a configuration and says what it means; dials nothing", [
  "validate --config connector.yaml",
  "validate --config connector.yaml --model heartcode-default",
])
  .addOption(config)
  .option("--model <name>", "which upstreams a request for this model would reach")
  .action(async (options: { config: string; model?: string }) => {
    const settings = await load(options.config);
    const told = tellConfig(options.config, settings, options.model);
    for (const { doubt } of doubtsOf(settings)) console.error(`warning: ${doubt}`);
    if (typeof told === "string") fail(EXIT.failed, told);
    for (const line of told) console.log(line);
  });

command("doctor", "looks at everything that a request needs, from this machine; a running connector is not disturbed", [
  "doctor --config connector.yaml",
  "doctor --config connector.yaml --no-answers --json",
])
  .addOption(config)
  .addOption(json)
  .option("--no-answers", "do not ask each engine for one token or vector")
  .action(async (options: { config: string; json?: true; answers: boolean }) => {
    const rows = await diagnose(options.config, options.answers);
    const lines =
      options.json === true ? [JSON.stringify({ ok: isWell(rows), checks: rows }, null, 2)] : tellRows(rows);
    process.stdout.write(`${lines.join("\n")}\n`, () => process.exit(isWell(rows) ? EXIT.ok : EXIT.failed));
  });

command("status", "the live view of a running connector, asked over its metrics.listen", [
  "status --config connector.yaml",
  "status --config connector.yaml --watch",
  "status --config connector.yaml --json",
])
  .addOption(config)
  .addOption(json)
  .option("--watch", "again every second, until Ctrl-C")
  .action(async (options: { config: string; json?: true; watch?: true }) => {
    const { metrics } = await load(options.config);
    if (metrics === undefined)
      fail(EXIT.usage, `${options.config}: add metrics: { listen: "127.0.0.1:9464" }; status asks the connector there`);
    const tell = async (): Promise<string> => {
      const status = await askStatus(metrics.host, metrics.port);
      return options.json === true ? JSON.stringify(status) : tellStatus(status).join("\n");
    };
    try {
      if (options.watch !== true) console.log(await tell());
      else await watch(tell, options.json === true ? "" : CLEAR);
    } catch (error) {
      fail(EXIT.failed, (error as Error).message);
    }
  });

command("service", "prints the systemd unit of the connector, or of a self-hosted edge; installs or removes it", [
  "service --config /etc/heartcode/connector.yaml",
  "service --config /etc/heartcode/connector.yaml --install",
  "service --uninstall",
  "service --edge --port 4000",
  "service --edge --tls-cert site.crt --tls-key site.key --redirect-port 80",
])
  .option("--config <file>", "the connector's configuration (YAML)", "/etc/heartcode/connector.yaml")
  .option("--key <file>", "its private key; the service gets it as a credential", "/etc/heartcode/connector.key")
  .option("--edge", "the units of the self-hosted edge instead: its ports, and what serves them")
  .option("--folder <folder>", "with --edge: the repository (default: the one that this program is part of)")
  .option("--host <address>", "with --edge: address to listen on (default: 127.0.0.1; with TLS every one)")
  .option("--port <port>", "with --edge: port to listen on (default: 4000; with TLS 443)")
  .option("--tls-cert <file>", "with --edge: PEM chain of its certificate")
  .option("--tls-key <file>", "with --edge: PEM key of its certificate")
  .option("--redirect-port <port>", "with --edge and TLS: plain HTTP that sends everybody to https")
  .option("--acme-webroot <folder>", "with --edge: answers ACME challenges from here on that port")
  .option("--env-file <file>", "with --edge: its settings and secrets", "/etc/heartcode/edge.env")
  .option("--connector-keys <file>", "with --edge: public keys of the connectors", "/etc/heartcode/connectors.json")
  .addOption(new Option("--install", "writes the unit; never over one that says something else").conflicts("uninstall"))
  .option("--uninstall", "removes what --install has written")
  .option("--replace", "with --install: over one that says something else")
  .option("--directory <folder>", "where units are", "/etc/systemd/system")
  .action(async (options: ServiceOptions) => {
    try {
      const { out, warnings } = await service(options, process.execPath, process.argv[1] ?? "");
      console.log(out.join("\n"));
      for (const warning of warnings) console.error(`note: ${warning}`);
    } catch (error) {
      if (error instanceof ServiceError) fail(EXIT.failed, error.message);
      throw error;
    }
  });

await program.parseAsync();

async function run(options: { config: string; logLevel: Level }): Promise<void> {
  const settings = await load(options.config);
  const instruments = new Instruments(openLog(options.logLevel), AGENT);
  const { log } = instruments;
  let connector: Connector;
  try {
    connector = await Connector.create(
      settings,
      log,
      {
        onReady: () => {
          log.info({ edge: settings.edge.url }, "ready: a socket is up on every shard");
          process.send?.({ ready: true });
        },
        onRefused: (by) => {
          const code = by === "process" ? EXIT.superseded : EXIT.refused;
          process.exitCode = code;
          // With one shard away part of the requests would find nobody: better to leave, and be seen to.
          void connector.drain().then(() => leave(code));
        },
      },
      instruments.observers,
    );
  } catch (error) {
    if (error instanceof KeyFileError) fail(EXIT.usage, error.message);
    throw error;
  }
  if (settings.metrics !== undefined) await listen(instruments, settings.metrics, connector);
  const systemd = reportToSystemd(process.env, () => connector.status(), log);
  const leave = async (code: number): Promise<void> => {
    await systemd.end();
    process.exit(code);
  };
  let signals = 0;
  const stop = (): void => {
    signals += 1;
    if (signals > 1) {
      log.warn({}, "second signal: stopping at once");
      void connector.stop().then(() => leave(EXIT.ok));
      return;
    }
    log.info({}, "stopping: running exchanges may finish");
    void connector.drain().then(() => leave(EXIT.ok));
    systemd.look();
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  process.on("SIGHUP", () => void reload(options.config, connector, log));
  // A parent that dies takes its connector with it.
  if (process.send !== undefined) process.on("disconnect", () => void connector.stop().then(() => leave(EXIT.ok)));
  tellDoubts(settings, log);
  connector.start();
}

function doubtsOf(settings: LoadedConfig): { readonly about: object; readonly doubt: string }[] {
  return [
    ...strayPools(settings).map(({ model, doubt }) => ({ about: { pool: model }, doubt })),
    ...misnamed(settings, Object.keys(process.env)).map((doubt) => ({ about: {}, doubt })),
  ];
}

function tellDoubts(settings: LoadedConfig, log: Instruments["log"]): void {
  for (const { about, doubt } of doubtsOf(settings)) log.warn(about, doubt);
}

/** A configuration that is not valid changes nothing. */
async function reload(file: string, connector: Connector, log: Instruments["log"]): Promise<void> {
  try {
    const settings = await loadConfig(file, process.env);
    const later = await connector.reload(settings);
    log.info({ config: file }, "the configuration is reloaded");
    tellDoubts(settings, log);
    if (later.length > 0) log.warn({ later }, "some of it takes effect at the next start only");
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof KeyFileError)) throw error;
    const problems = error instanceof ConfigError ? error.problems : [error.message];
    log.error({ problems }, "the configuration is not reloaded: the old one stays");
  }
}

async function listen(
  instruments: Instruments,
  at: NonNullable<Config["metrics"]>,
  connector: Connector,
): Promise<void> {
  try {
    const { port } = await instruments.listen(at, () => connector.status());
    instruments.log.info({ listen: `${at.host}:${port}` }, "metrics, readiness and status are told here");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const what = code === "EADDRINUSE" ? "something listens there already; another connector?" : String(code ?? error);
    fail(EXIT.usage, `metrics.listen ${at.host}:${at.port}: ${what}`);
  }
}

async function keygen({ id, out }: { id: string; out: string }): Promise<void> {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(id))
    fail(EXIT.usage, "--id takes 1 to 64 letters, digits, dots, dashes and underscores");
  try {
    const jwk = await generateKey(id, out);
    console.error(`${out} holds the private key (0600): it stays here, edge.key_file names it.`);
    console.error("The line on stdout is the public key: add it to the `keys` of the edge's CONNECTOR_KEYS.");
    console.log(JSON.stringify(jwk));
  } catch (error) {
    if (error instanceof KeyFileError) fail(EXIT.failed, error.message);
    throw error;
  }
}

async function watch(tell: () => Promise<string>, before: string): Promise<void> {
  for (;;) {
    console.log(before + (await tell().catch((error: Error) => error.message)));
    await new Promise((done) => setTimeout(done, WATCH_MS));
  }
}

async function load(file: string): Promise<LoadedConfig> {
  try {
    return await loadConfig(file, process.env);
  } catch (error) {
    if (error instanceof ConfigError) fail(EXIT.usage, error.problems.join("\n"));
    throw error;
  }
}

function fail(code: number, message: string): never {
  console.error(message);
  process.exit(code);
}
