import { describe, expect, test } from "vitest";
import { checkMembers } from "../../../edge/api/members.ts";
import type { JsonObject } from "../../../edge/api/schema.ts";
import { errorHead, Failure } from "../../../shared/errors.ts";

type Input = Parameters<typeof checkMembers>[1];

function told(body: JsonObject, input: Input): unknown[] {
  try {
    checkMembers(body, input);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [errorHead(error.public).status, error.code, error.public.param];
  }
  return ["accepted"];
}

const tool = { type: "function", function: { name: "f", parameters: { type: "object" } } };

describe("members that are the engine's", () => {
  const bad: readonly [body: JsonObject, param: string][] = [
    [{ frequency_penalty: "1" }, "frequency_penalty"],
    [{ frequency_penalty: 2.1 }, "frequency_penalty"],
    [{ presence_penalty: -3 }, "presence_penalty"],
    [{ seed: "7" }, "seed"],
    [{ seed: 1.5 }, "seed"],
    [{ seed: 1e308 }, "seed"],
    [{ stop: 5 }, "stop"],
    [{ stop: {} }, "stop"],
    [{ stop: ["a", 5] }, "stop.1"],
    [{ stop: Array(65).fill("a") }, "stop"],
    [{ stop: "a".repeat(1_025) }, "stop"],
    [{ stop: [["a"]] }, "stop.0"],
    [{ logit_bias: "x" }, "logit_bias"],
    [{ logit_bias: { 5: "x" } }, "logit_bias.5"],
    [{ logit_bias: { 5: 101 } }, "logit_bias.5"],
    [{ logit_bias: Object.fromEntries(Array.from({ length: 1_025 }, (_, i) => [i, 0])) }, "logit_bias"],
  ];
  const badInChats: readonly [body: JsonObject, param: string][] = [
    [{ tools: "x" }, "tools"],
    [{ tools: {} }, "tools"],
    [{ tools: Array(129).fill(tool) }, "tools"],
    [{ tools: [tool, 5] }, "tools.1"],
    [{ tools: [{}] }, "tools.0.type"],
    [{ tools: [{ type: "function" }] }, "tools.0.function"],
    [{ tools: [{ type: "function", function: {} }] }, "tools.0.function.name"],
    [{ tools: [{ type: "function", function: { name: "f", parameters: [] } }] }, "tools.0.function.parameters"],
    [{ tools: [{ type: "function", function: { name: "f", description: 1 } }] }, "tools.0.function.description"],
    [{ functions: [{ name: 1 }] }, "functions.0.name"],
    [{ tool_choice: 1 }, "tool_choice"],
    [{ function_call: [] }, "function_call"],
    [{ parallel_tool_calls: "yes" }, "parallel_tool_calls"],
    [{ response_format: "json" }, "response_format"],
    [{ response_format: {} }, "response_format.type"],
    [{ response_format: { type: "json_schema" } }, "response_format.json_schema"],
  ];
  const rows = [
    ...bad.flatMap(([body, param]) => [["messages", body, param] as const, ["prompt", body, param] as const]),
    ...badInChats.map(([body, param]) => ["messages", body, param] as const),
    ["prompt", { echo: 1 }, "echo"] as const,
    ["prompt", { suffix: [] }, "suffix"] as const,
  ];
  test.each(rows)("of a body with %s are refused where a type is wrong: %j", (input, body, param) => {
    expect(told(body, input)).toEqual([400, "invalid_request", param]);
  });

  const good: readonly [input: Input, body: JsonObject][] = [
    ["messages", { stop: null, seed: null, tools: null, logit_bias: null, response_format: null }],
    ["messages", { stop: ["a", ""], seed: -1, frequency_penalty: 2, logit_bias: { 5: -100 } }],
    ["messages", { stop: [], tools: [], logit_bias: {}, seed: 2 ** 53 + 2 }],
    ["messages", { logit_bias: [[5, false]] }],
    ["messages", { tools: [tool], tool_choice: "auto", parallel_tool_calls: false }],
    ["messages", { tools: [{ type: "custom", custom: {} }], tool_choice: { type: "function" } }],
    ["messages", { response_format: { type: "json_schema", json_schema: { schema: {} } } }],
    ["prompt", { echo: true, suffix: "x", stop: "a" }],
    ["input", { stop: 5, tools: "none of these is an embedding's" }],
    ["messages", JSON.parse('{"__proto__":5,"constructor":5,"toString":5}') as JsonObject],
  ];
  test.each(good)("of a body with %s pass otherwise: %j", (input, body) => {
    expect(told(body, input)).toEqual(["accepted"]);
  });
});
