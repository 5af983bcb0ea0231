// The programs as a person starts and stops them.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Engines, until, useStack } from "../support/stack.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const children: ChildProcess[] = [];
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "heartcode-"));
});
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await rm(directory, { recursive: true, force: true });
});

/** A program as `npm run` would start it. */
function run(program: string, args: string[], env: Record<string, string> = {}) {
  // Behind `--` every option is the program's: node looks for its own `--env-file` wherever it stands.
  return node(["--", "dev/node.mjs", program, ...args], env);
}

function node(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
  });
  children.push(child);
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said.err += text;
  });
  const exited = new Promise<number | null>((done) => child.once("exit", done));
  return { child, said, exited };
}

/** Asks for a long answer that comes whole, and closes the connection in order (FIN) once the question was let in. */
async function askAndLeave(url: string): Promise<void> {
  const authorization = "Bearer hc-sk-demo-premium";
  const remaining = async () => {
    const usage = (await (await fetch(`${url}/v1/usage`, { headers: { authorization } })).json()) as {
      limits: { tokens_per_day: { remaining: number } };
    };
    return usage.limits.tokens_per_day.remaining;
  };
  const before = await remaining();
  const messages = [{ role: "user", content: "Hello!" }];
  // 12 s of a simulated engine, which nobody waits for.
  const body = JSON.stringify({ model: "heartcode-default", max_tokens: 500, messages });
  const head = ["POST /v1/chat/completions HTTP/1.1", "host: x", `authorization: ${authorization}`];
  const type = ["content-type: application/json", `content-length: ${body.length}`];
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.write(`${[...head, ...type].join("\r\n")}\r\n\r\n${body}`);
  await until(async () => (await remaining()) < before);
  socket.destroySoon();
}

/** Command lines of all processes that mention `text`. */
async function processesWith(text: string): Promise<string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")));
  return lines.filter((line) => line.includes(text));
}

describe("npm start", () => {
  test("answers its first chat, and leaves nothing running when it is stopped", async () => {
    const { child, said, exited } = run("dev/start/main.ts", ["--port", "0", "--state", directory]);
    await until(() => /ready: +(\S+)\/v1/.test(said.out), 60_000);
    const url = /ready: +(\S+)\/v1/.exec(said.out)![1]!;
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer hc-sk-demo-premium", "content-type": "application/json" },
      body: JSON.stringify({
        model: "heartcode-default",
        max_tokens: 3,
        messages: [{ role: "user", content: "Hello!" }],
      }),
    });
    expect(answer.status).toBe(200);

    // As curl and SDKs leave while nothing has come.
    await askAndLeave(url);
    await until(async () => (await readFile(join(directory, "edge.log"), "utf8")).includes('"outcome":"cancelled"'));
    expect(await processesWith(directory)).not.toEqual([]);
    child.kill("SIGINT");
    expect(await exited).toBe(0);
    expect(await processesWith(directory)).toEqual([]);
  });

  test("says in one line that its port is taken", async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as { port: number };
    for (const program of ["dev/start/main.ts", "dev/edge/main.ts"]) {
      const { said, exited } = run(program, ["--port", String(port), "--state", directory]);
      expect(await exited).toBe(1);
      expect(said.err.trim()).toMatch(new RegExp(`^[a-z]+: port ${port} is taken[^\\n]*$`));
    }
    expect(await processesWith(directory)).toEqual([]);
    await new Promise((done) => server.close(done));
  });
});

describe("wrong use", () => {
  const rows: [
    what: string,
    program: string,
    args: () => string[],
    env: Record<string, string>,
    code: number,
    says: RegExp,
  ][] = [
    [
      "an unknown setting",
      "dev/edge/main.ts",
      () => ["--port", "0"],
      { AUTH_MODE: "none" },
      1,
      /^edge: setting AUTH_MODE: .*$/,
    ],
    [
      "no master key",
      "dev/edge/main.ts",
      () => ["--port", "0"],
      { AUTH_MODE: "master-key" },
      1,
      /^edge: setting MASTER_KEY: .*$/,
    ],
    [
      "a private key where the public ones belong",
      "dev/edge/main.ts",
      () => ["--port", "0", "--connector-keys", join(directory, "private.json")],
      {},
      1,
      /^edge: setting CONNECTOR_KEYS: holds a private key (?!.*c2VjcmV0).*$/,
    ],
    [
      "no file of public keys",
      "dev/edge/main.ts",
      () => ["--port", "0", "--connector-keys", "/no/keys.json"],
      {},
      1,
      /^edge: --connector-keys \/no\/keys\.json is not there; make a key with: npm run -s connector -- keygen .*$/,
    ],
    [
      "no key file",
      "connector/main.ts",
      () => ["run", "--config", join(directory, "c.yaml")],
      {},
      2,
      /c\.key does not exist; make it with: .*$/,
    ],
    [
      "no configuration",
      "connector/main.ts",
      () => ["run", "--config", join(directory, "none.yaml")],
      {},
      2,
      /none\.yaml: there is no such file.*$/,
    ],
  ];
  test.each(rows)("%s is one clear line and an exit code", async (_what, program, args, env, code, says) => {
    const config =
      'edge: { url: "ws://127.0.0.1:9/uplink", id: a, key_file: ./c.key }\npools: [{ model: m, kind: chat, upstreams: ["http://127.0.0.1:9"] }]\n';
    await writeFile(join(directory, "c.yaml"), config);
    await writeFile(
      join(directory, "private.json"),
      '{"kty":"OKP","crv":"Ed25519","x":"eA","d":"c2VjcmV0","kid":"a#1"}',
    );
    const { said, exited } = run(program, args(), env);
    expect(await exited).toBe(code);
    expect(said.err.trim()).toMatch(says);
    expect(said.err.trim().split("\n")).toHaveLength(1);
  });
});

