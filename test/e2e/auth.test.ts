// Who may: keys looked up over the uplink, and the master key.
import { randomBytes } from "node:crypto";
import { afterEach, describe, expect, test } from "vitest";
import { useStack } from "../support/stack.ts";

const chat = (url: string, key: string | null, body: object = {}) =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(key === null ? {} : { authorization: `Bearer ${key}` }) },
    body: JSON.stringify({
      model: "heartcode-default",
      max_tokens: 2,
      messages: [{ role: "user", content: "hi" }],
      ...body,
    }),
  });
const codeOf = async (response: Response) => ((await response.json()) as { error: { code: string } }).error.code;

describe("AUTH_MODE=backend", () => {
  const stack = useStack({
    fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "0", "--slots", "64"],
    slots: 64,
    edge: { HEARTCODE_BACKEND_TIMEOUT: "0.5" },
  });
  const sim = async (path: string, body?: object) => {
    const response = await fetch(
      `http://127.0.0.1:${stack().backendPort}/sim/${path}`,
      body === undefined
        ? {}
        : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) },
    );
    expect(response.ok).toBe(true);
    return response.json() as Promise<{ verify_calls: number }>;
  };
  const newKey = async () => {
    const key = `hc-sk-${randomBytes(12).toString("hex")}`;
    await sim("keys", { add: { api_key: key, tier: "premium" } });
    return key;
  };
  afterEach(async () => {
    await sim("faults", {});
  });

  test("fifty requests on a new key ask the backend once", async () => {
    const key = await newKey();
    const before = (await sim("state")).verify_calls;
    const answers = await Promise.all(Array.from({ length: 50 }, () => chat(stack().url, key)));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
    expect((await sim("state")).verify_calls).toBe(before + 1);
  });

  test("a known key needs no backend; an unknown one is 503 or 504 while it is away, never 401", async () => {
    const known = await newKey();
    expect((await chat(stack().url, known)).status).toBe(200);

    await sim("faults", { status: 500 });
    expect((await chat(stack().url, known)).status).toBe(200);
    const refused = await chat(stack().url, await newKey());
    expect([refused.status, await codeOf(refused)]).toEqual([503, "auth_unavailable"]);

    await sim("faults", { hang: true });
    const hanging = await chat(stack().url, await newKey());
    expect([hanging.status, await codeOf(hanging)]).toEqual([504, "auth_timeout"]);

    await sim("faults", { garbage: true });
    const garbled = await chat(stack().url, await newKey());
    expect([garbled.status, await codeOf(garbled)]).toEqual([503, "auth_unavailable"]);
  });

  test("missing, malformed, unknown and revoked keys read the same, and malformed ones reach no backend", async () => {
    const { verify_calls } = await sim("state");
    const texts = new Set<string>();
    for (const key of [null, "x", "hc-sk-", "sk-123456789", `hc-sk-${"a".repeat(500)}`]) {
      const answer = await chat(stack().url, key);
      expect(answer.status).toBe(401);
      texts.add(await answer.text());
    }
    expect((await sim("state")).verify_calls).toBe(verify_calls);
    for (const key of ["hc-sk-unknown-key", "hc-sk-demo-revoked"]) {
      const answer = await chat(stack().url, key);
      expect(answer.status).toBe(401);
      texts.add(await answer.text());
    }
    expect(texts.size).toBe(1);
  });

  test("every answer has a request id of its own, also an error", async () => {
    const ids = new Set<string | null>();
    for (const path of ["/v1/models", "/v1/nothing", "/v1/chat/completions"]) {
      ids.add((await fetch(`${stack().url}${path}`)).headers.get("x-request-id"));
    }
    expect(ids.size).toBe(3);
    expect(ids.has(null)).toBe(false);
  });

  const strangers: [what: string, path: string, init: RequestInit, status: number, code: string][] = [
    ["an unknown path", "/v1/images", {}, 404, "not_found"],
    ["the wrong method", "/v1/chat/completions", {}, 405, "method_not_allowed"],
    ["the admin page without a token", "/admin/status", {}, 401, "invalid_api_key"],
    [
      "the wrong content type",
      "/v1/embeddings",
      {
        method: "POST",
        body: "{}",
        headers: { authorization: "Bearer hc-sk-demo-admin", "content-type": "text/plain" },
      },
      415,
      "unsupported_media_type",
    ],
  ];
  test.each(strangers)("%s is an error of the table", async (_what, path, init, status, code) => {
    const answer = await fetch(`${stack().url}${path}`, init);
    expect([answer.status, await codeOf(answer)]).toEqual([status, code]);
  });

  test("a body of several hundred kilobytes arrives whole", async () => {
    const input = Array.from({ length: 600 }, (_, i) => `${i} ${"ü".repeat(400)}`);
    const answer = await fetch(`${stack().url}/v1/embeddings`, {
      method: "POST",
      headers: { authorization: "Bearer hc-sk-demo-admin", "content-type": "application/json" },
      body: JSON.stringify({ model: "heartcode-embed", input }),
    });
    expect(answer.status).toBe(200);
    expect(((await answer.json()) as { data: unknown[] }).data).toHaveLength(600);
  });
});

describe("AUTH_MODE=master-key", () => {
  const stack = useStack({
    fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "0"],
    connectors: ["onprem-1", "onprem-2"],
    edge: { AUTH_MODE: "master-key", MASTER_KEY: "a-master-key", HUB_SHARDS: "3" },
  });

  test("lets the master key in, under public and internal names, and nobody else", async () => {
    for (const model of ["heartcode-default", "heartcode-nsfw", "heartcode-chat-sfw"]) {
      const answer = await chat(stack().url, "a-master-key", { model });
      expect(answer.status).toBe(200);
      expect(await answer.json()).toMatchObject({ model });
    }
    for (const key of ["another-key", "hc-sk-demo-admin", null]) {
      expect((await chat(stack().url, key)).status).toBe(401);
    }
  });

  test("two connectors on three shards share the work, and one goes on alone when the other is killed", async () => {
    const statusOf = async () => {
      const headers = { authorization: "Bearer test-admin-token" };
      const answer = await fetch(`${stack().url}/admin/status`, { headers });
      return ((await answer.json()) as { shards: { links: { connector: string; live: boolean }[] }[] }).shards;
    };
    const shards = await statusOf();
    expect(shards.map(({ links }) => links.map(({ connector }) => connector).sort())).toEqual(
      Array(3).fill(["onprem-1", "onprem-2"]),
    );
    stack().connectors[0]!.kill("SIGKILL");
    await stack().connectors[0]!.exited;
    const answers = await Promise.all(Array.from({ length: 12 }, () => chat(stack().url, "a-master-key")));
    expect(answers.map((answer) => answer.status)).toEqual(Array(12).fill(200));
  });
});
