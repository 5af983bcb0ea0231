// The fleet as a process: its words, its exit codes, its end.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { ask, open, received } from "./raw.ts";

const MAIN = join(import.meta.dirname, "../../../dev/fleet/main.ts");

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(args: readonly string[]): { child: ChildProcess; line: Promise<string>; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let out = "";
  let err = "";
  child.stderr.on("data", (chunk) => {
    err += chunk;
  });
  const line = new Promise<string>((resolve) => {
    child.stdout.on("data", (chunk) => {
      out += chunk;
      if (out.includes("\n")) resolve(out.split("\n")[0] ?? "");
    });
  });
  const ended = once(child, "close").then(([code]) => ({ code, out, err }));
  return { child, line, ended };
}

describe("the fleet's command line", () => {
  test.each([
    [["--bogus"], "unknown option '--bogus'"],
    [["--chat", "80x"], "'80x' is not a port"],
    [["--chat", "8080", "--embed", "8080"], "port 8080 is both"],
    [["--fault", "chat:status=abc"], "status: "],
  ])("%j: one line and code 2", async (args, text) => {
    const { code, out, err } = await start(args).ended;
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain(text);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });

  test("--help names every option", async () => {
    const { code, out } = await start(["--help"]).ended;
    expect(code).toBe(0);
    const options =
      "chat embed host tokens-per-second first-token-ms slots context chat-model dimensions load-ms fault";
    for (const name of options.split(" ")) expect(out).toContain(`--${name} `);
  });
});

describe("the fleet as a process", () => {
  test("says what listens where, and ends at once with a stream open", async () => {
    const { child, line, ended } = start(["--chat", "0x2", "--embed", "0x1", "--fault", "chat:hang_after_tokens=1"]);
    const ready = /^fleet ready: chat ([\d,-]+) embed (\d+)$/.exec(await line);
    const port = Number(ready?.[1]?.split(/[,-]/)[0]);
    expect((await ask(Number(ready?.[2]), { path: "/health" })).status).toBe(200);
    const body = { stream: true, messages: [{ role: "user", content: "hello" }] };
    await received(open(port, { path: "/v1/chat/completions", body }), '"role"');
    child.kill("SIGTERM");
    const { code, out } = await ended;
    expect([code, out.trimEnd().split("\n").length]).toEqual([0, 1]);
  });

  test("a port that is taken: one line, code 1, and nothing listens", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void other.close());
    await once(other, "listening");
    const address = other.address();
    const port = typeof address === "object" ? address?.port : undefined;
    const { code, out, err } = await start(["--chat", `0x2,${port}`]).ended;
    expect({ code, out, err }).toEqual({
      code: 1,
      out: "",
      err: `error: port ${port} on 127.0.0.1 is already in use\n`,
    });
  });

  test("tells its parent when it is ready, and ends with it", async () => {
    const child = fork(MAIN, ["--chat", "0x1", "--embed", "0x2"], { stdio: "ignore" });
    onTestFinished(() => void child.kill("SIGKILL"));
    const [message] = await once(child, "message");
    expect(message).toEqual({
      ready: true,
      chat: [expect.any(Number)],
      embed: [expect.any(Number), expect.any(Number)],
    });
    child.disconnect();
    expect(await once(child, "exit")).toEqual([0, null]);
  });

  test("the exit fault is a crash", async () => {
    const { line, ended } = start(["--chat", "0x1"]);
    const port = Number(/chat (\d+)/.exec(await line)?.[1]);
    await ask(port, { path: "/sim/faults", body: { exit: true } });
    expect((await ended).code).toBe(1);
  });
});
