// What a parsed body must be like before anything is spent on it. Only members with a safety or a billing reason are
// looked at; all others reach the connector unseen, in the client's own bytes.
import { z } from "zod";
import { Failure } from "../../shared/errors.ts";
import type { Endpoint } from "../../shared/openai.ts";
import { MAX_CHOICES, MAX_MODEL_LENGTH, MAX_TOKENS, plainSlice, type Slice } from "./plain.ts";

// workerd forbids code generation; zod would otherwise probe for it with an exception at the first parse.
z.config({ jitless: true });

type Input = Endpoint["input"];
export type JsonObject = Readonly<Record<string, unknown>>;

/** OpenAI's own. */
const MAX_LOGPROBS = 20;
const MAX_DIMENSIONS = 65_536;
const MAX_MESSAGES = 4_096;
/** Each is a generation of its own. */
const MAX_PROMPTS = 128;
/** OpenAI's own. */
const MAX_INPUTS = 2_048;
const MAX_TOKEN_ID = 2 ** 31 - 1;
/** A path holds the client's own names of members, and it goes into headers and frames. */
const MAX_PARAM_LENGTH = 200;

const flag = z.boolean().nullish();
const upTo = (max: number) => z.int().min(1).max(max).nullish();
const range = (min: number, max: number) => z.number().min(min).max(max).nullish();

const everywhere = {
  model: z.string().min(1).max(MAX_MODEL_LENGTH),
  user: z.string().max(512).nullish(),
};
const generation = {
  ...everywhere,
  stream: flag,
  stream_options: z.object({ include_usage: flag }).nullish(),
  max_tokens: upTo(MAX_TOKENS),
  max_completion_tokens: upTo(MAX_TOKENS),
  n: upTo(MAX_CHOICES),
  best_of: upTo(MAX_CHOICES),
  temperature: range(0, 2),
  top_p: range(0, 1),
};
const logprobs = z.int().min(0).max(MAX_LOGPROBS).nullish();

// Unknown members are stepped over and not copied: zod's result is for facts alone, what travels are the bytes.
export const SLICES: Readonly<Record<Input, z.ZodType<Slice>>> = {
  messages: z.object({ ...generation, logprobs: flag, top_logprobs: logprobs }),
  prompt: z.object({ ...generation, logprobs }),
  input: z.object({
    ...everywhere,
    stream: z.literal(false).nullish(),
    encoding_format: z.enum(["float", "base64"]).nullish(),
    dimensions: upTo(MAX_DIMENSIONS),
  }),
};

/** What the model is to read; by hand, as zod would make an issue for each of a million wrong elements. */
const CONTENTS: Readonly<Record<Input, (value: unknown) => number>> = {
  messages: checkMessages,
  prompt: (value) => checkTexts("prompt", value, MAX_PROMPTS, 0),
  input: (value) => checkTexts("input", value, MAX_INPUTS, 1),
};

/**
 * @returns what was checked, and how many prompts there are.
 * @throws Failure invalid_request with the member at fault.
 */
