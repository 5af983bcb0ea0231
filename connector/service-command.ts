// The composition of `connector service`: which unit, from where, and what becomes of it.
import { existsSync, readFileSync } from "node:fs";
import { stat } from "node:fs/promises";
import { isIP } from "node:net";
import { resolve } from "node:path";
import { parseEnv } from "node:util";
import { type Config, loadConfig } from "./config.ts";
import { install, ServiceError, uninstall } from "./ops/service.ts";
import { connectorUnit, hiddenFromUnit, type Unit } from "./ops/units.ts";
import { type EdgeTls, edgeUnits } from "./ops/units-edge.ts";

export interface ServiceOptions {
  readonly config: string;
  readonly key: string;
  readonly edge?: true;
  readonly folder?: string;
  readonly host?: string;
  readonly port?: string;
  readonly connectorKeys: string;
  readonly envFile: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly redirectPort?: string;
  readonly acmeWebroot?: string;
  readonly install?: true;
  readonly uninstall?: true;
  readonly replace?: true;
  readonly directory: string;
}

export interface ServiceResult {
  readonly out: readonly string[];
  /** For stderr: what will not work as it is. */
  readonly warnings: readonly string[];
}

/** @param script the program that runs now. @throws ServiceError */
export async function service(options: ServiceOptions, node: string, script: string): Promise<ServiceResult> {
  const { units, warnings } = options.edge === true ? edge(options, node) : await connector(options, node, script);
  if (options.uninstall === true) return { out: await uninstall(units, options.directory), warnings: [] };
  if (options.install === true)
    return { out: await install(units, options.directory, options.replace === true), warnings };
  const named = (unit: Unit) => (units.length === 1 ? [] : [`# ${unit.name}`]);
  return { out: units.flatMap((unit) => [...named(unit), unit.text.trimEnd()]), warnings };
}

interface Made {
  readonly units: readonly Unit[];
  readonly warnings: string[];
}

async function connector(options: ServiceOptions, node: string, script: string): Promise<Made> {
  const config = resolve(options.config);
  const key = resolve(options.key);
  const unit = connectorUnit({ node, script, perl: perl(), config, key, drainS: await drainOf(config) });
  const warnings = [node, script, config].flatMap((path) => hiddenFromUnit(path) ?? []);
  const { mode } = await stat(config).catch(() => ({ mode: null }));
  if (mode === null) warnings.push(`${config} is not there yet`);
  else if ((mode & 0o004) === 0)
    warnings.push(
      `${config} cannot be read by the service's user: chmod 644 it; its secrets belong into connector.env`,
    );
  if (!existsSync(key)) warnings.push(`${key} is not there yet: connector keygen --id ID --out ${key}`);
  return { units: [unit], warnings };
}

function edge(options: ServiceOptions, node: string): Made {
  const folder = resolve(options.folder ?? resolve(import.meta.dirname, ".."));
  const script = `${folder}/dev/edge/main.ts`;
  if (!existsSync(script))
    throw new ServiceError(`${folder} is not the repository of HeartCode Edge: name it by --folder`);
  const tls = tlsOf(options);
  const port = portOf(options.port ?? (tls === undefined ? "4000" : "443"), "--port");
  // Without TLS it is for a proxy on this machine.
  const host = options.host ?? (tls === undefined ? "127.0.0.1" : null);
  if (host !== null && isIP(host) === 0) throw new ServiceError("--host takes an address, as systemd opens it");
  const [keys, env] = [resolve(options.connectorKeys), resolve(options.envFile)];
  const common = { node, script, perl: perl(), folder, host, port, keys, env };
  const units = edgeUnits(tls === undefined ? common : { ...common, tls });
  const warnings = [node, folder].flatMap((path) => hiddenFromUnit(`${path}/`) ?? []);
  if (!existsSync(keys)) warnings.push(`${keys} is not there yet: {"keys": [ …what keygen printed… ]}`);
  for (const file of [env, ...(tls === undefined ? [] : [tls.cert, tls.key])])
    if (!existsSync(file)) warnings.push(`${file} is not there yet`);
  return { units, warnings: [...warnings, ...contradictions(env, tls)] };
}

/** What the file of variables says stays in force where the unit says nothing. */
function contradictions(env: string, tls: EdgeTls | undefined): string[] {
  const set = variablesOf(env);
  if (set === null) return [];
  const unsaid = [
    ...(tls === undefined ? ["EDGE_TLS_CERT", "EDGE_TLS_KEY"] : []),
    ...(tls?.redirectPort === undefined ? ["EDGE_REDIRECT_PORT", "EDGE_ACME_WEBROOT"] : []),
  ].filter((name) => (set[name] ?? "").trim() !== "");
  const isBare = tls === undefined && (set["TRUSTED_PROXIES"] ?? "").trim() === "";
  return [
    ...(unsaid.length === 0
      ? []
      : [
          `${env} sets ${unsaid.join(", ")}, for which this unit has no port or file: the edge will not start with them`,
        ]),
    ...(isBare ? [`${env} sets no TRUSTED_PROXIES: to the edge every client will look like the proxy before it`] : []),
  ];
}

/** Null: it cannot be read, or not by who runs this. */
function variablesOf(file: string): NodeJS.Dict<string> | null {
  try {
    return parseEnv(readFileSync(file, "utf8"));
  } catch {
    return null;
  }
}

function tlsOf({ tlsCert, tlsKey, redirectPort, acmeWebroot }: ServiceOptions): EdgeTls | undefined {
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new ServiceError("--tls-cert and --tls-key belong together");
  if (tlsCert === undefined || tlsKey === undefined) {
    if (redirectPort !== undefined) throw new ServiceError("--redirect-port needs --tls-cert and --tls-key");
    return undefined;
  }
  if (acmeWebroot !== undefined && redirectPort === undefined)
    throw new ServiceError("--acme-webroot needs --redirect-port");
  return {
    cert: resolve(tlsCert),
    key: resolve(tlsKey),
    ...(redirectPort === undefined ? {} : { redirectPort: portOf(redirectPort, "--redirect-port") }),
    ...(acmeWebroot === undefined ? {} : { acmeWebroot: resolve(acmeWebroot) }),
  };
}

function portOf(text: string, option: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new ServiceError(`${option} takes 1 to 65535`);
  return port;
}

/** Essential in Debian. */
function perl(): string | null {
  return existsSync("/usr/bin/perl") ? "/usr/bin/perl" : null;
}

/** As the configuration has it, if it can be read here: its variables may be set for the service alone. */
async function drainOf(file: string): Promise<number> {
  const config: Pick<Config, "drainS"> = await loadConfig(file, process.env).catch(() => ({ drainS: 30 }));
  return config.drainS;
}
