// `npm run fleet -- …`: simulated OpenAI-compatible engines that answer as llama.cpp does.
import { Command } from "commander";
import { number, readCommand, reading } from "../cli.ts";
import { announce, endOnRequest, startFailure } from "../process.ts";
import {
  DEFAULT_CHAT_MODELS,
  DEFAULT_EMBED_MODEL,
  DEFAULT_HOST,
  type Fleet,
  type FleetOptions,
  startFleet,
} from "./fleet.ts";
import { type FaultWord, faultOrders, formatPorts, parseFault, parseNames, parsePorts } from "./options.ts";
import { DEFAULT_PACE, type Pace } from "./settings.ts";

const DEFAULT_CHAT = "8080-8087";
const DEFAULT_EMBED = "8090-8097";

interface Given extends Pace {
  readonly chat?: number[];
  readonly embed?: number[];
  readonly host: string;
  readonly chatModel?: string[];
  readonly embedModel: string;
  readonly fault?: FaultWord[];
}

const HELP = `
Ports: 8080-8087, 8080,8082-8083, or 0x8 for eight free ones. With neither --chat nor --embed both have their
defaults (${DEFAULT_CHAT}, ${DEFAULT_EMBED}); with one of them only that one runs.

When all engines listen, one line goes to stdout: fleet ready: chat 8080-8087 embed 8090-8097
A parent with an IPC channel gets {ready: true, chat: [ports], embed: [ports]}; the fleet ends with its parent.

Each engine also answers, for tests (add ?port=P to ask one engine through another):
  GET  /sim/state    slots, deferred, totals, last requests
  GET  /sim/ledger   what each request really used, and how it ended; ?since=SEQ gives what came behind it
  POST /sim/faults   JSON of faults, replaces all; {} clears them

Faults: loading, status=CODE, hang_before_head, reset_before_head, open_after_done, refuse[=N], exit, slow_ms_per_token=MS,
  answer_bytes=N (with it hang_after_head), and hang_, truncate_, cut_, reset_ and error_event_after_tokens=K; count=N limits them to N requests.

Examples:
  npm run fleet
  npm run fleet -- --chat 0x2 --tokens-per-second 0 --first-token-ms 0
  npm run fleet -- --chat 8080-8081 --fault 8081:reset_after_tokens=5 --fault 8081:count=3`;

function command(): Command {
  const { tokensPerSecond, firstTokenMs, slots, context, dimensions, embedMsPerInput, loadMs } = DEFAULT_PACE;
  const ms = number({ least: 0, whole: false });
  const positive = number({ least: 1 });
  const models = DEFAULT_CHAT_MODELS.join(",");
  return new Command("fleet")
    .description("Simulated OpenAI-compatible engines that answer as llama.cpp does.")
    .option("--chat <ports>", `ports of chat engines (default: ${DEFAULT_CHAT})`, reading(parsePorts))
    .option("--embed <ports>", `ports of embedding engines (default: ${DEFAULT_EMBED})`, reading(parsePorts))
    .option("--host <address>", "address to listen on", DEFAULT_HOST)
    .option("--tokens-per-second <n>", "pace of each answer; 0: as fast as possible", ms, tokensPerSecond)
    .option("--first-token-ms <ms>", "time to the head and the first token", ms, firstTokenMs)
    .option("--slots <n>", "requests an engine runs at once; more are deferred", positive, slots)
    .option("--context <tokens>", "what fits into a slot, prompt and answer", number({ least: 2 }), context)
    .option(
      "--chat-model <names>",
      `model of the chat engines, or several, each for its share (default: ${models})`,
      reading(parseNames),
    )
    .option("--embed-model <name>", "model of the embedding engines", DEFAULT_EMBED_MODEL)
    .option("--dimensions <n>", "length of a vector", number({ least: 1, most: 65_536 }), dimensions)
    .option("--embed-ms-per-input <ms>", "fixed cost of each input", ms, embedMsPerInput)
    .option("--load-ms <ms>", 'answer 503 "Loading model" for so long', ms, loadMs)
    .option(
      "--fault <target:name[=value]>",
      "a fault from the start; the target is a port, chat, embed or all; may be repeated",
      (text: string, before?: FaultWord[]) => [...(before ?? []), reading(parseFault)(text)],
    )
    .addHelpText("after", HELP);
}

/** With neither list given, both have their defaults. */
function portsOf({ chat, embed }: Given): { chat: number[]; embed: number[] } {
  if (chat === undefined && embed === undefined) {
    return { chat: parsePorts(DEFAULT_CHAT), embed: parsePorts(DEFAULT_EMBED) };
  }
  return { chat: chat ?? [], embed: embed ?? [] };
}

/** @throws Error for what no single option can know to be wrong. */
function fleetOptions(given: Given): FleetOptions {
  const { host, chatModel, embedModel, fault = [], chat: _chat, embed: _embed, ...pace } = given;
  const { chat, embed } = portsOf(given);
  const twice = chat.find((port) => port !== 0 && embed.includes(port));
  if (twice !== undefined) throw new Error(`port ${twice} is both in --chat and in --embed`);
  const ports = [...chat, ...embed];
  const stray = fault.find(({ target }) => typeof target === "number" && !ports.includes(target));
  if (stray !== undefined) throw new Error(`--fault names port ${stray.target}, where no engine listens`);
  const chatModels = chatModel ?? DEFAULT_CHAT_MODELS;
  return { chat, embed, host, chatModels, embedModel, pace, faults: faultOrders(fault) };
}

function readyLine({ host, chat, embed }: Fleet): string {
  const kinds = [
    ...(chat.length > 0 ? [`chat ${formatPorts(chat)}`] : []),
    ...(embed.length > 0 ? [`embed ${formatPorts(embed)}`] : []),
    ...(host === DEFAULT_HOST ? [] : [`on ${host}`]),
  ];
  return `fleet ready: ${kinds.join(" ")}`;
}

async function main(): Promise<void> {
  endOnRequest();
  const program = command();
  const read = readCommand(program, process.argv, () => fleetOptions(program.opts<Given>()));
  if ("exit" in read) process.exit(read.exit);
  try {
    // A fault may end the process, but only after the answer to the request that asked for it.
    const fleet = await startFleet({ ...read.given, exit: () => setImmediate(() => process.exit(1)) });
    announce(readyLine(fleet), { chat: fleet.chat, embed: fleet.embed });
  } catch (error) {
    console.error(`error: ${startFailure(error)}`);
    process.exit(1);
  }
}

await main();
