// Members that are the engine's business but for their types: engines answer a wrong type there with a 500 of their own,
// which would be tried again elsewhere and counted against a server that is well. Only what is documented by OpenAI is
// looked at, and only what is there; bounds are OpenAI's or wider.
import type { Endpoint } from "../../shared/openai.ts";
import { checkList, invalid, isObject, type JsonObject, wrongType } from "./schema.ts";

type Check = (name: string, value: unknown) => void;

/** OpenAI's is 4; programs for role-play send dozens. */
const MAX_STOPS = 64;
const MAX_STOP_LENGTH = 1_024;
const MAX_BIASES = 1_024;
/** OpenAI's own. */
const MAX_TOOLS = 128;
/** A seed is 64 bits, with a sign or without. */
const MAX_SEED = 2 ** 64;

const flag = typed("boolean", "a boolean");
const text = typed("string", "a string");

function typed(type: "boolean" | "string", expected: string): Check {
  return (name, value) => {
    if (typeof value !== type) throw wrongType(name, expected, value);
  };
}

function range(least: number, most: number, isWhole = false): Check {
  return (name, value) => {
    const isRight = typeof value === "number" && (!isWhole || Number.isInteger(value));
    if (!isRight) throw wrongType(name, isWhole ? "an integer" : "a number", value);
    if (value < least) throw invalid(name, `expected a value of at least ${least}`);
    if (value > most) throw invalid(name, `expected a value of at most ${most}`);
  };
}

function stop(name: string, value: unknown): void {
  if (!Array.isArray(value)) {
    if (typeof value !== "string") throw wrongType(name, "a string or an array of strings", value);
    checkStop(name, value);
    return;
  }
  if (value.length > MAX_STOPS) throw invalid(name, `expected at most ${MAX_STOPS} elements, but got ${value.length}`);
  for (const [i, item] of value.entries()) checkStop(`${name}.${i}`, item);
}

function checkStop(name: string, value: unknown): void {
  if (typeof value !== "string") throw wrongType(name, "a string", value);
  if (value.length > MAX_STOP_LENGTH) throw invalid(name, `expected a length of at most ${MAX_STOP_LENGTH}`);
}

/** By token id; llama.cpp also takes a list of pairs. */
function logitBias(name: string, value: unknown): void {
  if (!isObject(value) && !Array.isArray(value)) throw wrongType(name, "an object", value);
  const keys = Object.keys(value);
  if (keys.length > MAX_BIASES) throw invalid(name, `expected at most ${MAX_BIASES} members, but got ${keys.length}`);
  if (Array.isArray(value)) return;
  for (const key of keys) {
    const bias = value[key];
    if (typeof bias !== "number") throw wrongType(`${name}.${key}`, "a number", bias);
    if (Math.abs(bias) > 100) throw invalid(`${name}.${key}`, "expected a value from -100 to 100");
  }
}

function tools(name: string, value: unknown): void {
  // An empty list is what programs send that have none.
  if (!Array.isArray(value) || value.length > 0) checkList(name, value, MAX_TOOLS);
  for (const [i, tool] of (value as unknown[]).entries()) {
    const at = `${name}.${i}`;
    if (!isObject(tool)) throw wrongType(at, "an object", tool);
    text(`${at}.type`, tool["type"]);
    if (tool["type"] === "function") functionOf(`${at}.function`, tool["function"]);
  }
}

function functions(name: string, value: unknown): void {
  if (!Array.isArray(value) || value.length > 0) checkList(name, value, MAX_TOOLS);
  for (const [i, item] of (value as unknown[]).entries()) functionOf(`${name}.${i}`, item);
}

function functionOf(name: string, value: unknown): void {
  if (!isObject(value)) throw wrongType(name, "an object", value);
  text(`${name}.name`, value["name"]);
  for (const [key, check] of [
    ["description", text],
    ["parameters", object],
    ["strict", flag],
  ] as const) {
    const given = value[key];
    if (given != null) check(`${name}.${key}`, given);
  }
}

function object(name: string, value: unknown): void {
  if (!isObject(value)) throw wrongType(name, "an object", value);
}

function textOrObject(name: string, value: unknown): void {
  if (typeof value !== "string" && !isObject(value)) throw wrongType(name, "a string or an object", value);
}

function responseFormat(name: string, value: unknown): void {
  if (!isObject(value)) throw wrongType(name, "an object", value);
  text(`${name}.type`, value["type"]);
  if (value["type"] === "json_schema") object(`${name}.json_schema`, value["json_schema"]);
}

const GENERATION: readonly [name: string, check: Check][] = [
  ["frequency_penalty", range(-2, 2)],
  ["presence_penalty", range(-2, 2)],
  ["seed", range(-(2 ** 63), MAX_SEED, true)],
  ["stop", stop],
  ["logit_bias", logitBias],
];

const CHECKS: Readonly<Record<Endpoint["input"], ReadonlyMap<string, Check>>> = {
  messages: new Map<string, Check>([
    ...GENERATION,
    ["tools", tools],
    ["tool_choice", textOrObject],
    ["parallel_tool_calls", flag],
    ["functions", functions],
    ["function_call", textOrObject],
    ["response_format", responseFormat],
  ]),
  prompt: new Map<string, Check>([
    ...GENERATION,
    ["echo", flag],
    ["suffix", text],
    ["response_format", responseFormat],
  ]),
  input: new Map(),
};

/** @throws Failure invalid_request with the member at fault. */
export function checkMembers(body: JsonObject, input: Endpoint["input"]): void {
  const checks = CHECKS[input];
  for (const name of Object.keys(body)) {
    const value = body[name];
    // null is OpenAI's "not given".
    if (value !== null) checks.get(name)?.(name, value);
  }
}
