// The development site, as the first lines of config/local/edge.env tell a newcomer to start it.
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { freePorts } from "../../dev/bench/ports.ts";
import { Crew, run } from "../../dev/crew.ts";
import { ROOT } from "../support/manual.ts";
import { until } from "../support/stack.ts";

const crew = new Crew();
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "heartcode-"));
});
afterEach(async () => {
  await crew.dismiss();
  await rm(folder, { recursive: true, force: true });
});

test("the commands in the head of config/local/edge.env end in an answer", async () => {
  // The repository, but for what is written into it.
  for (const name of ["package.json", "node_modules", "wrangler.toml", "connector", "dev", "edge", "shared"])
    await symlink(join(ROOT, name), join(folder, name));
  await cp(join(ROOT, "config/local"), join(folder, "config/local"), {
    recursive: true,
    filter: (file) => !/\.(key|jwk)$/.test(file),
  });
  const text = await readFile(join(folder, "config/local/edge.env"), "utf8");
  const commands = [...text.matchAll(/^# {3}(npm .*)$/gm)].map(([, command]) => command!);
  expect(commands).toEqual([/keygen .* > /, /run edge /, /connector -- run /].map((one) => expect.stringMatching(one)));

  // What a newcomer edits: the addresses of his engines. And ports that are free here.
  const fleet = crew.start({
    name: "fleet",
    command: process.execPath,
    args: [join(ROOT, "dev/fleet/main.ts"), "--chat", "0x2", "--embed", "0x1"],
    ipc: true,
  });
  const { chat, embed } = (await fleet.ready(30_000)) as { chat: number[]; embed: number[] };
  const [port, metricsPort] = (await freePorts(2)) as [number, number];
  const file = join(folder, "config/local/connector.yaml");
  const yaml = (await readFile(file, "utf8"))
    .replace("127.0.0.1:4000", `127.0.0.1:${port}`)
    .replace("127.0.0.1:9464", `127.0.0.1:${metricsPort}`)
    .replace("192.168.0.145:8080-8083", `127.0.0.1:${chat[0]}`)
    .replace("192.168.0.145:8084-8087", `127.0.0.1:${chat[1]}`)
    .replace("192.168.0.145:8090-8097", `127.0.0.1:${embed[0]}`);
  expect(yaml).not.toContain("192.168");
  await writeFile(file, yaml);

  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`, EDGE_PORT: String(port) };
  const heard = new Map<string, string>();
  const shell = (name: string, command: string) => ({
    ...{ name, command: "bash", args: ["-c", `cd ${folder} && exec ${command}`], env },
    heard: (text: string) => void heard.set(name, (heard.get(name) ?? "") + text),
  });
  await run(shell("keygen", commands[0]!));
  crew.start(shell("edge", commands[1]!));
  crew.start(shell("connector", commands[2]!));
  await until(() => heard.get("connector")?.includes("ready: a socket is up on every shard") === true, 60_000);
  expect(heard.get("edge")).not.toContain("warning");
  const key = /^MASTER_KEY=(.+)$/m.exec(text)![1]!;
  const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({
      model: "heartcode-default",
      max_tokens: 3,
      messages: [{ role: "user", content: "Hello!" }],
    }),
  });
  expect(answer.status).toBe(200);
}, 120_000);
