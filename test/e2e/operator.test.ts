// The connector in its operator's hands: doctor, status, validate, and what its listener tells.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Row } from "../../connector/ops/checks.ts";
import type { LiveStatus } from "../../connector/ops/live.ts";
import { connector, connectorWith } from "../support/connector.ts";
import { Engines, until, useStack } from "../support/stack.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "heartcode-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function doctor(file: string): Promise<{ code: number | null; row: (check: string) => Row; rows: Row[] }> {
  const { code, out, err } = await connector("doctor", "--config", file, "--json");
  expect(err).toBe("");
  const { ok, checks: rows } = JSON.parse(out) as { ok: boolean; checks: Row[] };
  expect(ok).toBe(code === 0);
  const row = (check: string): Row => {
    const found = rows.find((one) => one.check === check);
    if (found === undefined) throw new Error(`no row ${check} in ${rows.map((one) => one.check).join(", ")}`);
    return found;
  };
  return { code, row, rows };
}

const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "200"],
  config: 'metrics: { listen: "127.0.0.1:0" }\n',
});
let metricsPort: number;
/** The running connector's configuration, with the port that it really listens on. */
let config: string;
beforeAll(async () => {
  const file = stack().configs[0]!;
  // Lines of the log leave together, some hundred ms late.
  await until(async () => {
    const log = await readFile(file.replace(/yaml$/, "log"), "utf8");
    metricsPort = Number(/"listen":"127\.0\.0\.1:(\d+)"/.exec(log)?.[1]);
    return !Number.isNaN(metricsPort);
  });
  config = file.replace(/\.yaml$/, "-listen.yaml");
  await writeFile(config, (await readFile(file, "utf8")).replace("127.0.0.1:0", `127.0.0.1:${metricsPort}`));
});

/** The configuration with something else in it. */
async function changed(change: (text: string) => string): Promise<string> {
  const file = join(directory, "connector.yaml");
  const key = stack().configs[0]!.replace(/yaml$/, "key");
  const text = (await readFile(config, "utf8")).replace(/key_file: \S+/, `key_file: ${key}`);
  await writeFile(file, change(text));
  return file;
}

const ask = (tokens: number): Promise<Response> =>
  fetch(`${stack().url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: "Bearer hc-sk-demo-admin", "content-type": "application/json" },
    body: JSON.stringify({
      model: "heartcode-default",
      stream: true,
      max_tokens: tokens,
      messages: [{ role: "user", content: "hi" }],
    }),
  });
const live = async (): Promise<LiveStatus> =>
  (await fetch(`http://127.0.0.1:${metricsPort}/status`)).json() as Promise<LiveStatus>;

describe("doctor", () => {
  test("finds everything well while a connector of the same id runs, and does not disturb its answer", async () => {
    const before = await live();
    const answer = await ask(300);
    const { code, rows } = await doctor(config);
    expect(rows.filter(({ verdict }) => verdict === "FAIL" || verdict === "WARN")).toEqual([]);
    expect(code).toBe(0);
    expect(rows.map(({ check }) => check)).toEqual(
      expect.arrayContaining([
        "uplink: token",
        "uplink: shard 0",
        "uplink: shard 1",
        "uplink: clock",
        "backend: lookup",
      ]),
    );
    expect(rows.filter(({ check }) => check.endsWith(": answer"))).toHaveLength(3);
    expect((await answer.text()).trimEnd().endsWith("data: [DONE]")).toBe(true);
    const after = await live();
    expect(after.sockets.map(({ dials, cuts }) => [dials.up, cuts])).toEqual(
      before.sockets.map(({ dials, cuts }) => [dials.up, cuts]),
    );
  });

  test("tells a table to people", async () => {
    const { code, out } = await connector("doctor", "--config", config, "--no-answers");
    expect(code).toBe(0);
    expect(out).toMatch(/^RESULT +CHECK +TIME +DETAIL\nPASS +config/);
    expect(out).toMatch(/\n\d+ passed, 0 warned, 0 failed, 1 skipped\n$/);
  });

  test("names what is wrong with the road, and skips what would follow from it", async () => {
    const file = await changed((text) => text.replace(/127\.0\.0\.1:\d+\/uplink/, "127.0.0.1:1/uplink"));
    const { code, row } = await doctor(file);
    expect(code).toBe(1);
    expect(row("edge: TCP")).toMatchObject({ verdict: "FAIL", detail: expect.stringContaining("ECONNREFUSED") });
    expect(row("edge: TCP").remedy).toMatch(/compare the port/);
    expect(row("edge: HTTP")).toMatchObject({ verdict: "SKIP", detail: 'needs "edge: TLS", which was skipped' });
    expect(row("uplink: token").verdict).toBe("SKIP");
    expect(row("backend: lookup").verdict).toBe("PASS");
  });

  test("knows an engine that is down, one that loads, and one that is of another kind", async () => {
    const [embed] = stack().embedPorts;
    const engines = new Engines([stack().chatPorts[0]!]);
    await engines.fault({ loading: true });
    try {
      const file = await changed((text) =>
        text
          .replace(/(model: heartcode-chat-nsfw.*upstreams: )\[[^\]]*\]/, '$1["http://127.0.0.1:1"]')
          .replace(/(model: heartcode-embed, kind: )embedding/, "$1chat"),
      );
      const { code, row, rows } = await doctor(file);
      expect(code).toBe(1);
      expect(row("heartcode-chat-nsfw http://127.0.0.1:1: health")).toMatchObject({ verdict: "FAIL" });
      expect(row("heartcode-chat-nsfw http://127.0.0.1:1: answer").verdict).toBe("SKIP");
      expect(row(`heartcode-chat-sfw http://127.0.0.1:${stack().chatPorts[0]}: health`).detail).toMatch(/503/);
      expect(row(`heartcode-embed http://127.0.0.1:${embed}: answer`)).toMatchObject({
        verdict: "FAIL",
        remedy: expect.stringContaining("kind (chat)"),
      });
      expect(rows.filter(({ verdict }) => verdict === "FAIL")).toHaveLength(3);
    } finally {
      await engines.fault({ loading: false });
    }
  });

  test("reports a broken configuration as its first finding", async () => {
    const file = await changed((text) => text.replace("pools:", "pool:"));
    const { code, row } = await doctor(file);
    expect(code).toBe(1);
    expect(row("config").detail).toContain("connector.yaml:");
    expect(row("upstreams").verdict).toBe("SKIP");
  });
});

