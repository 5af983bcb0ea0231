// A YAML text as values and as places: every complaint names file, line and column. Variables are put in after parsing,
// so that a value can hold no YAML. Knows nothing of what the settings mean. No I/O, no environment.
import { type Document, isMap, isNode, isPair, isScalar, LineCounter, type Node, parseDocument, visit } from "yaml";

export type Path = readonly (string | number)[];
export type VariableSeen = (name: string, isSet: boolean) => void;

/** `${NAME}`, `${NAME:-default}`; `$${` is a plain `${`. */
const VARIABLE = /\$?\$\{([^}]*)\}?/g;
const NAMED = /^([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;

export class ConfigSource {
  readonly #file: string;
  readonly #lines = new LineCounter();
  readonly #document: Document;
  readonly #problems: { readonly offset: number; readonly text: string }[] = [];
  /** Offsets of values whose variables are wrong: what else is wrong with them follows from that. */
  readonly #unread = new Set<number>();
  readonly value: unknown;

  /** @param seen is told of each variable that a value names, and whether it is set. */
  constructor(text: string, file: string, env: Readonly<Record<string, string | undefined>>, seen?: VariableSeen) {
    this.#file = file;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    this.#noteSyntax(text);
    if (this.#problems.length > 0) return;
    this.#expand(env, seen);
    try {
      this.value = this.#document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      this.#note(0, error instanceof Error ? error.message : String(error));
    }
  }

  /** `file:line:column: …`, in the order of the text. */
  get problems(): string[] {
    return this.#problems.toSorted((a, b) => a.offset - b.offset).map(({ text }) => text);
  }

  /** Complains of the value at `path`, or of its nearest ancestor that is there. */
  complain(path: Path, message: string): void {
    const offset = offsetOf(this.#nearest(path));
    const missing = this.#document.hasIn(path) ? "" : "missing; ";
    if (!this.#unread.has(offset)) this.#note(offset, `${nameOf(path)}${missing}${message}`);
  }

  /** Complains of the key itself. */
  complainOfKey(parent: Path, key: string, message: string): void {
    const map = this.#nearest(parent);
    const pair = isMap(map)
      ? map.items.find((item) => isPair(item) && isScalar(item.key) && String(item.key.value) === key)
      : undefined;
    this.#note(offsetOf(isNode(pair?.key) ? pair.key : map), `${nameOf([...parent, key])}${message}`);
  }

  #nearest(path: Path): Node | null {
    for (let length = path.length; length >= 0; length -= 1) {
      const node = length === 0 ? this.#document.contents : this.#document.getIn(path.slice(0, length), true);
      if (isNode(node)) return node;
    }
    return null;
  }

  #noteSyntax(text: string): void {
    const { errors, warnings } = this.#document;
    // After the first one the parser is lost; what it says then is noise.
    const first = errors.find(({ code }) => code !== "DUPLICATE_KEY");
    for (const error of [...errors, ...warnings]) {
      if (error !== first && error.code !== "DUPLICATE_KEY" && first !== undefined) continue;
      const hint = text[error.pos[0] - 1] === "$" ? "; a variable in braces or brackets stands in quotes" : "";
      this.#note(error.pos[0], error.message + hint);
    }
  }

  #expand(env: Readonly<Record<string, string | undefined>>, seen: VariableSeen | undefined): void {
    visit(this.#document, {
      Scalar: (key, node) => {
        if (key === "key" || typeof node.value !== "string") return;
        const { text, complaints } = expand(node.value, env, seen);
        node.value = text;
        for (const complaint of complaints) this.#note(offsetOf(node), complaint);
        if (complaints.length > 0) this.#unread.add(offsetOf(node));
      },
    });
  }

  #note(offset: number, message: string): void {
    const { line, col } = this.#lines.linePos(offset);
    this.#problems.push({
      offset,
      text: `${this.#file}:${Math.max(1, line)}:${Math.max(1, col)}: ${message.trimEnd()}`,
    });
  }
}

export function expand(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
  seen?: VariableSeen,
): { readonly text: string; readonly complaints: string[] } {
  const complaints: string[] = [];
  const expanded = text.replace(VARIABLE, (whole: string, inside: string) => {
    if (whole.startsWith("$$")) return whole.slice(1);
    const [, name, byDefault] = NAMED.exec(inside) ?? [];
    if (name === undefined || !whole.endsWith("}")) {
      complaints.push(`${whole} is not a variable; write \${NAME} or \${NAME:-default}, or $\${ for a plain \${`);
      return "";
    }
    const value = env[name];
    seen?.(name, value !== undefined);
    // As in a shell, `:-` also stands in for an empty value.
    if (byDefault !== undefined) return value === undefined || value === "" ? byDefault : value;
    if (value === undefined)
      complaints.push(`the variable ${name} is not set; set it, or give a default: \${${name}:-…}`);
    return value ?? "";
  });
  return { text: expanded, complaints };
}

function offsetOf(node: Node | null): number {
  return node?.range?.[0] ?? 0;
}

/** `pools[0].slots: ` */
function nameOf(path: Path): string {
  let name = "";
  for (const part of path) name += typeof part === "number" ? `[${part}]` : `${name === "" ? "" : "."}${part}`;
  return name === "" ? "" : `${name}: `;
}
