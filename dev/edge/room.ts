// Whether there is room in a folder, found out by writing: what a file system says of its free space knows no quota, and no disk that
// has become read-only.
import { open, rm } from "node:fs/promises";
import { join } from "node:path";

/** More than the hubs write in a while: an edge that just fits would be lost with the next write. */
const BYTES = 1024 * 1024;

/** @throws Error with `code` ENOSPC and its like. */
export async function tryToWrite(folder: string): Promise<void> {
  const path = join(folder, "room");
  try {
    const file = await open(path, "w");
    try {
      await file.writeFile(Buffer.alloc(BYTES));
      // Only then is it known where the disk is another machine's.
      await file.sync();
    } finally {
      await file.close();
    }
  } finally {
    await rm(path, { force: true }).catch(() => {});
  }
}
