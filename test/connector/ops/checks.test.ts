// Checks that build on each other: what runs, what is skipped and why.
import { describe, expect, test } from "vitest";
import { CHECK_WITHIN_MS, type Check, type Finding, runChecks } from "../../../connector/ops/checks.ts";
import { tellRows } from "../../../connector/ops/doctor.ts";

const never = { now: () => 0, setTimeout: () => 0, clearTimeout: () => {} };
const check = (name: string, needs: string[], finding: Finding | (() => Promise<Finding>)): Check => ({
  name,
  needs,
  run: typeof finding === "function" ? finding : async () => finding,
});
const pass: Finding = { verdict: "PASS", detail: "fine" };

describe("checks", () => {
  test("run only after what they need has passed, and stand in the order of the list", async () => {
    const ran: string[] = [];
    const slow = async () => {
      await Promise.resolve();
      ran.push("first");
      return pass;
    };
    const second = async () => {
      ran.push("second");
      return pass;
    };
    const rows = await runChecks([check("a", [], slow), check("b", ["a"], second)], never);
    expect(ran).toEqual(["first", "second"]);
    expect(rows.map(({ check: name }) => name)).toEqual(["a", "b"]);
  });

  test("are skipped and say why when what they need has failed, however far away", async () => {
    const bad: Finding = { verdict: "FAIL", detail: "no", remedy: "mend it" };
    const rows = await runChecks(
      [check("tcp", [], bad), check("tls", ["tcp"], pass), check("http", ["tls"], pass), check("other", [], pass)],
      never,
    );
    expect(rows.map(({ verdict }) => verdict)).toEqual(["FAIL", "SKIP", "SKIP", "PASS"]);
    expect(rows[1]?.detail).toBe('needs "tcp", which failed');
    expect(rows[2]?.detail).toBe('needs "tls", which was skipped');
    expect(rows[0]?.remedy).toBe("mend it");
  });

  test("go on after a warning", async () => {
    const rows = await runChecks(
      [check("a", [], { verdict: "WARN", detail: "hm", remedy: "look" }), check("b", ["a"], pass)],
      never,
    );
    expect(rows.map(({ verdict }) => verdict)).toEqual(["WARN", "PASS"]);
  });

  test("that throw have failed with their own words", async () => {
    const rows = await runChecks([check("key", [], () => Promise.reject(new Error("it is\nnot there")))], never);
    expect(rows[0]).toMatchObject({ verdict: "FAIL", detail: "it is not there" });
  });

  test("may bring more checks, which stand behind them", async () => {
    const more = [check("shard 1", [], pass), check("shard 2", [], pass)];
    const rows = await runChecks([check("token", [], { ...pass, more }), check("last", ["token"], pass)], never);
    expect(rows.map(({ check: name }) => name)).toEqual(["token", "shard 1", "shard 2", "last"]);
  });

  test("that do not end in time have failed", async () => {
    const timers: { callback: () => void; ms: number }[] = [];
    const clock = { ...never, setTimeout: (callback: () => void, ms: number) => timers.push({ callback, ms }) };
    const running = runChecks([check("stuck", [], () => new Promise(() => {}))], clock);
    await new Promise((done) => setImmediate(done));
    expect(timers.map(({ ms }) => ms)).toEqual([CHECK_WITHIN_MS]);
    timers[0]?.callback();
    expect((await running)[0]).toMatchObject({ verdict: "FAIL", detail: "no result within 30 s" });
  });

  test("run a few at once and no more", async () => {
    let inside = 0;
    let most = 0;
    const work = async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((done) => setImmediate(done));
      inside -= 1;
      return pass;
    };
    const rows = await runChecks(
      Array.from({ length: 20 }, (_, at) => check(String(at), [], work)),
      never,
    );
    expect(rows).toHaveLength(20);
    expect(most).toBe(4);
  });

  test("cannot need what does not stand before them", async () => {
    await expect(runChecks([check("a", ["b"], pass), check("b", [], pass)], never)).rejects.toThrow(RangeError);
  });
});

test("a table shows each remedy under its row and sums up", () => {
  const row = { check: "edge: TCP", verdict: "FAIL" as const, ms: 4, detail: "refused", remedy: "start it" };
  const lines = tellRows([row, { ...row, check: "key", verdict: "PASS", remedy: null }]);
  expect(lines).toEqual([
    "RESULT  CHECK      TIME  DETAIL",
    "FAIL    edge: TCP  4 ms  refused",
    "        → start it",
    "PASS    key        4 ms  refused",
    "",
    "1 passed, 0 warned, 1 failed, 0 skipped",
  ]);
});
