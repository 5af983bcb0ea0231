// The end of an edge on which workerd listens by itself: `npm run edge` without TLS and without a front.
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildWorker } from "../../dev/edge/build.ts";
import { Engines, until, useStack } from "../support/stack.ts";

const DRAIN_S = 8;
const args = ["--drain", String(DRAIN_S)];
let directory: string;
const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "50", "--first-token-ms", "5", "--slots", "64"],
  slots: 64,
  edgeArgs: args,
});
let engines: Engines;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "heartcode-"));
  engines = new Engines([...stack().chatPorts, ...stack().embedPorts]);
});

afterAll(() => rm(directory, { recursive: true, force: true }));

const client = () => new OpenAI({ apiKey: "hc-sk-demo-admin", baseURL: `${stack().url}/v1`, maxRetries: 0 });
const chat = (tokens: number) => ({
  model: "heartcode-default",
  max_tokens: tokens,
  messages: [{ role: "user" as const, content: "hi" }],
});

/** How a stream ends; rejects where it is cut. */
async function ending(tokens: number): Promise<string> {
  let reason = "";
  for await (const part of await client().chat.completions.create({ ...chat(tokens), stream: true })) {
    reason = part.choices[0]?.finish_reason ?? reason;
  }
  return reason;
}

/** A client that reads nothing until it is told to: all of its answer, as HTTP. */
function lazy(tokens: number): { read(): Promise<string> } {
  const body = JSON.stringify({ ...chat(tokens), stream: true });
  const socket = connect({ port: stack().port, host: "127.0.0.1" }, () => {
    socket.write(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer hc-sk-demo-admin\r\n" +
        `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  });
  socket.pause();
  return {
    async read() {
      let text = "";
      for await (const piece of socket.setEncoding("utf8")) text += piece;
      return text;
    },
  };
}

describe("SIGTERM", () => {
  test("lets twenty streams and what is not a stream finish, answers 503 to what comes meanwhile, and ends with 0", async () => {
    const streams = Array.from({ length: 20 }, () => ending(150));
    const whole = client().chat.completions.create(chat(150));
    const slow = lazy(150);
    await until(async () => (await engines.sum("slots_busy")) === 22);
    const { edge } = stack().parts;
    const from = performance.now();
    edge.kill("SIGTERM");
    const origin = "https://app.example";
    const late = () =>
      fetch(`${stack().url}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: "Bearer hc-sk-demo-admin", "content-type": "application/json", origin },
        body: JSON.stringify(chat(5)),
      });
    await until(async () => (await late()).status === 503);
    const refused = await late();
    expect(refused.headers.get("retry-after")).toBe("1");
    expect(refused.headers.get("x-request-id")).toMatch(/^req_/);
    expect(await refused.json()).toMatchObject({ error: { code: "model_unavailable" } });
    // A page, too, learns that it is to come again.
    expect(refused.headers.get("access-control-allow-origin")).toBe("*");
    const headers = { origin, "access-control-request-method": "POST" };
    const preflight = await fetch(`${stack().url}/v1/chat/completions`, { method: "OPTIONS", headers });
    expect(preflight.status).toBe(204);
    expect((await fetch(`${stack().url}/health/ready`)).status).toBe(503);
    expect((await fetch(`${stack().url}/health`)).status).toBe(200);
    expect(await Promise.all(streams)).toEqual(Array(20).fill("length"));
    expect((await whole).usage?.completion_tokens).toBe(150);
    // Whoever has not read yet has the time of the drain for it.
    expect(await slow.read()).toMatch(/data: \[DONE\]\n\n(\r\n0\r\n\r\n)?/);
    expect(await edge.exited).toBe(0);
    const seconds = (performance.now() - from) / 1000;
    console.log(`the edge has ended ${seconds.toFixed(1)} s after SIGTERM, its answers took 3 s`);
    expect(seconds).toBeLessThan(8);
  });

  test("and a start with a new bundle is a redeploy: its connectors are back within a second", async () => {
    const bundle = join(directory, "bundle");
    await cp(await buildWorker(), bundle, { recursive: true });
    const worker = join(bundle, "worker.js");
    await writeFile(
      worker,
      (await readFile(worker, "utf8")).replaceAll("There is nothing at", "Of version 2: nothing at"),
    );
    args.push("--bundle", bundle);
    const { edge } = await stack().startEdge();
    const from = performance.now();
    await until(async () => (await fetch(`${stack().url}/health/ready`)).ok);
    const backMs = performance.now() - from;
    console.log(`the connector was back ${Math.round(backMs)} ms after the start`);
    expect(backMs).toBeLessThan(1_000);
    expect(await ending(5)).toBe("length");
    expect(await (await fetch(`${stack().url}/none`)).text()).toContain("Of version 2");
    edge.kill("SIGTERM");
    // Nothing runs: nothing is waited for.
    const asked = performance.now();
    expect(await edge.exited).toBe(0);
    expect(performance.now() - asked).toBeLessThan(3_000);
  });

  test("cuts what takes longer than it may", async () => {
    const { edge } = await stack().startEdge();
    await ending(1);
    await engines.fault({ hang_after_tokens: 3 }, stack().chatPorts);
    const cut = expect(ending(100)).rejects.toThrow();
    await until(async () => (await engines.sum("slots_busy")) === 1);
    const from = performance.now();
    edge.kill("SIGTERM");
    expect(await edge.exited).toBe(0);
    await cut;
    const seconds = (performance.now() - from) / 1000;
    expect(seconds).toBeGreaterThan(DRAIN_S - 1);
    expect(seconds).toBeLessThan(DRAIN_S + 3);
  });
});
