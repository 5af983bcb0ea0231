// The edge behind Debian's nginx, with the configuration that comes with the project.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Crew } from "../../dev/crew.ts";
import { type Stack, startStack } from "../../dev/start/stack.ts";
import { SHIELD_LIMIT } from "../../edge/gate/shield.ts";
import { behindProxy, canConnect, freePort, smallChat } from "../support/behind-proxy.ts";
import { makeCertificate } from "../support/certificate.ts";
import { Engines, until } from "../support/stack.ts";

const NGINX = "/usr/sbin/nginx";
const CONFIG = resolve(import.meta.dirname, "../../config/nginx/heartcode.conf");

function isInstalled(): boolean {
  try {
    execFileSync(NGINX, ["-v"], { stdio: "ignore" });
    return true;
  } catch {
    console.warn(`left out: ${NGINX} is not installed (Debian: apt-get install nginx-light)`);
    return false;
  }
}

const crew = new Crew();
let directory: string;
let nginx: ChildProcess;
let stack: Stack;
let url: string;
let plainUrl: string;
let engines: Engines;
let client: OpenAI;

/** The project's file with the addresses of this test, inside the least that nginx needs around it. */
async function nginxConfig(ports: { plain: number; tls: number; edge: number }): Promise<string> {
  const { cert, key } = await makeCertificate(directory, "site");
  const ca = await readFile(cert, "utf8");
  setDefaultCACertificates([...getCACertificates("default"), ca]);
  const site = (await readFile(CONFIG, "utf8"))
    .replace("listen 80;", `listen 127.0.0.1:${ports.plain};`)
    .replace("listen 443 ssl", `listen 127.0.0.1:${ports.tls} ssl`)
    .replace("server 127.0.0.1:4000;", `server 127.0.0.1:${ports.edge};`)
    .replaceAll("edge.example.com;", "localhost;")
    .replace(/ssl_certificate [^;]+;/, `ssl_certificate ${cert};`)
    .replace(/ssl_certificate_key [^;]+;/, `ssl_certificate_key ${key};`)
    .replace("root /var/www/acme;", `root ${join(directory, "acme")};`);
  expect(site).not.toMatch(/^[^#]*(example\.com|letsencrypt)/m);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${join(directory, name)};`,
  );
  return `daemon off; worker_processes 1; pid ${join(directory, "nginx.pid")}; error_log ${join(directory, "nginx.log")};
events { worker_connections 512; }
http { access_log off; ${temporary.join(" ")}
${site}
}`;
}

describe.skipIf(!isInstalled())("behind nginx", () => {
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "heartcode-"));
    await mkdir(join(directory, "acme"));
    const ports = { plain: await freePort(), tls: await freePort() };
    url = `https://localhost:${ports.tls}`;
    plainUrl = `http://localhost:${ports.plain}`;
    stack = await startStack(crew, {
      directory,
      edgeArgs: ["--front", "--drain", "30"],
      edge: { TRUSTED_PROXIES: "127.0.0.1" },
      fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "100", "--first-token-ms", "5"],
      // The connector comes through nginx as well.
      uplinkPort: async (edge) => {
        await writeFile(join(directory, "nginx.conf"), await nginxConfig({ ...ports, edge }));
        nginx = spawn(NGINX, ["-p", directory, "-c", join(directory, "nginx.conf")], { stdio: "inherit" });
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
    if (nginx?.exitCode === null) {
      const gone = new Promise((done) => nginx.once("exit", done));
      nginx.kill("SIGTERM");
      await gone;
    }
    await rm(directory, { recursive: true, force: true });
  });

  behindProxy(() => ({ url, plainUrl, engines, client, chatPorts: stack.chatPorts }));

  /** A made-up key, and the status that it gets. */
  const failedKey = (base: string, key: number, options: { localAddress?: string; forwarded?: string } = {}) =>
    new Promise<number>((resolve, reject) => {
      const { hostname, port } = new URL(base);
      const headers: Record<string, string> = { authorization: `Bearer hc-sk-made-up-${key}` };
      if (options.forwarded !== undefined) headers["x-forwarded-for"] = options.forwarded;
      const asked = request(
        { host: hostname, port, path: "/v1/models", headers, localAddress: options.localAddress, agent: false },
        (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        },
      );
      asked.on("error", reject).end();
    });

  test("the client's address is nginx's word: neither its own, nor what the client forwards", async () => {
    // Here the proxy is this test, on the trusted address.
    const direct = `http://127.0.0.1:${stack.port}`;
    for (let key = 0; key < SHIELD_LIMIT; key += 1) {
      const forwarded = `10.9.9.${key}, 203.0.113.7`;
      expect(await failedKey(direct, key, { forwarded })).toBe(401);
    }
    // That client is out, whatever it puts before; another one behind the same proxy is not.
    expect(await failedKey(direct, 100, { forwarded: "1.2.3.4, 203.0.113.7" })).toBe(429);
    expect(await failedKey(direct, 101, { forwarded: "203.0.113.7, 203.0.113.8" })).toBe(401);
    // Who is no trusted proxy is counted by its own address.
    expect(await failedKey(direct, 102, { forwarded: "203.0.113.7", localAddress: "127.0.0.2" })).toBe(401);
  });

  test("SIGTERM waits for the stream, a second one does not", async () => {
    const parts = await client.chat.completions.create({ ...smallChat(5_000), stream: true });
    const reading = (async () => {
      for await (const _ of parts);
    })();
    const cut = expect(reading).rejects.toThrow();
    const { edge } = stack.parts;
    edge.kill("SIGTERM");
    await until(async () => (await readFile(join(directory, "edge.log"), "utf8")).includes("answers in flight"));
    await until(async () => !(await canConnect(stack.port)));
    expect(await engines.sum("slots_busy")).toBe(1);
    edge.kill("SIGTERM");
    expect(await edge.exited).toBe(0);
    await cut;
  });
});
