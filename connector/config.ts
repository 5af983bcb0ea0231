// The connector's configuration: what its file may say, what is assumed where it says nothing, and what it becomes.
import { readFile } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { z } from "zod";
import { FIELDS, keysUnder, patternOf } from "./config-fields.ts";
import { withoutEmptyCredentials } from "./config-headers.ts";
import { ConfigSource, type VariableSeen } from "./config-source.ts";
import { isHalfLangfuse, type TracingConfig, tracingOf } from "./config-tracing.ts";
import { expandUpstreams } from "./config-upstreams.ts";
import type { BackendConfig } from "./upstream/backend.ts";
import type { PoolConfig } from "./upstream/pool.ts";
import type { Timeouts } from "./upstream/request.ts";

type Environment = Readonly<Record<string, string | undefined>>;

export interface Config {
  /** `keyFile` is ready to be opened. */
  readonly edge: { readonly url: string; readonly id: string; readonly keyFile: string };
  /** Without one the edge runs with a master key. */
  readonly backend: BackendConfig | undefined;
  readonly pools: readonly (PoolConfig & {
    /** Large inputs are split over the upstreams. */
    readonly fanOut: boolean;
  })[];
  readonly timeouts: Timeouts;
  readonly drainS: number;
  readonly tracing: TracingConfig | undefined;
  /** Port 0 takes a free one. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
}

export interface LoadedConfig extends Config {
  /** That the file names, and whether they are set. */
  readonly variables: ReadonlyMap<string, boolean>;
}