describe("status", () => {
  test("shows sockets, pools, rates and an exchange that runs", async () => {
    const answer = await ask(300);
    const running = await live();
    expect(running.exchanges.running).toBe(1);
    expect(
      running.pools.find(({ model }) => model === "heartcode-chat-sfw")?.upstreams.map((one) => one.in_flight),
    ).toEqual([1]);
    await answer.text();
    const { code, out } = await connector("status", "--config", config);
    expect(code).toBe(0);
    expect(out).toMatch(/^onprem-1 {2}pid \d+ {2}up /);
    expect(out).toMatch(/\nready: 2 of 2 sockets up, 3 of 3 upstreams up\n/);
    expect(out).toMatch(/\nshard 1 +up /);
    expect(out).toMatch(/last minute: \d/);
    const told = JSON.parse((await connector("status", "--config", config, "--json")).out) as LiveStatus;
    expect(told.ready).toBe(true);
    expect(told.pid).toBe(stack().connectors[0]!.pid);
    expect(told.rates.completion_tokens).toBeGreaterThan(0);
  });

  test("says what to do where no connector runs, or has no listener", async () => {
    const nobody = await changed((text) => text.replace(/listen: "[^"]*"/, 'listen: "127.0.0.1:1"'));
    const { code, err } = await connector("status", "--config", nobody);
    expect(code).toBe(1);
    expect(err).toBe("no connector at 127.0.0.1:1: nothing listens there; is the connector running?\n");
    const without = await changed((text) => text.replace(/metrics:.*\n/, ""));
    const bare = await connector("status", "--config", without);
    expect(bare.code).toBe(2);
    expect(bare.err).toMatch(/add metrics: \{ listen: "127\.0\.0\.1:9464" \}/);
  });

  test("says that the address is not a connector's", async () => {
    const server = createServer((_request, response) => response.end("hello"));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as AddressInfo;
    const file = await changed((text) => text.replace(/listen: "[^"]*"/, `listen: "127.0.0.1:${port}"`));
    const { code, err } = await connector("status", "--config", file);
    expect(code).toBe(1);
    expect(err).toMatch(/is no connector/);
    await new Promise((done) => server.close(done));
  });
});

describe("the listener", () => {
  test("serves metrics of what has run, and readiness by socket", async () => {
    await (await ask(3)).text();
    const metrics = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
    expect(metrics.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await metrics.text();
    expect(text).toMatch(/heartcode_connector_exchanges_total\{model="heartcode-chat-sfw",outcome="complete"\} [1-9]/);
    expect(text).toMatch(/heartcode_connector_lookups_total\{outcome="complete"\} [1-9]/);
    expect(text).not.toMatch(/hc-sk-|tenant/);

    const ready = await fetch(`http://127.0.0.1:${metricsPort}/ready`);
    expect(ready.status).toBe(200);
    const { sockets } = (await ready.json()) as { sockets: { shard: number; last_round_trip: { took_ms: number } }[] };
    expect(sockets.map(({ shard }) => shard)).toEqual([0, 1]);
    for (const socket of sockets) expect(socket.last_round_trip.took_ms).toBeGreaterThanOrEqual(0);
    expect((await fetch(`http://127.0.0.1:${metricsPort}/healthz`)).status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${metricsPort}/status`, { method: "POST" })).status).toBe(405);
    expect((await fetch(`http://127.0.0.1:${metricsPort}/other`)).status).toBe(404);
  });

  test("keeps its picture from a page in a browser whose name was made to point here", async () => {
    const status = await new Promise<number | undefined>((done, fail) => {
      const headers = { host: `evil.example:${metricsPort}` };
      get({ host: "127.0.0.1", port: metricsPort, path: "/status", headers }, (response) => {
        response.resume();
        done(response.statusCode);
      }).on("error", fail);
    });
    expect(status).toBe(403);
  });

  test("whose address is taken stops the start with one clear line", async () => {
    const { code, err } = await connector("run", "--config", config);
    expect(code).toBe(2);
    expect(err).toBe(`metrics.listen 127.0.0.1:${metricsPort}: something listens there already; another connector?\n`);
  });
});

describe("a pool that the edge never asks for", () => {
  const says = "no model of the edge leads to the pool heartcode-chat-nfsw; is heartcode-chat-nsfw meant?";
  const stray = () => changed((text) => text.replace("model: heartcode-chat-nsfw", "model: heartcode-chat-nfsw"));

  test("is told by validate, on stderr and as no error: the edge may be newer", async () => {
    const { code, out, err } = await connector("validate", "--config", await stray());
    expect([code, err]).toEqual([0, `warning: ${says}\n`]);
    expect(out).toMatch(/: valid\n/);
    expect(await connector("validate", "--config", config)).toMatchObject({ code: 0, err: "" });
  });

  test("is told by run at its start, and when it is reloaded", async () => {
    // An edge that is not there is dialled again and again.
    const text = (await readFile(await stray(), "utf8")).replace(/127\.0\.0\.1:\d+\/uplink/, "127.0.0.1:1/uplink");
    const file = join(directory, "stray.yaml");
    await writeFile(file, text.replace(/metrics:.*\n/, ""));
    const args = ["dev/node.mjs", "connector/main.ts", "run", "--config", file];
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const left = new Promise((done) => child.once("exit", done));
    let log = "";
    child.stdout.setEncoding("utf8").on("data", (piece: string) => {
      log += piece;
    });
    const lines = () => log.split("\n").filter((line) => line.includes(says));
    try {
      await until(() => lines().length === 1);
      expect(JSON.parse(lines()[0]!)).toMatchObject({ level: "warn", pool: "heartcode-chat-nfsw" });
      child.kill("SIGHUP");
      await until(() => lines().length === 2);
    } finally {
      child.kill("SIGKILL");
      await left;
    }
  });
});

test("a variable with a slip in its name is told by validate", async () => {
  const file = await changed((text) => text.replace("backend: {", `backend: { headers: { a: "\${SITE_TOKEN:-}" },`));
  const { code, err } = await connectorWith({ SITE_TOKNE: "t" }, "validate", "--config", file);
  expect([code, err]).toEqual([0, "warning: the variable SITE_TOKEN is not set, but SITE_TOKNE is\n"]);
});

describe("keygen", () => {
  test("writes the private key for its owner alone, and the public one, and nothing else, to stdout", async () => {
    const file = join(directory, "new.key");
    const { code, out, err } = await connector("keygen", "--id", "onprem-7", "--out", file);
    expect(code).toBe(0);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const jwk = JSON.parse(out) as Record<string, unknown>;
    expect(jwk["kid"]).toMatch(/^onprem-7#/);
    expect(jwk["d"]).toBeUndefined();
    expect(out.trim().split("\n")).toHaveLength(1);
    expect(err).toContain("CONNECTOR_KEYS");
    expect((await connector("keygen", "--id", "onprem-7", "--out", file)).code).toBe(1);
    expect((await connector("keygen", "--id", "not an id", "--out", file)).code).toBe(2);
  });
});

describe("help", () => {
  const commands = ["run", "keygen", "validate", "doctor", "status", "service"];
  test.each(commands)("of %s has examples and the exit codes", async (command) => {
    const { code, out } = await connector(command, "--help");
    expect(code).toBe(0);
    expect(out).toContain(`Examples:\n  connector ${command} `);
    expect(out).toMatch(/Exit codes:\n {2}0 {2}done\n/);
  });

  test("is what a wrong word leads to, with exit code 2", async () => {
    const { code, err } = await connector("diagnose");
    expect(code).toBe(2);
    expect(err).toContain("unknown command 'diagnose'");
  });
});
