// What a configuration hardly means.
import { describe, expect, test } from "vitest";
import { loadConfig, parseConfig } from "../../connector/config.ts";
import { misnamed, strayPools } from "../../connector/config-doubts.ts";
import { INTERNAL_MODELS } from "../../shared/openai.ts";

const doubtsOf = (...models: string[]) => {
  const pools = models.map(
    (model, at) => `  - { model: ${model}, kind: chat, upstreams: ["http://127.0.0.1:${at + 1}"] }`,
  );
  const text = `edge: { url: "ws://127.0.0.1/uplink", id: a, key_file: k }\npools:\n${pools.join("\n")}\n`;
  return strayPools(parseConfig(text, "c.yaml", {})).map(({ doubt }) => doubt);
};

test("none where the edge asks for every pool", () => {
  expect(INTERNAL_MODELS.length).toBeGreaterThan(2);
  expect(doubtsOf(...INTERNAL_MODELS)).toEqual([]);
});

test.each([
  ["heartcode-chat-nfsw", "no model of the edge leads to the pool heartcode-chat-nfsw; is heartcode-chat-nsfw meant?"],
  ["Heartcode-Embed", "no model of the edge leads to the pool Heartcode-Embed; is heartcode-embed meant?"],
  [
    "heartcode-default",
    "no model of the edge leads to the pool heartcode-default: clients say heartcode-default, its pool is heartcode-chat-sfw",
  ],
  ["own-model", "no model of the edge leads to the pool own-model"],
])("%s is a pool that nobody asks for", (model, doubt) => {
  expect(doubtsOf("heartcode-chat-sfw", model)).toEqual([doubt]);
});

describe("a variable that is not set", () => {
  const variables = new Map([
    ["HEARTCODE_BACKEND_TOKEN", false],
    ["LANGFUSE_PUBLIC_KEY", false],
    ["LANGFUSE_SECRET_KEY", true],
  ]);

  test("is told of where one of nearly the same name is", () => {
    expect(misnamed({ variables }, ["PATH", "HEARTCODE_BACKEND_TOKN", "LANGFUSE_SECRET_KEY"])).toEqual([
      "the variable HEARTCODE_BACKEND_TOKEN is not set, but HEARTCODE_BACKEND_TOKN is",
    ]);
  });

  test("is nothing to speak of else", () => {
    expect(misnamed({ variables }, ["PATH", "HOME", "LANGFUSE_SECRET_KEY", "NODE_OPTIONS"])).toEqual([]);
  });

  test("is known from the configuration of the cloud scenario", async () => {
    const { variables: found } = await loadConfig("config/cloud/connector.yaml", { LANGFUSE_HOST: "" });
    expect(found.get("HEARTCODE_BACKEND_TOKEN")).toBe(false);
    expect(found.get("LANGFUSE_HOST")).toBe(true);
    // It stands in a comment.
    expect(found.has("COLLECTOR_TOKEN")).toBe(false);
  });
});
