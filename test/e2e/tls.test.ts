// The edge as a public service: TLS by a throwaway certificate, its renewal, the redirect, and the end by SIGTERM.
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, getCACertificates, setDefaultCACertificates, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Crew } from "../../dev/crew.ts";
import { type Stack, startStack } from "../../dev/start/stack.ts";
import { makeCertificate, type TestCertificate } from "../support/certificate.ts";
import { Engines, until } from "../support/stack.ts";

const run = promisify(execFile);
const crew = new Crew();
let directory: string;
let first: TestCertificate;
let second: TestCertificate;
let live: TestCertificate;
let stack: Stack;
let redirectPort: number;
let engines: Engines;
let client: OpenAI;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "heartcode-"));
  [first, second] = await Promise.all([makeCertificate(directory, "first"), makeCertificate(directory, "second")]);
  const ca = join(directory, "ca.crt");
  await writeFile(ca, (await readFile(first.cert, "utf8")) + (await readFile(second.cert, "utf8")));
  setDefaultCACertificates([...getCACertificates("default"), await readFile(ca, "utf8")]);
  live = { cert: join(directory, "live.crt"), key: join(directory, "live.key") };
  await install(first);
  const acme = join(directory, "acme/.well-known/acme-challenge");
  await mkdir(acme, { recursive: true });
  await writeFile(join(acme, "token-1"), "token-1.proof");
  stack = await startStack(crew, {
    directory,
    ca,
    edgeArgs: [
      ...["--tls-cert", live.cert, "--tls-key", live.key, "--redirect-port", "0"],
      ...["--acme-webroot", join(directory, "acme"), "--drain", "30"],
    ],
    fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "50", "--first-token-ms", "5", "--slots", "32"],
    slots: 32,
  });
  redirectPort = Number(/redirect on port (\d+)/.exec(await edgeLog())![1]);
  engines = new Engines([...stack.chatPorts, ...stack.embedPorts]);
  await until(async () => (await fetch(`${stack.url}/health/ready`)).ok);
  client = new OpenAI({ apiKey: "hc-sk-demo-admin", baseURL: `${stack.url}/v1`, maxRetries: 0 });
});
afterAll(async () => {
  await crew.dismiss();
  await rm(directory, { recursive: true, force: true });
});

const edgeLog = () => readFile(join(directory, "edge.log"), "utf8");

async function install(pair: TestCertificate): Promise<void> {
  await copyFile(pair.cert, live.cert);
  await copyFile(pair.key, live.key);
}

const chat = (tokens: number) => ({
  model: "heartcode-default",
  max_tokens: tokens,
  messages: [{ role: "user" as const, content: "hi" }],
});
const stream = (tokens: number) => client.chat.completions.create({ ...chat(tokens), stream: true });

/** Reads a stream to its end, and tells its parts. */
async function finish(parts: AsyncIterable<OpenAI.ChatCompletionChunk>): Promise<{ text: string; reason: string }> {
  let text = "";
  let reason = "";
  for await (const part of parts) {
    text += part.choices[0]?.delta.content ?? "";
    reason = part.choices[0]?.finish_reason ?? reason;
  }
  return { text, reason };
}

async function certificateName(): Promise<string> {
  const socket = connectTls({ port: stack.port, host: "127.0.0.1" });
  await new Promise((done, fail) => socket.once("secureConnect", done).once("error", fail));
  const name = String(socket.getPeerCertificate().subject.CN);
  socket.destroy();
  return name;
}

describe("TLS", () => {
  test("is what openssl calls verified, 1.2 and 1.3, and nothing older", async () => {
    const dial = (...more: string[]) => {
      const asked = run("openssl", ["s_client", "-connect", `127.0.0.1:${stack.port}`, "-CAfile", first.cert, ...more]);
      asked.child.stdin?.end();
      return asked;
    };
    expect((await dial("-tls1_3", "-verify_return_error")).stdout).toContain("Verify return code: 0 (ok)");
    expect((await dial("-tls1_2", "-verify_return_error")).stdout).toContain("Verify return code: 0 (ok)");
    await expect(dial("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")).rejects.toThrow();
  });

  test("carries curl's request, and no plain one", async () => {
    const { stdout } = await run("curl", ["-sS", "--cacert", first.cert, `${stack.url}/health`]);
    expect(JSON.parse(stdout)).toEqual({ status: "ok" });
    await expect(fetch(`http://127.0.0.1:${stack.port}/health`)).rejects.toThrow();
  });

  test("carries the OpenAI SDK's answers, plain and streamed, and embeddings", async () => {
    const plain = await client.chat.completions.create(chat(12));
    expect(plain.usage?.completion_tokens).toBe(12);
    expect(await finish(await stream(12))).toEqual({ text: plain.choices[0]?.message.content, reason: "length" });
    const { data } = await client.embeddings.create({ model: "heartcode-embed", input: ["a", "b"] });
    expect(data.map((row) => row.index)).toEqual([0, 1]);
  });

  test("holds no token back: the first is here while the engine still writes", async () => {
    const parts = await stream(5_000);
    let seen = 0;
    for await (const _ of parts) {
      seen += 1;
      if (seen === 3) break;
    }
    // Had anything been held to the end, 5,000 tokens would have passed.
    await until(async () => (await engines.sum("slots_busy")) === 0);
    expect(await engines.sum("completion_tokens_total")).toBeLessThan(2_000);
  });
});

