// The front before an HTTP server on a unix socket, which stands where workerd stands.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Front, startFront } from "../../../dev/edge/front.ts";
import { makeCertificate } from "../../support/certificate.ts";
import { until } from "../../support/stack.ts";

const CF = "x-cf-secret";
let directory: string;
let inner: Server;
let answer: RequestListener;
let front: Front;
const sockets: Socket[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "heartcode-"));
  answer = (_request, response) => response.end("ok");
  inner = createServer((request, response) => answer(request, response));
  inner.on("connection", (socket) => sockets.push(socket));
  await new Promise<void>((done) => inner.listen(join(directory, "workerd"), done));
  front = await startFront({ host: "127.0.0.1", port: 0, socketPath: join(directory, "workerd"), cfHeader: CF });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await front.close();
  inner.closeAllConnections();
  await new Promise((done) => inner.close(done));
  await rm(directory, { recursive: true, force: true });
});

interface Raw {
  readonly socket: Socket;
  text(): string;
  readonly closed: () => boolean;
}

function raw(head: string, options: { allowHalfOpen?: boolean } = {}): Raw {
  const socket = connect({ port: front.port, host: "127.0.0.1", ...options });
  sockets.push(socket);
  let text = "";
  let closed = false;
  socket.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
  });
  socket.on("error", () => {});
  socket.on("close", () => {
    closed = true;
  });
  socket.write(head);
  return { socket, text: () => text, closed: () => closed };
}

const get = (path: string, ...headers: string[]) =>
  `GET ${path} HTTP/1.1\r\n${["Host: h", ...headers].join("\r\n")}\r\n\r\n`;

/** What workerd would see. */
function seen(): Promise<IncomingMessage> {
  return new Promise((resolve) => {
    answer = (request, response) => {
      resolve(request);
      response.end("ok");
    };
  });
}

/** A request that is left open, and whether its other end is gone. */
function held(): { response(): ServerResponse | undefined; gone(): boolean } {
  let response: ServerResponse | undefined;
  let gone = false;
  answer = (_request, given) => {
    response = given;
    given.on("close", () => {
      gone = true;
    });
  };
  return { response: () => response, gone: () => gone };
}

test("who comes before workerd is up waits for it, and who has left by then is forgotten", async () => {
  const up = Promise.withResolvers<void>();
  const early = await startFront({
    host: "127.0.0.1",
    port: 0,
    socketPath: join(directory, "workerd"),
    cfHeader: CF,
    after: up.promise,
  });
  try {
    const asked = fetch(`http://127.0.0.1:${early.port}/`);
    const left = connect(early.port, "127.0.0.1");
    left.write(get("/"));
    left.end();
    await new Promise((done) => left.once("close", done));
    up.resolve();
    expect(await (await asked).text()).toBe("ok");
    expect(early.running).toBe(0);
  } finally {
    await early.close();
  }
});

describe("headers", () => {
  test("say who the client is, whatever it says itself", async () => {
    const request = seen();
    raw(get("/", `${CF}: {"clientIp":"1.2.3.4"}`, `X-CF-Secret: {"clientIp":"1.2.3.4"}`, "X-Forwarded-For: 1.2.3.4"));
    const { headers } = await request;
    expect(headers[CF]).toBe('{"clientIp":"127.0.0.1"}');
    expect(headers["x-forwarded-for"]).toBe("1.2.3.4");
  });

  test("of one connection are not passed on, nor those that it names", async () => {
    const request = seen();
    raw(
      get(
        "/a?b=c",
        "Connection: keep-alive, X-Mine",
        "X-Mine: 1",
        "TE: trailers",
        "Keep-Alive: 5",
        "Expect: 100-continue",
      ),
    );
    const { headers, url } = await request;
    expect(url).toBe("/a?b=c");
    expect(Object.keys(headers).sort()).toEqual(["connection", "host", CF].sort());
  });

  test("that name Host or the client's address in Connection do not take them away", async () => {
    const request = seen();
    raw(get("/", `Connection: ${CF}, host`));
    expect((await request).headers).toMatchObject({ host: "h", [CF]: '{"clientIp":"127.0.0.1"}' });
  });

  test("with a path that no request of ours may have are refused, those of a WebSocket too", async () => {
    for (const more of ["", "Connection: Upgrade\r\nUpgrade: websocket\r\n"]) {
      const client = raw("");
      client.socket.write(`GET /\xff\xfe HTTP/1.1\r\nHost: h\r\n${more}\r\n`, "latin1");
      await until(() => client.text().startsWith("HTTP/1.1 400"));
    }
  });

  test("of an absolute URL are refused", async () => {
    const { text } = raw("GET http://elsewhere/ HTTP/1.1\r\nHost: h\r\n\r\n");
    await until(() => text().startsWith("HTTP/1.1 400"));
  });
});

