// The connector's command line.
import { Command, Option } from "commander";
import type { Level } from "pino";
import { type Config, ConfigError, loadConfig } from "./config.ts";
import { Connector, EXIT } from "./connector.ts";
import { openLog } from "./ops/log.ts";
import { generateKey, KeyFileError } from "./uplink/key.ts";

const program = new Command("connector")
  .description("Connects the engines of this site to the edge, over sockets that it dials out.")
  .showHelpAfterError("(--help tells more)")
  .addHelpText(
    "after",
    "\nExit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 the edge refuses this connector for good.",
  )
  .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.usage));

const config = new Option("--config <file>", "the connector's configuration (YAML)").makeOptionMandatory();

program
  .command("run")
  .description("runs the connector until SIGTERM or SIGINT; a second signal forces it to stop")
  .addOption(config)
  .addOption(
    new Option("--log-level <level>", "what is logged").choices(["debug", "info", "warn", "error"]).default("info"),
  )
  .action(run);

program
  .command("keygen")
  .description(
    "makes the connector's key; the public half goes to stdout, ready for the `keys` of the edge's CONNECTOR_KEYS",
  )
  .requiredOption("--id <id>", "the connector's id, as in edge.id of its configuration")
  .requiredOption("--out <file>", "where the private key goes (mode 0600, never over an existing file)")
  .action(async ({ id, out }: { id: string; out: string }) => {
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(id))
      fail(EXIT.usage, "--id takes 1 to 64 letters, digits, dots, dashes and underscores");
    try {
      console.log(JSON.stringify(await generateKey(id, out)));
    } catch (error) {
      if (error instanceof KeyFileError) fail(EXIT.failed, error.message);
      throw error;
    }
  });

program
  .command("validate")
  .description("checks a configuration and says what it means")
  .addOption(config)
  .action(async (options: { config: string }) => {
    const { edge, pools } = await load(options.config);
    console.log(`${options.config}: valid`);
    console.log(`edge ${edge.url} as ${edge.id}`);
    for (const pool of pools)
      console.log(`${pool.model} (${pool.kind}, ${pool.slots} slots each): ${pool.upstreams.join(" ")}`);
  });

await program.parseAsync();

async function run(options: { config: string; logLevel: Level }): Promise<void> {
  const settings = await load(options.config);
  const { log } = openLog(options.logLevel);
  let connector: Connector;
  try {
    connector = await Connector.create(settings, log, {
      onReady: () => {
        log.info({ edge: settings.edge.url }, "ready: a socket is up on every shard");
        process.send?.({ ready: true });
      },
      onRefused: () => {
        process.exitCode = EXIT.refused;
        void connector.stop().then(() => process.exit(EXIT.refused));
      },
    });
  } catch (error) {
    if (error instanceof KeyFileError) fail(EXIT.usage, error.message);
    throw error;
  }
  let signals = 0;
  const stop = (): void => {
    signals += 1;
    if (signals > 1) {
      log.warn({}, "second signal: stopping at once");
      void connector.stop().then(() => process.exit(EXIT.ok));
      return;
    }
    log.info({ drain_s: settings.drainS }, "stopping: running exchanges may finish");
    void connector.drain(settings.drainS * 1000).then(() => process.exit(EXIT.ok));
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  // A parent that dies takes its connector with it.
  if (process.send !== undefined)
    process.on("disconnect", () => void connector.stop().then(() => process.exit(EXIT.ok)));
  connector.start();
}

async function load(file: string): Promise<Config> {
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
