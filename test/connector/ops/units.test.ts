// The units, judged by systemd's own tools, and by what would not be seen from inside them.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { connectorUnit, hiddenFromUnit, LAUNCHER } from "../../../connector/ops/units.ts";
import { edgeUnits } from "../../../connector/ops/units-edge.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const program = { node: process.execPath, script: join(ROOT, "connector/main.ts"), perl: "/usr/bin/perl" };
const connector = connectorUnit({
  ...program,
  config: "/etc/heartcode/c.yaml",
  key: "/etc/heartcode/c.key",
  drainS: 30,
});
const edge = {
  ...program,
  script: join(ROOT, "dev/edge/main.ts"),
  folder: ROOT,
  keys: "/etc/heartcode/keys.json",
  env: "/etc/heartcode/edge.env",
};
const behindProxy = edgeUnits({ ...edge, host: "127.0.0.1", port: 4000 });
const tls = { cert: "/etc/tls/chain.pem", key: "/etc/tls/key.pem", redirectPort: 80, acmeWebroot: "/var/www/acme" };
const withTls = edgeUnits({ ...edge, host: null, port: 443, tls });

/** Of `systemd-analyze security`, in tenths. */
const MOST_EXPOSED = 12;
const analyze = (...args: string[]) => spawnSync("systemd-analyze", args, { encoding: "utf8" });
const isThere = analyze("--version").error === undefined;

describe.skipIf(!isThere)(`the unit${isThere ? "" : " (skipped: systemd-analyze is not installed)"}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "heartcode-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  /** Each in a folder of its own: the units of an edge have the same names, and name each other. */
  const sets = [
    ["of the connector", [connector]],
    ["of an edge behind a proxy", behindProxy],
    ["of an edge with TLS", withTls],
  ] as const;
  const rows = sets.map(([what, units]): [string, string[]] => {
    const own = mkdtempSync(join(folder, "set-"));
    const files = units.map(({ name, text }) => {
      writeFileSync(join(own, name), text);
      return join(own, name);
    });
    return [what, files];
  });

  test.each(rows)("%s is understood to the last word", (_what, files) => {
    const { status, stdout, stderr } = analyze("verify", ...files);
    expect(`${stdout}${stderr}`).toBe("");
    expect(status).toBe(0);
  });

  test.each(rows)("%s exposes 1.2 or less", (_what, files) => {
    const service = files.at(-1)!;
    const { status, stdout } = analyze(
      "security",
      "--offline=yes",
      `--threshold=${MOST_EXPOSED}`,
      "--no-pager",
      service,
    );
    expect(stdout).toMatch(/Overall exposure level/);
    expect([status, stdout.trim().split("\n").at(-1)]).toEqual([0, expect.any(String)]);
  });

  test("without perl is understood too, and listens to children", () => {
    const { text } = connectorUnit({ ...program, perl: null, config: "/c", key: "/k", drainS: 1 });
    const file = join(folder, "plain.service");
    writeFileSync(file, text);
    expect(analyze("verify", file).stderr).toBe("");
    expect(text).toContain("NotifyAccess=all\nExecStart=/");
  });
});

test("the launcher survives systemd's own signs", () => {
  const line = connector.text.split("\n").find((one) => one.startsWith("ExecStart="))!;
  const [, words = ""] = /-e '([^']*)'/.exec(line) ?? [];
  expect(words.replaceAll("$$", "$").replaceAll("%%", "%")).toBe(LAUNCHER);
  expect(words.replaceAll("$$", "")).not.toMatch(/[$%\\]/);
});

test("node takes no option of the program for its own", () => {
  for (const { text } of [connector, behindProxy[1]!]) expect(text).toMatch(/^ExecStart=.* -- \/\S+ -- \/\S+ /m);
});

test("a connector has the time to drain; it is started again where an edge refuses it, and not where another is in its place", () => {
  const { text } = connectorUnit({ ...program, config: "/c", key: "/k", drainS: 300 });
  expect(text).toContain("TimeoutStopSec=315\n");
  expect(text).toContain("RestartPreventExitStatus=2 4\n");
});

test("an edge that only this machine reaches has a socket for this machine only", () => {
  const [socket] = behindProxy;
  expect(socket?.text).toContain("ListenStream=127.0.0.1:4000\n");
  expect(socket?.text).toContain("IPAddressDeny=any\nIPAddressAllow=localhost\n");
  const [open] = edgeUnits({ ...edge, host: "0.0.0.0", port: 1 });
  expect(open?.text).toContain("ListenStream=0.0.0.0:1\n");
  expect(open?.text).not.toContain("IPAddress");
});

test("an edge with TLS has both ports from systemd, and a renewed certificate without a restart", () => {
  const [socket, service] = withTls.map(({ text }) => text);
  expect(socket).toContain("ListenStream=443\nListenStream=80\n");
  expect(service).toContain("--port 443 --tls-cert %t/heartcode-edge/tls.crt --tls-key %t/heartcode-edge/tls.key");
  expect(service).toContain("--redirect-port 80 --acme-webroot /var/www/acme");
  for (const when of ["ExecStartPre", "ExecReload"])
    expect(service).toContain(`${when}=+/usr/bin/install -m 0444 /etc/tls/key.pem %t/heartcode-edge/tls.key\n`);
  expect(service).toContain("RuntimeDirectoryMode=0700\n");
});

test("an edge opens no network of its own, and has its secrets as credentials", () => {
  for (const [, service] of [behindProxy, withTls]) {
    expect(service?.text).toContain("PrivateNetwork=yes\n");
    expect(service?.text).toContain("RestrictAddressFamilies=AF_UNIX\n");
    expect(service?.text).toContain("LoadCredential=edge.env:/etc/heartcode/edge.env\n");
    expect(service?.text).not.toContain("EnvironmentFile");
  }
});

test.each([
  ["/opt/heartcode/connector.mjs", null],
  ["/home/me/connector.mjs", /under \/home/],
  ["/var/tmp/c.mjs", /under \/var\/tmp/],
  ["/opt/with space/c.mjs", /white space/],
])("%s", (path, why) => {
  const hidden = hiddenFromUnit(path);
  if (why === null) expect(hidden).toBeNull();
  else expect(hidden).toMatch(why);
});
