// The examples of docs/api.md, taken from the page and run as a reader would run them; and of every other command of the
// documentation, what runs it.
import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DEFAULT_TIERS } from "../../edge/gate/tiers.ts";
import { ENDPOINTS, PUBLIC_MODELS } from "../../shared/openai.ts";
import { assertStaysHere, EXAMPLES as EXAMPLE_PAGES, fencesOf, PAGES, PATH, ROOT } from "../support/manual.ts";
import { useStack } from "../support/stack.ts";

const PAGE = await readFile(join(ROOT, "docs/api.md"), "utf8");
const BASE = "http://127.0.0.1:4000";
const run = promisify(execFile);

const stack = useStack({
  fleet: ["--chat", "0x2", "--embed", "0x1", "--tokens-per-second", "0", "--first-token-ms", "0"],
  // As they are by default: the page tells of them.
  edge: { TIERS: "" },
});

type Language = "sh" | "python" | "ts";

interface Example {
  readonly language: Language;
  readonly line: number;
  /** A pattern that its output must match. */
  readonly prints: string | undefined;
  readonly code: string;
}

const EXAMPLES: readonly Example[] = [
  ...PAGE.matchAll(/(?:<!-- prints: (?<prints>.+) -->\n)?```(?<language>sh|python|ts)\n(?<code>[\s\S]*?)```/g),
].map(({ index, groups }) => ({
  language: groups!["language"] as Language,
  line: PAGE.slice(0, index).split("\n").length,
  prints: groups!["prints"],
  code: groups!["code"]!,
}));

const hasPython = spawnSync("python3", ["-c", "import openai"], { stdio: "ignore" }).status === 0;
const hasCurl = spawnSync("curl", ["--version"], { stdio: "ignore" }).status === 0;
const isLeftOut = ({ language }: Example) => (language === "python" && !hasPython) || (language === "sh" && !hasCurl);

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "heartcode-"));
  await symlink(join(ROOT, "node_modules"), join(directory, "node_modules"));
});
afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

describe("an example of docs/api.md", () => {
  test("is there for each language, and says what it prints", () => {
    for (const language of ["sh", "python", "ts"]) {
      expect(EXAMPLES.filter((example) => example.language === language).length).toBeGreaterThan(3);
    }
    expect(EXAMPLES.filter(({ prints }) => prints === undefined)).toEqual([]);
    expect(PAGE.match(/^```\w/gm)).toHaveLength(EXAMPLES.length);
  });

  const here = EXAMPLES.filter((example) => !isLeftOut(example));
  test.each(here)(
    "in $language at line $line runs and prints what it says",
    async ({ language, line, prints, code }) => {
      const { command, suffix } = COMMANDS[language];
      const file = join(directory, `example-${line}.${suffix}`);
      expect(code).toContain(BASE);
      const here = code.replaceAll(BASE, stack().url);
      await assertStaysHere(here.replaceAll("\n", " "), async () => null);
      await writeFile(file, here);
      const { stdout } = await run(command, [file], { cwd: directory, timeout: 30_000 });
      expect(stdout).toMatch(new RegExp(prints!));
    },
  );
  for (const { language, line } of EXAMPLES.filter(isLeftOut)) {
    test.skip(`in ${language} at line ${line} is left out: ${language === "sh" ? "curl" : "python3 with the package openai"} is not here`, () => {});
  }
});

const COMMANDS: Readonly<Record<Language, { readonly command: string; readonly suffix: string }>> = {
  sh: { command: "sh", suffix: "sh" },
  python: { command: "python3", suffix: "py" },
  ts: { command: process.execPath, suffix: "mts" },
};

describe("the tables of docs/api.md", () => {
  test("have every endpoint and every model", () => {
    for (const { method, path } of ENDPOINTS) expect(PAGE).toContain(`\`${method} ${path}\``);
    for (const { id } of PUBLIC_MODELS) expect(PAGE).toContain(`\`${id}\``);
  });

  test("have the limits of every tier", () => {
    const text = (value: number) => value.toLocaleString("en-US");
    for (const [tier, limits] of Object.entries(DEFAULT_TIERS)) {
      const cells = [limits.rpm, limits.tpm, limits.tokensPerDay, limits.defaultMaxTokens].map(text);
      expect(PAGE).toContain(`| ${tier} | ${cells.join(" | ")} |`);
    }
  });

  test("lead to pages that are there", async () => {
    const links = [...PAGE.matchAll(/\]\(([\w./-]+)\)/g)].map(([, link]) => link!);
    expect(links.length).toBeGreaterThan(0);
    for (const link of links) await expect(readFile(join(ROOT, "docs", link), "utf8")).resolves.not.toBe("");
  });
});