export class ConfigError extends Error {
  /** `file:line:column: …`, each one line. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

const DEFAULT_SLOTS = { chat: 4, embedding: 8 } as const;
const DEFAULT_QUEUE = 64;
/** Settings of a pool that mean something for one kind. */
const OF_ONE_KIND = { affinity: "chat", fan_out: "embedding" } as const;

/** A variable is always text. */
const number = (schema: z.ZodNumber) =>
  z.preprocess((value) => (typeof value === "string" && /^\d+(\.\d+)?$/.test(value) ? Number(value) : value), schema);
const flag = z.preprocess((value) => (value === "true" ? true : value === "false" ? false : value), z.boolean());
const seconds = (most: number) => number(z.number().positive().max(most));
const path = z.string().regex(/^\/[\x21-\x7e]*$/);
const address = (schemes: readonly string[]) =>
  z.string().refine((text) => {
    if (!URL.canParse(text)) return false;
    const { protocol, hostname, username, password } = new URL(text);
    return schemes.includes(protocol) && hostname !== "" && username + password === "" && !/[?#]/.test(text);
  });

/** undici writes these itself. */
const CONNECTION_HEADERS =
  /^(host|connection|content-length|transfer-encoding|keep-alive|upgrade|expect|te|trailer|proxy-.*)$/i;
const headerValue = z.string().regex(/^[\t\x20-\x7e\x80-\xff]*$/);
const headerName = z
  .string()
  .regex(/^[!#$%&'*+.^_`|~0-9a-z-]+$/i)
  .refine((name) => !CONNECTION_HEADERS.test(name));

const File = z.strictObject({
  edge: z.strictObject({
    url: address(["ws:", "wss:"]),
    id: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/),
    key_file: z.string().min(1),
  }),
  backend: z
    .strictObject({
      url: address(["http:", "https:"]),
      timeout_s: seconds(600).default(10),
      headers: z.record(headerName, headerValue).default({}),
      verify_path: path.default("/api/v1/api-keys/verify"),
      health_path: path.default("/api/v1/health"),
    })
    .optional(),
  pools: z
    .array(
      z.strictObject({
        model: z.string().regex(/^[\x21-\x7e]{1,128}$/),
        kind: z.enum(["chat", "embedding"]),
        upstreams: z.array(z.string().refine((text) => expandUpstreams(text) !== null)).min(1),
        slots: number(z.number().int().min(1).max(1024)).optional(),
        affinity: flag.optional(),
        fan_out: flag.optional(),
      }),
    )
    .min(1),
  timeouts: z
    .strictObject({
      connect_ms: number(z.number().int().min(1).max(60_000)).default(2_000),
      first_byte_s: seconds(3_600).default(120),
      whole_s: seconds(86_400).optional(),
      idle_s: seconds(3_600).default(60),
      total_s: seconds(86_400).default(600),
    })
    .prefault({}),
  queue: z.strictObject({ size: number(z.number().int().min(0).max(10_000)).default(DEFAULT_QUEUE) }).prefault({}),
  drain_s: number(z.number().min(0).max(3_600)).default(30),
  tracing: z
    .strictObject({
      langfuse: z
        .strictObject({
          host: z.union([z.literal(""), address(["http:", "https:"])]).default(""),
          public_key: z.string().default(""),
          secret_key: z.string().default(""),
          content: flag.default(false),
        })
        .optional(),
      otlp: z
        .strictObject({
          endpoint: z.union([z.literal(""), address(["http:", "https:"])]),
          headers: z.record(headerName, headerValue).default({}),
          content: flag.default(false),
        })
        .optional(),
      sample: number(z.number().min(0).max(1)).default(1),
    })
    .optional(),
  metrics: z
    .strictObject({
      listen: z
        .string()
        .refine((text) => readListen(text) !== null)
        .optional(),
    })
    .optional(),
});
type File = z.infer<typeof File>;

/**
 * @param file as it is named in complaints; relative paths inside are relative to its folder.
 * @throws ConfigError with everything that is wrong.
 */
export function parseConfig(text: string, file: string, env: Environment, seen?: VariableSeen): Config {
  const source = new ConfigSource(text, file, env, seen);
  if (source.value === undefined) throw new ConfigError(source.problems);
  const parsed = File.safeParse(source.value);
  for (const issue of parsed.error?.issues ?? []) complain(source, issue);
  complainOfDuplicates(source);
  complainOfOtherKinds(source);
  if (parsed.data !== undefined) complainOfHalfTracing(source, parsed.data);
  if (source.problems.length > 0 || parsed.data === undefined) throw new ConfigError(source.problems);
  return configOf(parsed.data, dirname(file));
}

/** @throws ConfigError */
export async function loadConfig(file: string, env: Environment): Promise<LoadedConfig> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const what = code === "ENOENT" ? "there is no such file" : `it cannot be read (${String(code ?? error)})`;
    throw new ConfigError([`${file}: ${what}; config/local/connector.yaml is one to start from`]);
  }
  const variables = new Map<string, boolean>();
  const config = parseConfig(text, file, env, (name, isSet) => void variables.set(name, isSet));
  return { ...config, variables };
}

function complain(source: ConfigSource, issue: z.core.$ZodIssue): void {
  const at = issue.path.filter((part) => typeof part !== "symbol");
  if (issue.code === "unrecognized_keys") {
    const known = keysUnder(patternOf(at)).join(", ");
    for (const key of issue.keys) source.complainOfKey(at, key, `there is no such setting; known here: ${known}`);
    return;
  }
  const field = FIELDS[patternOf(at)];
  if (issue.code === "invalid_key") source.complainOfKey(at.slice(0, -1), String(at.at(-1)), tell(field));
  else source.complain(at, tell(field));
}

function tell(field: { readonly expected: string; readonly write: string } | undefined): string {
  return field === undefined ? "expected a mapping of settings" : `expected ${field.expected}; write ${field.write}`;
}

/** A setting that does nothing would leave its reader wondering. Looks at what is there, however wrong the rest may be. */
function complainOfOtherKinds(source: ConfigSource): void {
  const Loose = z.object({ pools: z.array(z.unknown()) }).safeParse(source.value);
  for (const [index, pool] of (Loose.data?.pools ?? []).entries()) {
    const { kind, ...rest } = z.looseObject({ kind: z.unknown() }).catch({ kind: undefined }).parse(pool);
    for (const [setting, ofKind] of Object.entries(OF_ONE_KIND)) {
      if (!(setting in rest) || kind === ofKind || (kind !== "chat" && kind !== "embedding")) continue;
      source.complainOfKey(["pools", index], setting, `is for pools of kind ${ofKind}; leave it out here`);
    }
  }
}

/** Looks at what is there, however wrong the rest may be. */
function complainOfDuplicates(source: ConfigSource): void {
  const Loose = z.object({ pools: z.array(z.unknown()) }).safeParse(source.value);
  const models = new Set<string>();
  const upstreams = new Set<string>();
  for (const [index, pool] of (Loose.data?.pools ?? []).entries()) {
    const { model, upstreams: texts } = z
      .object({ model: z.string().catch(""), upstreams: z.array(z.unknown()).catch([]) })
      .catch({ model: "", upstreams: [] })
      .parse(pool);
    if (models.has(model)) source.complain(["pools", index, "model"], `${model} has a pool already; give it one pool`);
    if (model !== "") models.add(model);
    for (const [place, text] of texts.entries()) {
      const origins = typeof text === "string" ? (expandUpstreams(text) ?? []) : [];
      const twice = origins.find((origin) => upstreams.has(origin));
      if (twice !== undefined)
        source.complain(["pools", index, "upstreams", place], `${twice} is in a pool already; name it once`);
      for (const origin of origins) upstreams.add(origin);
    }
  }
}

function complainOfHalfTracing(source: ConfigSource, { tracing }: File): void {
  if (tracing === undefined || !isHalfLangfuse(tracing)) return;
  source.complain(["tracing", "langfuse"], tell(FIELDS["tracing.langfuse"]));
}

function configOf({ edge, backend, pools, timeouts, queue, drain_s, tracing, metrics }: File, folder: string): Config {
  const { url, id, key_file } = edge;
  const listen = metrics?.listen === undefined ? null : readListen(metrics.listen);
  return {
    edge: { url, id, keyFile: isAbsolute(key_file) ? key_file : join(folder, key_file) },
    backend:
      backend === undefined
        ? undefined
        : {
            url: backend.url,
            timeoutS: backend.timeout_s,
            headers: withoutEmptyCredentials(backend.headers),
            verifyPath: backend.verify_path,
            healthPath: backend.health_path,
          },
    pools: pools.map(({ model, kind, upstreams, slots, affinity, fan_out }) => ({
      model,
      kind,
      upstreams: upstreams.flatMap((text) => expandUpstreams(text) ?? []),
      slots: slots ?? DEFAULT_SLOTS[kind],
      queue: queue.size,
      affinity: affinity ?? kind === "chat",
      fanOut: fan_out ?? kind === "embedding",
    })),
    timeouts: {
      connectMs: timeouts.connect_ms,
      firstByteMs: timeouts.first_byte_s * 1000,
      wholeMs: (timeouts.whole_s ?? timeouts.total_s) * 1000,
      idleMs: timeouts.idle_s * 1000,
      totalMs: timeouts.total_s * 1000,
    },
    drainS: drain_s,
    tracing: tracingOf(tracing),
    metrics: listen ?? undefined,
  };
}

function readListen(text: string): { host: string; port: number } | null {
  const [, host, digits] = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+):(\d{1,5})$/i.exec(text) ?? [];
  if (host === undefined || Number(digits) > 65_535) return null;
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(digits) };
}
