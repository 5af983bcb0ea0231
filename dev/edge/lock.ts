// One edge at a time on one EDGE_STATE: two would each keep ledgers of their own there and write over the other's. The lock is one
// of SQLite's on a file beside them: the kernel takes it back however its holder ends, and it holds between containers and without a
// network. A workerd that outlives its launcher (SIGKILL) has no lock, but the folder that it runs in tells it.
import { mkdir, readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

/** SQLite's code for a lock that somebody else has. */
const BUSY = 5;
/** The one before may be about to end. */
const WAIT_MS = 3_000;
const LOOK_EVERY_MS = 50;
/** How long the kernel may take to end a process. */
const END_WITHIN_MS = 5_000;

export interface StateLock {
  release(): void;
}

/** @throws Error in one line that names the folder. */
export async function lockState(
  state: string,
  log: (line: string) => void,
  waitMs: number = WAIT_MS,
): Promise<StateLock> {
  let database: DatabaseSync;
  try {
    await mkdir(state, { recursive: true });
    database = new DatabaseSync(join(state, "lock"), { timeout: 0 });
  } catch (error) {
    throw cannotWrite(state, error);
  }
  try {
    await hold(database, state, performance.now() + waitMs);
    await endLeftOver(state, log);
  } catch (error) {
    database.close();
    throw error;
  }
  return {
    release: () => {
      if (database.isOpen) database.close();
    },
  };
}

export function cannotWrite(state: string, error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  const isSystems = code !== undefined && /^E[A-Z]+$/.test(code);
  return new Error(`EDGE_STATE ${state} cannot be written: ${isSystems ? code : message}`);
}

async function hold(database: DatabaseSync, state: string, deadline: number): Promise<void> {
  for (;;) {
    try {
      // With something in the file the lock needs no write: it can be had on a full disk, too.
      database.exec("CREATE TABLE IF NOT EXISTS held (by_whom)");
      database.exec("BEGIN EXCLUSIVE");
      return;
    } catch (error) {
      if ((error as { errcode?: number }).errcode !== BUSY) throw cannotWrite(state, error);
    }
    if (performance.now() >= deadline) break;
    await sleep(LOOK_EVERY_MS);
  }
  const [workerd] = await workerdsIn(state);
  const holder = workerd === undefined ? null : await parentOf(workerd);
  const who = holder === null ? "another edge" : `another edge (process ${holder})`;
  throw new Error(`EDGE_STATE ${state} is in use by ${who}: two on one folder would count wrong`);
}

/** Nobody holds the lock, so nobody looks after it. */
async function endLeftOver(state: string, log: (line: string) => void): Promise<void> {
  for (const pid of await workerdsIn(state)) {
    log(`a workerd whose edge was killed still ran on EDGE_STATE ${state} (process ${pid}): it is ended`);
    process.kill(pid, "SIGKILL");
  }
  const deadline = performance.now() + END_WITHIN_MS;
  while ((await workerdsIn(state)).length > 0) {
    if (performance.now() >= deadline) throw new Error(`EDGE_STATE ${state} is in use by a workerd that does not end`);
    await sleep(LOOK_EVERY_MS);
  }
}

/** By the folder that they run in, not by its name: a container's may have the same. None where there is no /proc. */
async function workerdsIn(state: string): Promise<number[]> {
  const folder = await stat(state, { bigint: true });
  const pids = (await readdir("/proc").catch(() => [])).filter((name) => /^\d+$/.test(name));
  const isOurs = await Promise.all(
    pids.map(async (pid) => {
      // Of others, and of what has just ended, nothing can be read.
      const program = await readlink(`/proc/${pid}/exe`).catch(() => "");
      // An update may have removed the file that it was started from.
      if (!/\/workerd(?: \(deleted\))?$/.test(program)) return false;
      const cwd = await stat(`/proc/${pid}/cwd`, { bigint: true }).catch(() => null);
      return cwd?.dev === folder.dev && cwd.ino === folder.ino;
    }),
  );
  return pids.filter((_, at) => isOurs[at]).map(Number);
}

async function parentOf(pid: number): Promise<number | null> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  const parent = Number(/^PPid:\s*(\d+)/m.exec(status)?.[1] ?? 0);
  return parent > 1 ? parent : null;
}