describe("npm run edge", () => {
  test("says in one line that its --env-file is not there: node must not take the option for its own", async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as {
      scripts: Record<string, string>;
    };
    const [, ...args] = scripts["edge"]!.split(" ");
    const { exited, said } = node([...args, "--env-file", join(directory, "none.env")]);
    expect([await exited, said.err]).toEqual([2, `error: --env-file ${join(directory, "none.env")} is not there\n`]);
  });

  test("warns of a name in its file that it does not know, and that no connector can join", async () => {
    const file = join(directory, "edge.env");
    await writeFile(file, "AUTH_MODE=master-key\nMASTER_KEY=a-master-key\nHUB_SHARD=1\nTZ=UTC\n");
    const args = ["--port", "0", "--state", directory, "--env-file", file];
    const { child, said, exited } = run("dev/edge/main.ts", args, { HUB_SHARDS: "" });
    await until(() => said.err.includes("no connector can join"), 60_000);
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
    const [slip, keys] = said.err.split("\n");
    expect(slip).toBe(`edge: warning: ${file}: HUB_SHARD is no setting of the edge; is HUB_SHARDS meant?`);
    expect(keys).toMatch(/^edge: warning: no connector can join, .* keygen .* --connector-keys connectors\.json$/);
  });
});

describe("a connector", () => {
  const stack = useStack({ fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "100"] });

  const ask = (tokens: number, stream = true) =>
    fetch(`${stack().url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer hc-sk-demo-premium", "content-type": "application/json" },
      body: JSON.stringify({
        model: "heartcode-default",
        stream,
        max_tokens: tokens,
        messages: [{ role: "user", content: "hi" }],
      }),
    });

  test("lets a running answer finish on SIGTERM, takes nothing new, and exits with 0", async () => {
    const answer = await ask(100);
    const [connector] = stack().connectors;
    connector!.kill("SIGTERM");
    const text = await answer.text();
    expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
    expect(await connector!.exited).toBe(0);
    expect((await ask(1)).status).toBe(503);
    stack().connectors[0] = await stack().startConnector(0);
    expect((await ask(1)).status).toBe(200);
  });

  test("stops at once on a second signal: what it said is told to have broken off, what had not begun goes on elsewhere", async () => {
    const streamed = await ask(3_000);
    const plain = ask(150, false);
    const engines = new Engines(stack().chatPorts);
    await until(async () => (await engines.sum("slots_busy")) === 2);
    const [connector] = stack().connectors;
    connector!.kill("SIGTERM");
    await until(() => connector!.tail().includes("running exchanges may finish"));
    connector!.kill("SIGTERM");
    expect(await connector!.exited).toBe(0);
    expect(await streamed.text()).toContain('"code":"stream_interrupted"');
    await until(async () => (await engines.sum("slots_busy")) === 0);
    stack().connectors[0] = await stack().startConnector(0);
    const answer = await plain;
    expect([answer.status, await answer.json()]).toMatchObject([200, { usage: { completion_tokens: 150 } }]);
  });

  test("whose clock is ahead is told so at every dial, and dials on: a clock may be set right", async () => {
    const ahead = encodeURIComponent("const now = Date.now; Date.now = () => now() + 120_000");
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${ahead}` };
    const { child, said, exited } = run("connector/main.ts", ["run", "--config", stack().configs[0]!], env);
    const says = "HTTP 401: the token is from the future: compare the clocks of site and edge";
    await until(() => said.out.split(says).length > 3);
    expect(said.out).not.toContain("refuses");
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
  });

  test("whose key the edge does not know stops for good with its own exit code", async () => {
    const key = join(directory, "stranger.key");
    await run("connector/main.ts", ["keygen", "--id", "stranger", "--out", key]).exited;
    const config = await readFile(stack().configs[0]!, "utf8");
    const file = join(directory, "stranger.yaml");
    await writeFile(file, config.replace("onprem-1", "stranger").replace("./onprem-1.key", key));
    const { said, exited } = run("connector/main.ts", ["run", "--config", file]);
    expect(await exited).toBe(3);
    expect(said.out).toContain("the key of this connector is not known here");
  });
});
