// The beginning of a prompt, as bytes that two requests share if an engine's cache of the one helps the other: everything
// up to the end of the first user turn, which stays the same while a conversation grows. Raw bytes: nothing is decoded, and
// what comes after that turn is not even scanned.
import { findElement, valueAt } from "./items.ts";
import { NotJson, OPEN_BRACE, OPEN_BRACKET } from "./json.ts";

/** A picture may be megabytes; what is longer is told by its beginning. */
const MOST_BYTES = 16 * 1024;
/** A completion has no turns: the whole conversation stands in it, and grows. */
const PROMPT_BYTES = 512;

const USER = new TextEncoder().encode('"user"');

/** A view of the body; null if it holds no prompt. */
export function promptPrefix(body: Uint8Array): Uint8Array | null {
  try {
    const messages = valueAt(body, 0, "messages");
    if (messages !== null) return firstTurns(body, messages);
    const prompt = valueAt(body, 0, "prompt");
    return prompt === null ? null : body.subarray(prompt, prompt + PROMPT_BYTES);
  } catch (error) {
    if (error instanceof NotJson) return null;
    throw error;
  }
}

function firstTurns(body: Uint8Array, start: number): Uint8Array {
  const user = body[start] === OPEN_BRACKET ? findElement(body, start, (message) => isUser(body, message.start)) : null;
  return body.subarray(start, Math.min(start + MOST_BYTES, user?.end ?? body.length));
}

function isUser(body: Uint8Array, message: number): boolean {
  const role = body[message] === OPEN_BRACE ? valueAt(body, message, "role") : null;
  return role !== null && USER.every((byte, i) => body[role + i] === byte);
}
