// What an operator edits and reads: every file of variables, wrangler.toml and the table of settings fit the code.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseEnv } from "node:util";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../connector/config.ts";
import { edgeCommand, OPTION_VARIABLES, readGiven } from "../dev/edge/command.ts";
import { readSettings, SETTING_NAMES } from "../edge/settings.ts";

const ROOT = resolve(import.meta.dirname, "..");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
const KNOWN = new Set([...SETTING_NAMES, ...OPTION_VARIABLES]);
const SCENARIOS = ["local", "cloud"] as const;

const used = (text: string) => parseEnv(text) as Record<string, string>;
/** The file with its defaults in force. */
const uncommented = (text: string): string => text.replaceAll(/^#(?=[A-Z_]+=)/gm, "");

/** What the launcher makes of a file of variables. */
function given(variables: Record<string, string>) {
  const saved = { ...process.env };
  try {
    Object.assign(process.env, variables);
    const program = edgeCommand(process.env);
    program.parse([], { from: "user" });
    return readGiven(program);
  } finally {
    for (const name of Object.keys(variables)) delete process.env[name];
    Object.assign(process.env, saved);
  }
}

describe.each(SCENARIOS)("config/%s/edge.env", (scenario) => {
  const text = read(`config/${scenario}/edge.env`);

  test("names every setting and every option, once as what is used or as a comment", () => {
    const named = [...text.matchAll(/^#?([A-Z_]+)=/gm)].map((match) => match[1]!);
    expect(named.length).toBeGreaterThan(15);
    expect(named.toSorted()).toEqual([...KNOWN].toSorted());
  });

  test("is what the edge starts with", () => {
    const variables = used(text);
    expect(Object.keys(variables).length).toBeGreaterThan(2);
    expect(readSettings(variables).authMode).toBe(scenario === "local" ? "master-key" : "backend");
    const { host, tlsCert } = given(variables);
    if (scenario === "local") expect({ host, tlsCert }).toEqual({ host: "127.0.0.1", tlsCert: undefined });
    else expect(tlsCert).toMatch(/fullchain\.pem$/);
  });

  test("shows real defaults in its comments", () => {
    const defaults = used(uncommented(text));
    for (const name of Object.keys(used(text))) delete defaults[name];
    const isSetting = (name: string) => SETTING_NAMES.includes(name);
    const settings = Object.fromEntries(Object.entries(defaults).filter(([name]) => isSetting(name)));
    expect(Object.keys(defaults).length).toBeGreaterThan(2);
    // Those of a proxy in front are an alternative, not defaults.
    delete settings["TRUSTED_PROXIES"];
    expect(readSettings(settings)).toEqual(readSettings({}));
    const options = Object.fromEntries(Object.entries(defaults).filter(([name]) => !isSetting(name)));
    for (const name of ["CONNECTOR_KEYS_FILE", "EDGE_FRONT"]) delete options[name];
    expect(given(options)).toEqual(given({}));
  });

  test("belongs to a connector of the same site", async () => {
    const { edge, backend } = await loadConfig(join(ROOT, `config/${scenario}/connector.yaml`), {});
    expect(edge.id).toBe("onprem-1");
    expect(backend !== undefined).toBe(readSettings(used(text)).authMode === "backend");
  });
});

describe("variables that say nothing", () => {
  test.each(["", " "])("`EDGE_TLS_CERT=%s` is none", (value) => {
    expect(given({ EDGE_TLS_CERT: value, EDGE_PORT: value })).toEqual(given({}));
  });

  test.each([
    ["0", undefined],
    ["false", undefined],
    ["", undefined],
    ["1", true],
  ])("`EDGE_FRONT=%s` is %s", (value, front) => expect(given({ EDGE_FRONT: value }).front).toBe(front));
});

describe("options that do not go together", () => {
  test.each([
    [{ EDGE_TLS_CERT: "a" }, /belong together/],
    [{ EDGE_REDIRECT_PORT: "80" }, /needs --tls-cert/],
    [{ EDGE_TLS_CERT: "a", EDGE_TLS_KEY: "b", EDGE_ACME_WEBROOT: "c" }, /needs --redirect-port/],
  ])("%o are refused", (variables, reason) => expect(() => given(variables)).toThrow(reason));
});

describe("docs/settings.md", () => {
  const rows = [...read("docs/settings.md").matchAll(/^\| `([A-Z_]+)` \|(.*)\|$/gm)].map(([, name, rest]) => ({
    name: name!,
    cells: rest!.split("|").map((cell) => cell.trim()),
  }));

  test("has a row for every setting and every option, and no other", () => {
    expect(rows.length).toBeGreaterThan(15);
    const documented = rows.map(({ name }) => name).filter((name) => name !== "HEARTCODE_BACKEND_TOKEN");
    expect(documented.toSorted()).toEqual([...KNOWN].toSorted());
  });

  test.each(SETTING_NAMES)("tells the default of %s", (name) => {
    const { cells } = rows.find((row) => row.name === name)!;
    const value = /^`(.*)`$/.exec(cells[0]!)?.[1] ?? "";
    expect(readSettings({ [name]: value })).toEqual(readSettings({}));
  });

  test.each(OPTION_VARIABLES)("tells option and default of %s", (name) => {
    const { cells } = rows.find((row) => row.name === name)!;
    const option = edgeCommand({}).options.find(({ envVar }) => envVar === name)!;
    expect(cells[0]).toBe(`\`${option.long}\``);
    expect(cells[1]).toBe(option.defaultValue === undefined ? "" : `\`${option.defaultValue}\``);
  });

  test("names as secrets what wrangler.toml does not hold", () => {
    const secrets = rows.filter(({ cells }) => cells[1] === "secret").map(({ name }) => name);
    expect(secrets.length).toBeGreaterThan(0);
    for (const name of secrets) expect(read("wrangler.toml")).not.toMatch(new RegExp(`^${name} *=`, "m"));
  });
});

describe("wrangler.toml", () => {
  const text = read("wrangler.toml");

  test.each(SCENARIOS)("[env.%s] has the hub, the shield, and settings that the Worker reads", (name) => {
    const section = (title: string) => text.split(new RegExp(`^\\[+${title.replaceAll(".", "\\.")}\\]+$`, "m"))[1];
    const body = (title: string) => section(title)?.split(/^\[/m)[0] ?? "";
    expect(body(`env.${name}.durable_objects.bindings`)).toMatch(/name = "HUB"\nclass_name = "Hub"/);
    expect(body(`env.${name}.ratelimits`)).toMatch(/name = "SHIELD"[\s\S]*limit = 20, period = 60/);
    const vars = Object.fromEntries(
      [...body(`env.${name}.vars`).matchAll(/^(\w+) = "(.*)"$/gm)].map((match) => [match[1]!, match[2]!]),
    );
    expect(Object.keys(vars).length).toBeGreaterThan(1);
    for (const one of Object.keys(vars)) expect(SETTING_NAMES).toContain(one);
    expect(readSettings({ ...vars, MASTER_KEY: "a-secret" }).authMode).toBe(
      name === "local" ? "master-key" : "backend",
    );
  });

  test("creates the hub's class by a migration", () => expect(text).toMatch(/new_sqlite_classes = \["Hub"\]/));
});
