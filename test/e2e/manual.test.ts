// The operator's path, as docs/operators-connector.md and docs/self-hosting.md tell it: their commands, taken from the pages and
// run on two "machines" of this one, from a fresh clone to an answer over TLS. What an operator would write instead of the
// pages' own names is the table of substitutions; what he would edit is `edit`.
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePorts } from "../../dev/bench/ports.ts";
import { Crew, run } from "../../dev/crew.ts";
import { commandsOf, fencesOf, PATH, ROOT } from "../support/manual.ts";
import { ManualShell } from "../support/manual-shell.ts";

const READY = /edge listening on|"msg":"ready: a socket is up on every shard"/;

const crew = new Crew();
let root: string;
let port: number;
let metricsPort: number;
let engines: { chat: number[]; embed: number[] };
let backendPort: number;
const machines = new Map<"site" | "edge", ManualShell>();
const followed: string[] = [];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "heartcode-"));
  const program = (path: string) => join(ROOT, path);
  const start = (name: string, args: string[]) => crew.start({ name, command: process.execPath, args, ipc: true });
  const fleet = start("fleet", [program("dev/fleet/main.ts"), "--chat", "0x8", "--embed", "0x2"]);
  const backend = start("backend", [program("dev/backend/main.ts"), "--port", "0"]);
  engines = (await fleet.ready(30_000)) as typeof engines;
  ({ port: backendPort } = (await backend.ready(30_000)) as { port: number });
  [port, metricsPort] = (await freePorts(2)) as [number, number];
  await commitTo(join(root, "repository"));
  await run({ name: "git", command: "git", args: ["clone", "-q", join(root, "repository"), join(root, "site/src")] });
  machines.set("site", machine("site", join(root, "site/src"))).set("edge", machine("edge", root));
});
afterAll(async () => {
  await Promise.all([...machines.values()].map((one) => one.close()));
  await crew.dismiss();
  await rm(root, { recursive: true, force: true });
});

