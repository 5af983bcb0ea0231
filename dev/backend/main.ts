// `npm run backend -- …`: the reference backend, which knows whose a key is.
import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import { number, readCommand } from "../cli.ts";
import { announce, endOnRequest, startFailure } from "../process.ts";
import { readKeys, type StoredKey } from "./keys.ts";
import { startBackend } from "./server.ts";
import { KeyStore } from "./store.ts";

const DEMO_KEYS = new URL("demo-keys.json", import.meta.url).pathname;

interface Given {
  readonly port: number;
  readonly host: string;
  readonly keys?: string;
  readonly db?: string;
  readonly token?: string;
}

const HELP = `
The keys file is {"keys": [{"api_key": "hc-sk-…", "tier": "free|premium|admin", …}]}; each key may also have key_id,
user_id, age_verified, expires_at, revoked and limits. Keys are stored only as SHA-256. With --db they stay, and what
the file says of a key replaces what is stored.

Demo keys: hc-sk-demo-free, hc-sk-demo-premium, hc-sk-demo-adult and hc-sk-demo-admin (both age-verified),
hc-sk-demo-revoked.

When it listens, one line goes to stdout: backend ready: http://127.0.0.1:8000
A parent with an IPC channel gets {ready: true, port}; the backend ends with its parent.

  POST /api/v1/api-keys/verify   {"api_key": "hc-sk-…"}
  GET  /api/v1/health
For tests:
  GET  /sim/state                verify_calls, calls_by_key_id, unknown_keys, waiting
  POST /sim/faults               {"hang":true}, {"status":500,"count":1}, {"delay_ms":100}, {"garbage":true}; {} clears
  POST /sim/keys                 {"add": {…a key…}} or {"revoke": "hc-sk-… or its key_id"}`;

function command(): Command {
  return new Command("backend")
    .description("The reference backend: looks API keys up.")
    .option("--port <port>", "port to listen on; 0 takes a free one", number({ least: 0, most: 65_535 }), 8000)
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--keys <file>", "JSON file of keys (default: the demo keys)")
    .option("--db <file>", "SQLite file (default: in memory)")
    .addOption(new Option("--token <token>", "ask lookups for this bearer token").env("HEARTCODE_BACKEND_TOKEN"))
    .addHelpText("after", HELP);
}

/** @throws Error with the file and the field that is wrong. */
function keysOf(file: string): StoredKey[] {
  try {
    return readKeys(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function main(): Promise<void> {
  endOnRequest();
  const program = command();
  const read = readCommand(program, process.argv, () => {
    const given = program.opts<Given>();
    return { ...given, keys: keysOf(given.keys ?? DEMO_KEYS) };
  });
  if ("exit" in read) process.exit(read.exit);
  const { host, port, keys, db, token } = read.given;
  try {
    const store = new KeyStore(db ?? ":memory:");
    process.once("exit", () => store.close());
    for (const key of keys) store.put(key);
    // An empty token is none: the environment often has the name without a value.
    const backend = await startBackend({ store, host, port, token: token || null, now: Date.now });
    const name = host.includes(":") ? `[${host}]` : host;
    announce(`backend ready: http://${name}:${backend.port}`, { port: backend.port });
  } catch (error) {
    console.error(`error: ${startFailure(error)}`);
    process.exit(1);
  }
}

await main();
