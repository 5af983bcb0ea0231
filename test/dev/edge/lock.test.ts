// Who has an EDGE_STATE, among real processes.
import { type ChildProcess, spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockState } from "../../../dev/edge/lock.ts";
import { CAN_MOUNT, withSmallDisk } from "../../support/small-disk.ts";

const LOCK = resolve(import.meta.dirname, "../../../dev/edge/lock.ts");
const children: ChildProcess[] = [];
let directory: string;
let state: string;
const lines: string[] = [];
const lock = (waitMs = 0) => lockState(state, (line) => lines.push(line), waitMs);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "heartcode-"));
  state = join(directory, "state");
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  lines.length = 0;
  await rm(directory, { recursive: true, force: true });
});

/** Another process that has the lock. */
async function holder(): Promise<ChildProcess> {
  const program = `const { lockState } = await import(${JSON.stringify(LOCK)});
await lockState(${JSON.stringify(state)}, () => {}, 0);
console.log("held");
setInterval(() => {}, 1_000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program]);
  children.push(child);
  await new Promise((done, fail) => {
    child.stdout.once("data", done);
    child.once("exit", () => fail(new Error("it has ended")));
  });
  return child;
}

test("a second one is refused, in one line that names the folder", async () => {
  await holder();
  await expect(lock()).rejects.toThrow(
    `EDGE_STATE ${state} is in use by another edge: two on one folder would count wrong`,
  );
});

test("the lock is gone with its holder, however that ends, and who waits has it at once", async () => {
  const child = await holder();
  const waiting = lock(10_000);
  child.kill("SIGKILL");
  const held = await waiting;
  await expect(lock()).rejects.toThrow("in use");
  held.release();
  held.release();
  (await lock()).release();
  expect(lines).toEqual([]);
});

test("of many that come at once exactly one has it", async () => {
  const all = await Promise.allSettled(Array.from({ length: 20 }, () => lock()));
  expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
});

test.skipIf(process.platform !== "linux")(
  "a workerd that has lost its edge is ended, and none of another folder is",
  async () => {
    const program = join(directory, "workerd");
    await copyFile("/bin/sleep", program);
    await mkdir(join(directory, "other"));
    await mkdir(state);
    await symlink(state, join(directory, "link"));
    const start = async (cwd: string) => {
      const child = spawn(program, ["600"], { cwd });
      children.push(child);
      await new Promise((done) => child.once("spawn", done));
      return child;
    };
    const other = await start(join(directory, "other"));
    const leftOver = await start(join(directory, "link"));
    const ended = new Promise((done) => leftOver.once("exit", (_code, signal) => done(signal)));
    (await lock()).release();
    expect(await ended).toBe("SIGKILL");
    expect(lines).toEqual([expect.stringContaining(`process ${leftOver.pid}`)]);
    expect(other.exitCode ?? other.signalCode).toBeNull();
    expect(await readdir(state)).toEqual(["lock"]);
  },
);

test.skipIf(!CAN_MOUNT)("a workerd of a container is left alone, whose folder has the same name there", async () => {
  const program = join(directory, "workerd");
  await copyFile("/bin/sleep", program);
  await mkdir(state);
  const [command = "", ...under] = withSmallDisk(state);
  const container = spawn(command, [...under, "sh", "-c", 'cd "$1" && echo up && exec "$2" 600', "sh", state, program]);
  children.push(container);
  await new Promise((done) => container.stdout.once("data", done));
  await expect.poll(() => readlink(`/proc/${container.pid}/exe`)).toBe(program);
  (await lock()).release();
  expect(lines).toEqual([]);
  expect(container.exitCode ?? container.signalCode).toBeNull();
});

test("a folder that cannot be made is told", async () => {
  await writeFile(join(directory, "file"), "");
  state = join(directory, "file", "state");
  await expect(lock()).rejects.toThrow(`EDGE_STATE ${state} cannot be written: ENOTDIR`);
});
