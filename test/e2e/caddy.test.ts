// The edge behind Debian's Caddy, with the configuration that comes with the project.
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Crew } from "../../dev/crew.ts";
import { type Stack, startStack } from "../../dev/start/stack.ts";
import { behindProxy, canConnect, freePort, smallChat } from "../support/behind-proxy.ts";
import { makeCertificate } from "../support/certificate.ts";
import { Engines, until } from "../support/stack.ts";

const CADDY = "caddy";
const CONFIG = resolve(import.meta.dirname, "../../config/caddy/Caddyfile");
const isInstalled = spawnSync(CADDY, ["version"]).error === undefined;
const skipped = isInstalled ? "" : " (skipped: caddy is not installed; Debian: apt-get install caddy)";

const crew = new Crew();
let directory: string;
let caddy: ChildProcess;
let stack: Stack;
let url: string;
let plainUrl: string;
let engines: Engines;
let client: OpenAI;

/** Caddy keeps nothing outside of the test's folder, and asks nobody for certificates. */
const environment = () => ({
  PATH: process.env["PATH"],
  HOME: directory,
  XDG_DATA_HOME: directory,
  XDG_CONFIG_HOME: directory,
});

/** The project's file for the addresses of this test, below the options that keep Caddy on them. */
async function caddyfile(ports: { plain: number; tls: number; edge: number }): Promise<string> {
  const { cert, key } = await makeCertificate(directory, "site");
  setDefaultCACertificates([...getCACertificates("default"), await readFile(cert, "utf8")]);
  const site = (await readFile(CONFIG, "utf8"))
    .replace("edge.example.com {", `localhost, 127.0.0.1 {\n\ttls ${cert} ${key}`)
    .replace("reverse_proxy 127.0.0.1:4000", `reverse_proxy 127.0.0.1:${ports.edge}`);
  expect(site).not.toMatch(/^[^#]*(example\.com|:4000)/m);
  const options = ["admin off", `http_port ${ports.plain}`, `https_port ${ports.tls}`, "default_bind 127.0.0.1"];
  return `{\n${[...options, "default_sni localhost"].map((option) => `\t${option}\n`).join("")}}\n${site}`;
}

describe.skipIf(!isInstalled)(`behind Caddy${skipped}`, () => {
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "heartcode-"));
    const ports = { plain: await freePort(), tls: await freePort() };
    url = `https://localhost:${ports.tls}`;
    plainUrl = `http://localhost:${ports.plain}`;
    stack = await startStack(crew, {
      directory,
      edgeArgs: ["--front"],
      edge: { TRUSTED_PROXIES: "127.0.0.1" },
      fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "100", "--first-token-ms", "5"],
      // The connector comes through Caddy as well.
      uplinkPort: async (edge) => {
        const file = join(directory, "Caddyfile");
        await writeFile(file, await caddyfile({ ...ports, edge }));
        const args = ["run", "--adapter", "caddyfile", "--config", file];
        caddy = spawn(CADDY, args, { env: environment(), stdio: "ignore" });
        await until(() => canConnect(ports.tls));
        return ports.tls;
      },
      uplinkCa: join(directory, "site.crt"),
    });
    engines = new Engines([...stack.chatPorts, ...stack.embedPorts]);
    await until(async () => (await fetch(`${url}/health/ready`)).ok);
    client = new OpenAI({ apiKey: "hc-sk-demo-admin", baseURL: `${url}/v1`, maxRetries: 0 });
  });
  afterAll(async () => {
    await crew.dismiss();
    if (caddy?.exitCode === null) {
      const gone = new Promise((done) => caddy.once("exit", done));
      caddy.kill("SIGKILL");
      await gone;
    }
    await rm(directory, { recursive: true, force: true });
  });

  test("its file is valid as it stands", () => {
    const args = ["validate", "--adapter", "caddyfile", "--config", CONFIG];
    expect(() => execFileSync(CADDY, args, { env: environment(), stdio: "pipe" })).not.toThrow();
  });

  behindProxy(() => ({ url, plainUrl, engines, client, chatPorts: stack.chatPorts }));

  test("a client that goes away in the middle of a silent stream frees its engine", async () => {
    await engines.fault({ hang_after_tokens: 3 }, stack.chatPorts);
    const aborter = new AbortController();
    const asked = client.chat.completions.create({ ...smallChat(50), stream: true }, { signal: aborter.signal });
    for await (const part of await asked) if (part.choices[0]?.delta.content !== undefined) break;
    await until(async () => (await engines.sum("slots_busy")) === 0);
    await engines.fault({}, stack.chatPorts);
  });
});