describe("bodies", () => {
  test.each([
    ["small", 1_000, false],
    ["large", 1_000_000, false],
    ["small and in chunks", 1_000, true],
    ["large and in chunks", 1_000_000, true],
  ])("%s arrive as they are", async (_what, size, inChunks) => {
    const sent = Buffer.alloc(size, "abcdefg");
    let got: Buffer | undefined;
    answer = async (request, response) => {
      const pieces: Buffer[] = [];
      for await (const piece of request) pieces.push(piece as Buffer);
      got = Buffer.concat(pieces);
      response.end("ok");
    };
    const body = inChunks ? new Blob([sent]).stream() : sent;
    const response = await fetch(`http://127.0.0.1:${front.port}/`, {
      method: "POST",
      body,
      duplex: "half",
    } as RequestInit);
    expect(await response.text()).toBe("ok");
    expect(got?.equals(sent)).toBe(true);
  });

  test("that are refused before their end leave the answer readable, and the connection good", async () => {
    answer = (request, response) => {
      if (request.method === "GET") return void response.end("next");
      response.writeHead(413, { "content-length": "3" }).end("big");
    };
    const client = raw("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n");
    client.socket.write(Buffer.alloc(100_000));
    await until(() => client.text().endsWith("big"));
    client.socket.write(Buffer.alloc(4_900_000));
    client.socket.write(get("/"));
    await until(() => client.text().endsWith("next"));
    expect(client.text()).toMatch(/^HTTP\/1.1 413 /);
  });

  test("are not sent before they are asked for: a refusal of the head is not lost in them", async () => {
    inner.on("checkContinue", (_request, response) => response.writeHead(401, { "content-length": "2" }).end("no"));
    const client = raw("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    const piece = Buffer.alloc(100_000);
    const chunk = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]);
    for (let sent = 0; sent < 20; sent += 1) client.socket.write(chunk);
    client.socket.write("0\r\n\r\n");
    await until(() => client.text().endsWith("no"));
    expect(client.text()).toMatch(/^HTTP\/1.1 401 /);
    client.socket.write(get("/"));
    await until(() => client.text().endsWith("ok"));
  });

  test("that say themselves that they are too large are refused so that a page can read it, and only a page's of the API", async () => {
    const head = (path: string, more: string) =>
      `POST ${path} HTTP/1.1\r\nHost: h\r\n${more}Content-Length: 9000000\r\n\r\n`;
    const refusal = async (path: string, more: string) => {
      const client = raw(head(path, more));
      await until(() => client.text().includes('"code":"request_too_large"'));
      client.socket.destroy();
      return client.text().toLowerCase();
    };
    const origin = "Origin: https://app.example\r\n";
    expect(await refusal("/v1/embeddings", origin)).toContain("access-control-allow-origin: *");
    expect(await refusal("/v1/embeddings", "")).not.toContain("access-control-");
    expect(await refusal("/admin/keys/purge", origin)).not.toContain("access-control-");
  });

  test("in chunks that grow too large are refused in the Worker's words, and cut where they never end", async () => {
    let got = 0;
    let gone = false;
    answer = (request) => {
      request.on("data", (piece: Buffer) => {
        got += piece.length;
      });
      request.on("error", () => {});
      request.on("close", () => {
        gone = true;
      });
    };
    const client = raw("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    const piece = Buffer.alloc(1 << 20);
    const chunk = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]);
    let sent = 0;
    const more = () => {
      while (!client.closed() && client.socket.write(chunk)) sent += 1;
    };
    client.socket.on("drain", more);
    more();
    await until(() => client.text().includes('"code":"request_too_large"'));
    expect(client.text()).toMatch(/^HTTP\/1.1 413 /);
    await until(() => gone);
    expect(got).toBeLessThanOrEqual(9 << 20);
    await until(client.closed);
    expect(sent).toBeLessThan(100);
  });

  test("whose client leaves half-way are not waited for", async () => {
    const before = front.running;
    const { socket } = raw("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\nabc");
    await until(() => front.running === before + 1);
    socket.destroy();
    await until(() => front.running === before);
  });
});

