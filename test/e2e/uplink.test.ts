// The uplink as a stranger, a careless operator and a broken connector would use it.
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { generateKeyPair } from "jose";
import { afterEach, describe, expect, test } from "vitest";
import { CloseCode, FrameType } from "../../shared/wire/frames.ts";
import { acceptFrame, creditFrame, jsonFrame } from "../../shared/wire/messages.ts";
import {
  CONNECTOR,
  dial,
  type HandSocket,
  hello,
  json,
  MASTER_KEY,
  type TokenClaims,
  tokenFor,
  useEdge,
} from "../support/edge.ts";
import { until } from "../support/stack.ts";

const edge = useEdge();
const open: HandSocket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.socket.terminate();
});

async function connected(claims: TokenClaims = {}, greeting = hello()): Promise<HandSocket> {
  const socket = await dial(edge(), await tokenFor(edge(), claims));
  if (typeof socket === "string") throw new Error(socket);
  open.push(socket);
  socket.say(greeting);
  await socket.hear(FrameType.WELCOME);
  return socket;
}

async function bare(claims: TokenClaims = {}): Promise<HandSocket> {
  const socket = await dial(edge(), await tokenFor(edge(), claims));
  if (typeof socket === "string") throw new Error(socket);
  open.push(socket);
  return socket;
}

const chat = (body: object = {}) =>
  fetch(`${edge().url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${MASTER_KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "heartcode-default", messages: [{ role: "user", content: "hi" }], ...body }),
  });

describe("the token", () => {
  const now = () => Math.floor(Date.now() / 1000);
  const refused: [what: string, claims: () => TokenClaims, answer: RegExp][] = [
    ["has an unknown kid", () => ({ kid: "nobody" }), /^401 the key of this connector is not known here \(final\)$/],
    [
      "names another connector than its key",
      () => ({ kid: "other" }),
      /^401 the key belongs to another connector \(final\)$/,
    ],
    ["is for another edge", () => ({ aud: "edge.example.com/uplink" }), /^401 the token's `aud`.*\(final\)$/],
    ["is for another path", () => ({ aud: `127.0.0.1:${edge().port}/` }), /^401 the token's `aud`.*\(final\)$/],
    ["has expired", () => ({ iat: now() - 600 }), /^401 the token has expired: compare the clocks of site and edge$/],
    [
      "is from a clock that is ahead",
      () => ({ iat: now() + 45 }),
      /^401 the token is from the future: compare the clocks of site and edge$/,
    ],
    ["lives too long", () => ({ lifetime: 3_600 }), /^401 the token lives longer .*\(final\)$/],
    ["is for a shard that does not exist", () => ({ shard: 9 }), /^404 there is no such shard$/],
  ];
  test.each(refused)("is refused if it %s", async (_what, claims, answer) => {
    const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });
    const key = edge().keys.get(claims().kid ?? `${CONNECTOR}#new`) ?? privateKey;
    expect(await dial(edge(), await tokenFor(edge(), claims(), key))).toMatch(answer);
  });

  test("opens a socket where the clocks differ by less: 30 s ahead, 90 s behind", async () => {
    await connected({ iat: now() + 20 });
    await connected({ iat: now() - 80 });
  });

  test("opens a socket also where the upgrade names an origin", async () => {
    const socket = await dial(edge(), await tokenFor(edge()), undefined, { origin: "https://app.example" });
    if (typeof socket === "string") throw new Error(socket);
    open.push(socket);
    socket.say(hello());
    await socket.hear(FrameType.WELCOME);
  });

  test("is refused if somebody else signed it", async () => {
    const { privateKey } = await generateKeyPair("EdDSA", { crv: "Ed25519" });
    expect(await dial(edge(), await tokenFor(edge(), {}, privateKey))).toMatch(/^401 the token is not valid/);
  });

  test("is refused if its algorithm is none, or a secret made of the public key", async () => {
    const [, payload] = (await tokenFor(edge())).split(".");
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
    for (const alg of ["none", "HS256"]) {
      const forged = `${encode({ alg, kid: `${CONNECTOR}#new` })}.${payload}.${alg === "none" ? "" : "AAAA"}`;
      expect(await dial(edge(), forged)).toMatch(/^401 /);
    }
  });

  test("is accepted once", async () => {
    const token = await tokenFor(edge());
    const first = await dial(edge(), token);
    expect(typeof first).toBe("object");
    open.push(first as HandSocket);
    expect(await dial(edge(), token)).toBe("401 this token was used before");
  });

  test("may be signed by either of two keys while they are rotated", async () => {
    for (const kid of [`${CONNECTOR}#old`, `${CONNECTOR}#new`]) await connected({ kid });
  });

  test("must be there, and the subprotocol with it", async () => {
    expect(await dial(edge(), null)).toBe("401 no token (final)");
    expect(await dial(edge(), await tokenFor(edge()), "something.else")).toMatch(/^403 the subprotocol .*\(final\)$/);
    expect((await fetch(`${edge().url}/uplink`)).status).toBe(426);
  });
});

