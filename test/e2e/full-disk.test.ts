// An edge whose disk is full: what it answers, what it says, what it loses (nothing), and that it comes back by itself.
import { spawnSync } from "node:child_process";
import { dirname, join, resolve } from "node:path";
import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { CAN_MOUNT, fill, withSmallDisk } from "../support/small-disk.ts";
import { ADMIN_TOKEN, until, useStack } from "../support/stack.ts";

const EDGE = resolve(import.meta.dirname, "../../dev/edge/main.ts");
/** Of the edge, as the stack has it. */
const stateIn = (directory: string) => join(directory, "edge");
let said = "";

describe.skipIf(!CAN_MOUNT)(`a full disk${CAN_MOUNT ? "" : " (skipped: no mount namespaces here)"}`, () => {
  const stack = useStack({
    fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "50", "--first-token-ms", "5", "--slots", "64"],
    slots: 64,
    edgeUnder: (directory) => withSmallDisk(stateIn(directory)),
    edgeArgs: ["--drain", "20"],
    heard: (part, text) => {
      if (part === "edge") said += text;
    },
  });
  const folder = () => stateIn(dirname(stack().configs[0]!));
  const client = (key: string) => new OpenAI({ apiKey: key, baseURL: `${stack().url}/v1`, maxRetries: 0 });
  const chat = (max_tokens: number) => ({
    model: "heartcode-default",
    max_tokens,
    messages: [{ role: "user" as const, content: "hi" }],
  });
  const stream = async (key: string, tokens: number, begun: () => void = () => {}) => {
    const options = { ...chat(tokens), stream: true, stream_options: { include_usage: true } } as const;
    const { data, request_id: id } = await client(key).chat.completions.create(options).withResponse();
    const ending = { id, reason: "", tokens: 0 };
    for await (const part of data) {
      begun();
      ending.reason = part.choices[0]?.finish_reason ?? ending.reason;
      ending.tokens = part.usage?.completion_tokens ?? ending.tokens;
    }
    return ending;
  };
  const ask = (key = "hc-sk-demo-admin") =>
    fetch(`${stack().url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(chat(3)),
    });
  const status = async () => {
    const answer = await fetch(`${stack().url}/admin/status`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
    return (await answer.json()) as { shards: { writable: boolean; exchanges: number; gate: { leases: number } }[] };
  };
  const tells = () => said.split("\n").filter((line) => line.includes("EDGE_STATE"));

  test("is a quick 503 for what is new, one line that names it, and nothing for a stream that runs", async () => {
    // Keys of both shards.
    const begun: string[] = [];
    const streams = ["hc-sk-demo-admin", "hc-sk-demo-premium", "hc-sk-demo-free"].map((key) =>
      stream(key, 300, () => begun.push(key)),
    );
    // Looked at below; a test that fails before must not leave them unheard.
    for (const one of streams) one.catch(() => {});
    await until(() => new Set(begun).size === streams.length);
    const makeRoom = await fill(stack().parts.edge.pid, folder());
    const from = performance.now();
    expect((await ask()).status).toBe(503);
    const firstMs = performance.now() - from;
    await until(() => tells().length > 0);
    const next = performance.now();
    const refused = await ask();
    const nextMs = performance.now() - next;
    console.log(`the first refusal took ${firstMs.toFixed(0)} ms, the next one ${nextMs.toFixed(0)} ms`);
    expect(firstMs).toBeLessThan(2_000);
    expect(nextMs).toBeLessThan(500);
    expect([refused.status, await refused.json()]).toEqual([
      503,
      { error: expect.objectContaining({ code: "model_unavailable", message: expect.stringContaining("write") }) },
    ]);
    expect((await fetch(`${stack().url}/health`)).status).toBe(200);
    expect((await fetch(`${stack().url}/health/ready`)).status).toBe(503);
    const purge = await fetch(`${stack().url}/admin/keys/purge`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
      body: JSON.stringify({ key_sha256: "0".repeat(64) }),
    });
    expect(purge.status).toBe(503);
    expect((await status()).shards.map(({ writable }) => writable)).toEqual([false, false]);

    const endings = await Promise.all(streams);
    expect(endings.map(({ reason, tokens }) => [reason, tokens])).toEqual(Array(3).fill(["length", 300]));
    expect(tells()).toEqual([expect.stringContaining(`EDGE_STATE ${folder()} cannot be written (`)]);
    expect(said).not.toContain("sqlite.c++");
    // Owed until it can be written down.
    const leases = async () => (await status()).shards.reduce((sum, { gate }) => sum + gate.leases, 0);

    await makeRoom();
    await until(async () => (await ask()).status === 200);
    expect((await fetch(`${stack().url}/health/ready`)).status).toBe(200);
    expect(tells()).toHaveLength(2);
    expect(tells()[1]).toContain("can be written again, after");
    await until(async () => (await leases()) === 0);
    const charged = said.split("\n").filter((line) => /"charged":30\d/.test(line));
    expect(charged.map((line) => (JSON.parse(line) as { request_id: string }).request_id).sort()).toEqual(
      endings.map(({ id }) => id).sort(),
    );
  }, 60_000);

  test("again: it ends with 0 as soon as its answers are out", async () => {
    const running = stream("hc-sk-demo-premium", 100);
    running.catch(() => {});
    await until(async () => (await status()).shards.some(({ exchanges }) => exchanges > 0));
    await fill(stack().parts.edge.pid, folder());
    expect((await ask()).status).toBe(503);
    await until(async () => (await status()).shards.some(({ writable }) => !writable));
    expect(await running).toMatchObject({ reason: "length", tokens: 100 });
    const { edge } = stack().parts;
    const from = performance.now();
    edge.kill("SIGTERM");
    expect(await edge.exited).toBe(0);
    expect(performance.now() - from).toBeLessThan(5_000);
  }, 30_000);

  test("at its start is told in one line, and the exit code is 1", () => {
    const folder = join(dirname(stack().configs[0]!), "full");
    const [command = "", ...under] = withSmallDisk(folder, 'cat /dev/zero > "$1/filler" 2>/dev/null; true');
    const edge = ["--port", "0", "--state", folder];
    const { status: code, stderr } = spawnSync(command, [...under, process.execPath, EDGE, ...edge], {
      encoding: "utf8",
      env: { ...process.env, AUTH_MODE: "master-key", MASTER_KEY: "a-master-key" },
    });
    expect([code, stderr]).toEqual([1, `edge: EDGE_STATE ${folder} cannot be written: database or disk is full\n`]);
  });
});
