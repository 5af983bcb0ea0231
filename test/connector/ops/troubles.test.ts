// The last things that went wrong.
import { expect, test } from "vitest";
import { Troubles } from "../../../connector/ops/troubles.ts";

test("what a log says in earnest is remembered, newest first, and never more than twenty of it", () => {
  let now = 0;
  const said: string[] = [];
  const say = (_: object, message: string) => said.push(message);
  const troubles = new Troubles(() => now);
  const log = troubles.watch({ isLevelEnabled: () => true, debug: say, info: say, warn: say, error: say });
  log.info({}, "up");
  for (now = 1; now <= 30; now += 1) log.warn({ shard: now, err: new Error("cut"), empty: "" }, "lost");
  log.error({}, "x".repeat(1_000));
  expect(said).toHaveLength(32);
  expect(troubles.rows).toHaveLength(20);
  expect(troubles.rows[0]).toEqual({ at: 31, level: "error", what: "x".repeat(300) });
  expect(troubles.rows[1]).toEqual({ at: 30, level: "warn", what: "lost (shard 30, err Error)" });
});

test("an exchange that failed is told by its place and its reason, and not by its owner", () => {
  const troubles = new Troubles(() => 1);
  const say = () => {};
  const log = troubles.watch({ isLevelEnabled: () => true, debug: say, info: say, warn: say, error: say });
  const line = {
    request_id: "req_1",
    tenant: "0123456789abcdef",
    tier: "free",
    pool: "p",
    upstream: null,
    code: "queue_full",
  };
  log.warn(line, "exchange");
  expect(troubles.rows[0]?.what).toBe("exchange (request_id req_1, pool p, code queue_full)");
});
