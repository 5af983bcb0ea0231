// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the configuration's own variables look like that.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError, loadConfig, parseConfig } from "../../connector/config.ts";
import { FIELDS } from "../../connector/config-fields.ts";
import { expand } from "../../connector/config-source.ts";
import { expandUpstreams } from "../../connector/config-upstreams.ts";
import { INTERNAL_MODELS } from "../../shared/openai.ts";

const EDGE = 'edge: { url: "ws://127.0.0.1:4000/uplink", id: onprem-1, key_file: ./connector.key }';
const POOLS = "pools: [{ model: m, kind: chat, upstreams: [http://h:1] }]";
const CHAT = { affinity: true, fanOut: false };
const EMBEDDING = { affinity: false, fanOut: true };
const LEAST = `${EDGE}\n${POOLS}\n`;

function problemsOf(text: string, env: Record<string, string> = {}): readonly string[] {
  try {
    parseConfig(text, "site/c.yaml", env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

const ports = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => `http://192.168.0.145:${from + i}`);

describe("the files that come with the project", () => {
  const root = join(import.meta.dirname, "../../config");

  test.each(["local", "cloud"])("%s serves every model from the engines of the site", async (scenario) => {
    const config = await loadConfig(join(root, scenario, "connector.yaml"), {});
    expect(config.pools).toEqual([
      { model: "heartcode-chat-sfw", kind: "chat", upstreams: ports(8080, 8083), slots: 4, queue: 64, ...CHAT },
      { model: "heartcode-chat-nsfw", kind: "chat", upstreams: ports(8084, 8087), slots: 4, queue: 64, ...CHAT },
      { model: "heartcode-embed", kind: "embedding", upstreams: ports(8090, 8097), slots: 8, queue: 64, ...EMBEDDING },
    ]);
    expect(config.pools.map(({ model }) => model)).toEqual(INTERNAL_MODELS);
    expect(config.edge.keyFile).toBe(join(root, scenario, "connector.key"));
    expect(config.metrics).toEqual({ host: "127.0.0.1", port: 9464 });
    expect(config.tracing).toBeUndefined();
  });

  test("local dials the edge on this machine and has no backend", async () => {
    const { edge, backend } = await loadConfig(join(root, "local/connector.yaml"), {});
    expect(edge.url).toBe("ws://127.0.0.1:4000/uplink");
    expect(backend).toBeUndefined();
  });

  test("cloud dials out encrypted and takes its secrets from the environment", async () => {
    const env = { HEARTCODE_BACKEND_TOKEN: "t", LANGFUSE_HOST: "https://l", LANGFUSE_PUBLIC_KEY: "p" };
    const { edge, backend, tracing } = await loadConfig(join(root, "cloud/connector.yaml"), {
      ...env,
      LANGFUSE_SECRET_KEY: "s",
    });
    expect(edge.url).toBe("wss://edge.example.com/uplink");
    expect(backend?.headers).toEqual({ authorization: "Bearer t" });
    expect(tracing).toEqual({
      sample: 1,
      langfuse: { host: "https://l", publicKey: "p", secretKey: "s", content: false },
      otlp: undefined,
    });
  });
});

describe("a configuration", () => {
  test("that says only what it must gets the rest by default", () => {
    expect(parseConfig(`${LEAST}backend: { url: http://b }`, "site/c.yaml", {})).toEqual({
      edge: { url: "ws://127.0.0.1:4000/uplink", id: "onprem-1", keyFile: "site/connector.key" },
      backend: {
        url: "http://b",
        timeoutS: 10,
        headers: {},
        verifyPath: "/api/v1/api-keys/verify",
        healthPath: "/api/v1/health",
      },
      pools: [{ model: "m", kind: "chat", upstreams: ["http://h:1"], slots: 4, queue: 64, ...CHAT }],
      timeouts: { connectMs: 2_000, firstByteMs: 120_000, wholeMs: 600_000, idleMs: 60_000, totalMs: 600_000 },
      drainS: 30,
      tracing: undefined,
      metrics: undefined,
    });
  });

  test("may set everything, numbers by variable too", () => {
    const text = `${EDGE}
pools: [{ model: m, kind: embedding, upstreams: [http://h], fan_out: false }, { model: n, kind: chat, upstreams: [http://i], slots: "\${SLOTS}", affinity: "\${AFFINITY}" }]
timeouts: { connect_ms: 5, first_byte_s: 0.5, whole_s: 2.5, idle_s: 2, total_s: 3 }
queue: { size: 0 }
drain_s: 0
tracing: { langfuse: { host: http://l, public_key: p, secret_key: s, content: "\${CONTENT}" }, otlp: { endpoint: "http://c:4318/v1/traces", headers: { X-Team: t, authorization: "Bearer " } }, sample: 0.25 }
metrics: { listen: "[::1]:0" }
`;
    const config = parseConfig(text, "c.yaml", { SLOTS: "7", CONTENT: "true", AFFINITY: "false" });
    expect(config.pools.map(({ slots, queue, affinity, fanOut }) => [slots, queue, affinity, fanOut])).toEqual([
      [8, 0, false, false],
      [7, 0, false, false],
    ]);
    expect(config.timeouts).toEqual({ connectMs: 5, firstByteMs: 500, wholeMs: 2_500, idleMs: 2_000, totalMs: 3_000 });
    expect(config.drainS).toBe(0);
    expect(config.tracing).toEqual({
      sample: 0.25,
      langfuse: { host: "http://l", publicKey: "p", secretKey: "s", content: true },
      otlp: { endpoint: "http://c:4318/v1/traces", headers: { "X-Team": "t" }, content: false },
    });
    expect(config.metrics).toEqual({ host: "::1", port: 0 });
  });

  test("keeps an absolute key file where it is", () => {
    const text = LEAST.replace("./connector.key", "/etc/k");
    expect(parseConfig(text, "site/c.yaml", {}).edge.keyFile).toBe("/etc/k");
  });

  test.each([
    ["", {}],
    ["Bearer ${TOKEN:-}", {}],
    ["Bearer ${TOKEN}", { authorization: "Bearer t" }],
  ])("sends the header %j as %j", (value, headers) => {
    const text = `${LEAST}backend: { url: http://b, headers: { authorization: "${value}" } }`;
    const env = value.includes(":-") ? {} : { TOKEN: "t" };
    expect(parseConfig(text, "c.yaml", env).backend?.headers).toEqual(headers);
  });
});

describe("a mistake", () => {
  const rows: [name: string, text: string, problem: RegExp][] = [
    ["nothing at all", "", /^site\/c\.yaml:1:1: expected a mapping of settings$/],
    ["not YAML", `${LEAST}queue: {`, /^site\/c\.yaml:3:9: /],
    ["a key twice", `${LEAST}${EDGE}`, /^site\/c\.yaml:3:1: Map keys must be unique$/],
    ["no edge", POOLS, /^site\/c\.yaml:1:1: edge: missing; expected where to dial.*; write edge: \{/],
    ["no pools", EDGE, /^site\/c\.yaml:1:1: pools: missing; expected a list of at least one pool; write pools: /],
    ["an empty list of pools", `${EDGE}\npools: []`, /:2:8: pools: expected a list of at least one pool;/],
    [
      "a setting at the top",
      `${LEAST}pool: 1`,
      /:3:1: pool: there is no such setting; known here: edge, backend, pools,/,
    ],
    [
      "a setting of a pool",
      `${EDGE}\npools:\n  - model: m\n    kind: chat\n    upstreams: [http://h]\n    slot: 4\n`,
      /:6:5: pools\[0\]\.slot: there is no such setting; known here: model, kind, upstreams, slots, affinity, fan_out$/,
    ],
    [
      "a variable without quotes",
      LEAST.replace("onprem-1", "${SITE}"),
      /:1:49: .*; a variable in braces or brackets stands in quotes$/,
    ],
    ["an http edge", LEAST.replace("ws:", "http:"), /:1:14: edge\.url: expected a ws:\/\/ or wss:\/\/ address/],
    ["a password in an address", LEAST.replace("ws://", "ws://a:b@"), /:1:14: edge\.url: expected/],
    [
      "no slots",
      LEAST.replace("kind", "slots: 0, kind"),
      /:2:28: pools\[0\]\.slots: expected a whole number .*; write slots: 4$/,
    ],
    [
      "half an affinity",
      LEAST.replace("kind", "affinity: 0.5, kind"),
      /:2:31: pools\[0\]\.affinity: expected true or false/,
    ],
    [
      "a setting of the other kind",
      LEAST.replace("kind", "fan_out: false, kind"),
      /:2:21: pools\[0\]\.fan_out: is for pools of kind embedding; leave it out here$/,
    ],
    ["half a slot", LEAST.replace("kind", "slots: 1.5, kind"), /pools\[0\]\.slots: expected a whole number/],
    [
      "another kind",
      LEAST.replace("chat", "chats"),
      /:2:27: pools\[0\]\.kind: expected chat or embedding; write kind: chat$/,
    ],
    [
      "a range backwards",
      LEAST.replace("h:1", "h:2-1"),
      /:2:45: pools\[0\]\.upstreams\[0\]: expected http:\/\/host:port or /,
    ],
    [
      "a header of the connection",
      `${LEAST}backend: { url: http://b, headers: { Host: x } }`,
      /:3:38: backend\.headers\.Host: expected/,
    ],
    [
      "a header that breaks lines",
      `${LEAST}backend: { url: http://b, headers: { a: "x\\ny" } }`,
      /:3:41: backend\.headers\.a: expected/,
    ],
    [
      "half a tracing",
      `${LEAST}tracing: { langfuse: { host: http://l } }`,
      /:3:22: tracing\.langfuse: expected host, public_key and secret_key/,
    ],
    ["more than all traces", `${LEAST}tracing: { sample: 2 }`, /:3:20: tracing\.sample: expected a share from 0 to 1/],
    [
      "a collector without an address",
      `${LEAST}tracing: { otlp: { content: true } }`,
      /:3:\d+: tracing\.otlp\.endpoint: missing; expected an http/,
    ],
    [
      "a header of a collector that breaks lines",
      `${LEAST}tracing: { otlp: { endpoint: http://c, headers: { a: "x\\ny" } } }`,
      /:3:54: tracing\.otlp\.headers\.a: expected a header/,
    ],
    [
      "a listener without a port",
      `${LEAST}metrics: { listen: localhost }`,
      /:3:20: metrics\.listen: expected address:port; write/,
    ],
    [
      "a model twice",
      `${EDGE}\npools: [{ model: m, kind: chat, upstreams: [http://a] }, { model: m, kind: chat, upstreams: [http://b] }]`,
      /:2:67: pools\[1\]\.model: m has a pool already/,
    ],
    [
      "an upstream twice, in a range",
      LEAST.replace("http://h:1", "http://h:1-3, http://H:2"),
      /:2:\d+: pools\[0\]\.upstreams\[1\]: http:\/\/h:2 is in a pool already/,
    ],
    [
      "a variable that is not set",
      LEAST.replace("onprem-1", '"${SITE}"'),
      /^site\/c\.yaml:1:48: the variable SITE is not set; set it, or give a default: \$\{SITE:-…\}$/,
    ],
    ["a variable that is none", LEAST.replace("onprem-1", '"${SI-TE}"'), /:1:48: \$\{SI-TE\} is not a variable; write/],
    [
      "aliases that explode",
      `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]`,
      /Excessive alias count/,
    ],
  ];

  test.each(rows)("%s is told with its place", (_, text, problem) => {
    const problems = problemsOf(text);
    expect(
      problems.filter((line) => problem.test(line)),
      problems.join("\n"),
    ).toHaveLength(1);
  });

  test("does not hide the others: all are told, one line each, in the order of the file", () => {
    const text = `edge: { url: "http://x", id: "a b" }
pools:
  - { model: m, kind: chat, upstreams: [http://h:1-2], slots: x, slot: 4 }
  - { model: m, kind: chats, upstreams: [http://h:2] }
  - { model: n }
drain: 3
`;
    const problems = problemsOf(text);
    expect(problems.map((line) => line.replace(/: (missing|expected|there|m has|http:).*/, ""))).toEqual([
      "site/c.yaml:1:7: edge.key_file",
      "site/c.yaml:1:14: edge.url",
      "site/c.yaml:1:30: edge.id",
      "site/c.yaml:3:63: pools[0].slots",
      "site/c.yaml:3:66: pools[0].slot",
      "site/c.yaml:4:14: pools[1].model",
      "site/c.yaml:4:23: pools[1].kind",
      "site/c.yaml:4:42: pools[1].upstreams[0]",
      "site/c.yaml:5:5: pools[2].kind",
      "site/c.yaml:5:5: pools[2].upstreams",
      "site/c.yaml:6:1: drain",
    ]);
    for (const line of problems) expect(line).not.toContain("\n");
  });

  test("never shows the value of a variable", () => {
    const text = `${LEAST}backend: { url: "\${SECRET}", headers: { authorization: "\${SECRET}" } }\nmetrics: { listen: "\${SECRET}" }`;
    const problems = problemsOf(text, { SECRET: "hunter2\n" });
    expect(problems).toHaveLength(3);
    expect(problems.join("\n")).not.toContain("hunter2");
  });

  test("in the name of the file is told", async () => {
    const folder = await mkdtemp(join(tmpdir(), "config-"));
    try {
      const missing = join(folder, "none.yaml");
      await expect(loadConfig(missing, {})).rejects.toThrow(`${missing}: there is no such file`);
      await expect(loadConfig(folder, {})).rejects.toThrow(`${folder}: it cannot be read (EISDIR)`);
      await writeFile(missing, LEAST);
      await expect(loadConfig(missing, {})).resolves.toMatchObject({
        edge: { keyFile: join(folder, "connector.key") },
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("the table of settings", () => {
  // What a row tells to write must be right where the row stands.
  const whole = (row: string, write: string): string => {
    const backend = 'url: "http://b"';
    if (row === "edge.url") return `edge: { ${write}, id: a, key_file: k }\n${POOLS}`;
    if (row === "edge.id") return `edge: { url: "ws://h", ${write}, key_file: k }\n${POOLS}`;
    if (row === "edge.key_file") return `edge: { url: "ws://h", id: a, ${write} }\n${POOLS}`;
    if (row === "edge") return `${write}\n${POOLS}`;
    if (row === "pools") return `${EDGE}\n${write}`;
    if (row === "pools[]") return `${EDGE}\npools: [${write}]`;
    if (row === "pools[].upstreams[]") return `${EDGE}\npools: [{ model: m, kind: chat, upstreams: [${write}] }]`;
    const [, key = ""] = /^pools\[\]\.(\w+)$/.exec(row) ?? [];
    if (key !== "") {
      const pool: Record<string, string> = {
        model: "model: m",
        kind: key === "fan_out" ? "kind: embedding" : "kind: chat",
        upstreams: "upstreams: [http://h]",
      };
      return `${EDGE}\npools: [{ ${Object.values({ ...pool, [key]: write }).join(", ")} }]`;
    }
    if (row === "backend.url") return `${LEAST}backend: { ${write} }`;
    if (row === "backend.headers.*") return `${LEAST}backend: { ${backend}, headers: { ${write} } }`;
    if (row.startsWith("backend.")) return `${LEAST}backend: { ${backend}, ${write} }`;
    if (row.startsWith("tracing.langfuse.")) {
      const three: Record<string, string> = {
        host: "host: http://l",
        public_key: "public_key: p",
        secret_key: "secret_key: s",
      };
      const fields = Object.values({ ...three, [row.slice("tracing.langfuse.".length)]: write });
      return `${LEAST}tracing: { langfuse: { ${fields.join(", ")} } }`;
    }
    if (row === "tracing.otlp.endpoint") return `${LEAST}tracing: { otlp: { ${write} } }`;
    const collector = "endpoint: http://c";
    if (row === "tracing.otlp.headers.*") return `${LEAST}tracing: { otlp: { ${collector}, headers: { ${write} } } }`;
    if (row.startsWith("tracing.otlp.")) return `${LEAST}tracing: { otlp: { ${collector}, ${write} } }`;
    const parent = row.split(".").slice(0, -1).join("");
    return parent === "" ? `${LEAST}${write}` : `${LEAST}${parent}: { ${write} }`;
  };
  const env = {
    HEARTCODE_BACKEND_TOKEN: "t",
    LANGFUSE_PUBLIC_KEY: "p",
    LANGFUSE_SECRET_KEY: "s",
    COLLECTOR_TOKEN: "t",
  };

  test.each(Object.entries(FIELDS))("%s tells a line that is taken", (row, { write }) => {
    const text = whole(row, write);
    expect(text).toContain(write);
    expect(problemsOf(text, env)).toEqual([]);
  });
});

describe("tracing", () => {
  test("to nowhere is no tracing: its variables are not set", () => {
    const text = `${LEAST}tracing: { langfuse: { host: "\${H:-}" }, otlp: { endpoint: "\${E:-}" } }`;
    expect(parseConfig(text, "c.yaml", {}).tracing).toBeUndefined();
    expect(parseConfig(text, "c.yaml", { E: "http://c" }).tracing).toMatchObject({ langfuse: undefined });
  });
});

describe("variables", () => {
  test.each([
    ["${A}", "1"],
    ["x${A}y${B}", "x1y2"],
    ["${NONE:-}", ""],
    ["${NONE:-d:-e}", "d:-e"],
    ["${EMPTY:-d}", "d"],
    ["${EMPTY}", ""],
    ["$A $ {A} $", "$A $ {A} $"],
    ["$${A}", "${A}"],
  ])("%s is %j", (text, expected) => {
    expect(expand(text, { A: "1", B: "2", EMPTY: "" })).toEqual({ text: expected, complaints: [] });
  });

  test.each(["${NONE}", "${}", "${A", "${1A}", "${A-x}"])("%s is a mistake", (text) => {
    expect(expand(text, { A: "1" }).complaints).toHaveLength(1);
  });

  test("hold no YAML and no further variables, whatever they hold", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        const text = `${LEAST}backend: { url: http://b, verify_path: "/\${V}" }`;
        const shape = () => parseConfig(text, "c.yaml", { V: value });
        if (/^[\x21-\x7e]*$/.test(value)) expect(shape().backend?.verifyPath).toBe(`/${value}`);
        else expect(shape).toThrow(ConfigError);
      }),
    );
    expect(expand("${A}", { A: "${B}", B: "b" }).text).toBe("${B}");
  });
});

describe("an address", () => {
  test.each([
    ["http://h:8080-8083", ["http://h:8080", "http://h:8081", "http://h:8082", "http://h:8083"]],
    ["http://h:8080", ["http://h:8080"]],
    ["http://h:8080-8080", ["http://h:8080"]],
    ["HTTPS://H.example/", ["https://h.example"]],
    ["http://h:80-81", ["http://h", "http://h:81"]],
    ["http://[::1]:1-2", ["http://[::1]:1", "http://[::1]:2"]],
  ])("%s is %j", (text, origins) => {
    expect(expandUpstreams(text)).toEqual(origins);
  });

  test.each([
    "h:1",
    "ws://h:1",
    "http://h:0",
    "http://h:65536",
    "http://h:2-1",
    "http://h:1-257",
    "http://h:1-",
    "http://h:1/v1",
    "http://h?x",
    "http://u:p@h",
    "http://h:1, http://h:2",
    "",
  ])("%j is none", (text) => {
    expect(expandUpstreams(text)).toBeNull();
  });
});
