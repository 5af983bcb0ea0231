// The commands of the documentation, as they stand in README.md and docs/*.md, and the only way in which a test may run them:
// nothing that would reach another machine than this one is started.
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";

export const ROOT = resolve(import.meta.dirname, "../..");
export const PAGES: readonly string[] = [
  "README.md",
  ...(await readdir(join(ROOT, "docs"))).filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`),
];

const SITE = "docs/operators-connector.md";
const EDGE = "docs/self-hosting.md";
/** Sections whose commands test/e2e/manual.test.ts runs, in the order of an operator's day, each with the machine. */
export const PATH = [
  { machine: "site", page: SITE, section: "Install" },
  { machine: "site", page: "README.md", section: "For operators" },
  { machine: "site", page: SITE, section: "Key" },
  { machine: "edge", page: EDGE, section: "Install" },
  { machine: "edge", page: EDGE, section: "Public keys" },
  { machine: "edge", page: EDGE, section: "A certificate of your own" },
  { machine: "edge", page: EDGE, section: "Start" },
  { machine: "site", page: SITE, section: "First connection" },
  { machine: "site", page: SITE, section: "Keys and rotation" },
  { machine: "edge", page: EDGE, section: "Start" },
  { machine: "site", page: SITE, section: "Change over" },
  { machine: "site", page: SITE, section: "As a service" },
  { machine: "edge", page: EDGE, section: "As a service" },
] as const;
/** Pages of examples, which test/e2e/docs.test.ts runs. */
export const EXAMPLES: readonly string[] = ["docs/api.md"];

/** A block between fences. */
export interface Fence {
  readonly page: string;
  readonly line: number;
  /** The heading that it stands under. */
  readonly section: string;
  readonly language: string;
  /**
   * Why no test runs it as it stands: `cloudflare` needs an account there, `host=FILE` a machine that no test has, and FILE
   * tests what it does. Null: a test runs it.
   */
  readonly mark: string | null;
  readonly text: string;
}

export async function fencesOf(page: string): Promise<Fence[]> {
  const lines = (await readFile(join(ROOT, page), "utf8")).split("\n");
  const fences: Fence[] = [];
  let open: { line: number; indent: string; info: string; text: string[] } | null = null;
  let section = "";
  for (const [at, line] of lines.entries()) {
    const fence = /^( *)```(.*)$/.exec(line);
    if (open === null && fence !== null) open = { line: at + 1, indent: fence[1]!, info: fence[2]!.trim(), text: [] };
    else if (open !== null && fence !== null) {
      const [language = "", mark = null] = open.info.split(/\s+/);
      const text = open.text.map((one) => one.slice(open!.indent.length)).join("\n");
      fences.push({ page, line: open.line, section, language, mark, text });
      open = null;
    } else if (open !== null) open.text.push(line);
    else section = /^#+ (.*)$/.exec(line)?.[1] ?? section;
  }
  if (open !== null) throw new Error(`${page}:${open.line}: the block has no end`);
  return fences;
}

export interface ManualCommand {
  /** As a shell takes it. */
  readonly text: string;
  /** The page says that it runs until it is told to stop. */
  readonly runs: boolean;
}

/** The commands of a block of shell. A line that ends in `\` goes on. */
export function commandsOf({ text }: Pick<Fence, "text">): ManualCommand[] {
  return text
    .replaceAll("\\\n", " ")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"))
    .map((line) => ({ text: line.replace(/\s+# .*$/, ""), runs: /# Ctrl-C stops it/.test(line) }));
}

/** These read the files that they are given, and dial nobody. */
const READS =
  /^(npm run (build|check\S*)\b|(npm run connector --|node \S*connector\.mjs) (validate|keygen|service)\b|(install|cat|cp|cd|export|set|openssl req)\b)/;
const IS_HERE = /^(127(\.\d+){3}|localhost|0\.0\.0\.0|\[::1?\])$/;

/** @returns hosts in addresses, and bare IPv4 addresses, that are not this machine. */
function strangersIn(text: string): string[] {
  const hosts = [...text.matchAll(/\b(?:https?|wss?):\/\/(\[[^\]]*\]|[^\s/:"'`,}\]]*)/g)].map(([, host]) => host!);
  const addresses = [...text.matchAll(/(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?![\d.])/g)].map(([, address]) => address!);
  return [...hosts, ...addresses].filter((host) => host !== "" && !IS_HERE.test(host));
}

/**
 * Refuses a command that would reach another machine: by its own words, or by a file that it names, as config/cloud and
 * config/local have addresses of a real site in them.
 *
 * @param read a file of the command's machine, or null.
 * @throws Error that says why.
 */
export async function assertStaysHere(command: string, read: (path: string) => Promise<string | null>): Promise<void> {
  const refuse = (why: string): never => {
    throw new Error(`this command is not run by a test, because ${why}: ${command}`);
  };
  for (const part of command.split(/&&|\|\||;|\|/).map((one) => one.trim())) {
    const [stranger] = strangersIn(part);
    if (stranger !== undefined) refuse(`it names ${stranger}`);
    if (/\b(npm (ci|i|install)|npx wrangler)\b/.test(part)) refuse("it asks a registry or Cloudflare");
    if (READS.test(part)) continue;
    for (const word of part.split(/[\s="']+/).filter((one) => /\.(ya?ml|env|json|conf)$/.test(one))) {
      if (/(^|\/)config\/(cloud|local)\//.test(word)) refuse(`${word} is of a real site`);
      const [there] = strangersIn(((await read(word)) ?? "").replace(/^\s*#.*$/gm, ""));
      if (there !== undefined) refuse(`${word} names ${there}`);
    }
  }
}
