// What the road between connector and edge does is not felt: cuts in every place, hubs that vanish, black holes, restarts.
import { createHash } from "node:crypto";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { FaultProxy } from "../support/fault-proxy.ts";
import { ADMIN_TOKEN, Engines, until, useStack } from "../support/stack.ts";

let road: FaultProxy;
const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "100", "--slots", "64"],
  slots: 64,
  edge: { DEV_FAULTS: "1", HUB_SHARDS: "1" },
  uplinkPort: async (edgePort) => {
    road = await FaultProxy.to(edgePort);
    return road.port;
  },
});
let engines: Engines;
beforeAll(() => {
  engines = new Engines([...stack().chatPorts, ...stack().embedPorts]);
});
afterEach(async () => {
  road.heal();
  await engines.fault({});
  await until(async () => (await fetch(`${stack().url}/health/ready`)).ok, 30_000);
});
afterAll(() => road.close());

const headers = { authorization: "Bearer hc-sk-demo-admin", "content-type": "application/json" };
const admin = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" };
const ask = (path: string, body: object) =>
  fetch(`${stack().url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
const chat = (max_tokens: number, stream = true, more: object = {}) =>
  ask("/v1/chat/completions", {
    model: "heartcode-default",
    stream,
    max_tokens,
    messages: [{ role: "user", content: "hi" }],
    ...more,
  });
const abortHub = (shard = 0) =>
  fetch(`${stack().url}/admin/dev/abort-hub`, { method: "POST", headers: admin, body: JSON.stringify({ shard }) });

/** What an answer says, without what is different in each: ids and times. */
const same = (text: string): string =>
  text.replaceAll(/"(id|created|system_fingerprint)":("[^"]*"|\d+)|"timings":\{[^}]*\}/g, "");
const whole = async (response: Promise<Response>): Promise<string> => {
  const answer = await response;
  const text = await answer.text();
  expect([answer.status, text.slice(0, 200)]).toEqual([200, expect.stringMatching(/^(data: |\{)/)]);
  return same(text);
};
const digest = (text: string): string => createHash("sha256").update(text).digest("hex");

/** What goes wrong, and when: it begins before the request is sent. */
const CUTS: [where: string, harm: () => Promise<unknown>][] = [
  ["the OPEN is cut in the middle", () => road.cutAfter(40, "down")],
  ["the socket is cut behind ACCEPT", () => road.cutAfter(9, "up")],
  ["the socket is cut behind the head", () => road.cutAfter(200, "up")],
  ["a batch of frames is cut in the middle", () => road.cutAfter(3_001, "up")],
  ["the socket ends by FIN in the middle of a frame", () => road.cutAfter(5_003, "up", "fin")],
  [
    "only the connector learns of the cut",
    async () => {
      await until(async () => (await engines.sum("slots_busy")) > 0);
      road.cut("rst", "down");
    },
  ],
  [
    "the hub is aborted before the head",
    async () => {
      await until(async () => (await engines.sum("requests")) > 0);
      expect((await abortHub()).status).toBe(200);
    },
  ],
  [
    "the hub is aborted while tokens flow, twice",
    async () => {
      for (const more of [20, 40]) {
        const before = await engines.sum("completion_tokens_total");
        await until(async () => (await engines.sum("completion_tokens_total")) > before + more);
        await abortHub();
      }
    },
  ],
];

describe("a stream is the same, byte for byte, although", () => {
  test.each(CUTS)("%s", async (_where, harm) => {
    const undisturbed = await whole(chat(150));
    const harmed = harm();
    const answer = whole(chat(150));
    await harmed;
    expect(await answer).toBe(undisturbed);
  });
});

describe("a plain answer of a megabyte is the same, byte for byte, although", () => {
  const input = Array.from({ length: 120 }, (_, i) => `text ${i}`);
  const embed = () => ask("/v1/embeddings", { model: "heartcode-embed", input });
  const rows: [where: string, harm: () => Promise<unknown>][] = [
    [
      "the socket is cut in its middle, again and again",
      async () => {
        for (const bytes of [50_001, 200_003, 300_007]) await road.cutAfter(bytes, "up");
      },
    ],
    [
      "the hub is aborted in its middle",
      async () => {
        const from = road.bytes("up");
        await until(() => road.bytes("up") > from + 100_000);
        await abortHub();
      },
    ],
  ];
  test.each(rows)("%s", async (_where, harm) => {
    const undisturbed = await whole(embed());
    expect(undisturbed.length).toBeGreaterThan(900_000);
    const harmed = harm();
    const answer = whole(embed());
    await harmed;
    expect(digest(await answer)).toBe(digest(undisturbed));
  });
});

test("an answer whose engine has finished is still delivered when it went into a dead socket", async () => {
  const undisturbed = await whole(chat(30, false));
  const answer = whole(chat(30, false));
  await until(async () => (await engines.sum("slots_busy")) > 0);
  road.stall("up");
  await until(async () => (await engines.sum("slots_busy")) === 0);
  road.cut();
  road.release();
  expect(await answer).toBe(undisturbed);
});

test.each([100_000, 1_500_000])(
  "a request of %i bytes whose socket breaks in its middle is sent again",
  async (bytes) => {
    // A field that no engine knows: what the model itself reads would not fit its context.
    const broken = road.cutAfter(bytes / 2, "down");
    const answer = chat(3, false, { filler: "x".repeat(bytes) });
    await broken;
    await whole(answer);
  },
);

test("what comes while no connector is there waits for it", async () => {
  road.refuse();
  road.cut();
  await until(() => road.refused > 0);
  // The sockets are down, and the next dials will succeed.
  road.refuse(false);
  await Promise.all(Array.from({ length: 20 }, () => whole(chat(2))));
});

test("the switch that aborts a hub takes no other shard and no other word", async () => {
  const refused = await fetch(`${stack().url}/admin/dev/abort-hub`, { method: "POST", headers: admin, body: "{}" });
  expect([refused.status, (await abortHub(7)).status]).toEqual([400, 400]);
});

test("a black hole is found by both sides within their deadlines, and the answer goes on", async () => {
  // Few: all of the answer and its END go into the hole, and the connector has nothing left to send.
  const TOKENS = 45;
  const undisturbed = await whole(chat(TOKENS));
  const from = await engines.sum("completion_tokens_total");
  const answer = whole(chat(TOKENS));
  await until(async () => (await engines.sum("completion_tokens_total")) > from + 20);
  const connections = road.connections;
  const holeAt = performance.now();
  road.blackHole(undefined, { newOnes: false });
  // What comes now finds out: no ACCEPT, no sign of life, and the hub lets the socket go long before the connector knows.
  // Under load the connector may be as quick as the request's patience.
  expect([200, 503]).toContain((await chat(1)).status);
  await until(() => road.connections > connections, 15_000);
  expect(await answer).toBe(undisturbed);
  expect(performance.now() - holeAt).toBeLessThan(12_000);
  await whole(chat(2));
}, 60_000);

describe("SIGHUP", () => {
  const lastLog = async () => readFile(stack().configs[0]!.replace(/yaml$/, "log"), "utf8");

  test("replaces pools while their exchanges finish, and an invalid file changes nothing", async () => {
    const [config] = stack().configs;
    const [connector] = stack().connectors;
    const text = await readFile(config!, "utf8");
    const undisturbed = await whole(chat(150));
    const running = whole(chat(150));
    await until(async () => (await engines.sum("slots_busy")) > 0);
    await appendFile(config!, "\nnonsense: 1\n");
    process.kill(connector!.pid, "SIGHUP");
    await until(async () => (await lastLog()).includes("the configuration is not reloaded"));
    expect(await lastLog()).toContain("nonsense");
    await writeFile(config!, text.replaceAll("slots: 64", "slots: 7"));
    process.kill(connector!.pid, "SIGHUP");
    await until(async () => (await lastLog()).includes("the configuration is reloaded"));
    await whole(chat(2));
    expect(await running).toBe(undisturbed);
    await until(async () => (await lastLog()).includes("a replaced pool has finished what it had"));
    const status = await (await fetch(`${stack().url}/admin/status`, { headers: admin })).json();
    expect(JSON.stringify(status)).toContain('"slots":7');
  });
});

test("a connector under load leaves without a refused or broken answer, and the next one goes on", async () => {
  let isOver = false;
  const answers: Promise<string>[] = [];
  const client = async () => {
    while (!isOver) {
      const answer = whole(chat(5));
      answers.push(answer);
      await answer.catch(() => {});
    }
  };
  const underLoad = () => {
    isOver = false;
    return Array.from({ length: 8 }, client);
  };
  const [connector] = stack().connectors;
  const seen = await engines.sum("requests");
  const before = underLoad();
  await until(() => answers.length > 30);
  // What comes to the hub from here on waits two seconds for the next one, and a process may take longer to start.
  isOver = true;
  await until(async () => (await engines.sum("requests")) - seen === answers.length);
  connector!.kill("SIGTERM");
  expect(await connector!.exited).toBe(0);
  await Promise.all(before);
  await stack().startConnector(0);
  const count = answers.length;
  const after = underLoad();
  await until(() => answers.length > count + 20);
  isOver = true;
  await Promise.all(after);
  for (const answer of answers) await answer;
});
