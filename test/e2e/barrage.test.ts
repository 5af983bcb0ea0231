// A small, fixed part of what `npm run fuzz:input` searches.
import { expect, test } from "vitest";
import { barrage } from "../support/barrage.ts";
import { useStack } from "../support/stack.ts";

const KEY = "a-key-of-the-barrage";
const stack = useStack({
  fleet: [
    "--chat",
    "0x2",
    "--embed",
    "0x1",
    "--tokens-per-second",
    "0",
    "--first-token-ms",
    "0",
    "--slots",
    "64",
    "--context",
    "512",
  ],
  slots: 64,
  edge: { AUTH_MODE: "master-key", MASTER_KEY: KEY },
});

test("two thousand mutated requests get answers of the table, each with an id, and none tells of the inside", async () => {
  const { port, chatPorts, embedPorts, backendPort } = stack();
  const secrets = [KEY, ...[...chatPorts, ...embedPorts, backendPort].map((one) => `:${one}`)];
  const tally = await barrage({ port, key: KEY, seed: 20_261_126, requests: 2_000, concurrency: 8, secrets });
  // Both roads were taken, and often.
  expect(tally.get(200)).toBeGreaterThan(300);
  expect(tally.get(400)).toBeGreaterThan(300);
  for (const status of [401, 404, 405, 415]) expect(tally.get(status)).toBeGreaterThan(5);
});
