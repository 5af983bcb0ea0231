// With which keys the connector masks, and what of it is on the road: the real ws, and the bytes that a server reads.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import WebSocket from "ws";
import { maskingFor } from "../../../connector/uplink/mask.ts";

const ACCEPT = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const PAYLOAD = Buffer.from("tokens".repeat(40));
/** FIN and binary; masked, with a length of two bytes; the length; the key (RFC 6455 §5.2). */
const HEAD_BYTES = 8;

/** The first bytes that a client of an uplink to `url` sends behind its handshake. */
async function firstFrame(url: string): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const coming = once(server, "connection") as Promise<[Socket]>;
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    perMessageDeflate: false,
    ...maskingFor(url),
  });
  client.on("error", () => {});
  onTestFinished(() => {
    client.terminate();
    server.close();
  });
  const [socket] = await coming;
  const [handshake] = (await once(socket, "data")) as [Buffer];
  const key = /sec-websocket-key: (\S+)/i.exec(handshake.toString())?.[1];
  const accept = createHash("sha1").update(`${key}${ACCEPT}`).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
  );
  await once(client, "open");
  client.send(PAYLOAD);
  let frame = Buffer.alloc(0);
  while (frame.byteLength < HEAD_BYTES + PAYLOAD.byteLength) {
    const [piece] = (await once(socket, "data")) as [Buffer];
    frame = Buffer.concat([frame, piece]);
  }
  return frame;
}

test.each(["wss://edge.example.com/uplink", "ws://127.0.0.1:4000/uplink", "ws://[::1]:4000/uplink", "ws://localhost/"])(
  "nobody reads along on %s: the key is zero",
  (url) => {
    const key = Buffer.from([1, 2, 3, 4]);
    maskingFor(url).generateMask?.(key);
    expect([...key]).toEqual([0, 0, 0, 0]);
  },
);

test.each(["ws://edge.example.com/uplink", "ws://192.0.2.1:4000/uplink", "ws://127.example.com/uplink"])(
  "a proxy may stand on %s: ws chooses",
  (url) => {
    expect(maskingFor(url)).toEqual({});
  },
);

test("with a key of zero the frame is marked as masked, as it must be, and the payload is as it was", async () => {
  const frame = await firstFrame("wss://edge.example.com/uplink");
  expect(frame[1]! & 0x80).toBe(0x80);
  expect([...frame.subarray(4, HEAD_BYTES)]).toEqual([0, 0, 0, 0]);
  expect(frame.subarray(HEAD_BYTES).equals(PAYLOAD)).toBe(true);
});

test("on an open road the payload is not what is sent", async () => {
  const frame = await firstFrame("ws://edge.example.com/uplink");
  expect(frame[1]! & 0x80).toBe(0x80);
  expect(frame.subarray(HEAD_BYTES).equals(PAYLOAD)).toBe(false);
});
