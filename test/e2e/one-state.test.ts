// Two edges on one EDGE_STATE, as real programs.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { until } from "../support/stack.ts";

const EDGE = resolve(import.meta.dirname, "../../dev/edge/main.ts");
const children: ChildProcess[] = [];
/** Of a workerd whose edge a test has killed. */
let leftOver: number | null = null;
let state: string;
beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), "heartcode-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGTERM");
    if (child.exitCode === null && child.signalCode === null) await new Promise((done) => child.once("exit", done));
  }
  if (leftOver !== null) spawnSync("kill", ["-9", String(leftOver)]);
  leftOver = null;
  await rm(state, { recursive: true, force: true });
});

interface Started {
  readonly child: ChildProcess;
  readonly said: { text: string };
  readonly exited: Promise<number | null>;
}

function start(...args: string[]): Started {
  const child = spawn(process.execPath, [EDGE, "--port", "0", "--state", state, "--drain", "0", ...args], {
    env: { ...process.env, AUTH_MODE: "master-key", MASTER_KEY: "a-master-key" },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  children.push(child);
  const said = { text: "" };
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said.text += text;
  });
  return { child, said, exited: new Promise((done) => child.once("exit", (code) => done(code))) };
}

const ready = ({ child, said }: Started) =>
  new Promise<{ port: number; pid: number }>((done, fail) => {
    child.once("message", (message) => done(message as { port: number; pid: number }));
    child.once("exit", () => fail(new Error(`it has ended: ${said.text}`)));
  });
const isHealthy = async (port: number) => (await fetch(`http://127.0.0.1:${port}/health`)).status === 200;

test.each([[[]], [["--front"]]])(
  "the second one is refused in one line, with 1, and the first serves on %j",
  async (args) => {
    const first = start(...args);
    const { port } = await ready(first);
    const second = start(...args);
    expect(await second.exited).toBe(1);
    const who = process.platform === "linux" ? ` (process ${first.child.pid})` : "";
    expect(second.said.text).toBe(
      `edge: EDGE_STATE ${state} is in use by another edge${who}: two on one folder would count wrong\n`,
    );
    expect(await isHealthy(port)).toBe(true);
  },
);

test("one that starts while the one before ends waits for it", async () => {
  const first = start();
  await ready(first);
  const second = start();
  first.child.kill("SIGTERM");
  expect(await first.exited).toBe(0);
  expect(await isHealthy((await ready(second)).port)).toBe(true);
  expect(second.said.text).not.toContain("EDGE_STATE");
});

test.skipIf(process.platform !== "linux")(
  "after SIGKILL of an edge the next one ends what is left of it, and starts",
  async () => {
    const first = start();
    const { pid, port } = await ready(first);
    leftOver = pid;
    first.child.kill("SIGKILL");
    await first.exited;
    const isRunning = () => spawnSync("kill", ["-0", String(pid)]).status === 0;
    expect(isRunning()).toBe(true);
    const second = start("--port", String(port));
    expect((await ready(second)).port).toBe(port);
    expect(second.said.text).toContain(`process ${pid}`);
    await until(() => !isRunning());
    leftOver = null;
    expect(await isHealthy(port)).toBe(true);
  },
);
