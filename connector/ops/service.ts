// `connector service`: puts a unit where systemd finds it, and takes it away again. Never over a file that says something
// else, and never more than the file: what systemd is to do then is told, not done.
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MARK, type Unit } from "./units.ts";

/** What was wrong, said so that the operator can mend it. */
export class ServiceError extends Error {}

/** @returns lines for the operator. @throws ServiceError */
export async function install(unit: Unit, folder: string, replace: boolean): Promise<string[]> {
  const file = join(folder, unit.name);
  const there = await readUnit(file);
  if (there !== null && there !== unit.text && !replace) {
    throw new ServiceError(
      `${file} is there already and says something else; compare it with what \`service\` prints, then --replace it ` +
        `(your own changes belong into: systemctl edit ${unit.name.replace(/\.service$/, "")})`,
    );
  }
  if (there === unit.text) return [`${file} is there already, word for word`, ...nextCommands(unit)];
  await writeUnit(file, unit.text);
  return [`${file} is written${there === null ? "" : ", over what was there"}`, ...nextCommands(unit)];
}

/** @returns lines for the operator. @throws ServiceError */
export async function uninstall(unit: Unit, folder: string): Promise<string[]> {
  const file = join(folder, unit.name);
  const there = await readUnit(file);
  if (there === null) throw new ServiceError(`${file} is not there`);
  if (!there.startsWith(MARK)) throw new ServiceError(`${file} was not written by \`service\`; remove it yourself`);
  await rm(file);
  const name = unit.name.replace(/\.service$/, "");
  return [
    `${file} is removed; the service goes on until it is stopped`,
    "Next:",
    `  systemctl stop ${name}`,
    `  systemctl disable ${name}`,
    "  systemctl daemon-reload",
  ];
}

function nextCommands(unit: Unit): string[] {
  const name = unit.name.replace(/\.service$/, "");
  return [
    "Next:",
    "  systemctl daemon-reload",
    `  systemctl enable --now ${name}`,
    `  systemctl status ${name}`,
    `  journalctl -u ${name} -f`,
  ];
}

async function readUnit(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    throw new ServiceError(`${file} cannot be read: ${code ?? String(error)}`);
  }
}

async function writeUnit(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { mode: 0o644 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const hint = code === "EACCES" || code === "EPERM" ? "; run it as root" : "";
    throw new ServiceError(`${file} cannot be written: ${code ?? String(error)}${hint}`);
  }
}
