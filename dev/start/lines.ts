// What the parts print, made short for a person: one line each, the part in front; of a line in JSON the time, the level, the
// message and its fields. Pure.

const COLOURS: Readonly<Record<string, number>> = { edge: 36, connector: 35, backend: 33, fleet: 34, dev: 32 };
const LEVELS: Readonly<Record<string, number>> = { warn: 33, error: 31, fatal: 31 };
const NAME_WIDTH = 9;
/** Of no use to a person who has one of each. */
const LEFT_OUT = new Set(["level", "time", "msg", "pid", "hostname", "name", "trace_id"]);
const MOST_FIELDS = 12;

export interface Lines {
  /** Takes a piece of what a part prints, and gives the lines that are whole now. */
  take(part: string, piece: string): string[];
}

/** @param hasColour is false where nobody looks at a terminal. */
export function newLines(hasColour: boolean): Lines {
  const rests = new Map<string, string>();
  const paint = (code: number | undefined, text: string) =>
    hasColour && code !== undefined ? `\x1b[${code}m${text}\x1b[0m` : text;
  return {
    take(part, piece) {
      const lines = ((rests.get(part) ?? "") + piece).split("\n");
      rests.set(part, lines.pop() ?? "");
      const name = paint(COLOURS[part] ?? 35, part.padEnd(NAME_WIDTH));
      return lines.filter((line) => line.trim() !== "").map((line) => `${name} ${shorten(line, paint)}`);
    },
  };
}

function shorten(line: string, paint: (code: number | undefined, text: string) => string): string {
  const fields = read(line);
  if (fields === null) return line;
  const level = String(fields["level"] ?? "info");
  const shown = Object.entries(fields)
    .filter(([name, value]) => !LEFT_OUT.has(name) && value !== null && value !== "")
    .slice(0, MOST_FIELDS)
    .map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  const mark = LEVELS[level] === undefined ? "" : `${paint(LEVELS[level], level)} `;
  return `${mark}${String(fields["msg"])} ${paint(2, shown.join(" "))}`.trimEnd();
}

function read(line: string): Record<string, unknown> | null {
  if (!line.startsWith("{")) return null;
  try {
    const value = JSON.parse(line) as Record<string, unknown>;
    return typeof value["msg"] === "string" ? value : null;
  } catch {
    return null;
  }
}
