// `connector service`: puts units where systemd finds them, and takes them away again. Never over a file that says something
// else, and never more than the files: what systemd is to do then is told, not done.
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MARK, type Unit } from "./units.ts";

/** What was wrong, said so that the operator can mend it. */
export class ServiceError extends Error {}

/** @returns lines for the operator. @throws ServiceError, and then nothing is written */
export async function install(units: readonly Unit[], folder: string, replace: boolean): Promise<string[]> {
  const there = await Promise.all(units.map((unit) => readUnit(join(folder, unit.name))));
  for (const [at, unit] of units.entries()) {
    if (there[at] === null || there[at] === unit.text || replace) continue;
    throw new ServiceError(
      `${join(folder, unit.name)} is there already and says something else; compare it with what \`service\` prints, then ` +
        `--replace it (your own changes belong into: systemctl edit ${shortName(unit)})`,
    );
  }
  const lines: string[] = [];
  for (const [at, unit] of units.entries()) {
    const file = join(folder, unit.name);
    if (there[at] === unit.text) {
      lines.push(`${file} is there already, word for word`);
      continue;
    }
    await writeUnit(file, unit.text);
    lines.push(`${file} is written${there[at] === null ? "" : ", over what was there"}`);
  }
  return [...lines, ...nextCommands(units)];
}

/** @returns lines for the operator. @throws ServiceError, and then nothing is removed */
export async function uninstall(units: readonly Unit[], folder: string): Promise<string[]> {
  for (const unit of units) {
    const file = join(folder, unit.name);
    const there = await readUnit(file);
    if (there === null) throw new ServiceError(`${file} is not there`);
    if (!there.startsWith(MARK)) throw new ServiceError(`${file} was not written by \`service\`; remove it yourself`);
  }
  for (const unit of units) await rm(join(folder, unit.name));
  const names = units.map(shortName).join(" ");
  return [
    ...units.map((unit) => `${join(folder, unit.name)} is removed; the service goes on until it is stopped`),
    "Next:",
    `  systemctl stop ${names}`,
    `  systemctl disable ${names}`,
    "  systemctl daemon-reload",
  ];
}

function nextCommands(units: readonly Unit[]): string[] {
  const name = shortName(units.at(-1)!);
  return [
    "Next:",
    "  systemctl daemon-reload",
    `  systemctl enable --now ${units.map(shortName).join(" ")}`,
    `  systemctl status ${name}`,
    `  journalctl -u ${name} -f`,
  ];
}

/** As systemctl takes it. */
function shortName({ name }: Unit): string {
  return name.replace(/\.service$/, "");
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