describe("the socket", () => {
  test("is superseded by a newer one of the same connector and slot, and not by another slot", async () => {
    const first = await connected();
    const beside = await connected({ slot: 1 });
    await connected();
    expect(await first.hearClose()).toMatchObject({ code: CloseCode.SUPERSEDED });
    expect(beside.closed).toBeNull();
  });

  test("is replaced where its own process has dialled once more, and also by a dial that nobody has spoken on", async () => {
    const instance = randomUUID();
    const first = await connected({}, hello({ instance }));
    await connected({}, hello({ instance }));
    expect(await first.hearClose()).toMatchObject({ code: CloseCode.REPLACED });
    const living = await bare();
    await bare();
    living.say(hello({ instance }));
    expect(await living.hearClose()).toMatchObject({ code: CloseCode.REPLACED });
    const again = await connected({}, hello({ instance }));
    expect(again.closed).toBeNull();
  });

  test("that its connector closes is answered: who ends waits for that", async () => {
    const socket = await connected();
    socket.socket.close(CloseCode.NORMAL, "bye");
    // Of a peer that says nothing ws makes 1006, and that after 30 s only.
    expect(await socket.hearClose()).toMatchObject({ code: CloseCode.NORMAL });
  });

  test("that speaks no common version is closed with its own code", async () => {
    const socket = await bare();
    socket.say(hello({ versions: [99] }));
    expect(await socket.hearClose()).toMatchObject({ code: CloseCode.VERSION });
  });

  test("of a newer connector is served: the highest common version is used and unknown things are skipped", async () => {
    const socket = await bare();
    const future = { ...json(hello()), versions: [1, 2], features: ["teleport"], colour: "blue" };
    socket.say(jsonFrame(FrameType.HELLO, 0, future));
    expect(json(await socket.hear(FrameType.WELCOME))).toMatchObject({ version: 1, features: [], shard: 0, shards: 2 });
    socket.say(
      { type: 0x7f, channel: 3, payload: new Uint8Array(5) },
      { type: FrameType.PING, channel: 0, payload: Uint8Array.of(7) },
    );
    expect((await socket.hear(FrameType.PONG)).payload).toEqual(Buffer.from([7]));
  });

  const hostile: [what: string, bytes: () => Uint8Array | string, code: number][] = [
    ["text", () => "hello", CloseCode.MALFORMED],
    ["half a frame", () => Uint8Array.of(7, 0, 0, 9, 0), CloseCode.MALFORMED],
    [
      "a frame only the hub may send",
      () => Uint8Array.of(FrameType.OPEN, 0, 0, 2, 0, 0, 0, 1, 0x7b, 0x7d),
      CloseCode.MALFORMED,
    ],
    ["END that is not JSON", () => Uint8Array.of(FrameType.END, 0, 0, 1, 0, 0, 0, 1, 0x7b), CloseCode.MALFORMED],
    ["a second HELLO", () => new Uint8Array(0), CloseCode.MALFORMED],
  ];
  test.each(hostile)("that sends %s is closed with a code, and the hub goes on", async (what, bytes, code) => {
    const socket = await connected();
    if (what === "a second HELLO") socket.say(hello());
    else socket.socket.send(bytes());
    expect(await socket.hearClose()).toMatchObject({ code });
    await connected();
  });

  test("that says anything before HELLO is closed", async () => {
    const socket = await bare();
    socket.say(creditFrame(0, 1));
    expect(await socket.hearClose()).toMatchObject({ code: CloseCode.MALFORMED });
  });
});

