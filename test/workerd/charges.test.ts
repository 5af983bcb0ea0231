// What is paid when a hub is lost at the worst moment: after an exchange was settled, and before its Worker has the answer.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import {
  EXCHANGE_HEADER,
  type ExchangeRequest,
  FAILURE_HEADER,
  type ResumeRequest,
  UPLINK_HEADER,
} from "../../shared/hop.ts";
import { decode, encode } from "../../shared/wire/codec.ts";
import { type Frame, FrameType } from "../../shared/wire/frames.ts";
import { acceptFrame, jsonFrame } from "../../shared/wire/messages.ts";
import { askedOf } from "../support/asked.ts";

const json = (frame: Frame): Record<string, unknown> => JSON.parse(new TextDecoder().decode(frame.payload));
const credentials = { mode: "backend", key: "hc-sk-charges", digest: "c".repeat(64) } as const;
const VERDICT = { valid: true, key_id: "k", user_id: "u", tier: "admin", age_verified: true, expires_at: null };
const timings = { queue_ms: 0, first_byte_ms: 0, total_ms: 0 };
const usage = { prompt_tokens: 10, completion_tokens: 5, source: "engine" };

interface Hub {
  readonly board: { readonly settlement: { commit(): void } };
  readonly gate: {
    admit(asked: ExchangeRequest): unknown;
    commit(): void;
    tick(now: number, isResting: boolean): unknown;
    nextExpiry(): number | null;
  };
}

const request = (id: string) =>
  askedOf(id, { credentials, demand: { promptBytes: 10, generates: true, maxTokens: 20, choices: 1 } });

/** Only begins to be answered. */
const ENDLESS = "endless";

/** A hub with a connector that answers lookups, and fails all else for 15 tokens. */
async function served(name: string) {
  // Of a hub that was lost a stub is of no use any more.
  const hub = () => env.HUB.get(env.HUB.idFromName(name));
  const opened: string[] = [];
  const leases = new Map<string, string | undefined>();
  const serve = (socket: WebSocket, frame: Frame): void => {
    const say = (...frames: Frame[]) => socket.send(encode(frames));
    const { channel } = frame;
    const { exchange, attempt, target, lease } = json(frame) as {
      exchange: string;
      attempt: number;
      target: string;
      lease?: string;
    };
    opened.push(exchange);
    leases.set(exchange, lease);
    const end = { exchange, attempt, outcome: "complete", usage: null, timings, failure: null };
    if (exchange === ENDLESS) {
      say(acceptFrame(channel), jsonFrame(FrameType.HEAD, channel, { status: 200, headers: [] }));
      return;
    }
    if (target !== "backend") {
      const failure = { code: "upstream_error" };
      const failed = { ...end, outcome: "failed", bytes: 0, usage, failure };
      say(acceptFrame(channel), jsonFrame(FrameType.END, channel, failed));
      return;
    }
    const payload = new TextEncoder().encode(JSON.stringify(VERDICT));
    say(
      acceptFrame(channel),
      jsonFrame(FrameType.HEAD, channel, { status: 200, headers: [] }),
      { type: FrameType.DATA, channel, payload },
      jsonFrame(FrameType.END, channel, { ...end, bytes: payload.byteLength }),
    );
  };
  const dial = async (instance: string): Promise<(...frames: Frame[]) => void> => {
    const uplink = { connector: "c", shard: 0, slot: 0, jti: `jti ${name} ${instance}`, exp: Date.now() / 1000 + 60 };
    const upgrade = await hub().fetch("http://hub/", {
      headers: { upgrade: "websocket", [UPLINK_HEADER]: JSON.stringify(uplink) },
    });
    const socket = upgrade.webSocket!;
    socket.binaryType = "arraybuffer";
    socket.accept();
    socket.addEventListener("message", (event) => {
      for (const frame of decode(new Uint8Array(event.data as ArrayBuffer)))
        if (frame.type === FrameType.OPEN) serve(socket, frame);
    });
    const pools = [{ model: "m", kind: "chat", upstreams: 1, healthy: 1, slots: 9, in_flight: 0, queued: 0 }];
    const windows = { exchange: 262_144, socket: 4_194_304 };
    const hello = { versions: [1], features: [], instance, agent: "t", windows, pools };
    socket.send(encode([jsonFrame(FrameType.HELLO, 0, hello)]));
    return (...frames) => socket.send(encode(frames));
  };
  await dial("i");

  const ask = (asked: ExchangeRequest): Promise<Response> => {
    const headers = { [EXCHANGE_HEADER]: JSON.stringify(asked) };
    return hub().fetch("http://hub/", { method: "POST", body: new Uint8Array(10), headers });
  };
  const used = async (): Promise<number> => {
    const told = (await hub().usage(credentials)) as {
      usage: { standing: { day: { limit: number; remaining: number } } };
    };
    const { limit, remaining } = told.usage.standing.day;
    return limit - remaining;
  };
  const within = <T>(work: (hub: Hub) => T) => runInDurableObject(hub(), (one) => work(one as unknown as Hub));
  const patience = () => within(({ gate }) => (gate.nextExpiry() ?? 0) - Date.now());
  return { stub: hub(), opened, leases, dial, ask, used, within, patience };
}