describe("a body that is refused while it comes", () => {
  const size = 1 << 20;
  const body = (pieces: number) =>
    new ReadableStream({
      pull(controller) {
        if (pieces === 0) controller.close();
        else controller.enqueue(new Uint8Array(size));
        pieces -= 1;
      },
    });
  const send = (key: string, sent: ReadableStream | Uint8Array) =>
    fetch(`${stack.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: sent,
      duplex: "half",
    } as RequestInit);
  const rows: [what: string, status: number, code: string, send: () => Promise<Response>][] = [
    ["of 12 MiB in chunks", 413, "request_too_large", () => send("hc-sk-demo-admin", body(12))],
    ["of 12 MiB with its length", 413, "request_too_large", () => send("hc-sk-demo-admin", new Uint8Array(12 * size))],
    ["of 6 MiB in chunks, for no key", 401, "invalid_api_key", () => send("", body(6))],
    ["of 6 MiB with its length, for no key", 401, "invalid_api_key", () => send("", new Uint8Array(6 * size))],
  ];
  test.each(rows)("%s has the edge's answer, every time", async (_what, status, code, ask) => {
    for (let time = 0; time < 10; time += 1) {
      const response = await ask();
      expect(response.status).toBe(status);
      expect(await response.json()).toMatchObject({ error: { code } });
    }
  });
});

describe("a client that leaves", () => {
  const body = JSON.stringify({ ...chat(5_000), stream: true });
  const request =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer hc-sk-demo-admin\r\n" +
    `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  interface Asked {
    readonly tcp: Socket;
    readonly socket: TLSSocket;
    text(): string;
  }
  const ask = async (): Promise<Asked> => {
    const tcp = connect(stack.port, "127.0.0.1");
    const socket = connectTls({ socket: tcp, host: "127.0.0.1" });
    let text = "";
    socket.setEncoding("utf8").on("data", (piece: string) => {
      text += piece;
    });
    socket.on("error", () => {});
    await new Promise((done) => socket.once("secureConnect", done));
    socket.write(request);
    return { tcp, socket, text: () => text };
  };
  const ways: [how: string, leave: (asked: Asked) => unknown][] = [
    ["in order", ({ socket }) => socket.end()],
    ["by reset", ({ tcp }) => tcp.resetAndDestroy()],
  ];
  afterEach(() => engines.fault({}, stack.chatPorts));

  test.each(ways)("%s before the head frees the engine", async (_how, leave) => {
    await engines.fault({ hang_before_head: true }, stack.chatPorts);
    const asked = await ask();
    await until(async () => (await engines.sum("slots_busy")) === 1);
    leave(asked);
    await until(async () => (await engines.sum("slots_busy")) === 0);
  });

  test.each(ways)("%s during silence frees the engine", async (_how, leave) => {
    await engines.fault({ hang_after_tokens: 3 }, stack.chatPorts);
    const asked = await ask();
    await until(() => asked.text().includes("data: "));
    leave(asked);
    await until(async () => (await engines.sum("slots_busy")) === 0);
  });
});

describe("plain HTTP", () => {
  const at = (path: string, init?: RequestInit) =>
    fetch(`http://127.0.0.1:${redirectPort}${path}`, { redirect: "manual", ...init });

  test("is sent to https, with method and path", async () => {
    for (const method of ["GET", "POST"]) {
      const response = await at("/v1/models?a=b", { method });
      expect(response.status).toBe(308);
      expect(response.headers.get("location")).toBe(`https://127.0.0.1:${stack.port}/v1/models?a=b`);
    }
  });

  test("answers the challenges of a renewal, and no other file", async () => {
    expect(await (await at("/.well-known/acme-challenge/token-1")).text()).toBe("token-1.proof");
    expect((await at("/.well-known/acme-challenge/token-2")).status).toBe(404);
    expect((await at("/.well-known/acme-challenge/..%2f..%2f..%2flive.key")).status).toBe(308);
  });
});

describe("renewal", () => {
  test("breaks none of twenty streams, and new connections get the new certificate", async () => {
    expect(await certificateName()).toBe("first");
    const streams = await Promise.all(Array.from({ length: 20 }, () => stream(150)));
    const reading = streams.map(finish);
    await until(async () => (await engines.sum("completion_tokens_total")) > 0);
    await install(second);
    process.kill(stack.parts.edge.pid, "SIGHUP");
    await until(async () => (await certificateName()) === "second");
    expect(await engines.sum("slots_busy")).toBe(20);
    const answers = await Promise.all(reading);
    expect(answers).toHaveLength(20);
    for (const { reason } of answers) expect(reason).toBe("length");
    expect(await edgeLog()).toMatch(/certificate renewed: for localhost, 127\.0\.0\.1, until \d{4}-\d\d-\d\d/);
  });

  test("by half changes nothing, and says so", async () => {
    await copyFile(first.cert, live.cert);
    process.kill(stack.parts.edge.pid, "SIGHUP");
    await until(async () => (await edgeLog()).includes("certificate not renewed, the old one serves on"));
    expect(await certificateName()).toBe("second");
    await install(second);
  });
});

describe("SIGTERM", () => {
  test("lets running answers finish, takes no connection, and ends with 0", async () => {
    const reading = (await Promise.all([stream(100), stream(100)])).map(finish);
    const { edge } = stack.parts;
    edge.kill("SIGTERM");
    await until(
      () =>
        new Promise<boolean>((resolve) => {
          const socket = connect(stack.port, "127.0.0.1", () => socket.destroy());
          socket.on("error", () => resolve(true)).on("close", () => resolve(false));
        }),
    );
    for (const { reason } of await Promise.all(reading)) expect(reason).toBe("length");
    expect(await edge.exited).toBe(0);
  });
});
