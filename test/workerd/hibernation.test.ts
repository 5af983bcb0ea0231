// A hub that was put to sleep between two requests: its sockets stay, its memory is gone.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { EXCHANGE_HEADER, UPLINK_HEADER } from "../../shared/hop.ts";
import { decode, encode } from "../../shared/wire/codec.ts";
import { CloseCode, type Frame, FrameType } from "../../shared/wire/frames.ts";
import { acceptFrame, jsonFrame } from "../../shared/wire/messages.ts";
import { askedOf } from "../support/asked.ts";

const json = (frame: Frame): Record<string, unknown> => JSON.parse(new TextDecoder().decode(frame.payload));

test("a hub woken from hibernation serves the next request on the socket it slept on", async () => {
  const stub = env.HUB.get(env.HUB.idFromName("shard-0"));
  const uplink = { connector: "c", shard: 0, slot: 0, jti: "jti-00000001", exp: Date.now() / 1000 + 60 };
  const upgrade = await stub.fetch("http://hub/", {
    headers: { upgrade: "websocket", [UPLINK_HEADER]: JSON.stringify(uplink) },
  });
  const socket = upgrade.webSocket!;
  socket.binaryType = "arraybuffer";
  socket.accept();
  const inbox: Frame[] = [];
  let wake = () => {};
  socket.addEventListener("message", (event) => {
    inbox.push(...decode(new Uint8Array(event.data as ArrayBuffer)));
    wake();
  });
  const hear = async (type: number): Promise<Frame> => {
    for (;;) {
      const at = inbox.findIndex((frame) => frame.type === type);
      if (at >= 0) return inbox.splice(at, 1)[0]!;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const say = (...frames: Frame[]) => socket.send(encode(frames));
  const pools = [{ model: "m", kind: "chat", upstreams: 1, healthy: 1, slots: 1, in_flight: 0, queued: 0 }];
  const windows = { exchange: 262_144, socket: 4_194_304 };
  say(jsonFrame(FrameType.HELLO, 0, { versions: [1], features: [], instance: "i", agent: "t", windows, pools }));
  await hear(FrameType.WELCOME);
  // It may sleep before it ever served anything.
  await evictDurableObject(stub);

  /** One exchange of 700 kB, so that the numbers of the credit matter as well. */
  const exchange = async (id: string): Promise<number> => {
    const asked = askedOf(id, { demand: { promptBytes: 10, generates: true, maxTokens: null, choices: 1 } });
    const response = stub.fetch("http://hub/", {
      method: "POST",
      body: new Uint8Array(1_000),
      headers: { [EXCHANGE_HEADER]: JSON.stringify(asked) },
    });
    const opened = await hear(FrameType.OPEN);
    expect(json(opened)["exchange"]).toBe(id);
    const { channel } = opened;
    say(acceptFrame(channel), jsonFrame(FrameType.HEAD, channel, { status: 200, headers: [] }));
    let limit = json(opened)["limit"] as number;
    const read = response.then((answer) => answer.arrayBuffer());
    const total = 700_000;
    for (let sent = 0; sent < total; ) {
      if (sent === limit) {
        const credit = await hear(FrameType.CREDIT);
        if (credit.channel === channel) limit = Number(new DataView(credit.payload.slice().buffer).getBigUint64(0));
        continue;
      }
      const size = Math.min(32_768, limit - sent, total - sent);
      say({ type: FrameType.DATA, channel, payload: new Uint8Array(size) });
      sent += size;
    }
    const timings = { queue_ms: 0, first_byte_ms: 0, total_ms: 0 };
    const end = { exchange: id, attempt: 1, outcome: "complete", bytes: total, usage: null, timings, failure: null };
    say(jsonFrame(FrameType.END, channel, end));
    await hear(FrameType.SETTLED);
    expect((await read).byteLength).toBe(total);
    return channel;
  };

  const channels = [];
  // Twelve times 700 kB is twice the socket's window: a hub that forgot its count would stop granting, or close the socket.
  for (let round = 0; round < 12; round += 1) {
    channels.push(await exchange(`x${round}`));
    if (round % 4 !== 3) continue;
    await runInDurableObject(stub, (hub) => {
      (hub as unknown as { board: { tick(now: number): void } }).board.tick(Date.now());
    });
    await evictDurableObject(stub);
  }
  expect(new Set(channels).size).toBe(channels.length);
}, 30_000);

test("a socket that the hub has given up is not taken for a living one when the hub wakes", async () => {
  const stub = env.HUB.get(env.HUB.idFromName("shard-1"));
  const uplink = { connector: "c", shard: 1, slot: 0, jti: "jti-00000002", exp: Date.now() / 1000 + 60 };
  const upgrade = await stub.fetch("http://hub/", {
    headers: { upgrade: "websocket", [UPLINK_HEADER]: JSON.stringify(uplink) },
  });
  const socket = upgrade.webSocket!;
  socket.binaryType = "arraybuffer";
  // A road that swallows everything: the close is not answered.
  (socket as unknown as { accept(options: object): void }).accept({ allowHalfOpen: true });
  const welcomed = new Promise((resolve) => socket.addEventListener("message", resolve, { once: true }));
  const windows = { exchange: 262_144, socket: 4_194_304 };
  const hello = { versions: [1], features: [], instance: "i", agent: "t", windows, pools: [] };
  socket.send(encode([jsonFrame(FrameType.HELLO, 0, hello)]));
  await welcomed;
  interface Hub {
    readonly ctx: DurableObjectState;
    readonly board: { readonly links: ReadonlySet<Link>; lost(link: Link, now: number): void };
  }
  type Link = { readonly transport: { close(code: number, reason: string): void } };
  const inHub = <T>(work: (hub: Hub) => T) => runInDurableObject(stub, (hub) => work(hub as unknown as Hub));
  expect(await inHub(({ board }) => board.links.size)).toBe(1);
  await evictDurableObject(stub);
  expect(await inHub(({ board }) => board.links.size)).toBe(1);
  await inHub(({ board }) => {
    for (const link of board.links) {
      link.transport.close(CloseCode.SILENT, "no sign of life");
      board.lost(link, Date.now());
    }
  });
  await evictDurableObject(stub);
  const woken = await inHub(({ ctx, board }) => [ctx.getWebSockets().length, board.links.size]);
  expect(woken).toEqual([1, 0]);
});
