// `connector doctor`: which checks there are for a configuration, and how their results are told.
import { INTERNAL_MODELS } from "../../shared/openai.ts";
import type { Config } from "../config.ts";
import { strayPools } from "../config-doubts.ts";
import { type Check, type CheckClock, type Row, runChecks } from "./checks.ts";
import { roadChecks } from "./checks-road.ts";
import { type BackendHands, backendChecks, upstreamChecks } from "./checks-site.ts";
import { type UplinkHands, uplinkChecks } from "./checks-uplink.ts";
import { columns } from "./columns.ts";
import { remedy } from "./remedies.ts";

export interface DoctorHands {
  readonly uplink: UplinkHands;
  /** Null: the configuration has none. */
  readonly backend: BackendHands | null;
}

export interface DoctorOptions {
  /** The configuration, or what is wrong with it. */
  readonly config: Config | { readonly problems: readonly string[] };
  readonly hands: (config: Config) => DoctorHands;
  /** Engines are asked for one token or vector each. */
  readonly wantsAnswers: boolean;
  readonly clock: CheckClock;
}

export function examine({ config, hands, wantsAnswers, clock }: DoctorOptions): Promise<Row[]> {
  if ("problems" in config) return runChecks([brokenConfig(config.problems)], clock);
  const { uplink, backend } = hands(config);
  const { pools } = config;
  const whole: Check = {
    name: "config",
    needs: [],
    run: async () => ({
      verdict: "PASS",
      detail: `${config.edge.id}; pools: ${pools.length}, upstreams: ${pools.flatMap((pool) => pool.upstreams).length}`,
    }),
  };
  const checks = [
    whole,
    poolNames(config),
    ...roadChecks(config.edge.url),
    ...uplinkChecks(uplink),
    ...backendChecks(config.backend, backend),
    ...upstreamChecks(pools, wantsAnswers),
  ];
  return runChecks(checks, clock);
}

export function isWell(rows: readonly Row[]): boolean {
  return rows.every(({ verdict }) => verdict !== "FAIL");
}

/** Lines for a terminal. */
export function tellRows(rows: readonly Row[]): string[] {
  const table = columns([
    ["RESULT", "CHECK", "TIME", "DETAIL"],
    ...rows.map(({ verdict, check, ms, detail }) => [verdict, check, ms === null ? "-" : `${ms} ms`, detail]),
  ]);
  const [head = "", ...lines] = table;
  const told = rows.flatMap(({ remedy }, at) => [lines[at] ?? "", ...(remedy === null ? [] : [`        → ${remedy}`])]);
  const count = (wanted: Row["verdict"]) => rows.filter(({ verdict }) => verdict === wanted).length;
  const end = `${count("PASS")} passed, ${count("WARN")} warned, ${count("FAIL")} failed, ${count("SKIP")} skipped`;
  return [head, ...told, "", end];
}

/** No error: the edge may be newer than this program. */
function poolNames(config: Config): Check {
  return {
    name: "pools",
    needs: ["config"],
    run: async () => {
      const strays = strayPools(config);
      if (strays.length > 0)
        return {
          verdict: "WARN",
          detail: strays.map(({ doubt }) => doubt).join(", "),
          remedy: remedy("poolName", { known: INTERNAL_MODELS.join(", ") }),
        };
      return { verdict: "PASS", detail: `the edge asks for ${config.pools.map(({ model }) => model).join(", ")}` };
    },
  };
}

/** Nothing can be looked at without it. */
function brokenConfig(problems: readonly string[]): Check {
  return {
    name: "config",
    needs: [],
    run: async () => ({
      verdict: "FAIL",
      detail: problems[0] ?? "it cannot be read",
      remedy: problems.length > 1 ? remedy("configMore", { count: problems.length - 1 }) : remedy("config"),
      more: ["edge", "uplink", "backend", "upstreams"].map((name) => ({
        name,
        needs: [],
        run: async () => ({ verdict: "SKIP" as const, detail: 'needs "config", which failed' }),
      })),
    }),
  };
}
