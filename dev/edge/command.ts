// The command line of the self-hosted edge. Each option has a variable too, so that a service needs only a file of them.
import { Command, Option } from "commander";
import { SETTING_NAMES } from "../../edge/settings.ts";
import { number } from "../cli.ts";
import { readEnvFile, slipsIn } from "./env-file.ts";

export interface Given {
  readonly port: number;
  readonly host: string;
  readonly state: string;
  readonly connectorKeys?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly redirectPort?: number;
  readonly acmeWebroot?: string;
  /** Seconds. */
  readonly drain: number;
  readonly front?: true;
  readonly bundle?: string;
  readonly inspect?: number;
}

const port = number({ least: 0, most: 65_535 });
const option = (flags: string, text: string, variable: string) => new Option(flags, text).env(variable);

const OPTIONS: readonly Option[] = [
  option("--port <port>", "port to listen on; 0 takes a free one", "EDGE_PORT").argParser(port).default(4000),
  option("--host <address>", "address to listen on", "EDGE_HOST").default("127.0.0.1"),
  option("--state <folder>", "what the Durable Objects keep", "EDGE_STATE").default(".state/edge"),
  option(
    "--connector-keys <file>",
    "JWK set of the connectors that may dial in (else the setting CONNECTOR_KEYS)",
    "CONNECTOR_KEYS_FILE",
  ),
  option("--tls-cert <file>", "PEM chain of the certificate; read again when it changes", "EDGE_TLS_CERT"),
  option("--tls-key <file>", "PEM key of the certificate", "EDGE_TLS_KEY"),
  option("--redirect-port <port>", "plain HTTP that sends everybody to https", "EDGE_REDIRECT_PORT").argParser(port),
  option("--acme-webroot <folder>", "answer ACME challenges from here on that port", "EDGE_ACME_WEBROOT"),
  option("--front", "listen in front of workerd without TLS too: for an edge behind a proxy of yours", "EDGE_FRONT"),
  option("--drain <seconds>", "how long answers in flight may take after SIGTERM", "EDGE_DRAIN")
    .argParser(number({ least: 0, most: 3_600, whole: false }))
    .default(30),
];

/** Names of the variables that stand for options. */
export const OPTION_VARIABLES: readonly string[] = OPTIONS.flatMap(({ envVar }) => envVar ?? []);

/**
 * @param environment is added to by `--env-file`, and freed of what is set to nothing.
 * @param warn is told of names in that file which nobody will read.
 */
export function edgeCommand(environment: NodeJS.ProcessEnv, warn: (line: string) => void = () => {}): Command {
  const program = new Command("edge")
    .description("Runs the production bundle of the Worker on workerd.")
    .option("--env-file <file>", "variables, as in config/cloud/edge.env; what is set already stays");
  for (const one of OPTIONS) program.addOption(one);
  program
    .option("--bundle <folder>", "a bundle that is there already, instead of building one")
    .option("--inspect <port>", "open the Worker to Chrome DevTools", port)
    .addHelpText(
      "after",
      `\nSettings come from the environment: ${SETTING_NAMES.join(", ")}.\nSIGHUP looks for a renewed certificate.`,
    );
  // Before the options look into the environment.
  program.on("option:env-file", (file: string) => {
    const variables = readEnvFile(file);
    for (const slip of slipsIn(Object.keys(variables), [...SETTING_NAMES, ...OPTION_VARIABLES]))
      warn(`${file}: ${slip}`);
    for (const [name, value] of Object.entries(variables)) environment[name] ??= value;
    forgetEmpty(environment);
  });
  forgetEmpty(environment);
  return program;
}

/** `NAME=` in a file of variables says nothing, and `EDGE_FRONT=0` says no. */
function forgetEmpty(environment: NodeJS.ProcessEnv): void {
  for (const name of OPTION_VARIABLES) if (environment[name]?.trim() === "") delete environment[name];
  if (/^(0|false|no|off)$/i.test(environment["EDGE_FRONT"] ?? "")) delete environment["EDGE_FRONT"];
}

/** @throws Error for what does not go together. */
export function readGiven(program: Command): Given {
  const given = program.opts<Given>();
  if ((given.tlsCert === undefined) !== (given.tlsKey === undefined)) {
    throw new Error("--tls-cert and --tls-key belong together");
  }
  if (given.tlsCert === undefined && given.redirectPort !== undefined) {
    throw new Error("--redirect-port needs --tls-cert and --tls-key");
  }
  if (given.redirectPort === undefined && given.acmeWebroot !== undefined) {
    throw new Error("--acme-webroot needs --redirect-port");
  }
  return given;
}
