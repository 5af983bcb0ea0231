// The connectors' public keys, in each way in which an operator may have them.
import { describe, expect, test } from "vitest";
import { readSettings } from "../../edge/settings.ts";

const key = (kid: string) => JSON.stringify({ kty: "OKP", crv: "Ed25519", x: "eA", kid });
const ways: [how: string, text: string, kids: string[]][] = [
  ["nothing", "", []],
  ["one key", key("a#1"), ["a#1"]],
  ["one key and a line's end", `${key("a#1")}\n`, ["a#1"]],
  ["a key on each line", `${key("a#1")}\n${key("b#1")}\n`, ["a#1", "b#1"]],
  ["keys with empty lines between them", `${key("a#1")}\n\n${key("b#1")}\r\n`, ["a#1", "b#1"]],
  ["what `npm run` has printed", `\n> heartcode-edge@0.1.0 connector\n> node x\n\n${key("a#1")}\n`, ["a#1"]],
  ["a set", `{"keys": [${key("a#1")}, ${key("a#2")}]}`, ["a#1", "a#2"]],
  ["a set over several lines", `{\n"keys": [\n${key("a#1")}\n]\n}\n`, ["a#1"]],
];

describe("CONNECTOR_KEYS", () => {
  test.each(ways)("may be %s", (_how, text, kids) => {
    expect(readSettings({ CONNECTOR_KEYS: text }).connectorKeys.map(({ kid }) => kid)).toEqual(kids);
  });

  test.each([
    ["-----BEGIN", "is not JSON"],
    [`${key("a#1")}\nand more`, "is not JSON"],
    ['{"kty":"RSA"}', ""],
  ])("may not be %j", (text, says) => {
    expect(() => readSettings({ CONNECTOR_KEYS: text })).toThrow(`setting CONNECTOR_KEYS: ${says}`);
  });

  const secret = JSON.stringify({ kty: "OKP", crv: "Ed25519", x: "eA", d: "c2VjcmV0", kid: "a#1" });
  test.each([
    ["alone", secret],
    ["on a line of several", `${key("b#1")}\n${secret}\n`],
    ["in a set", `{"keys": [${key("b#1")}, ${secret}]}`],
    ["of another kind", '{"kty":"RSA","n":"eA","e":"AQAB","d":"c2VjcmV0"}'],
    ["in a list", `[${secret}]`],
  ])("may not be a private key %s; nothing of it is told", (_where, text) => {
    const line = /^setting CONNECTOR_KEYS: holds a private key (?!.*c2VjcmV0)(?!.*eA).*$/;
    expect(() => readSettings({ CONNECTOR_KEYS: text })).toThrow(line);
  });
});