test.each([
  ["in memory", false, false],
  ["in the journal", true, false],
  ["in the ledger", true, true],
])(
  "an exchange that was settled and is asked for once more is paid once: known %s",
  async (where, isLost, isAtRest) => {
    const { stub, opened, ask, used, within } = await served(`paid ${where}`);
    await ask(request("x"));
    expect(await used()).toBe(15);
    if (isLost) {
      await within(({ board, gate }) => {
        board.settlement.commit();
        if (isAtRest) gate.tick(Date.now(), true);
      });
      await evictDurableObject(stub);
    }
    // As the Worker does whose hub was lost before it had an answer.
    await ask({ ...request("x"), attempts: 50 });
    expect(opened.filter((id) => id === "x")).toHaveLength(2);
    expect(await used()).toBe(15);
  },
  30_000,
);

test("an answer leaves when its admission is on disk, also among others", async () => {
  const { stub, ask, opened } = await served("written");
  await ask(request(ENDLESS));
  const answers = await Promise.all(["x", "y", "z"].map((id) => ask(request(id))));
  expect(answers.map(({ headers }) => headers.has(FAILURE_HEADER))).toEqual([true, true, true]);
  const rows = await runInDurableObject(stub, (_, state) =>
    state.storage.sql.exec<{ entries: string }>("SELECT entries FROM journal ORDER BY seq").toArray(),
  );
  const admitted = rows
    .flatMap(({ entries }) => JSON.parse(entries) as string[][])
    .filter(([what]) => what === "admit");
  expect(admitted.map(([, , id]) => id).toSorted()).toEqual([ENDLESS, "x", "y", "z"].toSorted());
  expect(opened).toEqual(expect.arrayContaining(["x", "y", "z"]));
}, 30_000);

test("what a lost hub had let in and not written down is paid by what its connector gives back", async () => {
  const { stub, dial, ask, used, leases } = await served("owed");
  await ask(request("x"));
  expect(leases.get("x")).toMatch(/^1\.c{64}\./);
  // Run by a connector, and let in by a hub that is lost before anything else.
  let lease = "";
  const lost = runInDurableObject(stub, (hub, state) => {
    ({ lease } = (hub as unknown as Hub).gate.admit(request("y")) as { lease: string });
    state.abort("lost");
  });
  await expect(lost).rejects.toThrow("lost");
  const say = await dial("j");
  const before = await used();
  const end = { exchange: "y", attempt: 1, outcome: "complete", bytes: 1, usage, timings, failure: null, lease };
  say(jsonFrame(FrameType.END, 0, end));
  say(jsonFrame(FrameType.END, 0, end));
  expect(await used()).toBe(before + 15);
}, 30_000);

test("what a lost hub had let in is waited for a minute, unless its Worker comes back", async () => {
  const { stub, ask, used, within, patience } = await served("recalled");
  await ask(request("x"));
  await within(({ gate }) => {
    gate.admit(request("y"));
    gate.commit();
  });
  expect(await used()).toBeGreaterThan(15);
  expect(await patience()).toBeGreaterThan(600_000);
  await evictDurableObject(stub);
  expect(await patience()).toBeGreaterThan(50_000);
  expect(await patience()).toBeLessThanOrEqual(60_000);
  const expiry = () =>
    runInDurableObject(stub, async (hub, state) => [
      (hub as unknown as Hub).gate.nextExpiry(),
      await state.storage.getAlarm(),
      state.storage.sql.exec("SELECT 1 FROM journal").toArray().length,
    ]);
  const [expiresAt, ...rest] = await expiry();
  expect(rest[0]).toBe(expiresAt);
  // A life that only wakes has no tick: the next one goes on with the same minute, and writes nothing.
  await evictDurableObject(stub);
  expect(await expiry()).toEqual([expiresAt, ...rest]);
  await within(({ gate }) => gate.admit({ ...request("y"), attempts: 50 }));
  expect(await patience()).toBeGreaterThan(600_000);
}, 30_000);

test("what has broken off for good is waited for a minute, also when its Worker asks to go on with it", async () => {
  const { stub, dial, ask, patience } = await served("spent");
  const answer = await ask(request(ENDLESS));
  expect(await patience()).toBeGreaterThan(600_000);
  // A later process of the connector: the one that answered is gone.
  await dial("j");
  await expect(answer.arrayBuffer()).rejects.toThrow();
  expect(await patience()).toBeLessThanOrEqual(60_000);
  const from: ResumeRequest = {
    id: ENDLESS,
    target: "m",
    connector: "c",
    instance: "i",
    offset: 0,
    head: false,
    stream: false,
  };
  const again = await stub.fetch("http://hub/", { method: "POST", body: JSON.stringify(from) });
  expect(again.headers.get(FAILURE_HEADER)).toContain("upstream_error");
  expect(await patience()).toBeLessThanOrEqual(60_000);
}, 30_000);
