// Whether every reader of a body reads what JSON.parse read here. The bytes travel on as they came and engines have parsers
// of their own, so a body that two readers may understand differently was not checked at all. Such bodies are refused:
// of two members of one name engines take the first, the last or none; numbers out of range and halves of surrogate pairs
// are errors to some, and would look like the engine's own.
import type { Failure } from "../../shared/errors.ts";
import { invalid, isObject, type JsonObject } from "./schema.ts";

/** What of a valid JSON text can hold half of a surrogate pair: the bytes themselves are UTF-8. */
const SURROGATE = /\\u[dD][89a-fA-F]/;

/**
 * @param nodes objects, arrays and members in `text`, counted without parsing it.
 * @throws Failure invalid_request with the member at fault.
 */
export function checkAgreement(text: string, body: JsonObject, nodes: number): void {
  if (nodesIn(body) !== nodes) {
    const path = outOfRange(body);
    if (path !== null) throw invalid(path, "expected a number in the range of a double");
    throw twice(text);
  }
  if (!SURROGATE.test(text)) return;
  const path = halfPair(body);
  if (path !== null) throw invalid(path, "expected text without halves of surrogate pairs");
}

/** As the text counts them, less the members that JSON.parse dropped; NaN, and so equal to no count, beside an infinity. */
function nodesIn(value: unknown): number {
  if (typeof value === "number") return value - value;
  if (typeof value !== "object" || value === null) return 0;
  let nodes = 1;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) nodes += nodesIn(value[i]);
  } else {
    for (const name of Object.keys(value)) nodes += 1 + nodesIn((value as JsonObject)[name]);
  }
  return nodes;
}

const outOfRange = (body: JsonObject) =>
  pathTo(
    body,
    (value) => typeof value === "number" && !Number.isFinite(value),
    () => false,
  );
const halfPair = (body: JsonObject) =>
  pathTo(
    body,
    (value) => typeof value === "string" && !value.isWellFormed(),
    (name) => !name.isWellFormed(),
  );

/** Where the first value is that is meant, or a member whose name is; null if there is none. */
function pathTo(
  value: unknown,
  isMeant: (value: unknown) => boolean,
  isNameMeant: (name: string) => boolean,
): string | null {
  if (isMeant(value)) return "";
  const entries = Array.isArray(value) ? value.entries() : isObject(value) ? Object.entries(value) : [];
  for (const [at, inner] of entries) {
    if (typeof at === "string" && isNameMeant(at)) return at.toWellFormed();
    const below = pathTo(inner, isMeant, isNameMeant);
    if (below !== null) return below === "" ? `${at}` : `${at}.${below}`;
  }
  return null;
}

interface Level {
  /** Null in an array. */
  readonly names: Set<string> | null;
  /** Of the member or element that is being read. */
  at: string | number;
  isNameNext: boolean;
}

/** Which member stands twice in its object. Slow, and only for a valid text in which one does. */
function twice(text: string): Failure {
  const levels: Level[] = [];
  const path = () => levels.map(({ at }) => at).join(".");
  for (let i = 0; i < text.length; i++) {
    const level = levels.at(-1);
    switch (text[i]) {
      case "{":
        levels.push({ names: new Set(), at: "", isNameNext: true });
        break;
      case "[":
        levels.push({ names: null, at: 0, isNameNext: false });
        break;
      case "}":
      case "]":
        levels.pop();
        break;
      case ",":
        if (typeof level?.at === "number") level.at++;
        else if (level !== undefined) level.isNameNext = true;
        break;
      case '"': {
        const start = i;
        i = closingQuote(text, start);
        if (level?.isNameNext !== true) break;
        // By itself: in a whole text a parser may take one name for another, as V8 13.6 does.
        level.at = String(JSON.parse(text.slice(start, i + 1)));
        level.isNameNext = false;
        if (level.names?.has(level.at) === true) return invalid(path(), "expected it once, but got it twice");
        level.names?.add(level.at);
      }
    }
  }
  return invalid("", "expected members of different names");
}

function closingQuote(text: string, open: number): number {
  let i = open + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i;
}
