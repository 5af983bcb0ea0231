// JSON over HTTP in few words: bodies read once and bounded, answers and errors as JSON.
import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import { complaint } from "../complaint.ts";

const BODY_LIMIT_BYTES = 16 * 1024;

/** Thrown on purpose: what the client is told instead of an answer. */
export class Rejection extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

export function say(
  response: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  const body = JSON.stringify(value);
  const length = String(Buffer.byteLength(body));
  response.writeHead(status, { "content-type": "application/json", "content-length": length, ...headers });
  response.end(body);
}

export function sayRejection(response: ServerResponse, { status, code, message, headers }: Rejection): void {
  say(response, status, { error: { code, message } }, { ...headers });
}

/**
 * The body as the schema reads it; null: the client left before it had sent all of it.
 * @throws Rejection 415, 413 or 400.
 */
export async function readJson<T>(request: IncomingMessage, schema: z.ZodType<T>): Promise<T | null> {
  const bytes = await readBody(request);
  if (bytes === null) return null;
  const type = request.headers["content-type"] ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new Rejection(415, "unsupported_media_type", "Content-Type must be application/json.");
  }
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString());
  } catch {
    throw new Rejection(400, "invalid_json", "The body is not JSON.");
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new Rejection(400, "invalid_request", complaint(parsed.error));
  return parsed.data;
}

/** What is too large is read to its end and thrown away: a client that is still sending does not read a refusal. */
function readBody(request: IncomingMessage): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let length = 0;
    request.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length > BODY_LIMIT_BYTES) chunks = [];
      else chunks.push(chunk);
    });
    request.once("end", () => {
      if (length <= BODY_LIMIT_BYTES) resolve(Buffer.concat(chunks, length));
      else reject(new Rejection(413, "payload_too_large", `The body is larger than ${BODY_LIMIT_BYTES} bytes.`));
    });
    request.once("close", () => resolve(null));
  });
}
