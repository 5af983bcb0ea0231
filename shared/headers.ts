// Headers cross in both directions by allow-list. Hop-by-hop, forwarding and engine-control headers
// (`X-Conversation-Id` makes llama-server go on after its client has left) are on neither list.

/** From a client to an engine. Everything else is the gateway's own. */
export const REQUEST_HEADERS: ReadonlySet<string> = new Set(["content-type", "accept", "traceparent", "tracestate"]);

/** From the connector to an engine: also the id of the request, by which an engine's own log can be read beside ours. */
export const ENGINE_HEADERS: ReadonlySet<string> = new Set([...REQUEST_HEADERS, "x-request-id"]);

/** From an engine to a client. Length and framing are the gateway's own: the answer is rewritten on its way. */
export const ANSWER_HEADERS: ReadonlySet<string> = new Set(["content-type"]);

export type HeaderPairs = [name: string, value: string][];

/**
 * Longest value that crosses, in characters. A frame's head is bounded, and one header that is too long would cost its
 * connector the socket; W3C asks for 512 characters of `tracestate`.
 */
const MAX_VALUE = 1_024;

/** Keeps what is on the list; names are lower-cased. What is too long or has anything but printable ASCII is dropped. */
export function allowHeaders(pairs: Iterable<readonly [string, string]>, allowed: ReadonlySet<string>): HeaderPairs {
  const kept: HeaderPairs = [];
  for (const [name, value] of pairs) {
    const lower = name.toLowerCase();
    if (allowed.has(lower) && isPlain(value)) kept.push([lower, value]);
  }
  return kept;
}

/** The same of a platform's headers, asked one by one: to go through all that a client sent costs ten times as much. */
export function pickHeaders(headers: { get(name: string): string | null }, allowed: ReadonlySet<string>): HeaderPairs {
  const kept: HeaderPairs = [];
  for (const name of allowed) {
    const value = headers.get(name);
    if (value !== null && isPlain(value)) kept.push([name, value]);
  }
  return kept;
}

function isPlain(value: string): boolean {
  return value.length <= MAX_VALUE && /^[\t\x20-\x7e]*$/.test(value);
}
