// The edge's settings (environment, or [vars] and secrets in wrangler.toml): read, checked, named. Pure.
import ipaddr from "ipaddr.js";
import { z } from "zod";
import { DEFAULT_TIERS, readTiers, type Tiers } from "./gate/tiers.ts";

// workerd forbids code generation.
z.config({ jitless: true });

const Key = z.looseObject({
  kty: z.literal("OKP"),
  crv: z.literal("Ed25519"),
  x: z.string(),
  kid: z.string().min(1).max(128),
});
export type ConnectorKey = z.infer<typeof Key>;

/** A JWK set, a single JWK, or one on each line. */
const KeySet = z.union([z.object({ keys: z.array(Key) }).transform((set) => set.keys), Key.transform((key) => [key])]);

const json = z.string().transform((text, context): unknown => {
  try {
    const value = text.trim() === "" ? { keys: [] } : (readJson(text) ?? { keys: linesOf(text).map(readLine) });
    if (!holdsPrivate(value)) return value;
    context.addIssue({ code: "custom", message: PRIVATE });
  } catch {
    context.addIssue({ code: "custom", message: "is not JSON" });
  }
  return z.NEVER;
});

/** Nothing of the key is told: this line goes into logs. */
const PRIVATE =
  "holds a private key (a member `d`). It takes the public ones, which keygen printed; a private key that has left its site is to be replaced";

function holdsPrivate(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some(holdsPrivate);
  return "d" in value || ("keys" in value && holdsPrivate(value.keys));
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const readLine = (line: string): unknown => JSON.parse(line);

/** Without those of npm, which says what it runs before `npm run connector -- keygen` says anything. */
function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("> "));
}

/** An address with the length of its prefix. */
export type Network = readonly [ipaddr.IPv4 | ipaddr.IPv6, number];

/** Addresses and CIDRs, apart by commas or spaces. */
const Networks = z.string().transform((text, context): Network[] =>
  text
    .split(/[\s,]+/)
    .filter((word) => word !== "")
    .flatMap((word) => {
      try {
        if (/^[\d./]+$/.test(word) && word.split("/")[0]?.split(".").length !== 4) throw new Error("not four parts");
        if (word.includes("/")) return [ipaddr.parseCIDR(word)];
        const address = ipaddr.process(word);
        return [[address, address.kind() === "ipv4" ? 32 : 128] as Network];
      } catch {
        context.addIssue({ code: "custom", message: `"${word}" is not an address or a CIDR` });
        return [];
      }
    }),
);

/** Changes to the tiers' limits, as JSON. */
const TierTable = z.string().transform((text, context): Tiers => {
  try {
    return readTiers(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
    return z.NEVER;
  }
});

const Schema = z
  .object({
    AUTH_MODE: z.enum(["backend", "master-key"]).default("backend"),
    MASTER_KEY: z.string().default(""),
    ADMIN_TOKEN: z.string().default(""),
    CONNECTOR_KEYS: json.pipe(KeySet).default([]),
    HUB_SHARDS: z.coerce.number().int().min(1).max(64).default(2),
    HEARTCODE_BACKEND_TIMEOUT: z.coerce.number().min(0.1).max(120).default(10),
    TRUSTED_PROXIES: Networks.default([]),
    TIERS: TierTable.default(DEFAULT_TIERS),
    DEV_FAULTS: z.enum(["", "0", "1"]).default(""),
  })
  .refine((env) => env.AUTH_MODE !== "master-key" || env.MASTER_KEY.length >= 8, {
    path: ["MASTER_KEY"],
    message: "AUTH_MODE=master-key needs a MASTER_KEY of at least 8 characters",
  });

export interface Settings {
  readonly authMode: "backend" | "master-key";
  readonly masterKey: string;
  readonly adminToken: string;
  readonly connectorKeys: readonly ConnectorKey[];
  readonly shards: number;
  readonly backendTimeoutMs: number;
  readonly tiers: Tiers;
  /** Development only: hubs may be aborted by request. Never set where clients are served. */
  readonly devFaults: boolean;
  /** Whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly Network[];
}

/** Names of all settings: what a launcher passes on, and what the documentation has to tell. */
export const SETTING_NAMES: readonly string[] = Object.keys(Schema.shape);

/** @throws Error that names the setting. */
export function readSettings(env: Readonly<Record<string, unknown>>): Settings {
  const parsed = Schema.safeParse(env);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Error(`setting ${issue?.path.join(".")}: ${issue?.message}`);
  }
  const { data } = parsed;
  return {
    authMode: data.AUTH_MODE,
    masterKey: data.MASTER_KEY,
    adminToken: data.ADMIN_TOKEN,
    connectorKeys: data.CONNECTOR_KEYS,
    shards: data.HUB_SHARDS,
    backendTimeoutMs: data.HEARTCODE_BACKEND_TIMEOUT * 1000,
    tiers: data.TIERS,
    devFaults: data.DEV_FAULTS === "1",
    trustedProxies: data.TRUSTED_PROXIES,
  };
}
