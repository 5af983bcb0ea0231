// What `validate` says of a configuration.
import { expect, test } from "vitest";
import { parseConfig } from "../../connector/config.ts";
import { tellConfig } from "../../connector/config-told.ts";

const config = parseConfig(
  `edge: { url: "wss://edge.example.com/uplink", id: onprem-1, key_file: k }
pools:
  - { model: heartcode-chat-sfw, kind: chat, upstreams: ["http://192.168.0.145:8080-8081"], slots: 3 }
  - { model: own-model, kind: embedding, upstreams: ["http://192.168.0.145:8090"] }
queue: { size: 5 }
`,
  "c.yaml",
  {},
);

test("the whole is told in a few lines", () => {
  expect(tellConfig("c.yaml", config, undefined)).toEqual([
    "c.yaml: valid",
    "edge wss://edge.example.com/uplink as onprem-1",
    "backend none: the edge must run with AUTH_MODE=master-key",
    "heartcode-chat-sfw (chat, 3 slots each): http://192.168.0.145:8080 http://192.168.0.145:8081",
    "own-model (embedding, 8 slots each): http://192.168.0.145:8090",
    "metrics none: connector status needs them",
  ]);
});

test("a public model is followed to its upstreams", () => {
  expect(tellConfig("c.yaml", config, "heartcode-default")).toEqual([
    "heartcode-default → pool heartcode-chat-sfw (chat)",
    "  http://192.168.0.145:8080, 3 at once",
    "  http://192.168.0.145:8081, 3 at once",
    "6 run at once, 5 more may wait",
  ]);
});

test("a pool may be named by its own name, with a word about who may do so", () => {
  const says = "a pool's own name: clients may use it only with AUTH_MODE=master-key";
  expect(tellConfig("c.yaml", config, "heartcode-chat-sfw")).toContain(says);
  // The edge knows no such model, whoever asks.
  expect(tellConfig("c.yaml", config, "own-model")).not.toContain(says);
});

test.each([
  ["gpt-4", /^gpt-4 is no model .*; here are heartcode-default, heartcode-sfw, heartcode-chat-sfw, own-model$/],
  ["heartcode-nsfw", /^heartcode-nsfw is served by the pool heartcode-chat-nsfw, which this connector does not have/],
])("%s reaches nothing here, and that is said", (name, says) => {
  expect(tellConfig("c.yaml", config, name)).toMatch(says);
});
