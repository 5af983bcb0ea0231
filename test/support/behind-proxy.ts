// What holds behind every proxy that the project has a configuration for.
import { connect, createServer } from "node:net";
import type OpenAI from "openai";
import { expect, test } from "vitest";
import { SHIELD_LIMIT } from "../../edge/gate/shield.ts";
import { type Engines, until } from "./stack.ts";

export interface Proxied {
  readonly url: string;
  readonly plainUrl: string;
  readonly engines: Engines;
  readonly chatPorts: readonly number[];
  readonly client: OpenAI;
}

export const smallChat = (tokens: number) => ({
  model: "heartcode-default",
  max_tokens: tokens,
  messages: [{ role: "user" as const, content: "hi" }],
});

export function behindProxy(at: () => Proxied): void {
  test("the SDK gets its answers, whole and streamed, and the connector its socket", async () => {
    expect((await at().client.chat.completions.create(smallChat(5))).usage?.completion_tokens).toBe(5);
    let chunks = 0;
    for await (const _ of await at().client.chat.completions.create({ ...smallChat(20), stream: true })) chunks += 1;
    expect(chunks).toBeGreaterThan(20);
  });

  test("no token is held back, and a client that leaves frees its engine", async () => {
    const aborter = new AbortController();
    const parts = await at().client.chat.completions.create(
      { ...smallChat(5_000), stream: true },
      { signal: aborter.signal },
    );
    let seen = 0;
    for await (const _ of parts) {
      seen += 1;
      if (seen === 3) break;
    }
    expect(await at().engines.sum("completion_tokens_total")).toBeLessThan(1_000);
    await until(async () => (await at().engines.sum("slots_busy")) === 0);
  });

  test("a client that leaves before the first token frees its engine", async () => {
    await at().engines.fault({ hang_before_head: true }, at().chatPorts);
    const aborter = new AbortController();
    const asked = at().client.chat.completions.create({ ...smallChat(5), stream: true }, { signal: aborter.signal });
    const refused = expect(asked).rejects.toThrow();
    await until(async () => (await at().engines.sum("slots_busy")) === 1);
    aborter.abort();
    await refused;
    await until(async () => (await at().engines.sum("slots_busy")) === 0);
    await at().engines.fault({}, at().chatPorts);
  });

  test("a body over the edge's limit gets the edge's error, and not a page of the proxy", async () => {
    const response = await fetch(`${at().url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer hc-sk-demo-admin", "content-type": "application/json" },
      body: `{"model":"heartcode-default","messages":[{"role":"user","content":"${"x".repeat(8_500_000)}"}]}`,
    });
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { code: "request_too_large" } });
  });

  test("plain HTTP is sent to https, and /admin is for operators of this machine", async () => {
    const response = await fetch(`${at().plainUrl}/v1/models`, { redirect: "manual" });
    expect(response.status).toBe(308);
    expect(response.headers.get("location")).toMatch(/^https:\/\/localhost(:\d+)?\/v1\/models$/);
    expect((await fetch(`${at().url}/admin/status`)).status).toBe(401);
  });

  test("the proxy drops the address that a client claims", async () => {
    const claim = (key: number, claimed: string) =>
      fetch(`${at().url}/v1/models`, {
        headers: { authorization: `Bearer hc-sk-claimed-${key}`, "x-forwarded-for": claimed },
      });
    for (let key = 0; key < SHIELD_LIMIT; key += 1) expect((await claim(key, `10.8.8.${key}`)).status).toBe(401);
    expect((await claim(100, "10.8.9.1")).status).toBe(429);
    // A key that is good passes the shield of its address.
    expect((await at().client.models.list()).data.length).toBeGreaterThan(2);
  });
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

export function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
