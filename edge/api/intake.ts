// Turns an untrusted HTTP request into bytes and checked facts, or throws a Failure that names what is wrong. It knows
// HTTP and bytes; what a body must say is the schema's. It holds at most twice what has come, and never more than the cap.
import { Failure } from "../../shared/errors.ts";
import type { Endpoint } from "../../shared/openai.ts";
import { checkAgreement } from "./agree.ts";
import { checkMembers } from "./members.ts";
import { checkShape, type ShapeLimits } from "./scan.ts";
import { checkBody, isMedia, isObject, type JsonObject } from "./schema.ts";

export interface IntakeCaps {
  readonly bytes: number;
  /** A client that is still sending may never read a refusal: what is too large is read on, and dropped, up to here. */
  readonly dropped: number;
  /** By where the prompt is. */
  readonly shapes: Readonly<Record<Endpoint["input"], ShapeLimits>>;
}

const DEPTH = 32;
/** A million tokens in arrays, and little else. */
const TOKENS: ShapeLimits = { depth: DEPTH, values: 1_000_000, nodes: 10_000 };

export const INTAKE_CAPS: IntakeCaps = {
  bytes: 8 * 1024 * 1024,
  dropped: 32 * 1024 * 1024,
  shapes: { messages: { depth: DEPTH, values: 100_000, nodes: 100_000 }, prompt: TOKENS, input: TOKENS },
};

export interface Facts {
  readonly model: string;
  readonly stream: boolean;
  /** The client wants usage in the stream itself. */
  readonly usage: boolean;
  /** The most that one choice may take; undefined where the client named no limit. */
  readonly maxTokens: number | undefined;
  /** Choices in all. */
  readonly n: number;
  /** Roughly the text that the model reads, in UTF-8; names of members count, media do not. */
  readonly promptBytes: number;
}

export interface Intake {
  /** The body as it came. */
  readonly bytes: Uint8Array;
  readonly facts: Facts;
}

/** @throws Failure */
export async function readIntake(
  request: Request,
  endpoint: Endpoint,
  caps: IntakeCaps = INTAKE_CAPS,
): Promise<Intake> {
  checkHeaders(request.headers);
  const bytes = await readBody(request, caps);
  const nodes = checkShape(bytes, caps.shapes[endpoint.input]);
  return { bytes, facts: factsOf(parse(bytes, nodes), endpoint) };
}

/** The type goes on to the engine, and some will not read a body without one. */
const PASSABLE_TYPE = /^[\t\x20-\x7e]{0,256}$/;

function checkHeaders(headers: Headers): void {
  const given = headers.get("content-type") ?? "";
  const [type = "", ...parameters] = given.toLowerCase().split(";");
  if (type.trim() !== "application/json" || !PASSABLE_TYPE.test(given)) throw new Failure("unsupported_media_type");
  for (const parameter of parameters) {
    const [name = "", value = ""] = parameter.split("=");
    if (name.trim() === "charset" && !/^\s*"?utf-?8"?\s*$/.test(value)) {
      throw new Failure("unsupported_media_type", { message: "The charset of application/json must be utf-8." });
    }
  }
  const encoding = headers.get("content-encoding")?.trim().toLowerCase() ?? "";
  if (encoding !== "" && encoding !== "identity") {
    throw new Failure("unsupported_media_type", {
      message: "Content-Encoding is not supported: send the body uncompressed.",
    });
  }
}

/** In one piece where its size is declared: that costs the platform one call. Anything else is counted as it comes. */
async function readBody(request: Request, caps: IntakeCaps): Promise<Uint8Array> {
  const length = request.headers.get("content-length");
  const declared = length === null ? Number.NaN : Number(length);
  if (declared > caps.dropped) throw tooLarge(caps.bytes);
  if (!(declared <= caps.bytes)) return readChunks(request, caps);
  try {
    const bytes = new Uint8Array(await request.arrayBuffer());
    if (bytes.byteLength <= caps.bytes) return bytes;
  } catch (cause) {
    throw endedEarly(cause);
  }
  throw tooLarge(caps.bytes);
}