export function checkBody(body: JsonObject, input: Input): { readonly slice: Slice; readonly prompts: number } {
  const slice = (input === "input" ? null : plainSlice(body)) ?? sliceOf(body, input);
  if (slice.stream_options != null && slice.stream !== true) {
    throw refusal("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
  }
  const prompts = CONTENTS[input](body[input]);
  const link = linkIn(body, undefined, OF_BODY);
  if (link !== null) throw invalid(link, "nothing is fetched from elsewhere, send it inline as a data: URL");
  return { slice, prompts };
}

function sliceOf(body: JsonObject, input: Input): Slice {
  const parsed = SLICES[input].safeParse(body);
  if (!parsed.success) throw issueOf(parsed.error.issues[0], body);
  return parsed.data;
}

/** What parts of a message may be. Others that engines know carry tensors (`image_embeds`) or names of files (`image`). */
const PART_TYPES: ReadonlySet<unknown> = new Set([
  ...["text", "input_text", "output_text", "refusal", "thinking"],
  ...["image_url", "input_image", "audio_url", "input_audio", "video_url", "input_video", "file"],
]);

function checkMessages(messages: unknown): number {
  checkList("messages", messages, MAX_MESSAGES);
  for (const [i, message] of messages.entries()) {
    const at = `messages.${i}`;
    if (!isObject(message)) throw wrongType(at, "an object", message);
    if (typeof message["role"] !== "string") throw wrongType(`${at}.role`, "a string", message["role"]);
    const content = message["content"];
    // An assistant that only called tools has said nothing.
    if (typeof content === "string" || content === null) continue;
    if (content === undefined && message["role"] === "assistant") continue;
    if (!Array.isArray(content)) throw wrongType(`${at}.content`, "a string or an array of objects", content);
    for (const [j, part] of content.entries()) {
      if (!isObject(part)) throw wrongType(`${at}.content.${j}`, "an object", part);
      const type = part["type"];
      if (typeof type !== "string") throw wrongType(`${at}.content.${j}.type`, "a string", type);
      if (!PART_TYPES.has(type)) {
        throw invalid(`${at}.content.${j}.type`, `expected one of ${[...PART_TYPES].join(", ")}`);
      }
      // llama.cpp fails on a text part without one.
      if (type === "text" && typeof part["text"] !== "string") {
        throw wrongType(`${at}.content.${j}.text`, "a string", part["text"]);
      }
    }
  }
  return 1;
}

const TEXTS = "a string, an array of strings, an array of tokens or an array of token arrays";

/** A string, strings, tokens or arrays of tokens. @returns how many texts these are. */
function checkTexts(name: string, value: unknown, most: number, minLength: 0 | 1): number {
  const checkText = (at: string, text: string): void => {
    if (text.length < minLength) throw invalid(at, "expected a non-empty string, but got an empty one");
  };
  if (typeof value === "string") {
    checkText(name, value);
    return 1;
  }
  if (!Array.isArray(value)) throw wrongType(name, TEXTS, value);
  const first: unknown = value[0];
  if (typeof first === "number") {
    checkTokens(name, value);
    return 1;
  }
  checkList(name, value, most);
  for (const [i, item] of value.entries()) {
    if (typeof first !== "string") checkTokens(`${name}.${i}`, item);
    else if (typeof item !== "string") throw wrongType(`${name}.${i}`, "a string", item);
    else checkText(`${name}.${i}`, item);
  }
  return value.length;
}

function checkTokens(name: string, value: unknown): void {
  checkList(name, value, Number.POSITIVE_INFINITY);
  for (let i = 0; i < value.length; i++) {
    const token: unknown = value[i];
    if (typeof token !== "number") throw wrongType(`${name}.${i}`, "an integer", token);
    const isToken = Number.isInteger(token) && token >= 0 && token <= MAX_TOKEN_ID;
    if (!isToken) throw invalid(`${name}.${i}`, "expected a token");
  }
}

export function checkList(name: string, value: unknown, most: number): asserts value is unknown[] {
  if (!Array.isArray(value)) throw wrongType(name, "an array", value);
  if (value.length === 0) throw invalid(name, "expected an array with at least 1 element, but got an empty one");
  if (value.length > most) throw invalid(name, `expected at most ${most} elements, but got ${value.length}`);
}

// Engines fetch whatever stands where media are expected: any URL that the site can reach, and `file://` paths.

const DATA_URL = /^data:/i;
/** No base64, or llama.cpp would fetch it: that takes `input_audio.data` for a URL if it begins like one. */
const NOT_BASE64 = /^(?:http|file)|[^\w+/=\r\n-]/i;

/** Members whose text is a place to fetch from, and what it may be instead. */
const MEDIA: ReadonlyMap<string, (text: string) => boolean> = new Map([
  ...["url", "uri", "src", "path", "file_path", "file_url", "image_url", "audio_url", "video_url"].map(onlyDataUrl),
  ...["image", "images", "audio", "audios", "video", "videos"].map(onlyDataUrl),
  ...["input_image", "input_audio", "input_video"].map(onlyDataUrl),
  ...["data", "file_data", "multimodal_data"].map((name) => [name, isInline] as const),
]);

function onlyDataUrl(name: string): readonly [string, (text: string) => boolean] {
  return [name, (text) => DATA_URL.test(text)];
}

function isInline(text: string): boolean {
  return DATA_URL.test(text) || !NOT_BASE64.test(text);
}

/** Members that speak of URLs and never hold media: schemas, calls already made, labels. */
const NOT_MEDIA: ReadonlySet<string> = new Set([
  ...["tools", "functions", "tool_calls", "function_call", "annotations", "metadata", "documents"],
  ...["response_format", "json_schema", "structured_outputs", "guided_json"],
]);

/** What other gateways add to an answer, and their clients send back with it: engines read media in a message's `content`. */
const OF_MESSAGE: ReadonlySet<string> = new Set([
  ...["sources", "citations", "search_results", "reasoning_details", "thinking_blocks", "provider_specific_fields"],
]);
/** A gateway's own, about the request. */
const OF_BODY: ReadonlySet<string> = new Set(["litellm_metadata"]);
const NONE: ReadonlySet<string> = new Set();

/**
 * Where `value` names something to fetch, or null. Looks everywhere: engines read more members than are documented.
 * @param free members that hold no media either, in `value` itself or the objects of its list.
 */
function linkIn(value: unknown, accepts: ((text: string) => boolean) | undefined, free = NONE): string | null {
  if (typeof value === "string") return accepts === undefined || accepts(value) ? null : "";
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item: unknown = value[i];
      const below = typeof item === "number" ? null : linkIn(item, accepts, free);
      if (below !== null) return below === "" ? `${i}` : `${i}.${below}`;
    }
    return null;
  }
  if (!isObject(value)) return null;
  for (const name of Object.keys(value)) {
    if (NOT_MEDIA.has(name) || free.has(name)) continue;
    const isChat = name === "messages" && free === OF_BODY;
    const below = linkIn(value[name], MEDIA.get(name), isChat ? OF_MESSAGE : NONE);
    if (below !== null) return below === "" ? name : `${name}.${below}`;
  }
  return null;
}

