// The answers to the parts of an embedding request as the answer to the whole: the vectors in order, byte for byte, their
// `index` counted on; `usage` summed; all other members those of the first part. Bytes pass as they come: it holds a few
// kilobytes however long an answer is.
import { parsed } from "./answer.ts";
import { PartReader } from "./part.ts";
import { concat } from "./splice.ts";

const text = new TextEncoder();
const COMMA = text.encode(",");
const DATA = text.encode('"data":[');

export class Merge {
  readonly #parts: readonly PartReader[];

  /** @param inputs of each part: so many vectors must come of it. */
  constructor(inputs: readonly number[]) {
    let offset = 0;
    this.#parts = inputs.map((count) => {
      const part = new PartReader(count, offset);
      offset += count;
      return part;
    });
  }

  /**
   * Bytes of one part's answer in; out comes what stands in the whole: the parts' bytes one after the other, and then
   * {@link tail}. Null: this is no answer to the part, and nothing more is to come of it.
   */
  push(part: number, chunk: Uint8Array): Uint8Array | null {
    const reader = this.#of(part);
    const hadBegun = reader.hasBegun;
    const vectors = reader.push(chunk);
    if (vectors === null) return null;
    if (hadBegun || !reader.hasBegun) return concat(vectors);
    return concat([...(part === 0 ? opening(reader) : [COMMA]), ...vectors]);
  }

  /** A part's answer is over. @returns whether it was whole. */
  end(part: number): boolean {
    return this.#of(part).isWhole;
  }

  /** What stands behind the vectors of the last part. All parts are whole. */
  tail(): Uint8Array {
    const { kept, keptBefore } = this.#of(0);
    const after = kept.slice(keptBefore).filter(({ key }) => key !== "usage");
    const rest = after.map(({ name, value }) => `,${name}:${value}`);
    const usage = sumOf(this.#parts.map((part) => part.usage));
    if (usage !== undefined) rest.push(`,"usage":${JSON.stringify(usage)}`);
    return text.encode(`]${rest.join("")}}`);
  }

  #of(part: number): PartReader {
    const reader = this.#parts[part];
    if (reader === undefined) throw new RangeError(`no part ${part}`);
    return reader;
  }
}

/** Up to the first vector: what the engine says before it, but for the usage, which is not known yet. */
function opening({ kept, keptBefore }: PartReader): Uint8Array[] {
  const before = kept.slice(0, keptBefore).filter(({ key }) => key !== "usage");
  return [text.encode(`{${before.map(({ name, value }) => `${name}:${value},`).join("")}`), DATA];
}

/** Undefined if one of the parts tells none: a sum of the others would be too little, and be paid for. */
function sumOf(usages: readonly (string | null)[]): unknown {
  const values = usages.map((usage) => (usage === null ? undefined : parsed(text.encode(usage))));
  return values.every(isRecord) ? summed(values) : undefined;
}

/** Numbers are summed, at any depth; of all else the first is kept. */
function summed(values: readonly Readonly<Record<string, unknown>>[]): Record<string, unknown> {
  const keys = new Set(values.flatMap((value) => Object.keys(value)));
  return Object.fromEntries(
    [...keys].map((key) => {
      const all = values.map((value) => value[key]).filter((value) => value !== undefined && value !== null);
      const numbers = all.filter((value) => typeof value === "number");
      if (numbers.length > 0) return [key, numbers.reduce((sum, number) => sum + number, 0)];
      const records = all.filter(isRecord);
      return [key, records.length > 0 ? summed(records) : (all[0] ?? null)];
    }),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
