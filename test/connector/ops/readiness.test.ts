// What follows from a connector's picture of itself.
import { describe, expect, test } from "vitest";
import { headline, isHeard, isReady, SILENT_AFTER_MS } from "../../../connector/ops/readiness.ts";
import { NOW, picture, pool, socket } from "./picture.ts";

const down = socket({ shard: 1, state: "dialling", heard_at: null, trouble: "connect ECONNREFUSED" });

describe("a connector is ready", () => {
  const rows: [what: string, status: ReturnType<typeof picture>, ready: boolean][] = [
    ["with a socket on every shard and a healthy upstream", picture(), true],
    ["not with a shard whose socket is down", picture({ sockets: [socket(), down] }), false],
    ["not before the socket to every shard was dialled", picture({ sockets: [socket()] }), false],
    ["not without a healthy upstream", picture({ pools: [pool(["down", "loading"])] }), false],
    ["not while nobody has answered a probe yet", picture({ pools: [pool(["unknown"])] }), false],
    ["not while it leaves", picture({ draining: true }), false],
  ];
  test.each(rows)("%s", (_what, status, ready) => expect(isReady(status)).toBe(ready));
});

describe("a connector is heard", () => {
  const refusedAt = (refused_at: number) => socket({ state: "dialling", heard_at: null, refused_at });
  const at = (heard_at: number | null) => [socket({ heard_at }), down];
  const rows: [what: string, sockets: ReturnType<typeof at>, heard: boolean][] = [
    ["while one socket brings something in", at(NOW - SILENT_AFTER_MS + 1), true],
    ["not when the last byte is too long ago", at(NOW - SILENT_AFTER_MS), false],
    ["not over a socket that is not up", [socket({ state: "dialling", heard_at: NOW })], false],
    ["while the edge itself says that it refuses", [refusedAt(NOW - 44_999)], true],
    ["not when it said so too long ago", [refusedAt(NOW - 45_000)], false],
    ["not without a socket", [], false],
  ];
  test.each(rows)("%s", (_what, sockets, heard) => expect(isHeard(picture({ sockets }))).toBe(heard));
});

describe("the headline", () => {
  const rows: [status: ReturnType<typeof picture>, line: RegExp][] = [
    [picture(), /^ready: 2 of 2 sockets up, 1 of 2 upstreams up$/],
    [picture({ sockets: [socket(), down] }), /^not ready: 1 of 2 .*; the uplink says: connect ECONNREFUSED$/],
    [picture({ draining: true }), /^draining: answers are still running; /],
    [
      picture({ sockets: [socket({ state: "refused", trouble: "HTTP 401: no" })] }),
      /^refused by the edge: HTTP 401: no/,
    ],
  ];
  test.each(rows)("of %# says what matters", (status, line) => expect(headline(status)).toMatch(line));

  test("does not change with what only traffic changes", () => {
    const busy = picture({ exchanges: { running: 99, undelivered: 9, retained_bytes: 9, resumed: 9, lost: 9 } });
    expect(headline(busy)).toBe(headline(picture()));
  });
});
