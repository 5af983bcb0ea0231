// The commands that the documentation names in its sentences and tables: each is there, with the options that it is given.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { PAGES, ROOT } from "../support/manual.ts";

const SCRIPTS = (JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { scripts: Record<string, string> })
  .scripts;
const TEXT = (await Promise.all(PAGES.map((page) => readFile(join(ROOT, page), "utf8")))).join("\n");

/** The programs' own; what is npm's, the machine's or Cloudflare's has its manual elsewhere. */
const CONNECTOR = /(?:connector\.mjs|npm run connector --|(?<=`)connector) ([a-z]+)((?: [^`\n#>|]*)?)/g;
const SCRIPT = /npm run (?!connector\b)(?:-s )?([a-z:]+)(?: -- ([^`\n#>|]*))?/g;

/** Options by what they are given to. */
function uses(pattern: RegExp): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const [, name, rest = ""] of TEXT.matchAll(pattern)) {
    const options = found.get(name!) ?? new Set();
    for (const [option] of rest.matchAll(/--[a-z-]+/g)) options.add(option);
    found.set(name!, options);
  }
  return found;
}

const help = async (...program: string[]): Promise<string> =>
  (await promisify(execFile)(process.execPath, ["dev/node.mjs", ...program, "--help"], { cwd: ROOT })).stdout;

describe("a command that the documentation names", () => {
  const commands = [...uses(CONNECTOR)];
  test.each(commands)("connector %s is there, with its options", async (name, options) => {
    const told = await help("connector/main.ts", name);
    expect([...options].filter((option) => !told.includes(option))).toEqual([]);
  });

  const scripts = [...uses(SCRIPT)];
  test.each(scripts)("npm run %s is there, with its options", async (name, options) => {
    const script = SCRIPTS[name];
    expect(script).toBeDefined();
    // `deploy` is wrangler's.
    const file = /^node (?:-- )?dev\/node\.mjs (\S+\.ts)/.exec(script!)?.[1];
    if (options.size === 0 || file === undefined) return;
    const told = await help(file);
    expect([...options].filter((option) => !told.includes(option))).toEqual([]);
  });

  test("is one of many", () => {
    expect(commands.length).toBeGreaterThanOrEqual(6);
    expect(scripts.length).toBeGreaterThan(15);
  });

  test("is each script of the package", () => {
    // Parts of `npm run check` go without saying.
    const names = Object.keys(SCRIPTS).filter((name) => !name.startsWith("check:"));
    const silent = names.filter((name) => !TEXT.match(`(npm (run )?|\`)${name}[\` ]`));
    expect(silent).toEqual([]);
  });

  test("is of a kind that a test covers, or of another machine", async () => {
    const words =
      /^(npm|npx|node|connector|curl|openssl|wrangler|certbot|git|install|mv|cp|cat|chmod|systemctl|journalctl) /;
    const spans = [...TEXT.matchAll(/(?<!`)`([^`\n]+)`(?!`)/g)]
      .map(([, span]) => span!)
      .filter((span) => words.test(span));
    expect(spans.length).toBeGreaterThan(40);
    const unknown = spans.filter((span) => !KINDS.some(([pattern]) => pattern.test(span)));
    expect(unknown).toEqual([]);
    // A kind that nothing is of has no place in the table.
    for (const [pattern] of KINDS)
      expect(
        spans.some((span) => pattern.test(span)),
        String(pattern),
      ).toBe(true);
    for (const [, , file] of TEXT.matchAll(/npx vitest run --project (\w+)(?: (test\/\S+?))?[` ]/g))
      if (file !== undefined) await expect(readFile(join(ROOT, file), "utf8"), file).resolves.not.toBe("");
  });
});

/** Commands in sentences, and what stands for their being right. */
const KINDS: readonly [pattern: RegExp, covered: string][] = [
  [/^npm (run |start|test|ci)/, "the tests above; .ci/run"],
  [/^(connector|node connector\.mjs) ?/, "the tests above; manual.test.ts"],
  [/^npx vitest run --project (pure|workerd|e2e)/, ".ci/run"],
  [/^npx wrangler /, "Cloudflare"],
  [/^(systemctl|journalctl) /, "a machine that systemd has booted; systemd.test.ts"],
  [/^(install|cat|mv|cp|chmod) /, "of the system; the same in manual.test.ts"],
  [/^curl /, "the same in docs.test.ts and manual.test.ts"],
];

describe("a link of the documentation", () => {
  const links = new Map<string, string[]>();
  test.each(PAGES)("of %s leads to a file and a heading that are there", async (page) => {
    const text = await readFile(join(ROOT, page), "utf8");
    const found = [...text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, link]) => link!);
    links.set(page, found);
    for (const link of found) {
      const [path = "", anchor] = link.split("#");
      const file = path === "" ? join(ROOT, page) : join(ROOT, page, "..", path);
      if (anchor === undefined) {
        await expect(promisify(execFile)("test", ["-e", file]), link).resolves.toBeDefined();
        continue;
      }
      const headings = [...(await readFile(file, "utf8")).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slug(heading!));
      expect(headings, link).toContain(anchor);
    }
  });

  test("is one of many", () => expect([...links.values()].flat().length).toBeGreaterThan(40));
});

/** As GitHub makes it. */
function slug(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");
}
