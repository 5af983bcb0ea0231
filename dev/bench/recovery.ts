// What one cut of the road costs: streams lost, and the time until the next request succeeds, through the product and through
// autossh with the options of the deployment that it replaces. On loopback, bounded, leaves nothing behind.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command, InvalidArgumentError, Option } from "commander";
import { FaultProxy } from "../../test/support/fault-proxy.ts";
import { Client, type Outcome } from "../chaos/client.ts";
import { type Question, questionOf } from "../chaos/question.ts";
import { Crew, run } from "../crew.ts";
import { startStack } from "../start/stack.ts";
import { answers, freePorts } from "./ports.ts";
import { find } from "./programs.ts";
import { findSshPrograms, providePrivilegeDirectory, sshdConfig, sshOptions } from "./road-ssh.ts";

interface Options {
  readonly streams: number;
  readonly cut: "rst" | "blackhole";
}

const options = new Command("bench:recovery")
  .description("Cuts the road under running streams, once, and tells what was lost and how soon it was back.")
  .option("--streams <n>", "at once", whole, 100)
  .addOption(
    new Option("--cut <how>", "rst: both ends are told; blackhole: nobody is")
      .choices(["rst", "blackhole"])
      .default("rst"),
  )
  .parse()
  .opts<Options>();

const TOKENS = 200;
const TOKENS_PER_SECOND = 40;
/** Streams are in their middle then. */
const CUT_AFTER_MS = 2_500;
const PROBE_EVERY_MS = 50;
/** ServerAliveInterval 30 × ServerAliveCountMax 3, and the time to dial again. */
const BACK_WITHIN_MS = 150_000;
const READY_MS = 20_000;
/** As the nine units had it. */
const DEPLOYED = ["ServerAliveInterval=30", "ServerAliveCountMax=3"];

/** A road with its breakable part, and how a question is put at its near end. */
interface Road {
  readonly name: string;
  readonly port: number;
  readonly proxy: FaultProxy;
  readonly model: string;
}

const directory = mkdtempSync(join(tmpdir(), "heartcode-recovery-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));

const crew = new Crew();
const proxies: FaultProxy[] = [];
try {
  const fleet = ["--chat", "0x2", "--embed", "0x1", "--slots", "256", "--tokens-per-second", String(TOKENS_PER_SECOND)];
  let proxy: FaultProxy | undefined;
  const productDirectory = join(directory, "product");
  mkdirSync(productDirectory);
  const wide = { rpm: 1e9, tpm: 1e9, tokens_per_day: 1e12 };
  const stack = await startStack(crew, {
    directory: productDirectory,
    fleet,
    slots: 256,
    edge: { TIERS: JSON.stringify({ admin: wide }) },
    uplinkPort: async (edgePort) => {
      proxy = await FaultProxy.to(edgePort);
      proxies.push(proxy);
      return proxy.port;
    },
  });
  const rows = [await measure({ name: "product", port: stack.port, proxy: proxy!, model: "heartcode-default" })];
  const ssh = await autosshRoad(stack.chatPorts[0]!);
  if (typeof ssh === "string") console.log(`autossh is skipped: ${ssh}`);
  else rows.push(await measure(ssh));

  console.log(
    `\n${options.streams} streams of ${TOKENS} tokens, one ${options.cut === "rst" ? "RST" : "black hole"} in their middle`,
  );
  console.log(`${"".padEnd(10)} streams lost  requests failed  next success after s`);
  for (const { name, lost, failed, backMs } of rows) {
    const back = backMs === null ? `> ${BACK_WITHIN_MS / 1_000}` : (backMs / 1_000).toFixed(2);
    console.log(`${name.padEnd(10)} ${String(lost).padStart(12)} ${String(failed).padStart(16)} ${back.padStart(21)}`);
  }
} finally {
  await crew.dismiss();
  await Promise.all(proxies.map((proxy) => proxy.close()));
}
process.exit(0);

interface Measured {
  readonly name: string;
  readonly lost: number;
  readonly failed: number;
  readonly backMs: number | null;
}

async function measure({ name, port, proxy, model }: Road): Promise<Measured> {
  const client = new Client(port);
  const ask = (i: number, tokens: number, stream: boolean) =>
    client.ask(question(`${name} ${i}`, model, tokens, stream));
  const warm = await ask(0, 4, false);
  if (warm.kind !== "whole") throw new Error(`${name} does not answer: ${warm.kind} ${warm.detail}`);
  const streams = Array.from({ length: options.streams }, (_, i) => ask(i + 1, TOKENS, true));
  await sleep(CUT_AFTER_MS);
  const cutAt = performance.now();
  if (options.cut === "rst") proxy.cut("rst");
  else proxy.blackHole(undefined, { newOnes: false });

  const probes: Outcome[] = [];
  const pending: Promise<unknown>[] = [];
  const isBack = () => probes.some((probe) => probe.kind === "whole");
  for (let i = 0; !isBack() && performance.now() - cutAt < BACK_WITHIN_MS; i += 1) {
    pending.push(ask(1_000 + i, 1, false).then((outcome) => probes.push(outcome)));
    await sleep(PROBE_EVERY_MS);
  }
  const first = probes.find((probe) => probe.kind === "whole");
  const ended = await Promise.all(streams);
  client.close();
  return {
    name,
    lost: ended.filter((stream) => stream.kind !== "whole").length,
    failed: probes.filter((probe) => probe.kind !== "whole").length,
    backMs: first === undefined ? null : first.endedAt - cutAt,
  };
}

function question(content: string, model: string, tokens: number, stream: boolean): Question {
  const body = { model, stream, max_tokens: tokens, messages: [{ role: "user", content }] };
  return questionOf("/v1/chat/completions", "hc-sk-demo-admin", body);
}

/** sshd and autossh with a breakable road between them; or why not. */
async function autosshRoad(engine: number): Promise<Road | string> {
  const programs = await findSshPrograms();
  if ("missing" in programs) return `not installed: ${programs.missing.join(", ")}`;
  const autossh = await find("autossh");
  if (autossh === null) return "not installed: autossh";
  await providePrivilegeDirectory();
  const place = join(directory, "ssh");
  await mkdir(place, { mode: 0o700 });
  for (const name of ["host", "user"]) {
    const args = ["-q", "-t", "ed25519", "-N", "", "-f", join(place, name)];
    await run({ name: "ssh-keygen", command: programs.keygen, args });
  }
  const [sshdPort, near] = await freePorts(2);
  const config = join(place, "sshd.conf");
  await writeFile(config, sshdConfig(sshdPort!, place));
  crew.start({ name: "sshd", command: programs.sshd, args: ["-f", config, "-D", "-e"] });
  const proxy = await FaultProxy.to(sshdPort!);
  proxies.push(proxy);
  const deployed = DEPLOYED.flatMap((option) => ["-o", option]);
  const forward = ["-R", `127.0.0.1:${near}:127.0.0.1:${engine}`, "127.0.0.1"];
  // -M 0: no monitoring port, as with the options above it is ssh itself that notices.
  const args = ["-M", "0", ...deployed, ...sshOptions(place, proxy.port), ...forward];
  // The first connection must hold 30 s by default, or autossh gives up for good.
  const env = { ...process.env, AUTOSSH_GATETIME: "0", AUTOSSH_PATH: programs.ssh };
  crew.start({ name: "autossh", command: autossh, args, env });
  await answers(near!, "/health", READY_MS, crew.lost);
  return { name: "autossh", port: near!, proxy, model: "heartcode-chat-sfw" };
}

function whole(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 200) throw new InvalidArgumentError("1 to 200");
  return value;
}
