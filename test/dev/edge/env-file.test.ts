// Names in a file of variables that nobody will read.
import { describe, expect, test } from "vitest";
import { edgeCommand, OPTION_VARIABLES, readGiven } from "../../../dev/edge/command.ts";
import { slipsIn } from "../../../dev/edge/env-file.ts";
import { SETTING_NAMES } from "../../../edge/settings.ts";

const KNOWN = [...SETTING_NAMES, ...OPTION_VARIABLES];

test.each([
  ["MASTER_KEYS", "MASTER_KEYS is no setting of the edge; is MASTER_KEY meant?"],
  ["CONNECTOR_KEY", "CONNECTOR_KEY is no setting of the edge; is CONNECTOR_KEYS meant?"],
  ["HUBSHARDS", "HUBSHARDS is no setting of the edge; is HUB_SHARDS meant?"],
  ["admin_token", "admin_token is no setting of the edge; is ADMIN_TOKEN meant?"],
  ["EDGE_WORKERS", "EDGE_WORKERS is no setting of the edge"],
])("%s is probably a slip", (name, says) => expect(slipsIn([name], KNOWN)).toEqual([says]));

test("a setting is none, nor what is another program's", () => {
  expect(KNOWN.length).toBeGreaterThan(15);
  const others = [
    "PATH",
    "TZ",
    "LANG",
    "NODE_OPTIONS",
    "NODE_EXTRA_CA_CERTS",
    "HTTPS_PROXY",
    "NODE_PORT",
    "REDIS_HOST",
  ];
  const connectors = ["HEARTCODE_BACKEND_TOKEN", "LANGFUSE_HOST", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"];
  expect(slipsIn([...KNOWN, ...others, ...connectors], KNOWN)).toEqual([]);
});

describe("--env-file", () => {
  test("sets what is not set already", () => {
    const environment: NodeJS.ProcessEnv = { HUB_SHARDS: "3" };
    const warnings: string[] = [];
    const program = edgeCommand(environment, (line) => warnings.push(line));
    program.parse(["--env-file", "config/local/edge.env"], { from: "user" });
    expect(environment).toMatchObject({ HUB_SHARDS: "3", AUTH_MODE: "master-key" });
    expect(readGiven(program).port).toBe(4000);
    expect(warnings).toEqual([]);
  });

  test("that is not there is one clear line", () => {
    const parse = () => edgeCommand({}).parse(["--env-file", "/no/such.env"], { from: "user" });
    expect(parse).toThrow(/^--env-file \/no\/such\.env is not there$/);
  });
});
