// Prompts and answers as a trace shows them, where the operator has asked for it: messages in the form of OpenTelemetry's
// `gen_ai.input.messages` and `gen_ai.output.messages`, cut to a bound. Pure.

/** Of text, UTF-8, for each direction. */
export const CONTENT_BYTES = 32 * 1024;
/** JSON that is longer is not parsed: it would hold up everybody else. */
const PARSED_BYTES = 256 * 1024;

export interface Content {
  /** JSON of a list of messages. */
  readonly messages: string;
  /** It is not the whole of it. */
  readonly isCut: boolean;
}

interface Message {
  readonly role: string;
  readonly parts: readonly object[];
  readonly finish_reason?: string;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();
const scratch = new Uint8Array(CONTENT_BYTES);

/** Text is taken until the bound is reached, and whatever follows is left out. */
class Budget {
  #left = CONTENT_BYTES;
  isCut = false;

  take(text: string): string {
    const { read, written } = encoder.encodeInto(text, scratch.subarray(0, this.#left));
    if (read < text.length) this.isCut = true;
    this.#left = this.isCut ? 0 : this.#left - written;
    return text.slice(0, read);
  }

  get isSpent(): boolean {
    return this.#left === 0;
  }
}

/** @param body of the client's request. */
export function promptOf(body: Uint8Array): Content {
  const budget = new Budget();
  const value = body.byteLength > PARSED_BYTES ? undefined : parsed(decoder.decode(body));
  const messages: Message[] = [];
  for (const { role, content } of turnsOf(value)) {
    if (budget.isSpent) budget.isCut = true;
    else messages.push({ role, parts: partsOf(content, budget) });
  }
  if (messages.length === 0) {
    // What is not understood, or too long to be, stands as it came.
    // As a stream, so that a character that is cut in two is left out.
    const raw = budget.take(new TextDecoder().decode(body.subarray(0, CONTENT_BYTES), { stream: true }));
    if (body.byteLength > CONTENT_BYTES) budget.isCut = true;
    messages.push({ role: "user", parts: [{ type: "text", content: raw }] });
  }
  return { messages: JSON.stringify(messages), isCut: budget.isCut };
}

/** An answer that is one JSON object. */
export function answerOf(body: Uint8Array, isWhole: boolean): Content {
  const budget = new Budget();
  const value = isWhole && body.byteLength <= PARSED_BYTES ? parsed(decoder.decode(body)) : undefined;
  const messages = listIn(value, "choices").map((choice): Message => {
    const message = memberOf(choice, "message");
    const said = memberOf(message, "content") ?? memberOf(choice, "text");
    const calls = memberOf(message, "tool_calls");
    const parts = said === undefined || said === null ? [] : partsOf(said, budget);
    if (calls !== undefined) parts.push({ type: "text", content: budget.take(JSON.stringify(calls)) });
    return withReason({ role: "assistant", parts }, memberOf(choice, "finish_reason"));
  });
  return { messages: JSON.stringify(messages), isCut: budget.isCut || (value === undefined && body.byteLength > 0) };
}

/** An answer that comes in events, as the dialect writes them: each in one `data:` line. Choices are told apart. */
export class StreamContent {
  readonly #decoder = new TextDecoder();
  readonly #choices = new Map<number, { text: string; reason: unknown }>();
  readonly #budget = new Budget();
  #rest = "";

  push(bytes: Uint8Array): void {
    if (this.#budget.isCut) return;
    const lines = (this.#rest + this.#decoder.decode(bytes, { stream: true })).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("data: {")) this.#event(parsed(line.slice("data: ".length)));
  }

  content(): Content {
    const messages = [...this.#choices.values()].map(({ text, reason }) =>
      withReason({ role: "assistant", parts: [{ type: "text", content: text }] }, reason),
    );
    return { messages: JSON.stringify(messages), isCut: this.#budget.isCut };
  }

  #event(value: unknown): void {
    for (const choice of listIn(value, "choices")) {
      const index = memberOf(choice, "index");
      const place = typeof index === "number" ? index : 0;
      const so = this.#choices.get(place) ?? { text: "", reason: undefined };
      if (this.#choices.size >= MOST_CHOICES && !this.#choices.has(place)) continue;
      this.#choices.set(place, so);
      const delta = memberOf(choice, "delta");
      const said = memberOf(delta, "content") ?? memberOf(choice, "text");
      if (typeof said === "string") so.text += this.#budget.take(said);
      so.reason = memberOf(choice, "finish_reason") ?? so.reason;
    }
  }
}

const MOST_CHOICES = 128;

/** `messages` of a chat, `prompt` of a completion, `input` of an embedding. */
function turnsOf(request: unknown): { role: string; content: unknown }[] {
  const messages = listIn(request, "messages");
  if (messages.length > 0) {
    return messages.map((message) => {
      const role = memberOf(message, "role");
      return { role: typeof role === "string" ? role : "user", content: memberOf(message, "content") };
    });
  }
  const asked = memberOf(request, "prompt") ?? memberOf(request, "input");
  return asked === undefined ? [] : [{ role: "user", content: asked }];
}

/** Text as text; of anything else (an image, a sound) only what it is. */
function partsOf(content: unknown, budget: Budget): object[] {
  if (typeof content === "string") return [{ type: "text", content: budget.take(content) }];
  if (!Array.isArray(content)) return [];
  const parts: object[] = [];
  for (const part of content) {
    if (budget.isSpent) {
      budget.isCut = true;
      break;
    }
    const text: unknown = typeof part === "string" ? part : memberOf(part, "text");
    const type = memberOf(part, "type");
    if (typeof text === "string") parts.push({ type: "text", content: budget.take(text) });
    else if (typeof type === "string") parts.push({ type: budget.take(type) });
  }
  return parts;
}

function withReason(message: Message, reason: unknown): Message {
  return typeof reason === "string" ? { ...message, finish_reason: reason } : message;
}

const REASON = /"finish_reason"\s*:\s*"([a-z_]{1,32})"/g;

/** Why each choice ended, read off the raw end of an answer; inside a text the quotes would be escaped. */
export function finishReasonsIn(bytes: Uint8Array): string[] {
  return [...decoder.decode(bytes).matchAll(REASON)].map(([, reason]) => reason ?? "");
}

function memberOf(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}

function listIn(value: unknown, key: string): unknown[] {
  const list = memberOf(value, key);
  return Array.isArray(list) ? list : [];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
