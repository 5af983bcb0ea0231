// Changes members of a JSON object in place: what is not changed keeps its bytes, spaces included.
// It knows where commas go and nothing of what the members mean.
import type { Member } from "./items.ts";
import { OPEN_BRACE } from "./json.ts";

/** What becomes of a member: bytes replace its value, null cuts it out, undefined leaves it. */
export type Edit = Uint8Array | null | undefined;

const text = new TextEncoder();
const COMMA = text.encode(",");

/**
 * @param list all members of the object that is `body`.
 * @param added new members; their keys are not in the object any more.
 * @returns the new object in parts, most of them views into `body`.
 */
export function splice(
  body: Uint8Array,
  list: readonly Member[],
  edit: (member: Member, index: number) => Edit,
  added: readonly (readonly [key: string, value: Uint8Array])[] = [],
): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let from = 0;
  let kept = 0;
  list.forEach((member, index) => {
    const change = edit(member, index);
    if (change === null) {
      // With a survivor before it a member takes the comma on its left along, else the one on its right.
      const previous = kept > 0 ? list[index - 1] : undefined;
      parts.push(body.subarray(from, previous?.value.end ?? member.name.start));
      from = previous === undefined ? (list[index + 1]?.name.start ?? member.value.end) : member.value.end;
      return;
    }
    kept++;
    if (change === undefined) return;
    parts.push(body.subarray(from, member.value.start), change);
    from = member.value.end;
  });
  if (added.length > 0) {
    const end = list.at(-1)?.value.end ?? body.indexOf(OPEN_BRACE) + 1;
    parts.push(body.subarray(from, end));
    from = end;
    for (const [key, value] of added) {
      if (kept++ > 0) parts.push(COMMA);
      parts.push(text.encode(`${JSON.stringify(key)}:`), value);
    }
  }
  parts.push(body.subarray(from));
  return parts;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  let length = 0;
  for (const part of parts) length += part.byteLength;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.byteLength;
  }
  return whole;
}
