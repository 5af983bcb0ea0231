// A small disk that one program alone sees: a file system in memory, in a mount namespace that ends with it. Without root where the
// kernel lets everybody have a user namespace.
import { spawnSync } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";

const FLAGS = process.getuid?.() === 0 ? "-m" : "-Urm";

export const CAN_MOUNT = spawnSync("unshare", [FLAGS, "mount", "-t", "tmpfs", "tmpfs", "/tmp"]).status === 0;

/** A command that becomes the one behind it, which finds the disk at `folder`. @param first what is done to it before, in a shell */
export function withSmallDisk(folder: string, first = "true"): readonly string[] {
  const script = `mkdir -p "$1" && mount -t tmpfs -o size=2m tmpfs "$1" && { ${first}; } && shift && exec "$@"`;
  return ["unshare", FLAGS, "sh", "-c", script, "sh", folder];
}

/** Fills the disk of the program `pid`. @returns how to make room again. */
export async function fill(pid: number, folder: string): Promise<() => Promise<void>> {
  const filler = `/proc/${pid}/root${folder}/filler`;
  await writeFile(filler, Buffer.alloc(4 * 1024 * 1024)).then(
    () => Promise.reject(new Error("it has room for more")),
    (error: NodeJS.ErrnoException) => (error.code === "ENOSPC" ? undefined : Promise.reject(error)),
  );
  return () => rm(filler);
}
