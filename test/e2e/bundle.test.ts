// The connector as one file, in a folder where nothing else is.
import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bundleConnector } from "../../dev/bundle/connector.ts";
import { Crew } from "../../dev/crew.ts";
import { until, useStack } from "../support/stack.ts";

const stack = useStack({ fleet: ["--chat", "0x2", "--embed", "0x1"] });
const crew = new Crew();
let folder: string;
beforeAll(async () => {
  const built = await mkdtemp(join(tmpdir(), "heartcode-"));
  folder = join(built, "empty");
  await mkdir(folder);
  await cp(await bundleConnector(built), join(folder, "connector.mjs"));
});
afterAll(async () => {
  await crew.dismiss();
  await rm(join(folder, ".."), { recursive: true, force: true });
});

/** What Node 22.0 lacks is taken away before anything runs. */
const OLDEST = `data:text/javascript,${encodeURIComponent(`
import { createRequire } from "node:module";
const require = createRequire(process.cwd() + "/");
for (const [name, member] of [["node:worker_threads", "markAsUncloneable"], ["node:zlib", "createZstdDecompress"]]) {
  const exported = require(name);
  delete exported[member];
  if (member in exported) throw new Error(member + " is still there");
}
`)}`;
const AS_OLDEST = ["--import", OLDEST];

async function connector(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const env = { PATH: process.env["PATH"] };
  const child = spawn(process.execPath, [...AS_OLDEST, "connector.mjs", ...args], { cwd: folder, env });
  const said = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said.out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said.err += text;
  });
  const code = await new Promise<number | null>((done) => child.once("close", done));
  return { code, ...said };
}

test("it stands alone and tells its help", async () => {
  expect(await readdir(folder)).toEqual(["connector.mjs"]);
  const { code, out, err } = await connector("--help");
  expect([code, err]).toEqual([0, ""]);
  expect(out).toContain("Exit codes:");
});

test("it knows where its repository would be needed", async () => {
  const { code, err } = await connector("service", "--edge");
  expect(code).toBe(1);
  expect(err).toMatch(/is not the repository of HeartCode Edge: name it by --folder\n$/);
});

test("it answers a request of a real edge", async () => {
  const file = stack().configs[0]!;
  await writeFile(join(folder, "connector.yaml"), (await readFile(file, "utf8")).replace("./onprem-1.key", "./c.key"));
  await cp(file.replace(/yaml$/, "key"), join(folder, "c.key"));
  const { code, out } = await connector("validate", "--config", "connector.yaml");
  expect([code, out.split("\n")[0]]).toEqual([0, "connector.yaml: valid"]);

  stack().connectors[0]!.kill("SIGTERM");
  await stack().connectors[0]!.exited;
  const running = crew.start({
    name: "bundle",
    command: process.execPath,
    args: [...AS_OLDEST, join(folder, "connector.mjs"), "run", "--config", join(folder, "connector.yaml")],
    ipc: true,
  });
  await running.ready(30_000);
  await until(async () => (await fetch(`${stack().url}/health/ready`)).ok);
  const answer = await fetch(`${stack().url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: "Bearer hc-sk-demo-admin", "content-type": "application/json" },
    body: JSON.stringify({
      model: "heartcode-default",
      stream: true,
      max_tokens: 5,
      messages: [{ role: "user", content: "hi" }],
    }),
  });
  expect((await answer.text()).trimEnd().endsWith("data: [DONE]")).toBe(true);
  expect((await connector("doctor", "--config", "connector.yaml")).code).toBe(0);
  running.kill("SIGTERM");
  expect(await running.exited).toBe(0);
});
