// A client's body as an engine gets it. The edge has parsed and checked it; here only members of the top level change
// places, and a body of megabytes is copied once and never parsed.
import { isEngineControl, TEMPLATE_CONTROLS } from "./controls.ts";
import { type Member, members } from "./items.ts";
import { OPEN_BRACE } from "./json.ts";
import { concat, type Edit, splice } from "./splice.ts";

export interface EngineWish {
  /** The model's name at the engine. */
  readonly model: string;
  readonly stream: boolean;
  /** Set where the client named no limit. */
  readonly maxTokens?: number;
}

const text = new TextEncoder();
const NULL = text.encode("null");
const TRUE = text.encode("true");
const EMPTY_OBJECT = text.encode("{}");

/** @throws NotJson if the body is not one JSON object. */
export function engineRequest(body: Uint8Array, want: EngineWish): Uint8Array {
  const list = members(body);
  const last = lastOf(list);
  const given = (key: string): Uint8Array | undefined => {
    const member = last.get(key);
    return member === undefined ? undefined : body.subarray(member.value.start, member.value.end);
  };

  const edits = new Map<string, Uint8Array | null>([["model", text.encode(JSON.stringify(want.model))]]);
  if (want.stream) {
    // Usage is always asked for; whether the client sees it is the answer's business.
    edits.set("stream_options", withMembers(given("stream_options"), [["include_usage", TRUE]]));
  }
  if (want.maxTokens !== undefined && !isSaid(given("max_tokens")) && !isSaid(given("max_completion_tokens"))) {
    edits.set("max_tokens", text.encode(String(want.maxTokens)));
  }
  const template = given("chat_template_kwargs");
  if (template?.[0] === OPEN_BRACE) {
    edits.set(
      "chat_template_kwargs",
      withMembers(
        template,
        TEMPLATE_CONTROLS.map((key) => [key, null]),
      ),
    );
  }
  return rebuilt(body, list, last, edits);
}

function isSaid(value: Uint8Array | undefined): boolean {
  return value !== undefined && !(value.length === NULL.length && value.every((byte, i) => byte === NULL[i]));
}

/** The object `value` with some members set (bytes) or cut out (null). What is no object counts as an empty one. */
function withMembers(value: Uint8Array | undefined, edits: Iterable<[string, Uint8Array | null]>): Uint8Array {
  const object = value?.[0] === OPEN_BRACE ? value : EMPTY_OBJECT;
  const list = members(object);
  return rebuilt(object, list, lastOf(list), new Map(edits), () => false);
}

/**
 * Of members with one key only the last survives: it is what JSON.parse saw at the edge, and an engine's parser may
 * see another one.
 */
function rebuilt(
  body: Uint8Array,
  list: readonly Member[],
  last: ReadonlyMap<string, Member>,
  edits: ReadonlyMap<string, Uint8Array | null>,
  isDropped: (key: string) => boolean = isEngineControl,
): Uint8Array {
  const edit = (member: Member): Edit =>
    last.get(member.key) !== member || isDropped(member.key) ? null : edits.get(member.key);
  const added: [string, Uint8Array][] = [];
  for (const [key, value] of edits) if (value !== null && !last.has(key)) added.push([key, value]);
  return concat(splice(body, list, edit, added));
}

function lastOf(list: readonly Member[]): Map<string, Member> {
  return new Map(list.map((member) => [member.key, member]));
}
