// What a configuration hardly means.
import { expect, test } from "vitest";
import { parseConfig } from "../../connector/config.ts";
import { strayPools } from "../../connector/config-doubts.ts";
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