describe("an exchange", () => {
  const serve = async (socket: HandSocket, status = 200, text = "{}") => {
    const opened = await socket.hear(FrameType.OPEN);
    const { exchange, attempt, limit } = json(opened);
    const bytes = new TextEncoder().encode(text);
    expect(limit).toBeGreaterThan(bytes.byteLength);
    socket.say(
      acceptFrame(opened.channel),
      jsonFrame(FrameType.HEAD, opened.channel, { status, headers: [["content-type", "application/json"]] }),
      { type: FrameType.DATA, channel: opened.channel, payload: bytes },
      jsonFrame(FrameType.END, opened.channel, {
        exchange,
        attempt,
        outcome: "complete",
        bytes: bytes.byteLength,
        usage: null,
        timings: { queue_ms: 0, first_byte_ms: 0, total_ms: 0 },
        failure: null,
      }),
    );
    return new TextDecoder().decode((await socket.hear(FrameType.SETTLED)).payload) === exchange;
  };
  /** The master key goes round the shards: a socket on each, so that the request meets one. */
  const both = async () => [await connected(), await connected({ shard: 1 })] as const;
  const withOpen = async (sockets: readonly HandSocket[]) => {
    await until(() => sockets.some((socket) => socket.frames.some((frame) => frame.type === FrameType.OPEN)));
    return sockets.find((socket) => socket.frames.some((frame) => frame.type === FrameType.OPEN))!;
  };

  test("is opened, answered and settled", async () => {
    const sockets = await both();
    const response = chat();
    expect(await serve(await withOpen(sockets))).toBe(true);
    expect(await (await response).json()).toEqual({});
  });

  test("that sends a byte beyond its window closes the socket with 4413", async () => {
    const sockets = await both();
    const response = chat();
    const socket = await withOpen(sockets);
    const opened = await socket.hear(FrameType.OPEN);
    const head = jsonFrame(FrameType.HEAD, opened.channel, { status: 200, headers: [] });
    // In one message: nobody can take any of it before the last byte is counted. The first window is 48 KiB at most.
    const data = { type: FrameType.DATA, channel: opened.channel, payload: new Uint8Array(30_000) };
    socket.say(acceptFrame(opened.channel), head, ...Array<typeof data>(7).fill(data));
    expect(await socket.hearClose()).toMatchObject({ code: CloseCode.FLOW_CONTROL });
    // Its answer had begun: it waits for this connector to come back, longer than this test needs.
    response.catch(() => {});
  }, 30_000);

  test("that is refused as retryable goes to another connector, and is told as it was when there is none", async () => {
    const sockets = await both();
    const response = chat();
    const socket = await withOpen(sockets);
    const opened = await socket.hear(FrameType.OPEN);
    socket.say(jsonFrame(FrameType.RESET, opened.channel, { code: "queue_full", retryable: true }));
    const answer = await response;
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ error: { code: "queue_full" } });
  });

  test("without ACCEPT is withdrawn after two seconds and opened on another socket", async () => {
    const sockets = [...(await both()), await connected({ slot: 1 }), await connected({ shard: 1, slot: 1 })];
    const response = chat();
    const dead = await withOpen(sockets);
    await dead.hear(FrameType.OPEN);
    const rescuer = await withOpen(sockets);
    expect(rescuer).not.toBe(dead);
    expect(json(await dead.hear(FrameType.RESET))).toMatchObject({ code: "no_accept" });
    await serve(rescuer);
    expect((await response).status).toBe(200);
  });

  test("is 503 with a Retry-After when no connector comes within two seconds", async () => {
    const answer = await chat();
    expect(answer.status).toBe(503);
    expect(answer.headers.get("retry-after")).toBe("2");
    expect(await answer.json()).toMatchObject({ error: { code: "model_unavailable" } });
  });

  test.each(["/v1/chat/completions", "/v1/completions", "/v1/embeddings"])(
    "at %s whose client leaves before ACCEPT is withdrawn at once",
    async (path) => {
      const sockets = await both();
      const isEmbedding = path.endsWith("embeddings");
      const text = JSON.stringify(
        isEmbedding
          ? { model: "heartcode-embed", input: "hi" }
          : { model: "heartcode-default", prompt: "hi", messages: [{ role: "user", content: "hi" }] },
      );
      const client = connect(edge().port, "127.0.0.1");
      client.on("error", () => {});
      client.write(
        `POST ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${MASTER_KEY}\r\n` +
          `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
      );
      const socket = await withOpen(sockets);
      const opened = await socket.hear(FrameType.OPEN);
      client.resetAndDestroy();
      const reset = await socket.hear(FrameType.RESET);
      expect(reset.channel).toBe(opened.channel);
      expect(json(reset)).toMatchObject({ code: "cancelled" });
    },
  );

  test("that arrives before its connector waits for it", async () => {
    const response = chat();
    const sockets = await both();
    await serve(await withOpen(sockets));
    expect((await response).status).toBe(200);
  });
});
