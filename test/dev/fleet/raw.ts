// HTTP by hand over a socket: a test sees the bytes of an answer, and how it ended, as no HTTP client would tell it.
import { connect, type Socket } from "node:net";

export interface Ask {
  readonly method?: string;
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  /** As sent: names in their case, values with their blanks cut. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** `complete`: the message ended by its own framing. `closed`, `reset`: the connection went first. */
  readonly ending: "complete" | "closed" | "reset";
}

function requestText({ method, path, body, headers = {} }: Ask): string {
  const text = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
  const lines = Object.entries({ host: "engine", "content-type": "application/json", ...headers });
  return [
    `${method ?? (body === undefined ? "GET" : "POST")} ${path} HTTP/1.1`,
    ...lines.map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(text)}`,
    "",
    text,
  ].join("\r\n");
}

/** Sends a request and leaves the socket to the test. */
export function open(port: number, request: Ask): Socket {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(requestText(request));
  return socket;
}

/** Resolves when the socket has received `text`. */
export function received(socket: Socket, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let seen = "";
    const look = (chunk: Buffer) => {
      seen += chunk.toString();
      if (!seen.includes(text)) return;
      socket.off("data", look);
      socket.pause();
      resolve();
    };
    socket.on("data", look);
    socket.once("close", () => reject(new Error(`closed before ${text}`)));
  });
}

export function ask(port: number, request: Ask): Promise<Answer> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let bytes = Buffer.alloc(0);
    let wasReset = false;
    const done = (ending: Answer["ending"]) => {
      socket.destroy();
      resolve({ ...readAnswer(bytes).answer, ending });
    };
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (readAnswer(bytes).isWhole) done("complete");
    });
    socket.once("error", () => {
      wasReset = true;
    });
    socket.once("close", () => done(wasReset ? "reset" : readAnswer(bytes).isWhole ? "complete" : "closed"));
    socket.write(requestText(request));
  });
}

/** The bytes of an answer: a captured file, or what a socket has received so far. */
export function readAnswer(bytes: Buffer): { answer: Answer; isWhole: boolean } {
  const split = bytes.indexOf("\r\n\r\n");
  if (split === -1) return { answer: { status: 0, headers: [], body: "", ending: "closed" }, isWhole: false };
  const [first = "", ...lines] = bytes.subarray(0, split).toString().split("\r\n");
  const headers = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
  const rest = bytes.subarray(split + 4);
  const value = (name: string) => headers.find(([given]) => given.toLowerCase() === name)?.[1];
  const status = Number(first.split(" ")[1]);
  if (value("transfer-encoding") === "chunked") {
    const { body, isWhole } = dechunk(rest);
    return { answer: { status, headers, body, ending: "complete" }, isWhole };
  }
  const isWhole = rest.length >= Number(value("content-length") ?? Number.POSITIVE_INFINITY);
  return { answer: { status, headers, body: rest.toString(), ending: "complete" }, isWhole };
}

function dechunk(bytes: Buffer): { body: string; isWhole: boolean } {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const line = bytes.indexOf("\r\n", at);
    const size = line === -1 ? Number.NaN : Number.parseInt(bytes.subarray(at, line).toString(), 16);
    if (Number.isNaN(size) || line + 2 + size > bytes.length) {
      return { body: Buffer.concat(parts).toString(), isWhole: false };
    }
    if (size === 0) return { body: Buffer.concat(parts).toString(), isWhole: true };
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}

/** The `data:` of each event. */
export function events(body: string): string[] {
  return body
    .split("\n\n")
    .filter((event) => event.startsWith("data: "))
    .map((event) => event.slice("data: ".length));
}

/** The text that a stream of chat chunks gave to one choice. */
export function deltas(body: string, index = 0): string[] {
  return events(body)
    .filter((data) => data !== "[DONE]")
    .flatMap((data) => JSON.parse(data).choices ?? [])
    .filter((choice) => choice.index === index)
    .map((choice) => choice.delta?.content ?? choice.text)
    .filter((text) => typeof text === "string" && text !== "");
}
