// The backend as a process: its words, its exit codes, its end.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ask, open } from "../fleet/raw.ts";

const MAIN = join(import.meta.dirname, "../../../dev/backend/main.ts");

function start(args: readonly string[]) {
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const said = { out: "", err: "" };
  child.stderr?.on("data", (chunk) => {
    said.err += chunk;
  });
  const line = new Promise<string>((resolve) => {
    child.stdout?.on("data", (chunk) => {
      said.out += chunk;
      if (said.out.includes("\n")) resolve(said.out.split("\n")[0] ?? "");
    });
  });
  const ended = once(child, "close").then(([code]) => ({ code: Number(code), ...said }));
  return { child, line, ended };
}

function keysFile(content: unknown): string {
  const path = mkdtempSync(join(tmpdir(), "backend-"));
  onTestFinished(() => rmSync(path, { recursive: true }));
  writeFileSync(join(path, "keys.json"), JSON.stringify(content));
  return join(path, "keys.json");
}

describe("the backend as a process", () => {
  test.each([
    [["--bogus"], "unknown option '--bogus'"],
    [["--port", "70000"], "from 0 to 65535"],
    [["--keys", "/nowhere/keys.json"], "/nowhere/keys.json: "],
  ])("%j: one line and code 2", async (args, text) => {
    const { code, out, err } = await start(args).ended;
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(text);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });

  test("a wrong keys file is told by file and field", async () => {
    const file = keysFile({ keys: [{ api_key: "hc-sk-test", tier: "gold" }] });
    const { code, err } = await start(["--keys", file]).ended;
    expect([code, err.startsWith(`error: ${file}: keys.0.tier: `)]).toEqual([2, true]);
  });

  test("knows the demo keys, says where it listens, and ends at once with a lookup open", async () => {
    const { child, line, ended } = start(["--port", "0"]);
    const port = Number(/^backend ready: http:\/\/127\.0\.0\.1:(\d+)$/.exec(await line)?.[1]);
    const request = { path: "/api/v1/api-keys/verify", body: { api_key: "hc-sk-demo-adult" } };
    expect(JSON.parse((await ask(port, request)).body)).toMatchObject({ tier: "premium", age_verified: true });
    await ask(port, { path: "/sim/faults", body: { hang: true } });
    open(port, request);
    child.kill("SIGINT");
    expect(await ended).toEqual({ code: 0, out: `backend ready: http://127.0.0.1:${port}\n`, err: "" });
  });

  test("a port that is taken: one line and code 1", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void other.close());
    await once(other, "listening");
    const address = other.address();
    const port = typeof address === "object" ? address?.port : undefined;
    expect(await start(["--port", String(port)]).ended).toEqual({
      code: 1,
      out: "",
      err: `error: port ${port} on 127.0.0.1 is already in use\n`,
    });
  });

  test("tells its parent when it is ready, and ends with it", async () => {
    const child = fork(MAIN, ["--port", "0"], { stdio: "ignore" });
    onTestFinished(() => void child.kill("SIGKILL"));
    const [message] = await once(child, "message");
    expect(message).toEqual({ ready: true, port: expect.any(Number) });
    child.disconnect();
    expect(await once(child, "exit")).toEqual([0, null]);
  });
});
