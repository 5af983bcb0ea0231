// Where the installed programs are, and what they call themselves.
import { access, constants, readFile } from "node:fs/promises";
import { arch, cpus, release } from "node:os";
import { delimiter, join } from "node:path";
import { run } from "../crew.ts";

// Debian keeps servers outside the PATH of ordinary users.
const PLACES = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/local/sbin"];

/** The absolute path: sshd refuses to start without one. */
export async function find(name: string): Promise<string | null> {
  for (const place of PLACES) {
    if (place === "") continue;
    const path = join(place, name);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  return null;
}

/** Everything about the machine that a figure depends on. */
export async function machine(): Promise<Record<string, string>> {
  const processors = cpus();
  return {
    processors: `${processors.length} × ${processors[0]?.model ?? "unknown"}`,
    system: `${process.platform} ${release()} ${arch()}`,
    node: process.version,
    workerd: await packageVersion("workerd"),
    nginx: await version("nginx", ["-v"], /nginx\/(\S+)/),
    ssh: await version("ssh", ["-V"], /OpenSSH_([^\s,]+)/),
    wrk: await version("wrk", ["-v"], /wrk (\S+)/),
  };
}

async function version(name: string, args: readonly string[], pattern: RegExp): Promise<string> {
  const path = await find(name);
  if (path === null) return "not installed";
  // Each prints on another stream, and wrk exits with 1.
  const said = await run({ name, command: "/bin/sh", args: ["-c", '"$0" "$@" 2>&1 || true', path, ...args] });
  return pattern.exec(said)?.[1] ?? "unknown";
}

async function packageVersion(name: string): Promise<string> {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url);
  const found: unknown = await readFile(file, "utf8").then(JSON.parse, () => null);
  return found !== null && typeof found === "object" && "version" in found ? String(found.version) : "not installed";
}