/** Whether the member `name` holds media and no text. */
export function isMedia(name: string): boolean {
  return MEDIA.has(name);
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "an integer",
  boolean: "a boolean",
  object: "an object",
};

function issueOf(issue: z.core.$ZodIssue | undefined, body: JsonObject): Failure {
  const name = issue?.path.join(".") ?? "";
  const value = issue?.path.reduce<unknown>((at, key) => (isObject(at) ? at[String(key)] : undefined), body);
  const measure = typeof value === "string" ? "a length" : "a value";
  switch (issue?.code) {
    case "invalid_type":
      return wrongType(name, EXPECTED[issue.expected] ?? issue.expected, value);
    case "too_small":
      return invalid(name, `expected ${measure} of at least ${issue.minimum}`);
    case "too_big":
      return invalid(name, `expected ${measure} of at most ${issue.maximum}`);
    case "invalid_value":
      return invalid(name, `expected ${issue.values.map((allowed) => JSON.stringify(allowed)).join(" or ")}`);
    default:
      return invalid(name, "expected another value");
  }
}

export function wrongType(name: string, expected: string, value: unknown): Failure {
  if (value === undefined) return refusal(name, `Missing required parameter: '${shortened(name)}'.`);
  return refusal(
    name,
    `Invalid type for '${shortened(name)}': expected ${expected}, but got ${kindOf(value)} instead.`,
  );
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "number" && !Number.isFinite(value)) return "one out of range";
  if (typeof value === "number") return Number.isInteger(value) ? "an integer" : "a decimal number";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

export function invalid(name: string, expected: string): Failure {
  return refusal(name, `Invalid value for '${shortened(name)}': ${expected}.`);
}

function refusal(name: string, message: string): Failure {
  return new Failure("invalid_request", { param: shortened(name), message });
}

function shortened(name: string): string {
  return name.length <= MAX_PARAM_LENGTH ? name : `${name.slice(0, MAX_PARAM_LENGTH - 1)}…`.toWellFormed();
}
