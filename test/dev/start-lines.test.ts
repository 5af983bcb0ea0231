import { describe, expect, test } from "vitest";
import { newLines } from "../../dev/start/lines.ts";

describe("a line for a person", () => {
  test("is the message and its fields, without those that say nothing", () => {
    const line = JSON.stringify({
      time: "t",
      level: "info",
      msg: "exchange",
      outcome: "complete",
      code: null,
      total_ms: 3,
    });
    expect(newLines(false).take("connector", `${line}\n`)).toEqual(["connector exchange outcome=complete total_ms=3"]);
  });

  test.each(["warn", "error"])("begins with %s where it is one", (level) => {
    expect(newLines(false).take("edge", `{"level":"${level}","msg":"m"}\n`)).toEqual([`edge      ${level} m`]);
  });

  test.each(["plain text", "{not json", '{"no":"message"}', "[]"])("is %s as it is", (text) => {
    expect(newLines(false).take("dev", `${text}\n`)).toEqual([`dev       ${text}`]);
  });

  test("waits for its end, each part by itself", () => {
    const lines = newLines(false);
    expect(lines.take("edge", "one\ntw")).toEqual(["edge      one"]);
    expect(lines.take("fleet", "three\n")).toEqual(["fleet     three"]);
    expect(lines.take("edge", "o\n\n")).toEqual(["edge      two"]);
  });

  test("has colours only on a terminal", () => {
    expect(newLines(true).take("edge", "x\n")).toEqual(["\x1b[36medge     \x1b[0m x"]);
  });
});
