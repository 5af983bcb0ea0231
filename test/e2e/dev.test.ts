// `npm run dev`: what is changed runs at once, what does not build is survived. On a copy of the sources.
import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/stack.ts";

const ROOT = resolve(import.meta.dirname, "../..");
let copy: string;
let child: ChildProcess;
let out = "";
let url: string;

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), "heartcode-"));
  for (const folder of ["edge", "shared", "connector"]) {
    await cp(join(ROOT, folder), join(copy, folder), { recursive: true });
  }
  await cp(join(ROOT, "package.json"), join(copy, "package.json"));
  await symlink(join(ROOT, "node_modules"), join(copy, "node_modules"));
  const args = ["dev/node.mjs", "dev/start/dev.ts", "--root", copy, "--port", "0", "--state", join(copy, "state")];
  child = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  child.stdout?.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  await until(() => /ready: +(\S+)\/v1/.test(out), 60_000);
  url = /ready: +(\S+)\/v1/.exec(out)![1]!;
});
afterAll(async () => {
  child.kill("SIGKILL");
  await rm(copy, { recursive: true, force: true });
});

async function change(file: string, from: string, to: string): Promise<void> {
  const path = join(copy, file);
  const text = await readFile(path, "utf8");
  expect(text).toContain(from);
  await writeFile(path, text.replace(from, to));
}

async function health(): Promise<unknown> {
  try {
    return await (await fetch(`${url}/health`)).json();
  } catch {
    return null;
  }
}

const ask = () =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: "Bearer hc-sk-demo-admin", "content-type": "application/json" },
    body: JSON.stringify({ model: "heartcode-default", max_tokens: 3, messages: [{ role: "user", content: "hi" }] }),
  });

describe("npm run dev", () => {
  test("answers, and tells of the request in one short line for each part", async () => {
    await until(async () => (await ask()).status === 200);
    await until(() => /^edge +request .*path=\/v1\/chat\/completions/m.test(out));
    await until(() => /^connector +exchange .*outcome=complete|^onprem-1 +exchange .*outcome=complete/m.test(out));
  });

  test("runs a changed edge on the same port, and its connector comes back", async () => {
    await change("edge/app.ts", '{ status: "ok" }', '{ status: "changed" }');
    await until(async () => JSON.stringify(await health()) === '{"status":"changed"}');
    await until(async () => (await ask()).status === 200);
    await until(() => /edge reloaded in \d+ ms/.test(out));
  });

  test("shows an edge that does not build, and serves on with the last one that did", async () => {
    await change("edge/app.ts", '{ status: "changed" }', '{ status: "changed" ');
    await until(() => /edge was not reloaded[\s\S]*edge\/app\.ts:\d+/.test(out));
    expect(await health()).toEqual({ status: "changed" });
    await change("edge/app.ts", '{ status: "changed" ', '{ status: "mended" }');
    await until(async () => JSON.stringify(await health()) === '{"status":"mended"}');
  });

  test("runs a changed connector; one that cannot be read or does not start is survived", async () => {
    const path = "connector/main.ts";
    const marker = (await readFile(join(copy, path), "utf8")).split("\n")[0]!;
    await change(path, marker, `${marker}\nprocess.stdout.write("changed connector\\n");`);
    await until(() => /^\S+ +changed connector$/m.test(out));
    await change(path, 'process.stdout.write("changed', 'process.stdout.write("unclosed);("');
    await until(() => /connector was not reloaded[\s\S]*connector\/main\.ts:\d+/.test(out));
    await change(path, 'process.stdout.write("unclosed);("', 'throw new Error("at once"); ("');
    await until(() => /connector was not reloaded[\s\S]*at once/.test(out));
    await change(path, 'throw new Error("at once"); ("', 'process.stdout.write("mended');
    await until(() => /^\S+ +mended connector$/m.test(out));
    await until(async () => (await ask()).status === 200);
  });

  test("reloads both for a change of what they share", async () => {
    const reloads = (part: string) => out.split(`${part} reloaded in`).length;
    const before = [reloads("edge"), reloads("connector")];
    await change("shared/errors.ts", "Incorrect API key provided.", "That is no key.");
    await until(() => reloads("edge") > before[0]! && reloads("connector") > before[1]!);
    const response = await fetch(`${url}/v1/models`, { headers: { authorization: "Bearer nobody" } });
    expect(await response.json()).toMatchObject({ error: { message: "That is no key." } });
  });

  test("takes less than two seconds for it, where the machine has time", async () => {
    const took = (part: string) =>
      [...out.matchAll(new RegExp(`${part} reloaded in (\\d+) ms`, "g"))].map(([, ms]) => Number(ms));
    for (const part of ["edge", "connector"]) {
      for (const word of ["one", "other"]) {
        const before = took(part).length;
        await change(`${part}/${part === "edge" ? "app" : "main"}.ts`, "// The", `// The ${word}`);
        await until(() => took(part).length > before);
      }
      expect(took(part).length).toBeGreaterThan(2);
      expect(Math.min(...took(part))).toBeLessThan(2_000);
    }
  });

  test("leaves nothing running", async () => {
    const exited = new Promise((done) => child.once("exit", done));
    child.kill("SIGINT");
    expect(await exited).toBe(0);
    await until(async () => (await health()) === null);
  });
});
