// The log against a real pipe, whose reader the test is.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { withoutWords } from "../../../connector/ops/log.ts";

const LOG = fileURLToPath(new URL("../../../connector/ops/log.ts", import.meta.url));

/** A process that logs to a pipe. */
function logger(script: string) {
  const child = spawn(
    process.execPath,
    ["--input-type=module", "-e", `import { openLog } from ${JSON.stringify(LOG)};\n${script}`],
    { stdio: ["ignore", "pipe", "inherit", "ipc"] },
  );
  onTestFinished(() => void child.kill("SIGKILL"));
  return child;
}

test("a line is an object with a time, the name of a level and no process", async () => {
  const child = logger(`openLog("info").log.info({ pool: "p" }, "words"); process.disconnect();`);
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout!)) lines.push(line);
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    { level: "info", time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/), pool: "p", msg: "words" },
  ]);
});

test("what is logged last is written, though the process leaves at once", async () => {
  const child = logger(`
    const { log } = openLog("info");
    for (let i = 0; i < 500; i += 1) log.info({ i }, "line");
    process.exit(0);
  `);
  const lines: string[] = [];
  for await (const line of createInterface(child.stdout!)) lines.push(line);
  expect(lines.map((line) => JSON.parse(line).i)).toEqual(Array.from({ length: 500 }, (_, i) => i));
});

test("a reader who stands still stops nothing; what he misses is dropped, counted and told", async () => {
  const LINES = 20_000;
  const child = logger(`
    const { log, dropped } = openLog("info");
    for (let i = 0; i < ${LINES}; i += 1) log.info({ i, fill: "x".repeat(200) }, "line");
    process.send({ dropped: dropped() });
  `);
  const [{ dropped }] = (await once(child, "message")) as [{ dropped: number }];
  // A pipe and the buffer hold about a megabyte of five.
  expect(dropped).toBeGreaterThan(LINES / 2);
  expect(dropped).toBeLessThan(LINES);
  let read = 0;
  for await (const line of createInterface(child.stdout!)) {
    const fields = JSON.parse(line);
    if (fields.msg === "line") {
      read += 1;
      continue;
    }
    expect(fields).toMatchObject({ level: "warn", lines: dropped, dropped });
    break;
  }
  expect(read).toBe(LINES - dropped);
});

test("an error is logged without its words, which may quote a prompt", () => {
  let thrown: unknown;
  try {
    JSON.parse('my secret prompt " is not JSON');
  } catch (error) {
    thrown = Object.assign(error as Error, { code: "E_CODE", data: "my secret prompt" });
  }
  const logged = withoutWords(thrown);
  expect(logged).toMatchObject({ type: "SyntaxError", code: "E_CODE" });
  expect(JSON.stringify(logged)).toContain("log.test.ts");
  expect(JSON.stringify(logged)).not.toContain("secret");
  expect(withoutWords("my secret prompt")).toEqual({ type: "string" });
});

test("words of several lines, which look like a stack, are not logged either", () => {
  const error = new Error("first\n    at secret prompt\nlast");
  expect(JSON.stringify(withoutWords(error))).not.toContain("secret");
});