/** Into one buffer that grows: it may come in chunks of one byte, and a list of those takes a hundred times the memory. */
async function readChunks(request: Request, caps: IntakeCaps): Promise<Uint8Array> {
  const reader = request.body?.getReader();
  let held: Uint8Array = new Uint8Array(0);
  let length = 0;
  while (reader !== undefined) {
    const chunk = await next(reader);
    if (chunk === undefined) break;
    const end = length + chunk.byteLength;
    if (end > caps.bytes) {
      await drop(reader, end, caps.dropped);
      throw tooLarge(caps.bytes);
    }
    if (length === 0) {
      held = chunk;
    } else {
      if (end > held.byteLength) {
        const grown = new Uint8Array(Math.min(caps.bytes, Math.max(end, 2 * held.byteLength)));
        grown.set(held.subarray(0, length));
        held = grown;
      }
      held.set(chunk, length);
    }
    length = end;
  }
  return held.subarray(0, length);
}

async function drop(reader: ReadableStreamDefaultReader<Uint8Array>, from: number, most: number): Promise<void> {
  for (let length = from; length <= most; ) {
    const chunk = await next(reader);
    if (chunk === undefined) return;
    length += chunk.byteLength;
  }
  // Whether the rest is really dropped is not waited for.
  reader.cancel().catch(() => {});
}

async function next(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array | undefined> {
  try {
    return (await reader.read()).value;
  } catch (cause) {
    throw endedEarly(cause);
  }
}

/** The client has left, as a rule: nobody reads this, but it is no defect of ours either. */
function endedEarly(cause: unknown): Failure {
  return new Failure("invalid_request", { message: "The request body ended too early.", cause });
}

function tooLarge(most: number): Failure {
  return new Failure("request_too_large", { message: `The request body is larger than ${most} bytes.` });
}

/** A mark at the beginning is kept, and refused: not every engine steps over it. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function parse(bytes: Uint8Array, nodes: number): JsonObject {
  if (bytes.byteLength === 0) throw notJson("is empty");
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw notJson("is not valid UTF-8");
  }
  if (text.startsWith("\ufeff")) throw notJson("begins with a byte order mark");
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    // V8 quotes what it read; only the place is told.
    const place = / at position (\d+)/.exec(String(error))?.[1];
    throw notJson(`is not valid JSON${place === undefined ? "" : ` (at character ${place})`}`);
  }
  if (!isObject(body)) throw notJson("must be a JSON object");
  checkAgreement(text, body, nodes);
  return body;
}

function notJson(what: string): Failure {
  return new Failure("invalid_request", { message: `The request body ${what}.` });
}

function factsOf(body: JsonObject, endpoint: Endpoint): Facts {
  const { slice, prompts } = checkBody(body, endpoint.input);
  checkMembers(body, endpoint.input);
  // llama.cpp answers several prompts with a list of answers, which is not OpenAI's shape.
  if (endpoint.input === "prompt" && prompts > 1)
    throw new Failure("invalid_request", { param: "prompt", message: "`prompt` takes one prompt a request." });
  // With both, engines do not agree on which one counts.
  const limits = [slice.max_completion_tokens, slice.max_tokens].filter((limit) => limit != null);
  return {
    model: slice.model,
    stream: slice.stream === true,
    // The schema has seen to it that this is a stream.
    usage: slice.stream_options?.include_usage === true,
    maxTokens: limits.length === 0 ? undefined : Math.max(...limits),
    n: slice.n ?? 1,
    promptBytes: textBytes(body[endpoint.input]) + textBytes(body["tools"]) + textBytes(body["functions"]),
  };
}

/** What a token that came as a number is taken for. */
const TOKEN_BYTES = 4;

function textBytes(value: unknown): number {
  if (typeof value === "string") return utf8Length(value);
  if (typeof value === "number") return TOKEN_BYTES;
  let sum = 0;
  if (Array.isArray(value)) for (let i = 0; i < value.length; i++) sum += textBytes(value[i]);
  else if (isObject(value)) {
    for (const name of Object.keys(value)) {
      const inner = value[name];
      if (isObject(inner) || !isMedia(name)) sum += name.length + textBytes(inner);
    }
  }
  return sum;
}

/** Without making the bytes. */
function utf8Length(text: string): number {
  let length = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // Half of a pair is two bytes of its four.
    if (unit >= 0x80) length += unit < 0x800 || (unit >= 0xd800 && unit < 0xe000) ? 1 : 2;
  }
  return length;
}
