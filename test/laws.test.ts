// The import laws of the architecture, read from the sources themselves.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "..");

interface Import {
  readonly file: string;
  /** A path from the root for a file of the project, else a package's name. */
  readonly target: string;
  readonly isOurs: boolean;
}

function sourcesOf(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs)$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)));
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), "utf8");
  const found: Import[] = [];
  for (const match of text.matchAll(
    /(?:^|\n)\s*(?:import|export)\b[^;'"]*?from\s*["']([^"']+)["']|\bimport\(?\s*["']([^"']+)["']/g,
  )) {
    const name = match[1] ?? match[2]!;
    const isOurs = name.startsWith(".");
    const target = isOurs
      ? relative(ROOT, join(ROOT, dirname(file), name))
      : name.replace(/^(@[^/]+\/[^/]+|[^/:]+).*$/, "$1");
    found.push({
      file,
      target: isOurs ? target : name.startsWith("node:") || name.startsWith("cloudflare:") ? name : target,
      isOurs,
    });
  }
  return found;
}

const TREES = ["shared", "edge", "connector", "dev", "test"] as const;
const IMPORTS = new Map(TREES.map((tree) => [tree, sourcesOf(tree).flatMap(importsOf)]));
const all = [...IMPORTS.values()].flat();

const treeOf = (path: string): string => path.split("/")[0]!;
/** `edge/hub` for a file in a room, null for a file beside the rooms. */
const roomOf = (path: string): string | null => {
  const parts = path.split("/");
  return parts.length > 2 ? `${parts[0]}/${parts[1]}` : null;
};
const offences = (rows: readonly Import[], isAllowed: (row: Import) => boolean): string[] =>
  rows.filter((row) => !isAllowed(row)).map((row) => `${row.file} imports ${row.target}`);

describe("the import laws", () => {
  test("shared imports only shared and its schema library", () => {
    const rows = IMPORTS.get("shared")!;
    expect(rows.length).toBeGreaterThan(10);
    expect(offences(rows, (row) => (row.isOurs ? treeOf(row.target) === "shared" : row.target === "zod"))).toEqual([]);
  });

  test("edge and connector never import each other, and nothing imports dev or test", () => {
    const reach = { edge: ["edge", "shared"], connector: ["connector", "shared"] };
    for (const [tree, allowed] of Object.entries(reach)) {
      const rows = IMPORTS.get(tree as "edge")!.filter((row) => row.isOurs);
      expect(rows.length).toBeGreaterThan(10);
      expect(offences(rows, (row) => allowed.includes(treeOf(row.target)))).toEqual([]);
    }
  });

  test("rooms do not import sibling rooms, nor the composition roots", () => {
    const roots = [
      "edge/app.ts",
      "edge/worker.ts",
      "connector/connector.ts",
      "connector/diagnose.ts",
      "connector/main.ts",
      "connector/service-command.ts",
    ];
    const rows = [...IMPORTS.get("edge")!, ...IMPORTS.get("connector")!].filter(
      (row) => row.isOurs && roomOf(row.file) !== null && treeOf(row.target) !== "shared",
    );
    expect(rows.length).toBeGreaterThan(10);
    const isAllowed = (row: Import) => {
      const room = roomOf(row.target);
      return room === null ? !roots.includes(row.target) : room === roomOf(row.file);
    };
    expect(offences(rows, isAllowed)).toEqual([]);
  });

  const shells: [string, RegExp][] = [
    ["cloudflare:workers", /^(edge\/(worker\.ts|hub\/)|test\/workerd\/|dev\/bench\/bare\/)/],
    ["hono", /^edge\/(app\.ts|api\/|web\/|admin\/)/],
    ["ws", /^(connector\/uplink\/|test\/|dev\/)/],
    ["undici", /^(connector\/upstream\/|test\/|dev\/)/],
    ["pino", /^connector\/(ops\/|main\.ts$)/],
    ["@opentelemetry/*", /^connector\/ops\//],
    ["prom-client", /^connector\/ops\//],
  ];
  test.each(shells)("%s is imported in its shells only", (name, places) => {
    const rows = all.filter((row) => row.target === name || row.target.replace(/\/[^/]+$/, "/*") === name);
    expect(rows.length).toBeGreaterThan(0);
    expect(offences(rows, (row) => places.test(row.file))).toEqual([]);
  });

  test("node: is never imported in edge or shared", () => {
    const rows = [...IMPORTS.get("edge")!, ...IMPORTS.get("shared")!];
    expect(rows.length).toBeGreaterThan(10);
    expect(offences(rows, (row) => !row.target.startsWith("node:"))).toEqual([]);
  });
});

/** Files whose behaviour is arithmetic: what they need of time and chance is an argument. */
const PURE = [
  /^shared\//,
  /^edge\/hub\/(switchboard|receive|exchange|link|roster|settlement|outcomes)\.ts$/,
  /^edge\/gate\/(?!gate|store|key|secret)\w+\.ts$/,
  /^edge\/api\/(agree|client-address|members|scan|schema)\.ts$/,
  /^connector\/uplink\/(session|backoff|record)\.ts$/,
  /^connector\/(config-told|config-doubts|nearest)\.ts$/,
  /^connector\/ops\/(announcer|columns|rate|rates|readiness|troubles|units)\.ts$/,
  /^connector\/exchange\//,
  /^connector\/dialect\//,
  /^connector\/ops\/(observers|exchange-log|traceparent|trace-attributes|trace-content)\.ts$/,
  /^connector\/upstream\/(health|balancer|queue|budget|drain|retry|affinity)\.ts$/,
];
const IMPURE =
  /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bcrypto\.(randomUUID|getRandomValues)\b|\bset(Timeout|Interval|Immediate)\b|\bfetch\(|\bprocess\./;

describe("pure files", () => {
  const files = TREES.flatMap(sourcesOf).filter(
    (file) => PURE.some((pattern) => pattern.test(file)) && !file.endsWith(".d.ts"),
  );

  test("are there", () => expect(files.length).toBeGreaterThan(20));
  test.each(files)("%s has no clock, chance, timer, network or environment", (file) => {
    const code = readFileSync(join(ROOT, file), "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    expect(code.match(IMPURE)?.[0]).toBeUndefined();
  });
});

describe("the shape of the tree", () => {
  const sources = ["shared", "edge", "connector"].flatMap(sourcesOf);

  test("no file is a drawer or a barrel", () => {
    expect(sources.filter((file) => /(^|\/)(index|utils?|helpers?|common)(\/|\.ts$)/.test(file))).toEqual([]);
  });

  test("no source file is longer than 300 lines", () => {
    const long = sources.filter((file) => readFileSync(join(ROOT, file), "utf8").split("\n").length > 301);
    expect(long).toEqual([]);
  });
});
