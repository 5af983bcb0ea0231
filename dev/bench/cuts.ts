// How long the next request takes behind a cut of the road (RST, both ends told), over many cuts. On loopback, bounded.
// Ends with 1 if one failed, or if they took longer than promised.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { FaultProxy } from "../../test/support/fault-proxy.ts";
import { Crew } from "../crew.ts";
import { startStack } from "../start/stack.ts";

const CUTS = 50;
/** Between a cut and the next one: the socket that came back has lived by then. */
const PAUSE_MS = 1_200;
/** Of 99 in 100. */
const BACK_WITHIN_MS = 1_000;

new Command("bench:cuts")
  .description(`How long the next request takes behind a cut of the uplink, over ${CUTS} cuts on loopback.`)
  .parse();

const directory = mkdtempSync(join(tmpdir(), "heartcode-cuts-"));
const crew = new Crew();
let road: FaultProxy | undefined;
try {
  const stack = await startStack(crew, {
    directory,
    edge: { HUB_SHARDS: "1" },
    uplinkPort: async (port) => {
      road = await FaultProxy.to(port);
      return road.port;
    },
  });
  const ask = async (): Promise<number> => {
    const response = await fetch(`${stack.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: "Bearer hc-sk-demo-admin", "content-type": "application/json" },
      body: JSON.stringify({ model: "heartcode-default", max_tokens: 1, messages: [{ role: "user", content: "hi" }] }),
    });
    await response.arrayBuffer();
    return response.status;
  };
  while ((await ask()) !== 200) await sleep(100);
  const times: number[] = [];
  let failed = 0;
  for (let i = 0; i < CUTS; i += 1) {
    await sleep(PAUSE_MS);
    road?.cut();
    const from = performance.now();
    if ((await ask()) === 200) times.push(performance.now() - from);
    else failed += 1;
  }
  times.sort((a, b) => a - b);
  const at = (share: number) => Math.round(times[Math.min(times.length - 1, Math.floor(share * times.length))] ?? 0);
  console.log(`${CUTS} cuts: ${failed} requests failed; the next one took ${at(0.5)} ms (p50), ${at(0.99)} ms (p99)`);
  if (failed > 0 || at(0.99) > BACK_WITHIN_MS) process.exitCode = 1;
} finally {
  await road?.close();
  await crew.dismiss();
  rmSync(directory, { recursive: true, force: true });
}