describe("a block of commands", () => {
  test("is run by a test, or marked with why not and where what it does is tested", async () => {
    const all = (await Promise.all(PAGES.map(fencesOf))).flat();
    const shell = all.filter(({ language }) => /^(sh|bash|console|shell)$/.test(language));
    expect(shell.length).toBeGreaterThan(20);
    const where = (fence: (typeof all)[number]) => `${fence.page}:${fence.line}`;
    const run = shell.filter(({ mark }) => mark === null);
    const unknown = run.filter(
      ({ page, section }) =>
        !EXAMPLE_PAGES.includes(page) && !PATH.some((one) => one.page === page && one.section === section),
    );
    expect(unknown.map(where)).toEqual([]);
    const cloudflare = shell.filter(({ mark }) => mark === "cloudflare");
    expect(cloudflare.every(({ text }) => text.split("\n").every((line) => /^npx wrangler /.test(line)))).toBe(true);
    const elsewhere = shell.filter(({ mark }) => mark !== null && mark !== "cloudflare");
    for (const fence of elsewhere) {
      const file = /^host=(\S+)$/.exec(fence.mark!)?.[1];
      expect(file, where(fence)).toBeDefined();
      await expect(readFile(join(ROOT, file!), "utf8"), where(fence)).resolves.not.toBe("");
    }
    expect([run.length, cloudflare.length, elsewhere.length].every((count) => count > 0)).toBe(true);
  });
});

describe("the monthly cost of docs/deploy-cloudflare.md", () => {
  const text = readFile(join(ROOT, "docs/deploy-cloudflare.md"), "utf8");
  const MONTH_S = 30 * 86_400;
  /** $ for each million. */
  const REQUEST = 0.15;
  const dollars = (amount: number) => amount.toFixed(2);
  const duration = ((2 * 0.128 * MONTH_S - 400_000) / 1e6) * 12.5;

  test("adds up", async () => {
    const page = await text;
    expect(page).toContain(`263,552 GB-s × $12.50/M = **$${dollars(duration)}**`);
    const messages = (100 * 50 * MONTH_S) / 20 / 1e6;
    expect(page).toContain(`(${messages} − 1) × $0.15 = **$${dollars((messages - 1) * REQUEST)}**`);
    expect(page).toContain(`(${messages / 10} − 1) × $0.15 = **$${dollars((messages / 10 - 1) * REQUEST)}**`);
  });

  test("of the example adds up, once and ten times", async () => {
    const page = await text;
    expect(page).toContain(`= ${((1e6 * 300) / 50 / MONTH_S).toFixed(1)} streams at once`);
    const messages = (304 / 20) * REQUEST;
    expect(page).toContain(`${304 / 20} M requests × $0.15 | ${dollars(messages)} |`);
    expect(page).toContain(`| **sum** | | **${dollars(5 + messages + duration)}** |`);
    const calls = 9 * REQUEST;
    const cpu = 70 * 0.02;
    const tenfold = (share: number) => 5 + duration + calls + cpu + ((3_000 / share + 40) / 20) * REQUEST;
    expect(page).toContain(`= $${dollars(10 * messages)}, hub requests (10 − 1) M × $0.15 = $${dollars(calls)}`);
    expect(page).toContain(`(100 − 30) M ms × $0.02 = $${dollars(cpu)}`);
    expect(page).toContain(
      `**$${dollars(tenfold(1))}** at most; with two tokens in a message about $${tenfold(2).toFixed(0)}.`,
    );
  });
});

describe("docs/migrating-from-litellm.md", () => {
  test("has every model and every tier", async () => {
    const page = await readFile(join(ROOT, "docs/migrating-from-litellm.md"), "utf8");
    for (const { id, internal } of PUBLIC_MODELS) {
      const row = page
        .split("\n")
        .find((line) => line.startsWith("|") && line.includes(`\`${id}\``) && line.includes("192.168"));
      expect(row, id).toContain(`| \`${internal}\` |`);
    }
    for (const [tier, { rpm, tpm, tokensPerDay }] of Object.entries(DEFAULT_TIERS)) {
      const cells = [rpm, tpm, tokensPerDay].map((value) => value.toLocaleString("en-US"));
      expect(page).toContain(`| ${tier} | ${cells.join(" | ")} |`);
    }
  });
});