describe("answers", () => {
  test("come piece by piece, the head first", async () => {
    const { response } = held();
    const client = raw(get("/"));
    await until(() => response() !== undefined);
    response()!.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    await until(() => client.text().includes("\r\n\r\n"));
    for (const word of ["one", "two"]) {
      response()!.write(`data: ${word}\n\n`);
      await until(() => client.text().includes(`data: ${word}\n\n`));
    }
  });

  test("are not read faster than the client reads", async () => {
    const { response } = held();
    const client = raw(get("/"));
    await until(() => response() !== undefined);
    client.socket.pause();
    const piece = Buffer.alloc(1 << 20);
    let taken = 0;
    let isFull = false;
    response()!.on("drain", () => {
      isFull = false;
    });
    // Until nothing moved through a whole round of timers.
    for (let still = 0; still < 20; still += isFull ? 1 : 0) {
      if (isFull) await new Promise((done) => setTimeout(done, 10));
      else {
        still = 0;
        taken += piece.length;
        isFull = !response()!.write(piece);
        if (taken > 200 << 20) break;
      }
    }
    // The buffers of three sockets.
    expect(taken).toBeLessThan(32 << 20);
    response()!.end();
    client.socket.resume();
    await until(() => client.text().endsWith("0\r\n\r\n"));
  });

  test("that break are broken for the client, never ended", async () => {
    const { response } = held();
    const client = raw(get("/"));
    await until(() => response() !== undefined);
    response()!.write("half");
    await until(() => client.text().includes("half"));
    response()!.destroy();
    await until(client.closed);
    expect(client.text()).not.toContain("0\r\n\r\n");
  });

  test("are 502 where there is nobody", async () => {
    const lost = await startFront({ host: "127.0.0.1", port: 0, socketPath: join(directory, "none"), cfHeader: CF });
    try {
      expect((await fetch(`http://127.0.0.1:${lost.port}/`)).status).toBe(502);
    } finally {
      await lost.close();
    }
  });
});

describe("a client that leaves", () => {
  const ways: [how: string, leave: (socket: Socket) => unknown][] = [
    ["by FIN", (socket) => socket.end()],
    ["by RST", (socket) => socket.resetAndDestroy()],
  ];
  test.each(ways)("%s before the head is gone for workerd at once", async (_how, leave) => {
    const { response, gone } = held();
    const { socket } = raw(get("/"));
    await until(() => response() !== undefined);
    leave(socket);
    await until(gone);
    expect(front.running).toBe(0);
  });

  test.each(ways)("%s while nothing is sent is gone for workerd at once", async (_how, leave) => {
    const { response, gone } = held();
    const client = raw(get("/"));
    await until(() => response() !== undefined);
    response()!.write("x");
    await until(() => client.text().endsWith("x\r\n"));
    leave(client.socket);
    await until(gone);
  });

  test("by half, and goes on reading, is gone as well", async () => {
    const { response, gone } = held();
    const client = raw(get("/"), { allowHalfOpen: true });
    await until(() => response() !== undefined);
    client.socket.end();
    await until(gone);
    await until(client.closed);
  });
});

