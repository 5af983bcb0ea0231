// The words of the command line: port lists, and faults given at the start. Pure.

import { complaint } from "../complaint.ts";
import { Faults } from "./faults.ts";
import type { FaultOrder } from "./fleet.ts";

const MOST_PORTS = 1024;

/**
 * `8080-8087`, `8080,8082-8083`, or `0x8` for eight free ones, which stand as 0.
 * @throws Error that says what is wrong.
 */
export function parsePorts(text: string): number[] {
  const ports = text.split(",").flatMap((item) => parseItem(item.trim()));
  if (ports.length > MOST_PORTS) throw new Error(`more than ${MOST_PORTS} ports`);
  const twice = ports.find((port, i) => port !== 0 && ports.indexOf(port) !== i);
  if (twice !== undefined) throw new Error(`port ${twice} is named twice`);
  return ports;
}

function parseItem(item: string): number[] {
  const free = /^0x(\d{1,4})$/.exec(item)?.[1];
  if (free !== undefined && Number(free) > 0) return new Array<number>(Number(free)).fill(0);
  const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(item);
  const from = Number(range?.[1]);
  const to = Number(range?.[2] ?? range?.[1]);
  if (range === null || from < 1 || to > 65535) {
    throw new Error(`'${item}' is not a port, a range such as 8080-8087, or 0x8 for eight free ports`);
  }
  if (to < from) throw new Error(`the range ${item} runs backwards`);
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** The opposite: `[8080, 8081, 8083]` is `8080-8081,8083`. */
export function formatPorts(ports: readonly number[]): string {
  const runs: { from: number; to: number }[] = [];
  for (const port of ports) {
    const run = runs.at(-1);
    if (run !== undefined && run.to + 1 === port) run.to = port;
    else runs.push({ from: port, to: port });
  }
  return runs.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(",");
}

/** One word of a fault order, not yet checked against the other words for its target. */
export interface FaultWord {
  readonly target: FaultOrder["target"];
  readonly name: string;
  readonly value: unknown;
}

/**
 * `8081:reset_after_tokens=5`, `chat:hang_before_head`, `all:status=503`.
 * @throws Error that says what is wrong.
 */
export function parseFault(text: string): FaultWord {
  const match = /^(\d{1,5}|chat|embed|all):([a-z_]+)(?:=(.+))?$/.exec(text);
  if (match === null) throw new Error(`'${text}' is not PORT:NAME[=VALUE] (instead of PORT also chat, embed or all)`);
  const [, target = "all", name = "", value = "true"] = match;
  const isKind = target === "chat" || target === "embed" || target === "all";
  return { target: isKind ? target : Number(target), name, value: readValue(value) };
}

function readValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * Several faults for one target act together, and `count` counts for all of them.
 * @throws Error that names the fault that is wrong.
 */
export function faultOrders(words: readonly FaultWord[]): FaultOrder[] {
  const byTarget = Map.groupBy(words, (word) => word.target);
  return [...byTarget].map(([target, own]) => {
    const parsed = Faults.safeParse(Object.fromEntries(own.map(({ name, value }) => [name, value])));
    if (!parsed.success) throw new Error(`fault for ${target}: ${complaint(parsed.error)}`);
    return { target, faults: parsed.data };
  });
}

/** @throws Error if one is empty. */
export function parseNames(text: string): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.includes("")) throw new Error("A name is empty.");
  return names;
}
