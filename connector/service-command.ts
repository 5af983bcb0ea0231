// The composition of `connector service`: which unit, from where, and what becomes of it.
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type Config, loadConfig } from "./config.ts";
import { install, ServiceError, uninstall } from "./ops/service.ts";
import { connectorUnit, edgeUnit, hiddenFromUnit, type Unit } from "./ops/units.ts";

export interface ServiceOptions {
  readonly config: string;
  readonly key: string;
  readonly edge?: true;
  readonly folder?: string;
  readonly host: string;
  readonly port: string;
  readonly connectorKeys: string;
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
  const unit = options.edge === true ? edge(options, node) : await connector(options, node, script);
  const { warnings } = unit;
  if (options.uninstall === true) return { out: await uninstall(unit.unit, options.directory), warnings: [] };
  if (options.install === true)
    return { out: await install(unit.unit, options.directory, options.replace === true), warnings };
  return { out: [unit.unit.text.trimEnd()], warnings };
}

interface Made {
  readonly unit: Unit;
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
  return { unit, warnings };
}

function edge(options: ServiceOptions, node: string): Made {
  const folder = resolve(options.folder ?? resolve(import.meta.dirname, ".."));
  const script = `${folder}/dev/edge/main.ts`;
  if (!existsSync(script))
    throw new ServiceError(`${folder} is not the repository of HeartCode Edge: name it by --folder`);
  const port = Number(options.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new ServiceError("--port takes 1 to 65535");
  const keys = resolve(options.connectorKeys);
  const unit = edgeUnit({ node, script, perl: perl(), folder, host: options.host, port, keys });
  const warnings = [node, folder].flatMap((path) => hiddenFromUnit(`${path}/`) ?? []);
  if (!existsSync(keys)) warnings.push(`${keys} is not there yet: {"keys": [ …what keygen printed… ]}`);
  return { unit, warnings };
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