/** The sources as they are now. */
async function commitTo(folder: string): Promise<void> {
  const git = (...args: string[]) => run({ name: "git", command: "git", args: ["-C", folder, ...args] });
  const listed = await run({
    name: "git",
    command: "git",
    args: ["-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
  });
  for (const file of listed.split("\n").filter((one) => one !== "")) {
    await mkdir(join(folder, file, ".."), { recursive: true });
    await copyFile(join(ROOT, file), join(folder, file));
  }
  await git("init", "-q");
  await git("add", "-A");
  await git("-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "-q", "-m", "as it is now");
}

function machine(name: string, cwd: string): ManualShell {
  return new ManualShell({
    cwd,
    substitutions: [
      ["REPOSITORY", join(root, "repository")],
      ["/opt/heartcode", join(root, name, "opt/heartcode")],
      ["/etc/heartcode", join(root, name, "etc/heartcode")],
      // The packages are those of this tree.
      ["npm ci", `ln -s ${join(ROOT, "node_modules")} node_modules`],
      [/(https:\/\/)edge\.example\.com/g, `$1localhost:${port}`],
      ["edge.example.com", "localhost"],
      ["YOUR-KEY", "hc-sk-demo-premium"],
      ["--install", `--install --directory ${join(root, name)}`],
    ],
  });
}

/** The next section of the path, all its commands. @returns what they said. */
async function follow(wanted: (typeof PATH)[number]["section"]): Promise<string> {
  const { machine: name, page, section } = PATH[followed.length]!;
  expect(section).toBe(wanted);
  followed.push(section);
  const blocks = (await fencesOf(page)).filter((one) => one.section === section && one.language === "sh");
  const commands = blocks.filter(({ mark }) => mark === null).flatMap(commandsOf);
  expect(commands.length, `${page}, ${section}`).toBeGreaterThan(0);
  let said = "";
  for (const command of commands) said += await machines.get(name)!.run(command, READY);
  return said;
}

async function edit(file: string, changes: readonly (readonly [string | RegExp, string])[]): Promise<void> {
  let text = await readFile(file, "utf8");
  for (const [from, to] of changes) {
    expect(text).toMatch(from);
    text = text.replace(from, to);
  }
  await writeFile(file, text);
}

const list = (ports: readonly number[]) => `[${ports.map((one) => `"http://127.0.0.1:${one}"`).join(", ")}]`;

describe("the manual, followed to the letter,", () => {
  const etc = (name: string, file: string) => join(root, name, "etc/heartcode", file);

  test("builds and installs the connector, and finds its configuration valid", async () => {
    const said = await follow("Install");
    expect(said).toContain("edge wss://edge.example.com/uplink as onprem-1");
    expect(said).toMatch(
      /heartcode-default → pool heartcode-chat-sfw \(chat\)\n {2}http:\/\/192\.168\.0\.145:8080, 4 /,
    );
    await edit(etc("site", "connector.yaml"), [
      ["wss://edge.example.com/", `wss://localhost:${port}/`],
      ["http://127.0.0.1:8000", `http://127.0.0.1:${backendPort}`],
      ['["http://192.168.0.145:8080-8083"]', list(engines.chat.slice(0, 4))],
      ['["http://192.168.0.145:8084-8087"]', list(engines.chat.slice(4))],
      ['["http://192.168.0.145:8090-8097"]', list(engines.embed)],
      ["127.0.0.1:9464", `127.0.0.1:${metricsPort}`],
    ]);
    const ca = etc("site", "ca.crt");
    await writeFile(etc("site", "connector.env"), `NODE_EXTRA_CA_CERTS=${ca}\nCURL_CA_BUNDLE=${ca}\n`);
  });

  test("makes keys, whose public halves go to the edge", async () => {
    expect(await follow("For operators")).toContain("heartcode-default → pool heartcode-chat-sfw");
    expect(await follow("Key")).toContain("holds the private key (0600)");
  });

  test("installs an edge with a certificate of its own CA, and starts it", async () => {
    await follow("Install");
    await copyFile(join(root, "site/src/onprem-1.jwk"), join(root, "edge/opt/heartcode-edge/onprem-1.jwk"));
    await follow("Public keys");
    await follow("A certificate of your own");
    await edit(etc("edge", "edge.env"), [
      ["/etc/heartcode/connectors.json", etc("edge", "connectors.json")],
      ["EDGE_HOST=0.0.0.0", "EDGE_HOST=127.0.0.1"],
      ["EDGE_PORT=443", `EDGE_PORT=${port}`],
      ["EDGE_REDIRECT_PORT=80", "EDGE_REDIRECT_PORT=0"],
      [/EDGE_TLS_CERT=.*/, `EDGE_TLS_CERT=${etc("edge", "edge.crt")}`],
      [/EDGE_TLS_KEY=.*/, `EDGE_TLS_KEY=${etc("edge", "edge.key")}`],
      [/EDGE_ACME_WEBROOT=.*\n/, ""],
      ["/var/lib/heartcode-edge", join(root, "edge/state")],
    ]);
    await copyFile(etc("edge", "ca.crt"), etc("site", "ca.crt"));
    const said = await follow("Start");
    expect(said).toContain(`edge listening on https://127.0.0.1:${port}`);
    expect(said).toContain('{"status":"ok"}');
  });

  test("ends with every row of doctor PASS, the first answer, and a connector that tells how it is", async () => {
    const said = await follow("First connection");
    const rows = said.split("\n").filter((line) => /^(PASS|WARN|FAIL|SKIP) /.test(line));
    expect(rows.length).toBeGreaterThan(25);
    expect(rows.filter((row) => !row.startsWith("PASS"))).toEqual([]);
    expect(said).toContain(`\n${rows.length} passed, 0 warned, 0 failed, 0 skipped\n`);
    expect(said).toMatch(/"object":"chat\.completion"/);
    expect(said).toMatch(/\nready: 2 of 2 sockets up, 10 of 10 upstreams up\n/);
  });

  test("makes a new key, and changes over once the edge knows both", async () => {
    await follow("Keys and rotation");
    const edge = machines.get("edge")!;
    await copyFile(join(root, "site/src/onprem-1-new.jwk"), join(root, "edge/opt/heartcode-edge/onprem-1-new.jwk"));
    await edge.run({ text: "cat onprem-1-new.jwk >> /etc/heartcode/connectors.json", runs: false }, READY);
    await edge.interrupt();
    expect(await follow("Start")).toContain('{"status":"ok"}');
    const said = await follow("Change over");
    const kid = /"kid":"([^"]+)"/.exec(await readFile(join(root, "site/src/onprem-1-new.jwk"), "utf8"))![1]!;
    expect(said).toContain(`signs as ${kid}`);
    expect(said).toMatch(/\nPASS +uplink: token /);
  });

  test("prints and installs the units", async () => {
    expect(await follow("As a service")).toContain("[Unit]\nDescription=HeartCode connector");
    expect(await readFile(join(root, "site/heartcode-connector.service"), "utf8")).toContain("Type=notify");
    const said = await follow("As a service");
    expect(said).toContain("heartcode-edge.socket is written");
    expect(await readFile(join(root, "edge/heartcode-edge.service"), "utf8")).toContain("connectors.json");
  });

  test("has no section that was left out", () => expect(followed).toHaveLength(PATH.length));
});
