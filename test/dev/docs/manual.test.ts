// The manual's commands as tests read them, and those that no test may run.
import { describe, expect, test } from "vitest";
import { assertStaysHere, commandsOf } from "../../support/manual.ts";

const FILES: Record<string, string> = {
  "/etc/heartcode/connector.yaml":
    'edge: { url: "wss://edge.example.com/uplink" }\npools: ["http://192.168.0.145:8080"]',
  "/tmp/engines.yaml": 'edge: { url: "ws://127.0.0.1:4000/uplink" }\nupstreams: ["http://192.168.0.145:8080-8083"]',
  "/tmp/here.yaml":
    '# not http://192.168.0.145:8080\nedge: { url: "ws://127.0.0.1:4000/uplink" }\nx: ["http://localhost:1"]',
  "/tmp/here.env": "EDGE_HOST=0.0.0.0\nEDGE_TLS_CERT=/etc/letsencrypt/live/edge.example.com/fullchain.pem",
};
const stays = (command: string) => assertStaysHere(command, async (path) => FILES[path] ?? null);

describe("a command of the manual", () => {
  test.each([
    "node /opt/heartcode/connector.mjs run --config /etc/heartcode/connector.yaml",
    "node connector.mjs doctor --config=/tmp/engines.yaml",
    "npm run connector -- doctor --config config/cloud/connector.yaml",
    "npm run connector -- run --config ./config/local/connector.yaml",
    "npm run connector -- status --config /work/config/cloud/connector.yaml",
    "npm ci && npm run connector -- run --config config/cloud/connector.yaml",
    "npm run connector -- validate --config /tmp/here.yaml; node connector.mjs doctor --config /tmp/engines.yaml",
    "npm run edge -- --env-file config/cloud/edge.env",
    "curl https://edge.example.com/health",
    "curl -sS http://192.168.0.145:8080/health",
    "ping 192.168.0.145",
    "npm ci && npm run build",
    "npx wrangler deploy",
    "cat $(curl -s http://192.168.0.145:8080/health)",
  ])("is not run where it would leave this machine: %s", async (command) => {
    await expect(stays(command)).rejects.toThrow("this command is not run by a test, because");
  });

  test.each([
    "npm run connector -- validate --config config/cloud/connector.yaml --model heartcode-default",
    "ln -s /work/node_modules node_modules && npm run build",
    "install -m 0644 config/cloud/connector.yaml /etc/heartcode/connector.yaml",
    "node connector.mjs service --config /etc/heartcode/connector.yaml",
    "node connector.mjs doctor --config /tmp/here.yaml",
    "npm run edge -- --env-file /tmp/here.env",
    "curl -sS https://localhost:4443/health",
    "curl http://[::1]:4000/health",
  ])("is run where it stays here: %s", async (command) => {
    await expect(stays(command)).resolves.toBeUndefined();
  });

  test("is a line, or several that go on, without what is said about it", () => {
    const text = "# first\ncd x\ncurl -d '{}' \\\n  http://127.0.0.1/   # a hash: '#1'\nrun it    # Ctrl-C stops it\n";
    expect(commandsOf({ text })).toEqual([
      { text: "cd x", runs: false },
      { text: "curl -d '{}'    http://127.0.0.1/", runs: false },
      { text: "run it", runs: true },
    ]);
  });
});