describe("a WebSocket", () => {
  const upgrade = get("/uplink", "Connection: Upgrade", "Upgrade: websocket", `${CF}: {"clientIp":"1.2.3.4"}`);

  test("passes both ways, and its end too", async () => {
    const ends: string[] = [];
    inner.on("upgrade", (request, socket) => {
      ends.push(String(request.headers[CF]));
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello");
      socket.on("data", (data: Buffer) => socket.write(`<${data}>`));
      socket.on("end", () => ends.push("closed"));
      socket.on("error", () => {});
    });
    const client = raw(upgrade);
    await until(() => client.text().endsWith("hello"));
    client.socket.write("ping");
    await until(() => client.text().endsWith("<ping>"));
    client.socket.resetAndDestroy();
    await until(() => ends.length === 2);
    expect(ends).toEqual(['{"clientIp":"127.0.0.1"}', "closed"]);
  });

  test("that is refused leaves nothing on which a second request could pass unread", async () => {
    const urls: string[] = [];
    inner.on("upgrade", (request, socket) => {
      urls.push(request.url ?? "");
      socket.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
    });
    answer = (request, response) => {
      urls.push(request.url ?? "");
      response.end("smuggled");
    };
    const client = raw(upgrade + get("/second", `${CF}: {"clientIp":"1.2.3.4"}`));
    await until(client.closed);
    expect(client.text()).toMatch(/^HTTP\/1.1 401 [\s\S]*connection: close\r\n\r\nno$/);
    expect(urls).toEqual(["/uplink"]);
  });

  test("is what is asked for, or it is an ordinary request", async () => {
    const { text } = raw(get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA"));
    await until(() => text().endsWith("ok"));
  });
});

describe("at the end", () => {
  test("nothing new is taken, idle connections close, and the last answer is waited for", async () => {
    const idle = raw(get("/"));
    await until(() => idle.text().endsWith("ok"));
    const { response } = held();
    const client = raw(get("/"));
    await until(() => response() !== undefined);
    let isDrained = false;
    const drained = front.drain().then(() => {
      isDrained = true;
    });
    await until(idle.closed);
    await expect(fetch(`http://127.0.0.1:${front.port}/`)).rejects.toThrow();
    expect(isDrained).toBe(false);
    response()!.end("last");
    await drained;
    await until(client.closed);
    expect(client.text()).toMatch(/connection: close\r\n[\s\S]*last/i);
  });
});

describe("TLS", () => {
  test("a new certificate is for new connections; streams under the old one run on", async () => {
    const [old, next] = await Promise.all([makeCertificate(directory, "old"), makeCertificate(directory, "next")]);
    const pair = async ({ cert, key }: typeof old) => ({
      cert: await readFile(cert, "utf8"),
      key: await readFile(key, "utf8"),
    });
    const secure = await startFront({
      host: "127.0.0.1",
      port: 0,
      socketPath: join(directory, "workerd"),
      cfHeader: CF,
      tls: await pair(old),
    });
    const dial = (): Promise<TLSSocket> =>
      new Promise((resolve, reject) => {
        const socket = connectTls({ port: secure.port, host: "127.0.0.1", rejectUnauthorized: false }, () =>
          resolve(socket),
        );
        socket.on("error", reject);
        sockets.push(socket);
      });
    const nameOf = (socket: TLSSocket) => socket.getPeerCertificate().subject.CN;
    try {
      const { response } = held();
      const first = await dial();
      let text = "";
      first.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      first.write(get("/"));
      await until(() => response() !== undefined);
      response()!.write("before ");
      secure.renew(await pair(next));
      response()!.end("after");
      await until(() => /before[\s\S]*after/.test(text));
      expect(nameOf(first)).toBe("old");
      expect(nameOf(await dial())).toBe("next");
      expect(() => secure.renew({ cert: "none", key: "none" })).toThrow();
      expect(nameOf(await dial())).toBe("next");
    } finally {
      for (const socket of sockets.splice(0)) socket.destroy();
      await secure.close();
    }
  });
});
