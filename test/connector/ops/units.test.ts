// The units, judged by systemd's own tools, and by what would not be seen from inside them.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { connectorUnit, edgeUnit, hiddenFromUnit, LAUNCHER } from "../../../connector/ops/units.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const program = { node: process.execPath, script: join(ROOT, "connector/main.ts"), perl: "/usr/bin/perl" };
const connector = connectorUnit({
  ...program,
  config: "/etc/heartcode/c.yaml",
  key: "/etc/heartcode/c.key",
  drainS: 30,
});
const edge = edgeUnit({
  ...program,
  script: join(ROOT, "dev/edge/main.ts"),
  folder: ROOT,
  host: "127.0.0.1",
  port: 4000,
  keys: "/etc/heartcode/keys.json",
});

/** Of `systemd-analyze security`, in tenths. */
const MOST_EXPOSED = 12;
const analyze = (...args: string[]) => spawnSync("systemd-analyze", args, { encoding: "utf8" });
const isThere = analyze("--version").error === undefined;

describe.skipIf(!isThere)(`the unit${isThere ? "" : " (skipped: systemd-analyze is not installed)"}`, () => {
  const folder = mkdtempSync(join(tmpdir(), "heartcode-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const units = [connector, edge].map(({ name, text }): [string, string] => {
    const file = join(folder, name);
    writeFileSync(file, text);
    return [name, file];
  });

  test.each(units)("%s is understood to the last word", (_name, file) => {
    const { status, stdout, stderr } = analyze("verify", file);
    expect(`${stdout}${stderr}`).toBe("");
    expect(status).toBe(0);
  });

  test.each(units)("%s exposes 1.2 or less", (_name, file) => {
    const { status, stdout } = analyze("security", "--offline=yes", `--threshold=${MOST_EXPOSED}`, "--no-pager", file);
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

test("a connector has the time to drain, and is not started again for what does not change by itself", () => {
  const { text } = connectorUnit({ ...program, config: "/c", key: "/k", drainS: 300 });
  expect(text).toContain("TimeoutStopSec=315\n");
  expect(text).toContain("RestartPreventExitStatus=2 3\n");
});

test("an edge that only this machine reaches may talk to this machine only", () => {
  expect(edge.text).toContain("IPAddressDeny=any\nIPAddressAllow=localhost\n");
  expect(edgeUnit({ ...program, folder: ROOT, host: "0.0.0.0", port: 1, keys: "/k" }).text).not.toContain("IPAddress");
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
